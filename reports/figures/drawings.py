"""Test faces and what is drawn of them, a line per method: reconstructions, as papers have them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from fer_bench.reports.figures.style import TEXT_WIDTH


def drawings_figure(
    lines: Mapping[str, NDArray[np.uint8]], columns: Sequence[str], *, paper: bool = False
) -> Figure:
    """Faces uint8 [k, height, width, C] in lines by their labels, under k column heads."""
    size = (TEXT_WIDTH * 0.75 if paper else 6.0) / len(columns)
    figure = Figure(figsize=(size * len(columns) * 1.33, size * len(lines) + 0.3))
    grid = figure.subplots(len(lines), len(columns), squeeze=False)
    for across, (label, faces) in zip(grid, lines.items(), strict=True):
        for axes, face in zip(across, faces, strict=True):
            show_face(axes, face)
            axes.spines[:].set_visible(False)
        across[0].set_ylabel(label, rotation=0, ha="right", va="center", fontsize="small")
    for axes, name in zip(grid[0], columns, strict=True):
        axes.set_title(name, fontsize="small")
    figure.tight_layout(pad=0.2)
    return figure


def show_face(axes: Axes, face: NDArray[np.uint8]) -> None:
    """A face uint8 [height, width, 1 or 3], without ticks."""
    axes.imshow(face[..., 0] if face.shape[-1] == 1 else face, cmap="gray", vmin=0, vmax=255)
    axes.set(xticks=[], yticks=[])
    axes.grid(visible=False)
