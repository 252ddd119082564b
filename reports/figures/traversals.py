"""Traversal images and failure cases, as figures 9, 11 and 12 of the EIF paper."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from matplotlib.figure import Figure

from fer_bench.metrics.traversals import MIDDLE, STEPS, Traversal, shifts
from fer_bench.reports.figures.drawings import show_face
from fer_bench.reports.figures.style import TEXT_WIDTH

LINES = 6  # faces of a figure
ORIGINAL, SHIFTED = "#CC00AA", "#D55E00"


def traversal_figure(walk: Traversal, *, paper: bool = False) -> Figure | None:
    """Faces moved along one direction, a line each; the original in a magenta box.

    Where the person counts as another one, the frame is orange and dashed.
    """
    k = min(LINES, len(walk.faces))
    if not k:
        return None
    size = (TEXT_WIDTH * 0.6 if paper else 5.0) / len(STEPS)
    figure = Figure(figsize=(size * len(STEPS), size * k + 0.5))
    grid = figure.subplots(k, len(STEPS), squeeze=False)
    for i in range(k):
        for j, t in enumerate(STEPS):
            frame = ORIGINAL if j == MIDDLE else SHIFTED if walk.shifted[i, j] else ""
            _face(grid[i, j], walk.faces[i, j], frame, dashed=j != MIDDLE)
            if i == 0:
                grid[i, j].set_title(f"t = {t:g}")
    figure.suptitle(f"{walk.space}, {walk.direction}", x=0.01, ha="left", fontsize="medium")
    figure.tight_layout(pad=0.3)
    return figure


def failures_figure(traversals: Sequence[Traversal], *, paper: bool = False) -> Figure | None:
    """The faces that became other people, the least alike first: before above, after below."""
    worst = shifts(traversals)[:LINES]
    if not worst:
        return None
    size = (TEXT_WIDTH if paper else 6.0) / LINES
    figure = Figure(figsize=(size * len(worst), 2 * size + 0.5))
    grid = figure.subplots(2, len(worst), squeeze=False)
    for column, (walk, i, t) in zip(grid.T, worst, strict=True):
        _face(column[0], walk.faces[i, MIDDLE], ORIGINAL, dashed=False)
        _face(column[1], walk.faces[i, t], SHIFTED, dashed=True)
        column[1].set_xlabel(f"{walk.direction}\nt = {STEPS[t]:g}", fontsize="x-small")
    figure.tight_layout(pad=0.3)
    return figure


def _face(axes: Any, face: Any, frame: str, *, dashed: bool) -> None:
    show_face(axes, face)
    for spine in axes.spines.values():
        spine.set_visible(bool(frame))
        spine.set(edgecolor=frame or "none", linewidth=1.6, linestyle="--" if dashed else "-")
