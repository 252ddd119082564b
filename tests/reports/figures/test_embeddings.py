"""Static maps: every labelled point in its panel, with the marker of its expression."""

import numpy as np
import pandas as pd
import pytest

from fer_bench.reports.figures.embeddings import static_maps
from fer_bench.reports.maps import Maps

CLASSES = ("calm", "glad")


@pytest.fixture
def labels():
    return pd.DataFrame({"expression": ["calm", "glad", None, "calm"],
                         "subject": ["a", "b", "a", "b"]})  # fmt: skip


def maps(*spaces):
    points = np.array([[0, 0], [0.5, 0.1], [0.2, 0.9], [-0.3, 0.4]], np.float32)
    return Maps(np.arange(4), {f"{space}.tsne": points for space in spaces}, {}, 0)


def test_panels_are_spaces_by_labels(labels):
    figure = static_maps(maps("E", "I"), labels, CLASSES, kind="tsne")
    titles = [axes.get_title(loc="left") for axes in figure.axes]
    assert titles == ["E by expression", "E by subject", "I by expression", "I by subject"]


def test_unlabelled_points_are_left_out(labels):
    figure = static_maps(maps("E"), labels, CLASSES, kind="tsne")
    by_expression, by_subject = figure.axes
    assert len(by_expression.collections[0].get_offsets()) == 3
    assert len(by_subject.collections[0].get_offsets()) == 4


def test_one_person_has_no_panel_of_people_and_another_kind_no_figure(labels):
    figure = static_maps(maps("E"), labels.assign(subject="a"), CLASSES, kind="tsne")
    assert len(figure.axes) == 1
    assert static_maps(maps("E"), labels, CLASSES, kind="umap") is None
