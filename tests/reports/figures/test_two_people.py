"""Figures 6, 7 and 10 of the EIF paper: who is drawn, where, and when there is nothing to draw."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pandas as pd
import pytest
from matplotlib.offsetbox import AnnotationBbox
from matplotlib.transforms import Bbox

from fer_bench.reports.figures.style import PALETTE, drawing
from fer_bench.reports.figures.two_people import (
    EXAMPLES,
    attribute_maps,
    people_affect,
    people_map,
    two_people,
)
from fer_bench.reports.maps import Maps

N = 40


@pytest.fixture
def labels():
    return pd.DataFrame(
        {
            "expression": [("neutral", "anger")[i % 2] for i in range(N)],
            "subject": ["a"] * 15 + ["b"] * 15 + ["c"] * 10,
            "row": range(100, 100 + N),
            "gender": [("man", "woman")[i // 20] for i in range(N)],
            "camera": [f"c{i}" for i in range(N)],
        }
    )


@pytest.fixture
def maps():
    points = np.random.default_rng(0).uniform(-1, 1, (N, 2)).astype(np.float32)
    return Maps(np.arange(N), {"z_exp.tsne": points, "E.tsne": points[::-1]}, {}, 0)


def drawn(axes, colour):
    from matplotlib.colors import to_rgba

    return sum(
        len(c.get_offsets())
        for c in axes.collections
        if len(c.get_facecolor()) and np.allclose(c.get_facecolor()[0][:3], to_rgba(colour)[:3])
    )


def test_the_two_people_with_the_most_faces(labels):
    assert two_people(labels) == ["a", "b"]
    assert two_people(labels.assign(subject=None)) == []


def test_two_people_are_coloured_and_have_example_faces(maps, labels):
    faces = np.zeros((200, 12, 12, 3), np.uint8)
    figure = people_map(maps, labels, ["neutral", "anger"], space="z_exp", kind="tsne", faces=faces)
    [axes] = figure.axes
    assert [drawn(axes, colour) for colour in PALETTE[:2]] == [15, 15]
    boxes = [a for a in axes.artists if isinstance(a, AnnotationBbox)]
    assert len(boxes) == 2 * EXAMPLES
    without = people_map(maps, labels, ["neutral", "anger"], space="z_exp", kind="tsne")
    assert not [a for a in without.axes[0].artists if isinstance(a, AnnotationBbox)]


def test_attributes_with_a_few_levels_have_a_panel(maps, labels):
    figure = attribute_maps(maps, labels, ["gender", "camera"], space="E", kind="tsne")
    [axes] = figure.axes
    assert [drawn(axes, colour) for colour in PALETTE[:2]] == [20, 20]
    assert attribute_maps(maps, labels, ["camera"], space="E", kind="tsne") is None


@pytest.mark.parametrize("count", [2, 3, 7, 8])
@pytest.mark.parametrize("paper", [False, True])
def test_many_attributes_do_not_cover_each_other(maps, labels, count, paper):
    """Titles and legends of generated faces, which have eight attributes, stand clear."""
    names = ["group", "skin", "age", "gender", "hair", "hair_style", "glasses", "beard"][:count]
    levels = np.array(["middle-aged", "old", "young"])
    attributes = labels.assign(**{name: levels[np.arange(N) % 3] for name in names})
    with drawing(paper=paper):
        figure = attribute_maps(maps, attributes, names, space="E", kind="tsne", paper=paper)
        figure.draw_without_rendering()
    assert len(figure.axes) == count
    panels = [axes.get_tightbbox() for axes in figure.axes]
    for one, other in combinations(panels, 2):
        both = Bbox.intersection(one, other)
        assert both is None or min(both.width, both.height) < 1


def test_prediction_against_truth_of_two_people_and_two_methods(labels):
    target = np.random.default_rng(1).uniform(-1, 1, (N, 2))
    target[0] = np.nan
    figure = people_affect({"EIF": target + 0.1, "ELIM": target - 0.1}, target, labels)
    for axes in figure.axes:
        assert [drawn(axes, colour) for colour in PALETTE[:2]] == [2 * 15, 2 * 14]


def test_nothing_to_draw(maps, labels):
    alone = labels.assign(subject="a")
    assert people_map(maps, alone, ["anger"], space="E", kind="tsne") is None
    assert people_map(maps, labels, ["anger"], space="I", kind="tsne") is None
    assert people_affect({}, np.zeros((N, 2)), labels) is None
    assert people_affect({"EIF": np.zeros((N, 2))}, np.zeros((N, 2)), alone) is None
