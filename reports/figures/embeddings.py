"""Static maps of the embeddings."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from fer_bench.reports.figures.style import MATPLOTLIB_MARKERS, TEXT_WIDTH, colour_of
from fer_bench.reports.maps import Maps
from fer_bench.reports.text import plain


def static_maps(
    maps: Maps, labels: pd.DataFrame, classes: Sequence[str], *, kind: str, paper: bool = False
) -> Figure | None:
    """E and I, coloured by expression and by subject, in one kind of map."""
    spaces = [space for space in ("E", "I") if f"{space}.{kind}" in maps.points]
    if not spaces:
        return None
    shown = labels.iloc[maps.rows]
    subjects = sorted(shown["subject"].dropna().astype(str).unique())
    by = [("expression", list(classes)), ("subject", subjects)][: 1 + (len(subjects) > 1)]
    panels = [(space, *what) for space in spaces for what in by]
    size = (TEXT_WIDTH if paper else 2.7 * len(panels)) / len(panels)
    figure = Figure(figsize=(size * len(panels), size + 0.6))
    grid = figure.subplots(1, len(panels), squeeze=False)[0]
    for axes, (space, name, levels) in zip(grid, panels, strict=True):
        _map(axes, maps.points[f"{space}.{kind}"], shown[name], levels, shapes=name != "subject")
        axes.set_title(f"{space} by {name}", loc="left")
    tint = colour_of(list(classes))
    handles = [
        Line2D([], [], linestyle="none", marker=MATPLOTLIB_MARKERS[i % 8], color=tint[c])
        for i, c in enumerate(classes)
    ]
    figure.tight_layout(rect=(0, 0.09, 1, 1))
    figure.legend(handles, [plain(c, 20) for c in classes], loc="lower left",
                  ncols=4 if len(panels) < 3 else 8, markerscale=0.7, handletextpad=0.1,
                  columnspacing=1.0)  # fmt: skip
    return figure


def _map(axes: Any, points: Any, values: pd.Series, levels: Sequence[str], *, shapes: bool) -> None:
    """Points coloured by a label; with `shapes` also a marker of its own for each level."""
    import seaborn as sns

    known = values.isin(levels).to_numpy()
    label = values[known].astype(str)
    markers = {level: MATPLOTLIB_MARKERS[i % 8] for i, level in enumerate(levels)}
    sns.scatterplot(
        x=points[known, 0], y=points[known, 1], hue=label.to_numpy(), hue_order=levels,
        palette=colour_of(levels), style=label.to_numpy() if shapes else None,
        markers=markers if shapes else True, s=11, linewidth=0, alpha=0.8, legend=False,
        rasterized=len(points) > 200, ax=axes,
    )  # fmt: skip
    axes.set(xticks=[], yticks=[], xlim=(-1.08, 1.08), ylim=(-1.08, 1.08), xlabel="", ylabel="")
    axes.set_aspect("equal")
    axes.grid(visible=False)
    for spine in axes.spines.values():
        spine.set_visible(True)
