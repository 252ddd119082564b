"""Recall and F1 of each expression."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from fer_bench.reports.figures.style import COLUMN_WIDTH, whiskers
from fer_bench.reports.summary import Row
from fer_bench.reports.text import plain

_COLOURS = {"recall": "#0072B2", "f1": "#E69F00"}


def per_class_figure(row: Row) -> Figure | None:
    """Recall and F1 of each expression with intervals."""
    import seaborn as sns

    bars = [
        (plain(name, 14), what, score[what])
        for name, score in row.per_class.items()
        for what in _COLOURS
        if what in score
    ]
    if not bars:
        return None
    table = pd.DataFrame(
        [(name, what, 100 * f.mean) for name, what, f in bars], columns=["name", "what", "value"]
    )
    figure = Figure(figsize=(COLUMN_WIDTH, 2.2))
    axes = figure.add_subplot()
    sns.barplot(table, x="name", y="value", hue="what", hue_order=list(_COLOURS), palette=_COLOURS,
                saturation=1, errorbar=None, ax=axes)  # fmt: skip
    order = list(dict.fromkeys(table["name"]))
    for name, what, score in bars:
        at = order.index(name) + (-0.2 if what == "recall" else 0.2)
        error = whiskers(score, 100)
        if error is not None:
            axes.errorbar(at, 100 * score.mean, yerr=np.array(error), fmt="none",
                          ecolor="#222222", elinewidth=0.8)  # fmt: skip
    axes.tick_params(axis="x", rotation=30)
    axes.set(xlabel="", ylabel="%", ylim=(0, 105))
    axes.legend(["Recall", "F1"], ncols=2, loc="upper center", bbox_to_anchor=(0.5, 1.18))
    return figure
