"""The curves are the scores."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from fer_bench.reports.figures.probes import probe_curves
from fer_bench.reports.figures.style import drawing


def test_probe_curves_show_the_scores_by_capacity(summary):
    with drawing(paper=False):
        figure = probe_curves(summary.row("DICE-FER"))
        alone = probe_curves(summary.row("ERM"))
    panels = figure.get_axes()
    assert [axes.get_xlabel() for axes in panels] == ["Components seen", "Network width"] * 2
    cells = [(target, kind) for target in ("identity", "expression") for kind in ("dims", "mlp")]
    for axes, (target, kind) in zip(panels, cells, strict=True):
        prefix = f"capacity/E.{target}.{kind}"
        expected = [
            (int(key.removeprefix(prefix)), 100 * values.mean)
            for key, values in summary.row("DICE-FER").scores.items()
            if key.startswith(prefix)
        ]
        drawn = axes.containers[0].lines[0].get_xydata()
        np.testing.assert_allclose(drawn, sorted(expected))
        assert len(axes.containers) == 2  # E and I
    assert all(len(axes.containers) == 1 for axes in alone.get_axes())
    row = replace(summary.row("ERM"), scores={})
    assert probe_curves(row) is None
