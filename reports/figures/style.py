"""Colours and settings that page and paper share: safe for colour-blind readers."""

from __future__ import annotations

import colorsys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# Okabe and Ito 2008, without yellow (too faint on white) and black (the page's text colour).
PALETTE = ("#0072B2", "#E69F00", "#009E73", "#D55E00", "#CC79A7", "#56B4E9", "#8C6BB1", "#7A7A7A")
MARKERS = ("circle", "square", "triangle", "diamond", "inverted_triangle", "star", "hex", "plus")
MATPLOTLIB_MARKERS = ("o", "s", "^", "D", "v", "*", "h", "P")

# Placeholders in page figures; `svg.inline_svg` turns them into the page's own colours.
INK, FAINT = "#010203", "#040506"

COLUMN_WIDTH = 3.35  # inches, one column of a two-column paper
TEXT_WIDTH = 6.9


def colours(n: int) -> list[str]:
    """n colours: the palette first; then hues by the golden angle, at three lightnesses.

    >>> len(set(colours(40)))
    40
    """
    extra = []
    for i in range(max(0, n - len(PALETTE))):
        hue = (0.11 + i * 0.381966) % 1
        r, g, b = colorsys.hls_to_rgb(hue, (0.42, 0.56, 0.68)[i % 3], 0.6)
        extra.append(f"#{round(255 * r):02x}{round(255 * g):02x}{round(255 * b):02x}")
    return [*PALETTE, *extra][:n]


def colour_of(names: Sequence[str]) -> dict[str, str]:
    """A fixed colour for each name."""
    return dict(zip(names, colours(len(names)), strict=True))


def settings(*, paper: bool) -> dict[str, Any]:
    """Matplotlib settings: dark ink and embedded fonts on paper, placeholders on the page."""
    ink, faint = ("#222222", "#cccccc") if paper else (INK, FAINT)
    return {
        "text.parse_math": False,  # a dollar sign in a name is a dollar sign
        "svg.fonttype": "path" if paper else "none",
        "pdf.fonttype": 42,  # TrueType, embedded
        "font.family": "DejaVu Sans",
        "font.size": 8 if paper else 9,
        "axes.titlesize": 8 if paper else 10,
        "axes.labelsize": 8 if paper else 9,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.edgecolor": faint,
        "axes.labelcolor": ink,
        "axes.titlecolor": ink,
        "axes.grid": True,
        "axes.axisbelow": True,
        "grid.color": faint,
        "grid.linewidth": 0.5,
        "xtick.color": ink,
        "ytick.color": ink,
        "xtick.major.size": 0,
        "ytick.major.size": 0,
        "text.color": ink,
        "figure.facecolor": "none",
        "axes.facecolor": "none",
        "savefig.facecolor": "none",
        "legend.frameon": False,
        "legend.fontsize": 7 if paper else 8,
    }


@contextmanager
def drawing(*, paper: bool) -> Iterator[None]:
    """Draw in the style of the page or of a paper, without a screen."""
    import matplotlib as mpl

    with mpl.rc_context(settings(paper=paper)):  # type: ignore[arg-type]
        yield


def spaced(
    figure: Figure,
    *,
    left: float = 0.55,
    right: float = 0.1,
    bottom: float = 0.45,
    top: float = 0.3,
    across: float = 0.45,
    down: float = 0.75,
) -> None:
    """Leave room in inches around a grid of panels and between them.

    `tight_layout` measures every word, which costs as much as drawing the figure once more.
    """
    width, height = figure.get_size_inches()
    grid = figure.axes[0].get_gridspec()
    if grid is None:
        raise TypeError("the figure's axes stand in no grid")
    columns, rows = grid.ncols, grid.nrows
    panel = (width - left - right - across * (columns - 1)) / columns
    tall = (height - bottom - top - down * (rows - 1)) / rows
    figure.subplots_adjust(
        left=left / width,
        right=1 - right / width,
        bottom=bottom / height,
        top=1 - top / height,
        wspace=across / panel,
        hspace=down / tall,
    )


def whiskers(value: Any, scale: float = 1.0) -> list[list[float]] | None:
    """The interval of an estimate as lengths below and above its mean, for `errorbar`."""
    if value.low is None or value.high is None:
        return None
    below, above = value.mean - value.low, value.high - value.mean
    return [[max(0.0, scale * below)], [max(0.0, scale * above)]]
