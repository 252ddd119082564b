"""One method in one figure: accuracy, its classes, the terms of the MIG (RAF-DB report)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from fer_bench.reports.aggregate import Estimate
from fer_bench.reports.figures.style import TEXT_WIDTH, whiskers
from fer_bench.reports.summary import Row
from fer_bench.reports.text import plain

_TERMS = {"mig/shared": "I(E_M; E_N)", "mig/leaked": "I(E_M; I_M)", "mig/mig": "MIG"}
Bar = tuple[str, float, Any, str]  # name, height, half widths of its interval, colour


def overview(row: Row) -> Figure | None:
    """Accuracy, recall of every expression, both information terms and the MIG of one method."""
    accuracy = row.scores.get("classification/test.accuracy")
    if accuracy is None:
        return None
    bars = [_bar("all", accuracy, 100, "#7A7A7A")]
    bars += [
        _bar(plain(name, 14), values["recall"], 100, "#0072B2")
        for name, values in row.per_class.items()
        if "recall" in values
    ]
    terms = [
        _bar(title, row.scores[key], 1, "#D55E00")
        for key, title in _TERMS.items()
        if key in row.scores and np.isfinite(row.scores[key].mean)
    ]
    figure = Figure(figsize=(TEXT_WIDTH, 2.4))
    widths = [len(bars), max(len(terms), 1)]
    left, right = figure.subplots(1, 2, width_ratios=widths)
    _draw(left, bars)
    left.set(ylabel="accuracy, %", ylim=(0, 105))
    if terms:
        _draw(right, terms)
        right.axhline(0, color="#222222", lw=0.6)
        right.set(ylabel="nats")
    else:
        right.set_visible(False)
    figure.tight_layout()
    return figure


def training_recalls(matrix: Sequence[Sequence[int]], classes: Sequence[str]) -> Figure | None:
    """Recall of each expression on training faces, from counts [true][predicted]."""
    counts = np.asarray(matrix, dtype=float)
    if not counts.sum():
        return None
    total = counts.sum(axis=1)
    recalls = np.divide(counts.diagonal(), total, out=np.zeros(len(total)), where=total > 0)
    bars = [("all", 100 * counts.trace() / counts.sum(), None, "#7A7A7A")]
    bars += [
        (plain(name, 14), 100 * recall, None, "#56B4E9")
        for name, recall, n in zip(classes, recalls, total, strict=True)
        if n
    ]
    figure = Figure(figsize=(TEXT_WIDTH * 0.7, 2.2))
    axes = figure.subplots()
    _draw(axes, bars)
    axes.set(ylabel="accuracy, training part, %", ylim=(0, 105))
    figure.tight_layout()
    return figure


def _bar(name: str, score: Estimate, factor: float, colour: str) -> Bar:
    return name, factor * score.mean, whiskers(score, factor), colour


def _draw(axes: Any, bars: Sequence[Bar]) -> None:
    for at, (_, value, error, colour) in enumerate(bars):
        axes.bar(at, value, color=colour, width=0.75)
        if error is not None:
            axes.errorbar(at, value, yerr=np.array(error), fmt="none", ecolor="#222222",
                          elinewidth=0.8)  # fmt: skip
        axes.annotate(f"{value:.3g}", (at, value), ha="center", va="bottom", fontsize=6,
                      xytext=(0, 1), textcoords="offset points")  # fmt: skip
    axes.set_xticks(range(len(bars)), [name for name, *_ in bars], rotation=30, ha="right")
