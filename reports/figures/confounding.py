"""Accuracy and leak against the strength of a shortcut."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure

from fer_bench.reports.confounding import Confounding
from fer_bench.reports.figures.style import (
    COLUMN_WIDTH,
    MATPLOTLIB_MARKERS,
    TEXT_WIDTH,
    colour_of,
    whiskers,
)  # fmt: skip
from fer_bench.reports.text import plain


def confounding_figure(about: Confounding, *, paper: bool = False) -> Figure:
    """A panel per measure, a line per method, with 95 % intervals; dotted: chance."""
    n = len(about.panels)
    columns = min(n, 2)
    rows = -(-n // columns)
    width = (TEXT_WIDTH if columns > 1 else COLUMN_WIDTH) if paper else 4.6 * columns
    height = (2.3 if paper else 3.1) * rows + 0.4
    figure = Figure(figsize=(width, height))
    grid = figure.subplots(rows, columns, squeeze=False)
    colour = colour_of(about.labels)
    # Strengths stand evenly apart: those that matter crowd near 1.
    places = {rho: i for i, rho in enumerate(about.rhos)}
    for axes, panel in zip(grid.flat, about.panels, strict=False):
        for i, label in enumerate(about.labels):
            line = about.means[panel.key].get(label)
            if not line:
                continue
            # Side by side, so that intervals of methods with equal means can be told apart.
            shift = 0.05 * (i - (len(about.labels) - 1) / 2)
            at = [rho for rho in about.rhos if rho in line]
            axes.errorbar(
                [places[rho] + shift for rho in at],
                [100 * line[rho].mean for rho in at],
                yerr=np.hstack([whiskers(line[rho], 100) or [[0], [0]] for rho in at]),
                fmt=f"{MATPLOTLIB_MARKERS[i % len(MATPLOTLIB_MARKERS)]}-",
                color=colour[label],
                markersize=4 if paper else 5.5,
                linewidth=1.2,
                elinewidth=0.9,
                label=plain(label, 28),
            )
        chance = [v.null for line in about.means[panel.key].values() for v in line.values()]
        levels = [v for v in chance if v is not None]
        if levels:
            mean = 100 * sum(levels) / len(levels)
            axes.axhline(mean, color="#7A7A7A", linestyle=":", linewidth=1.2, zorder=0)
        axes.set_title(f"{panel.title} (%)")
        axes.set_xticks(list(places.values()), [f"{rho:g}" for rho in places])
        axes.set_xlabel(f"Tie of {plain(about.attribute, 28)} to expression in training, ρ")
        axes.set_ylim(0, min(max(axes.get_ylim()[1], 20), 105))
    for axes in grid.flat[n:]:
        axes.set_visible(False)
    handles, names = grid.flat[0].get_legend_handles_labels()
    figure.tight_layout(rect=(0, 0.4 / height, 1, 1))
    figure.legend(handles, names, loc="lower center", ncols=min(len(names), 4))
    return figure
