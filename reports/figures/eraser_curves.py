"""What an eraser leaves of every encoder: balanced accuracy against leak."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from matplotlib.figure import Figure

from fer_bench.attackers.frontier import best_so_far
from fer_bench.metrics.common import Floats
from fer_bench.reports.figures.style import COLUMN_WIDTH, INK, MATPLOTLIB_MARKERS, colour_of
from fer_bench.reports.text import plain


def eraser_curves(
    curves: Mapping[str, Floats], *, methods: Sequence[str], line: str, paper: bool = False
) -> Figure | None:
    """A curve for every encoder, that of the plain one in ink; a marker where nothing is erased.

    Args:
        curves: label -> leak and utility [points, 2], the first without an eraser (`mean_curve`).
        methods: labels of all methods, for colours that are those of other figures.
        line: label of the plain encoder.
        paper: draw for a paper, not for the page.
    """
    if not curves:
        return None
    colours = colour_of(methods)
    figure = Figure(figsize=(COLUMN_WIDTH, 2.6) if paper else (11.6, 3.8), layout="constrained")
    axes = figure.add_subplot()
    for label, curve in curves.items():
        is_line = label == line
        colour = INK if is_line and not paper else colours[label]
        leaks, best = best_so_far(curve).T
        axes.plot(leaks, 100 * best, color=colour, linewidth=2.2 if is_line else 1.2, zorder=1)
        axes.plot(
            curve[:1, 0], 100 * curve[:1, 1], color=colour, linestyle="none",
            marker=MATPLOTLIB_MARKERS[methods.index(label) % len(MATPLOTLIB_MARKERS)],
            label=plain(label, 28),
        )  # fmt: skip
    axes.set(xlabel="Trained attacker AUC: less is better", ylabel="Balanced accuracy (%)")
    axes.legend(loc="upper left", bbox_to_anchor=(1.01, 1), borderaxespad=0)
    return figure
