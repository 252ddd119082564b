"""What probes read as they grow."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from fer_bench.reports.aggregate import Estimate
from fer_bench.reports.columns import columns_of, entries
from fer_bench.reports.figures.style import TEXT_WIDTH, spaced, whiskers
from fer_bench.reports.summary import Row

_LOOKS = {"E": ("#0072B2", "o", "-"), "I": ("#E69F00", "s", "--")}
Curve = dict[int, Estimate]  # capacity -> accuracy


def probe_curves(row: Row, *, paper: bool = False) -> Figure | None:
    """What probes read as they grow, or see more of the embedding, with chance dotted."""
    curves = _curves(row)
    panels = [
        (target, column)
        for target in ("identity", "expression")
        for column in columns_of("capacity")
        if any((space, target, column.key) in curves for space in _LOOKS)
    ]
    if not panels:
        return None
    size = (TEXT_WIDTH if paper else 10.4) / 4
    figure = Figure(figsize=(size * len(panels), (1.1 if paper else 0.9) * size))
    grid = figure.subplots(1, len(panels), squeeze=False, sharey=True)[0]
    for axes, (target, column) in zip(grid, panels, strict=True):
        drawn = {s: curves[key] for s in _LOOKS if (key := (s, target, column.key)) in curves}
        _panel(axes, drawn, every=2 if column == panels[0][1] else 1)
        axes.set(ylim=(0, 105), xlabel=column.title)
        if column == panels[0][1]:
            axes.set_title(f"{target.capitalize()} from the embedding", loc="left")
    grid[0].set_ylabel("Read, %")
    grid[-1].legend(loc="lower right", bbox_to_anchor=(1, 1), ncols=2, borderaxespad=0)
    spaced(figure, across=0.15)
    return figure


def _curves(row: Row) -> dict[tuple[str, str, str], Curve]:
    """(space, target, key of the column) -> curve."""
    out: dict[tuple[str, str, str], Curve] = {}
    for entry in entries(row.scores, "capacity"):
        if entry.words["size"].isdigit():
            place = entry.words["space"], entry.words["target"], entry.column.key
            out.setdefault(place, {})[int(entry.words["size"])] = entry.value
    return {place: dict(sorted(curve.items())) for place, curve in out.items()}


def _panel(axes: Axes, drawn: Mapping[str, Curve], *, every: int) -> None:
    for space, curve in drawn.items():
        colour, marker, line = _LOOKS[space]
        x = list(curve)
        y = [100 * f.mean for f in curve.values()]
        error = np.hstack([whiskers(f, 100) or [[0], [0]] for f in curve.values()])
        axes.errorbar(x, y, yerr=error, color=colour, marker=marker, linestyle=line,
                      markersize=4, linewidth=1.3, elinewidth=0.7, label=space)  # fmt: skip
        chance = [100 * f.null for f in curve.values() if f.null is not None]
        if chance:
            axes.axhline(float(np.mean(chance)), color=colour, linestyle=":", linewidth=0.9)
    ticks = sorted({x for curve in drawn.values() for x in list(curve)[::every]})
    axes.set_xscale("log", base=2)
    axes.set_xticks(ticks, map(str, ticks))
    axes.minorticks_off()
