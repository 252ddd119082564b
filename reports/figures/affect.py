"""Valence and arousal: predicted against true, and on the circumplex."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from numpy.typing import NDArray

from fer_bench.reports.figures.style import FAINT, TEXT_WIDTH, spaced

_LOOKS = {"true": ("#7A7A7A", "o"), "predicted": ("#D55E00", "^")}


def affect_figure(
    predicted: NDArray[Any], target: NDArray[Any], *, paper: bool = False
) -> Figure | None:
    """Valence and arousal: predicted against true, and the predictions on the circumplex."""
    import seaborn as sns

    known = np.isfinite(target).all(axis=1) & np.isfinite(predicted).all(axis=1)
    if not known.any():
        return None
    predicted, target = predicted[known], target[known]
    line = FAINT if not paper else "#bbbbbb"
    dots: dict[str, Any] = {"s": 9, "alpha": 0.55, "linewidth": 0, "rasterized": True}
    figure = Figure(figsize=(TEXT_WIDTH, 2.3) if paper else (8.4, 2.9))
    *sides, circle = figure.subplots(1, 3)
    for axes, i, name in zip(sides, (0, 1), ("Valence", "Arousal"), strict=True):
        axes.plot([-1, 1], [-1, 1], color=line, lw=1)
        sns.scatterplot(x=target[:, i], y=predicted[:, i], color="#0072B2", ax=axes, **dots)
        axes.set(xlabel=f"{name}, true", ylabel="predicted", xlim=(-1.1, 1.1), ylim=(-1.1, 1.1))
    angle = np.linspace(0, 2 * np.pi, 100)
    circle.plot(np.cos(angle), np.sin(angle), color=line, lw=1)
    for points, (colour, marker) in zip((target, predicted), _LOOKS.values(), strict=True):
        sns.scatterplot(x=points[:, 0], y=points[:, 1], color=colour, marker=marker, ax=circle,
                        **dots)  # fmt: skip
    circle.set(xlabel="Valence", ylabel="Arousal", xlim=(-1.15, 1.15), ylim=(-1.15, 1.15))
    # Handles of their own: those of rasterised points would be left out of an SVG.
    handles = [
        Line2D([], [], marker=m, color=c, linestyle="none", markersize=4, label=name)
        for name, (c, m) in _LOOKS.items()
    ]
    circle.legend(handles=handles, loc="lower left", handletextpad=0.1, borderpad=0)
    for axes in (*sides, circle):
        axes.set_aspect("equal")
    spaced(figure, top=0.1, across=0.6)
    return figure
