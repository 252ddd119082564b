"""What erasers leave is drawn, and the line that the verdict reads."""

from __future__ import annotations

import numpy as np

from fer_bench.attackers.frontier import utility_at
from fer_bench.reports.figures.eraser_curves import eraser_curves
from fer_bench.reports.figures.style import colour_of, drawing

METHODS = ["ERM", "EIF"]
CURVES = {
    "ERM": np.array([[0, 0.9, 0.8], [1, 0.6, 0.5], [2, 0.7, 0.4], [4, 0.55, 0.3], [-1, 0.58, 0.7]]),
    "EIF": np.array([[0, 0.7, 0.75], [1, 0.5, 0.2]]),
}


def test_the_line_to_beat_is_what_the_verdict_reads_and_curves_are_the_points():
    with drawing(paper=False):
        axes = eraser_curves(CURVES, methods=METHODS, line="ERM").axes[0]
    beaten, *rest = axes.get_lines()
    for leak, height in beaten.get_xydata():
        assert np.isclose(height, 100 * utility_at(leak, CURVES["ERM"][:, 1:]))
    for label, swept, alone in zip(CURVES, rest[::3], rest[2::3], strict=True):
        by_rank = CURVES[label][CURVES[label][:, 0] >= 0, 1:] * (1, 100)
        np.testing.assert_allclose(swept.get_xydata(), by_rank)
        assert swept.get_label() == label
        assert swept.get_color() == colour_of(METHODS)[label]
        assert len(alone.get_xydata()) == (label == "ERM")


def test_without_the_plain_encoder_there_is_no_line_to_beat():
    with drawing(paper=True):
        axes = eraser_curves(CURVES, methods=METHODS, line="", paper=True).axes[0]
    assert [text.get_text() for text in axes.get_legend().get_texts()] == METHODS


def test_without_curves_there_is_no_figure():
    assert eraser_curves({}, methods=METHODS, line="ERM") is None
