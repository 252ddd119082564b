"""Differences: a dot a method, at its difference."""

from dataclasses import replace

import pytest

from fer_bench.reports.figures.differences import differences_figure


def test_dots_are_the_differences(summary):
    verdict = summary.verdict(summary.use.key)
    axes = differences_figure([verdict]).axes[0]
    dots = [container.lines[0].get_xdata()[0] for container in axes.containers]
    assert dots == pytest.approx([100 * d.mean for d in verdict.against.values()])
    assert [t.get_text() for t in axes.get_yticklabels()] == list(verdict.against)
    left, right = axes.get_xlim()
    assert left <= min(dots)
    assert max(dots) <= right


def test_nothing_to_compare_is_no_figure(summary):
    assert differences_figure([]) is None
    assert differences_figure([replace(summary.verdicts[0], against={})]) is None
