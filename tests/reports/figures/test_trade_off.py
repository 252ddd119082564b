"""Every row has its place and its name."""

from __future__ import annotations

from fer_bench.reports.figures.style import drawing
from fer_bench.reports.figures.svg import inline_svg
from fer_bench.reports.figures.trade_off import trade_off


def test_trade_off_names_every_row_once(summary):
    with drawing(paper=False):
        svg = inline_svg(trade_off(summary), alt="trade-off")
    for row in summary.rows:
        assert svg.count(f">{row.label}</text>") == 1


def test_names_never_hide_each_other(summary):
    with drawing(paper=False):
        figure = trade_off(summary)
        axes = figure.axes[0]
        renderer = figure.canvas.get_renderer()
        boxes = [t.get_window_extent(renderer) for t in axes.texts]
    for i, box in enumerate(boxes):
        assert not any(box.overlaps(other) for other in boxes[i + 1 :])


def test_no_whisker_of_a_method_is_cut_off(summary):
    use = summary.use
    figure = trade_off(summary)
    low, high = figure.axes[0].get_ylim()
    scores = [row.scores[use.key] for row in summary.of_role("method")]
    assert low <= 100 * min(score.low for score in scores)
    assert high >= 100 * max(score.high for score in scores)
