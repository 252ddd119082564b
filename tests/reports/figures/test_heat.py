"""Colours are shares, words are numbers."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from fer_bench.reports.aggregate import Estimate
from fer_bench.reports.figures.heat import (
    confusion_figure,
    confusions_figure,
    f1_figure,
    groups_figure,
    transfer_heat,
)
from fer_bench.reports.figures.style import COLUMN_WIDTH


def test_confusion_rows_are_shares_of_the_true_class():
    figure = confusion_figure([[3, 1], [0, 0]], ["a", "b"])
    image = figure.axes[0].collections[0].get_array()
    np.testing.assert_allclose(image, [[0.75, 0.25], [0, 0]])
    assert figure.get_size_inches()[0] == COLUMN_WIDTH


def accuracy(mean, chance):
    return Estimate(mean, None, None, 0.0, chance, 1, 50, "fraction", "", (mean,))


def test_transfer_heat_shows_kappa_and_writes_accuracy(summary):
    erm, dice = summary.row("ERM"), summary.row("DICE-FER")
    own = "classification/test.accuracy"
    changed = [
        replace(erm, scores={own: accuracy(0.8, 0.2), "transfer/CK.accuracy": accuracy(0.5, 0.5)}),
        replace(dice, scores={own: accuracy(0.6, 0.2), "transfer/MMI.accuracy": accuracy(0.3, 0)}),
    ]
    figure = transfer_heat(replace(summary, rows=changed))
    axes = figure.axes[0]
    shown = axes.collections[0].get_array()
    np.testing.assert_allclose(shown.filled(np.nan), [[0.75, 0, np.nan], [0.5, np.nan, 0.3]])
    assert [t.get_text() for t in axes.texts] == ["80", "50", "60", "30"]
    assert [t.get_text() for t in axes.get_xticklabels()] == ["own people", "CK", "MMI"]
    assert transfer_heat(summary) is None  # no further test set


def test_all_methods_share_one_scale_and_references_are_left_out(summary):
    figure = confusions_figure(summary)
    shown = [axes for axes in figure.axes if axes.get_visible()]
    titles = [axes.get_title(loc="left") for axes in shown]
    assert titles == [row.label for row in summary.of_role("method")]
    assert {axes.collections[0].get_clim() for axes in shown} == {(0, 1)}
    counts = np.array(summary.row("ERM").confusion["test"])
    drawn = shown[titles.index("ERM")].collections[0].get_array()
    np.testing.assert_allclose(drawn, counts / counts.sum(axis=1, keepdims=True))


def test_f1_has_a_row_a_method_and_a_column_an_expression(summary):
    axes = f1_figure(summary).axes[0]
    rows = [t.get_text() for t in axes.get_yticklabels()]
    assert rows == [row.label for row in summary.of_role("method")]
    assert [t.get_text() for t in axes.get_xticklabels()] == list(summary.classes)
    f1 = [values["f1"].mean for values in summary.row(rows[1]).per_class.values()]
    np.testing.assert_allclose(axes.collections[0].get_array()[1], f1)


def test_a_group_that_a_method_lacks_is_an_empty_cell():
    axes = groups_figure({"age: old": {"A": 0.5, "B": 0.7}, "age: young": {"A": 0.9}}).axes[0]
    np.testing.assert_allclose(
        axes.collections[0].get_array().filled(np.nan), [[0.5, 0.9], [0.7, np.nan]]
    )
    assert [t.get_text() for t in axes.texts] == ["50", "90", "70"]
    assert groups_figure({}) is None
