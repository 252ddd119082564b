"""Heat maps: confusions, groups and transfer share one look."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from fer_bench.reports.aggregate import Estimate
from fer_bench.reports.columns import columns_about, entries
from fer_bench.reports.figures.style import COLUMN_WIDTH
from fer_bench.reports.summary import Summary
from fer_bench.reports.text import plain


def written_heat(
    axes: Axes,
    shares: Sequence[Sequence[float]],
    texts: Sequence[Sequence[str]],
    *,
    rows: Sequence[str],
    columns: Sequence[str],
    colours: str = "cividis",
    bar: bool = False,
    **more: Any,
) -> Any:
    """Cells coloured by shares in [0, 1], NaN left empty, with a text in each.

    Args:
        axes: to draw on.
        shares, texts: a row each.
        rows, columns: their names.
        colours: a colour map.
        bar: whether a scale stands beside it.
        more: for `seaborn.heatmap`.

    Returns:
        The mesh of colours.
    """
    import seaborn as sns

    sns.heatmap(
        np.asarray(shares, dtype=float), vmin=0, vmax=1, cmap=colours, cbar=bar, annot=np.asarray(
            texts, dtype=object), fmt="", xticklabels=[plain(c, 18) for c in columns],
        yticklabels=[plain(r, 30) for r in rows], linewidths=0.5, ax=axes, **more,
    )  # fmt: skip
    axes.grid(visible=False)
    axes.tick_params(axis="x", rotation=35)
    axes.tick_params(axis="y", rotation=0)
    for label in axes.get_xticklabels():
        label.set_horizontalalignment("right")
    return axes.collections[0]


def confusion_figure(
    matrix: Sequence[Sequence[int]], classes: Sequence[str], *, paper: bool = True
) -> Figure:
    """Row-normalised confusion matrix with the counts written in."""
    counts = np.asarray(matrix, dtype=float)
    shares = shares_of(counts)
    texts = [[f"{100 * share:.0f}" for share in row] for row in shares]
    for i in range(len(counts)):
        texts[i][i] += f"\n({counts[i, i]:.0f})"
    figure = Figure(figsize=(COLUMN_WIDTH, COLUMN_WIDTH))
    axes = figure.add_subplot()
    written_heat(axes, shares.tolist(), texts, rows=classes, columns=classes, colours="Blues",
                 annot_kws={"fontsize": 6}, square=True)  # fmt: skip
    axes.set(xlabel="Predicted", ylabel="True")
    return figure


def shares_of(counts: Any) -> np.ndarray:
    """Counts [true, predicted] as shares of the true class; 0 for a class without faces."""
    counts = np.asarray(counts, dtype=float)
    total = counts.sum(axis=1, keepdims=True)
    return np.divide(counts, total, where=total > 0, out=np.zeros_like(counts))


def transfer_heat(summary: Summary, *, paper: bool = False) -> Figure | None:
    """Accuracy on the own test people and on every further test set, a row per method.

    Colours are Cohen's kappa, so that sets with different classes can be compared: 0 is what
    guessing in the same proportions gets.
    """
    own = columns_about("recognition")[0].key
    away = {
        row.label: {
            e.words["set"]: e.value
            for e in entries(row.scores, "transfer")
            if e.column.title == columns_about("recognition")[0].title
        }
        for row in summary.rows
        if row.role != "oracle"
    }
    away = {label: accuracies for label, accuracies in away.items() if accuracies}
    sets = list(dict.fromkeys(name for accuracies in away.values() for name in accuracies))
    if not sets:
        return None
    cells = [
        [summary.row(label).scores.get(own), *(accuracies.get(name) for name in sets)]
        for label, accuracies in away.items()
    ]
    kappa = [[np.nan if f is None else _kappa(f) for f in line] for line in cells]
    texts = [["" if f is None else f"{100 * f.mean:.0f}" for f in line] for line in cells]
    width = (0.75 if paper else 0.95) * (len(sets) + 1) + 2.6
    figure = Figure(figsize=(width, 0.26 * len(away) + 1.1), layout="constrained")
    axes = figure.add_subplot()
    written_heat(axes, kappa, texts, rows=list(away), columns=["own people", *sets], bar=True,
                 cbar_kws={"label": "Cohen's kappa"})  # fmt: skip
    return figure


def _kappa(accuracy: Estimate) -> float:
    chance = accuracy.null or 0.0
    return min(1.0, max(0.0, (accuracy.mean - chance) / (1 - chance))) if chance < 1 else 0.0


def confusions_figure(summary: Summary, *, most: int = 12) -> Figure | None:
    """Confusion matrices of the methods on test faces, side by side on one scale."""
    rows = [row for row in summary.of_role("method") if row.confusion.get("test")][:most]
    if not rows:
        return None
    across = min(4, len(rows))
    down = -(-len(rows) // across)
    side = 10.4 / max(across, 3)
    figure = Figure(figsize=(side * across, (side + 0.25) * down), layout="constrained")
    grid = figure.subplots(down, across, squeeze=False, sharex=True, sharey=True)
    for i, axes in enumerate(grid.flat):
        if i >= len(rows):
            axes.set_visible(False)
            continue
        shares = shares_of(rows[i].confusion["test"])
        texts = [[f"{100 * share:.0f}" if share >= 0.005 else "" for share in r] for r in shares]
        names = [plain(c, 9) for c in summary.classes]
        written_heat(axes, shares.tolist(), texts, rows=names, columns=names, colours="Blues",
                     annot_kws={"fontsize": 7}, square=True)  # fmt: skip
        axes.set_title(plain(rows[i].label, 30), loc="left")
        axes.set(ylabel="True" if i % across == 0 else "")
        axes.set(xlabel="Named" if i >= len(rows) - across else "")
    return figure


def f1_figure(summary: Summary) -> Figure | None:
    """F1 of each expression, a row per method."""
    f1 = {
        row.label: {name: m["f1"].mean for name, m in row.per_class.items() if "f1" in m}
        for row in summary.of_role("method")
    }
    return _table_heat(f1, bar="F1, %")


def groups_figure(accuracy: Mapping[str, Mapping[str, float]]) -> Figure | None:
    """Accuracy of each group, a row per method."""
    labels = dict.fromkeys(label for values in accuracy.values() for label in values)
    turned = {
        label: {group: values[label] for group, values in accuracy.items() if label in values}
        for label in labels
    }
    return _table_heat(turned, bar="Accuracy, %")


def _table_heat(table: Mapping[str, Mapping[str, float]], *, bar: str) -> Figure | None:
    """Rows by columns of shares, written in percent."""
    rows = [label for label, values in table.items() if values]
    columns = list(dict.fromkeys(name for label in rows for name in table[label]))
    if not columns:
        return None
    shares = [[table[label].get(name, np.nan) for name in columns] for label in rows]
    texts = [["" if s != s else f"{100 * s:.0f}" for s in line] for line in shares]
    size = (min(10.4, 0.75 * len(columns) + 3), 0.28 * len(rows) + 1.2)
    figure = Figure(figsize=size, layout="constrained")
    written_heat(figure.add_subplot(), shares, texts, rows=rows, columns=columns, bar=True,
                 cbar_kws={"label": bar, "format": lambda x, _: f"{100 * x:.0f}"})  # fmt: skip
    return figure
