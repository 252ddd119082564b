"""Differences of the best method to each of the others."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from matplotlib.figure import Figure

from fer_bench.reports.columns import leaderboard_columns
from fer_bench.reports.figures.style import INK, TEXT_WIDTH, whiskers
from fer_bench.reports.summary import Verdict
from fer_bench.reports.text import UNITS, plain

SEPARATED, OPEN = "#0072B2", "#7A7A7A"


def differences_figure(verdicts: Sequence[Verdict], *, paper: bool = False) -> Figure | None:
    """A panel per measure: the best less each other method, with 95 % intervals."""
    verdicts = [verdict for verdict in verdicts if verdict.against]
    if not verdicts:
        return None
    most = max(len(verdict.against) for verdict in verdicts)
    width = TEXT_WIDTH if paper else 3.6 * len(verdicts)
    figure = Figure(figsize=(max(width, 5.2), 0.27 * most + 1.1), layout="constrained")
    for axes, verdict in zip(figure.subplots(1, len(verdicts), squeeze=False)[0], verdicts,
                             strict=True):  # fmt: skip
        _panel(axes, verdict, ink="#222222" if paper else INK)
    return figure


def _panel(axes: Any, verdict: Verdict, *, ink: str) -> None:
    column = leaderboard_columns()[verdict.key]
    scale = 100 if column.style == "percent" else 1
    known = [(label, d) for label, d in verdict.against.items() if d.mean is not None]
    for at, (_, difference) in enumerate(known):
        axes.errorbar(
            scale * (difference.mean or 0.0), at, xerr=whiskers(difference, scale), fmt="o",
            color=SEPARATED if difference.separated else OPEN,
            markerfacecolor=SEPARATED if difference.separated else "none",
            markersize=5, elinewidth=1.3,
        )  # fmt: skip
    axes.axvline(0, color=ink, linewidth=0.8)
    axes.set_yticks(range(len(known)), [plain(label, 22) for label, _ in known])
    axes.set_ylim(len(known) - 0.5, -0.5)
    # Intervals of few runs can be a hundred times as wide as any difference: they run out.
    widest = 3 * max((abs(scale * (d.mean or 0.0)) for _, d in known), default=0.0)
    left, right = axes.get_xlim()
    if widest > 0:
        axes.set_xlim(max(left, -widest), min(right, widest))
    unit = {"percent": "points"}.get(column.style, UNITS[column.style])
    axes.set_xlabel(f"{plain(verdict.best, 22)} less the other{', ' + unit if unit else ''}")
    axes.set_title(column.title, loc="left")
