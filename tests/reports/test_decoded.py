"""Drawings on the page: every grid has words, and faces follow the policy."""

from __future__ import annotations

import base64
import io
import re
import shutil
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from fer_bench.metrics.decoder import Drawings
from fer_bench.reports.aggregate import Estimate
from fer_bench.reports.decoded import GAP, OWN, PROBE, TILE, decoded, drawn_again, strip
from fer_bench.reports.figures.drawings import drawings_figure
from fer_bench.reports.figures.style import drawing
from fer_bench.reports.material import Material
from fer_bench.reports.sections.drawings import SECTION as TOGETHER
from fer_bench.reports.sections.methods import SECTION
from fer_bench.reports.summary import summarise
from fer_bench.runs.store import RunStore
from fer_bench.score import Outcome, Score

CLASSES = ("neutral", "happiness", "fear")
RNG = np.random.default_rng(0)


def faces(*shape):
    return RNG.integers(0, 256, (*shape, 32, 32, 3)).astype(np.uint8)


def drawings(*, identity=True, own=False):
    both = {"EI": faces(3)} if identity else {}
    both |= {"own": faces(3)} if own else {}
    return Drawings(
        rows=np.array([4, 0, 2]),
        expression=np.array([0, 1, 2]),
        drawn={"E": faces(3), **both},
        swap=faces(3, 3) if identity else None,
        towards=np.array([1, 2]),
        start=0,
        means=faces(2, 5),
        axes_e=faces(3, 5),
        axes_i=faces(3, 5) if identity else None,
    )


def a_row(**scores):
    estimate = {
        f"decoder/{key.replace('__', '.')}": Estimate(
            value, value - 0.1, value + 0.1, 0.0, 0.5, 1, 9, "fraction", "people", (value,)
        )
        for key, value in scores.items()
    }
    return SimpleNamespace(scores=estimate)


def picture(uri):
    return Image.open(io.BytesIO(base64.b64decode(uri.partition(",")[2]))).convert("RGB")


def shown(mode="show", *, identity=True):
    row = a_row(E__r2=0.4, swap__identity=0.8)
    arrays = drawings(identity=identity).to_arrays()
    return decoded(row, arrays, faces(6), CLASSES, mode=mode)


def test_a_strip_holds_its_faces_in_order():
    tiles = [np.full((20, 20, 3), level, np.uint8) for level in (20, 120, 220)]
    row = strip(tiles, "three", mode="show")
    image = picture(row.uri)
    assert image.size == (row.width, TILE) == (3 * TILE + 2 * GAP, TILE)
    levels = [np.asarray(image)[TILE // 2, i * (TILE + GAP) + TILE // 2].mean() for i in range(3)]
    assert levels == pytest.approx([20, 120, 220], abs=6)


def test_blurred_drawings_lose_their_detail_each_for_itself():
    [face] = faces(1)
    sharp, blur = (
        np.asarray(picture(strip([face, face], "x", mode=mode).uri), float)
        for mode in ("show", "blur")
    )
    assert (
        np.abs(np.diff(blur[:, :TILE], axis=0)).mean()
        < 0.3 * np.abs(np.diff(sharp[:, :TILE], axis=0)).mean()
    )


def test_grids_of_a_method_with_an_identity_embedding():
    context = shown()
    titles = [grid["title"] for grid in context["grids"]]
    assert titles[:3] == ["Drawn again", "Expressions swapped", "Along E, from neutral"]
    assert len(titles) == 5
    swap = context["grids"][1]
    assert [line["label"] for line in swap["lines"]] == ["E of", *CLASSES]
    assert all(line["giver"] for line in swap["lines"][1:])
    assert swap["lines"][2]["strip"].alt == (
        "I of the face with happiness, E of: neutral, happiness, fear"
    )


def test_grids_without_an_identity_embedding():
    context = shown(identity=False)
    assert [g["title"] for g in context["grids"]] == [
        "Drawn again", "Along E, from neutral", "Along the principal directions of E",
    ]  # fmt: skip
    assert not any("I is that" in grid["note"] for grid in context["grids"])


def test_the_method_s_own_decoder_stands_beside_the_probe():
    row = a_row(E__r2=0.4, own__r2=0.3)
    shown_too = decoded(row, drawings(own=True).to_arrays(), faces(6), CLASSES, mode="show")
    labels = [line["label"] for line in shown_too["grids"][0]["lines"]]
    assert labels == ["test faces", "from E alone", "from E and I", "by its own decoder"]
    assert [line["source"] for line in shown_too["scores"]] == [
        "from E alone",
        "by its own decoder",
    ]
    assert shown_too["own"]
    assert not shown()["own"]


def test_reconstructions_of_several_methods_stand_together(small_results, tmp_path):
    root = shutil.copytree(small_results, tmp_path / "r")
    store = RunStore(root)
    score = Score(0.4, 0.3, 0.5, null=0.0, n=48, unit="fraction")

    def keep(row, drawn):
        outcome = Outcome(1, {"E.r2": score}, arrays=drawn.to_arrays())
        store.record(row.representative).save_outcomes({"decoder": outcome})

    first, second = summarise(store).rows
    keep(first, drawings(own=True))
    assert drawn_again(summarise(store), store) is None  # nobody to stand beside
    keep(second, drawings(identity=False))
    again = drawn_again(summarise(store), store)
    assert {by: set(lines) for by, lines in again.lines.items()} == {
        OWN: {first.label},
        PROBE: {first.label, second.label},
    }
    with drawing(paper=False):
        page = {mode: Material(root, maps="none", faces=mode) for mode in ("show", "none")}
        _, text = TOGETHER.render(page["show"])
    assert text.count("data:image/webp") == 2 + 3
    assert TOGETHER.render(page["none"]) is None
    figure = drawings_figure(again.lines[PROBE], CLASSES)
    assert len(figure.axes) == 2 * 3
    keep(second, replace(drawings(), rows=np.array([5, 0, 2])))
    assert drawn_again(summarise(store), store) is None  # other faces


def test_faces_left_out_leave_the_numbers():
    context = shown("none")
    assert context["grids"] == []
    assert [line["value"] for line in context["scores"]] == ["40.0", "80.0"]
    with pytest.raises(ValueError, match="left out"):
        strip(faces(1), "x", mode="none")


def test_nothing_drawn_is_nothing_shown():
    assert decoded(SimpleNamespace(scores={}), {}, faces(6), CLASSES, mode="show") is None
    numbers_alone = decoded(a_row(E__r2=0.1), {}, faces(6), CLASSES, mode="show")
    assert numbers_alone["grids"] == []


def test_the_page_shows_them_as_its_policy_says(closed_results, tmp_path):
    root = shutil.copytree(closed_results, tmp_path / "r")
    store = RunStore(root)
    for row in summarise(store).rows:
        arrays = drawings(identity=row.label == "DICE-FER").to_arrays()
        score = Score(0.4, 0.3, 0.5, null=0.0, n=48, unit="fraction")
        outcome = Outcome(1, {"E.r2": score}, arrays=arrays)
        store.record(row.representative).save_outcomes({"decoder": outcome})
    with drawing(paper=False):
        texts = {
            mode: SECTION.render(Material(root, maps="none", faces=mode))[1]
            for mode in (None, "blur", "show")
        }
    images = {
        mode: re.findall(r'<img src="data:image/webp[^>]*>', text) for mode, text in texts.items()
    }
    assert images[None] == []
    assert "The drawings are left out" in texts[None]
    # DICE-FER: 3 + 1 + 3 x 2 + 2 + 3 + 3 strips; ERM: 2 + 2 + 3.
    assert len(images["show"]) == len(images["blur"]) == 18 + 7
    assert all(re.search(r'alt="[^"]{8,}"', tag) for tag in images["show"])
    assert not set(images["show"]) & set(images["blur"])
