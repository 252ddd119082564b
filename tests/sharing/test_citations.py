"""Whom to cite: every part that is used and has a source, once, as BibTeX that can be read."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from fer_bench import registry
from fer_bench.errors import RunError
from fer_bench.sharing.citations import SUITE, _as_said, _cited, _sources, bibliography

ROOMS = {
    "baselines": registry.methods,
    "data/readers": registry.datasets,
    "information": registry.estimators,
}
NOT_REGISTERED = {"erased", "contrast"}  # a row of its own kind; what `auto` chooses among others


def ours(names):
    return [name for name in names.names() if names.origin(name) == "fer-bench"]


@pytest.mark.parametrize("room", ROOMS)
def test_the_names_of_every_entry_are_registered(room):
    named = frozenset().union(*(source.names for source in _sources(room)))
    assert named - NOT_REGISTERED <= {*ROOMS[room].names()}
    keys = [source.key for source in _sources(room)]
    assert len(keys) == len(set(keys))


@pytest.mark.parametrize("room", ROOMS)
def test_braces_are_balanced(room):
    for source in _sources(room):
        assert source.text.count("{") == source.text.count("}"), source.key
        assert re.search(r"^  year = \{\d{4}\},$", source.text, re.M), source.key
        assert "keywords" not in source.text


def test_everything_of_ours_that_names_a_source_has_an_entry():
    def named(room):
        return frozenset().union(*(source.names for source in _sources(room)))

    methods = [n for n in ours(registry.methods) if registry.methods.get(n).info.paper]
    sets = [n for n in ours(registry.datasets) if registry.datasets.get(n).info.citation]
    assert {*methods} <= named("baselines")
    assert {*sets} <= named("data/readers")
    assert {*ours(registry.estimators)} <= named("information")


def test_a_result_folder(sweep, invoke_cite):
    text = invoke_cite(sweep)
    assert text.startswith("% FER-Bench")
    assert text.count("@") == 2
    assert "% method: erm\n@inproceedings{vapnik1991principles," in text
    assert "% data generated: no source is stated" in text


@pytest.fixture
def invoke_cite(tmp_path):
    from typer.testing import CliRunner

    from fer_bench.cli.app import app

    def call(folder):
        printed = CliRunner().invoke(app, ["cite", str(folder)])
        assert printed.exit_code == 0, printed.output
        file = tmp_path / "references.bib"
        CliRunner().invoke(app, ["cite", str(folder), "--out", str(file)])
        assert file.read_text(encoding="utf-8") == printed.stdout == bibliography(folder)
        return printed.stdout

    return call


def test_what_is_in_no_file_is_cited_as_it_says_itself():
    entries = _cited({"own & new": ("Doe, 50 % more, 2026", 2026), "mute": ("", None)}, ())
    assert [*entries.values()] == [["own & new"]]
    assert r"50 \% more" in next(iter(entries))
    assert _as_said("a_b", "x", None).splitlines()[0] == "@misc{a-b,"


def test_one_entry_for_two_names():
    cited = _cited({"fer2013": ("", None), "ferplus": ("", None)}, _sources("data/readers"))
    assert ["fer2013", "ferplus"] in cited.values()


def test_the_suite_is_called_as_in_its_citation_file():
    file = Path(__file__).parents[2] / "CITATION.cff"
    title = re.search(r'^title: "(.*)"$', file.read_text(encoding="utf-8"), re.M)
    plain = SUITE.replace("{FER-Bench}", "FER-Bench")
    assert title is not None
    assert f"title = {{{title[1]}}}" in plain


def test_an_empty_folder_is_refused(tmp_path):
    with pytest.raises(RunError, match="no finished run"):
        bibliography(tmp_path)
