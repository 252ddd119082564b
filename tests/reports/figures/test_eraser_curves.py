"""What erasers leave is drawn as the verdict reads it."""

from __future__ import annotations

import numpy as np

from fer_bench.attackers.frontier import utility_at
from fer_bench.reports.figures.eraser_curves import eraser_curves
from fer_bench.reports.figures.style import INK, colour_of, drawing

METHODS = ["ERM", "EIF"]
CURVES = {
    "ERM": np.array([[0.9, 0.8], [0.6, 0.5], [0.7, 0.4], [0.55, 0.3]]),
    "EIF": np.array([[0.7, 0.75], [0.5, 0.2]]),
}


def test_lines_are_the_curves_and_markers_what_was_not_erased():
    with drawing(paper=False):
        axes = eraser_curves(CURVES, methods=METHODS, line="ERM").axes[0]
    lines = axes.get_lines()
    for label, curve, marker in zip(CURVES, lines[::2], lines[1::2], strict=True):
        for leak, height in curve.get_xydata():
            assert np.isclose(height, 100 * utility_at(leak, CURVES[label]))
        np.testing.assert_allclose(marker.get_xydata(), [CURVES[label][0] * (1, 100)])
        assert marker.get_label() == label
    assert lines[0].get_color() == INK
    assert lines[2].get_color() == colour_of(METHODS)["EIF"]
    assert lines[0].get_linewidth() > lines[2].get_linewidth()


def test_without_curves_there_is_no_figure():
    assert eraser_curves({}, methods=METHODS, line="ERM") is None
