"""Diagrams: well-formed, drawn from what the adapter says, and the same as those in the cards."""

from __future__ import annotations

import re
from base64 import b64decode
from pathlib import Path
from types import SimpleNamespace
from xml.etree import ElementTree

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fer_bench import baselines
from fer_bench.conformance.diagram import method_diagram
from fer_bench.diagram import plan_svg
from fer_bench.reports.sections.methods import _diagram

CARDS = {
    "adversarial-branch": "adversarial_branch",
    "caf": "caf",
    "dice-fer": "dice_fer",
    "eif": "eif",
    "elim": "elim",
    "erm": "erm",
    "frozen-attacker": "frozen_attacker",
    "dann": "invariance",
    "multitask": "multitask",
    "supcon": "supcon",
}


def texts(svg):
    root = ElementTree.fromstring(svg)
    return [e.text or "" for e in root.iter("{http://www.w3.org/2000/svg}text")]


@pytest.mark.parametrize("name", CARDS)
def test_the_card_shows_the_method_as_it_is(name):
    """Draw it anew with `fer-bench check-method NAME --diagram baselines/.../diagram.svg`."""
    folder = Path(baselines.__file__).parent / CARDS[name]
    assert (folder / "diagram.svg").read_text(encoding="utf-8") == method_diagram(name) + "\n"
    assert "](diagram.svg)" in (folder / "README.md").read_text(encoding="utf-8")


def test_dice_fer_is_three_stages_with_e_frozen_after_the_first():
    shown = texts(method_diagram("dice-fer"))
    assert [t for t in shown if t in ("expression", "identity", "classifier")][:2] == [
        "expression", "identity"
    ]  # fmt: skip
    assert shown.count("frozen: expression") == 2
    assert any(t.startswith("\u2193 adversarial") for t in shown)


def test_what_is_not_trained_says_so():
    assert any("not trained" in t for t in texts(method_diagram("oracle-label")))


word = st.text(st.characters(exclude_categories=["C"]), min_size=1, max_size=30)


@given(word, word, word, word)
def test_names_of_others_cannot_break_the_picture(title, stage, player, term):
    plan = [
        {
            "name": stage, "batch": "images", "share": 0.5, "select": "last", "frozen": [term],
            "players": [{"name": player, "modules": [title], "steps": 2,
                         "claims": [{"term": term, "effect": "raises", "what": "<&>"}]}],
        }
    ]  # fmt: skip
    svg = plan_svg(plan, title, {(stage, player): [term, "total"]})
    shown = texts(svg)
    assert {title, stage, player} <= set(shown)
    box = re.search(r'viewBox="0 0 (\d+) (\d+)"', svg)
    assert all(float(y) < int(box[2]) for y in re.findall(r' y="([\d.]+)"', svg))


def test_the_page_shows_the_plan_of_the_run():
    history = pd.DataFrame(
        [("train", 1, "train", "model", "total", 1.0), ("train", 1, "train", "model", "kl", 0.1),
         ("train", 1, "validation", "model", "accuracy", 0.5)],
        columns=["stage", "epoch", "split", "player", "term", "value"],
    )  # fmt: skip
    players = [{"name": "model", "modules": ["encoder"], "steps": 1, "claims": []}]
    plan = [{"name": "train", "batch": "images", "share": 1.0, "select": "prediction",
             "frozen": [], "players": players}]  # fmt: skip
    record = SimpleNamespace(environment={"plan": plan}, history=history)
    row = SimpleNamespace(title="Own <method>")
    address = _diagram(record, row)
    shown = texts(b64decode(address.partition("base64,")[2]).decode())
    assert {"Own <method>", "model", "owns encoder", "kl"} <= set(shown)
    assert not {"total", "accuracy"} & set(shown)
    assert _diagram(SimpleNamespace(environment={}), row) is None
