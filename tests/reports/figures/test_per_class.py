"""A pair of bars an expression, as high as the scores."""

import re
from dataclasses import replace

import pytest

from fer_bench.reports.figures.per_class import per_class_figure


def test_bars_are_recall_and_f1(summary):
    row = summary.row("ERM")
    axes = per_class_figure(row).axes[0]
    heights = [[bar.get_height() for bar in group] for group in axes.containers[:2]]
    for bars, what in zip(heights, ("recall", "f1"), strict=True):
        assert bars == pytest.approx([100 * values[what].mean for values in row.per_class.values()])
    names = [t.get_text() for t in axes.get_xticklabels()]
    assert [re.sub("…", "", name) for name in names] == list(row.per_class)


def test_without_classes_there_is_no_figure(summary):
    assert per_class_figure(replace(summary.row("ERM"), per_class={})) is None
