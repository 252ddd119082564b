"""What an eraser leaves of every encoder: balanced accuracy against leak."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from matplotlib.figure import Figure

from fer_bench.attackers.frontier import SCORES_ALONE, best_so_far
from fer_bench.metrics.common import Floats
from fer_bench.reports.figures.style import COLUMN_WIDTH, MATPLOTLIB_MARKERS, colour_of
from fer_bench.reports.text import plain


def eraser_curves(
    curves: Mapping[str, Floats], *, methods: Sequence[str], line: str, paper: bool = False
) -> Figure | None:
    """A curve for every encoder as the rank of LEACE grows, and the line to beat behind them.

    A full marker stands where nothing is erased, a hollow one for the class scores alone.

    Args:
        curves: label -> strength, leak and utility [points, 3] (`mean_curve`).
        methods: labels of all methods, for colours that are those of other figures.
        line: label of the plain encoder.
        paper: draw for a paper, not for the page.
    """
    if not curves:
        return None
    figure = Figure(figsize=(COLUMN_WIDTH, 2.6) if paper else (11.6, 3.8), layout="constrained")
    axes = figure.add_subplot()
    if line in curves:
        beaten = best_so_far(curves[line][:, 1:]) * (1, 100)
        axes.plot(*beaten.T, color="#999999", linewidth=7, alpha=0.4, zorder=1, label="to beat")
    colours = colour_of(methods)
    for label, curve in curves.items():
        marker = MATPLOTLIB_MARKERS[methods.index(label) % len(MATPLOTLIB_MARKERS)]
        colour, name = colours[label], plain(label, 28)
        swept = curve[curve[:, 0] != SCORES_ALONE][:, 1:] * (1, 100)
        axes.plot(*swept.T, marker=marker, markevery=[0], linewidth=1.2, color=colour, label=name)
        axes.plot(*swept.T, linestyle="none", marker=".", markersize=4, color=colour)
        alone = curve[curve[:, 0] == SCORES_ALONE][:, 1:] * (1, 100)
        axes.plot(*alone.T, linestyle="none", marker=marker, color=colour, fillstyle="none")
    axes.set(
        xlabel="AUC of the best of cosine, LDA and PLDA: less is better",
        ylabel="Balanced accuracy (%)",
    )
    axes.legend(loc="upper left", bbox_to_anchor=(1.01, 1), borderaxespad=0)
    return figure
