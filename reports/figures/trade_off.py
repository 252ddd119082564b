"""Usefulness against identity leak."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.transforms import Bbox

from fer_bench.reports.columns import Column, with_unit_in_title
from fer_bench.reports.figures.style import (
    COLUMN_WIDTH,
    FAINT,
    INK,
    MATPLOTLIB_MARKERS,
    colour_of,
    whiskers,
)
from fer_bench.reports.summary import Row, Summary
from fer_bench.reports.text import plain

Point = tuple[float, float]
Span = tuple[float, float]


@dataclass(frozen=True)
class Placed:
    """A row with its place on the figure: on an edge where it lies beyond."""

    row: Row
    at: Point
    inside: bool
    colour: str
    marker: str


def trade_off(summary: Summary, *, paper: bool = False) -> Figure | None:
    """Usefulness against identity leak, zoomed to the methods; what lies beyond is on the edge.

    ERM and what erasers make of it are joined where no other of them is better in both: to separate
    expression from identity is to lie above that curve.
    """
    use, leak = summary.use, summary.about("leak")
    if use is None or leak is None:
        return None
    rows = [row for row in summary.rows if leak.key in row.scores]
    near = [row for row in rows if row.role != "oracle" and use.key in row.scores]
    if not near:
        return None
    figure = Figure(figsize=(COLUMN_WIDTH, 2.6) if paper else (11.6, 4.6), layout="constrained")
    axes = figure.add_subplot()
    spans = _span(near, leak), _span(near, use)
    axes.set(xlim=spans[0], ylim=spans[1])
    axes.set_xlabel(f"{with_unit_in_title(leak)}: less is better")
    axes.set_ylabel(f"{with_unit_in_title(use)}: more is better")
    _chance(axes, near, use, spans[1], paper=paper)
    _curve(axes, [row for row in near if row.label in summary.curve], use, leak)
    methods = [row.label for row in summary.of_role("method")]
    placed = [_place(row, use, leak, spans, methods, paper=paper) for row in rows]
    for one in placed:
        _draw(axes, one, use, leak)
    _name_points(axes, placed, paper=paper)
    return figure


def _scale(column: Column) -> float:
    return 100.0 if column.style == "percent" else 1.0


def _span(rows: Sequence[Row], column: Column) -> Span:
    """From the lowest to the highest mean with room for names, and no method's whisker cut off."""
    means = [row.scores[column.key].mean for row in rows]
    room = max(0.18 * (max(means) - min(means)), 0.02)
    seen = [min(means) - room, max(means) + room]
    for score in (row.scores[column.key] for row in rows if row.role == "method"):
        seen += [bound for bound in (score.low, score.high) if bound is not None]
    return _scale(column) * min(seen), _scale(column) * max(seen)


def _place(
    row: Row,
    use: Column,
    leak: Column,
    spans: tuple[Span, Span],
    methods: Sequence[str],
    *,
    paper: bool,
) -> Placed:
    x = _scale(leak) * row.scores[leak.key].mean
    # An oracle of the person names no expression: it stands at the foot of its leak.
    y = _scale(use) * row.scores[use.key].mean if use.key in row.scores else spans[1][0]
    at = _clipped(x, spans[0]), _clipped(y, spans[1])
    inside = at == (x, y)
    if row.role == "method":
        colour = colour_of(methods)[row.label]
        marker = MATPLOTLIB_MARKERS[methods.index(row.label) % len(MATPLOTLIB_MARKERS)]
        return Placed(row, at, inside, colour, marker)
    ink = "#777777" if paper else INK
    return Placed(row, at, inside, ink, "s" if row.role == "reference" else "X")


def _clipped(value: float, span: Span) -> float:
    return min(max(value, span[0]), span[1])


def _draw(axes: Any, one: Placed, use: Column, leak: Column) -> None:
    import seaborn as sns

    is_method = one.row.role == "method"
    if one.inside:
        axes.errorbar(
            *one.at,
            xerr=whiskers(one.row.scores[leak.key], _scale(leak)),
            yerr=whiskers(one.row.scores[use.key], _scale(use)),
            fmt="none",
            ecolor=one.colour,
            elinewidth=1.2 if is_method else 0.8,
            alpha=0.8 if is_method else 0.5,
        )
    sns.scatterplot(
        x=[one.at[0]], y=[one.at[1]], marker=one.marker, color=one.colour if is_method else "none",
        edgecolor=one.colour, s=60 if is_method else 40, linewidth=1, zorder=3, ax=axes,
        clip_on=one.inside, legend=False,
    )  # fmt: skip


def _chance(axes: Any, rows: Sequence[Row], use: Column, span: Span, *, paper: bool) -> None:
    """A dotted line where guessing lies, or a word at the edge beyond which it does."""
    levels = [n for row in rows if (n := row.scores[use.key].null) is not None]
    if not levels:
        return
    chance = _scale(use) * sum(levels) / len(levels)
    if span[0] <= chance <= span[1]:
        axes.axhline(chance, color="#999999" if paper else FAINT, linestyle=":", linewidth=1.2)
    words = f"chance {chance:.3g}" + ("" if span[0] <= chance <= span[1] else " ↓")
    axes.annotate(
        words,
        (0.995, _clipped(chance, span)),
        xycoords=("axes fraction", "data"),
        xytext=(0, 4),
        textcoords="offset points",
        ha="right",
        fontsize=6.5 if paper else 8.5,
    )


def _curve(axes: Any, rows: Sequence[Row], use: Column, leak: Column) -> None:
    """The curve of an eraser, from the least leak to the most."""
    points = sorted(
        (_scale(leak) * row.scores[leak.key].mean, _scale(use) * row.scores[use.key].mean)
        for row in rows
    )
    if len(points) > 1:
        axes.plot(*zip(*points, strict=True), color="#7A7A7A", linewidth=1.4, zorder=1)


def _name_points(axes: Any, placed: Sequence[Placed], *, paper: bool) -> None:
    """Write each name beside its point, where it hides no other name and no other point."""
    canvas = FigureCanvasAgg(axes.figure)
    canvas.draw()
    renderer = canvas.get_renderer()
    inside = axes.get_window_extent(renderer)
    spots = axes.transData.transform([one.at for one in placed])
    taken = [Bbox.from_extents(x - 6, y - 6, x + 6, y + 6) for x, y in spots]
    taken += [text.get_window_extent(renderer) for text in axes.texts]
    steps = [s for distance in range(9, 130, 12) for s in (distance, -distance)]
    places = [(side, step) for step in steps for side in (8, -8)]
    for one in sorted(placed, key=lambda p: -p.at[1]):
        for side, step in places:
            note = axes.annotate(
                plain(one.row.label, 28),
                one.at,
                xytext=(side, step),
                textcoords="offset points",
                ha="left" if side > 0 else "right",
                va="center",
                fontsize=6.5 if paper else 9,
                color=one.colour,
                fontweight="bold" if one.row.role == "method" else "normal",
            )
            box = note.get_window_extent(renderer)
            fits = inside.x0 <= box.x0 and box.x1 <= inside.x1
            fits = fits and inside.y0 <= box.y0 and box.y1 <= inside.y1
            if (fits and not any(box.overlaps(t) for t in taken)) or (side, step) == places[-1]:
                taken.append(box)
                break
            note.remove()
