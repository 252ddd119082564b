"""Valence and arousal over the frames of a film, true and predicted."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from numpy.typing import NDArray

from fer_bench.metrics.affect import ccc
from fer_bench.reports.figures.style import FAINT, TEXT_WIDTH, spaced
from fer_bench.reports.text import plain

LONG_ENOUGH = 5  # frames: fewer say nothing about movement
MOST = 4  # sequences in a figure
TRUE, PREDICTED = "#7A7A7A", "#D55E00"


def trace_figure(
    labels: pd.DataFrame,
    predicted: NDArray[Any],
    target: NDArray[Any],
    *,
    paper: bool = False,
) -> Figure | None:
    """True and predicted valence and arousal along the longest sequences, with their CCC.

    Args:
        labels: a row per face, in the order of the frames, with a column `sequence`.
        predicted, target: [n, 2] valence and arousal; a missing value leaves a gap.
        paper: in a paper's column widths.

    Returns:
        None where no sequence has five labelled frames.
    """
    names = longest_sequences(labels, target)
    if not names:
        return None
    width = TEXT_WIDTH if paper else 8.4
    figure = Figure(figsize=(width, 2.6 if paper else 3.2))
    panels = figure.subplots(2, len(names), sharex="col", sharey=True, squeeze=False)
    for column, name in enumerate(names):
        rows = np.flatnonzero(labels["sequence"].astype("str") == name)
        for i, dimension in enumerate(("Valence", "Arousal")):
            axes = panels[i, column]
            axes.axhline(0, color="#bbbbbb" if paper else FAINT, lw=0.8)
            axes.plot(target[rows, i], color=TRUE, lw=1.6, label="true")
            axes.plot(predicted[rows, i], color=PREDICTED, lw=1.1, label="predicted")
            known = np.isfinite(target[rows, i])
            agreement = ccc(predicted[rows, i][known], target[rows, i][known])
            who = f"{_short(name)}, " if i == 0 else ""
            axes.set_title(f"{who}CCC {agreement:.2f}", fontsize=8)
            axes.set_ylim(-1.1, 1.1)
            if column == 0:
                axes.set_ylabel(dimension)
        panels[1, column].set_xlabel("frame")
    spaced(figure, top=0.5, across=0.15, down=0.35)
    handles, texts = panels[0, 0].get_legend_handles_labels()
    figure.legend(handles, texts, loc="upper center", ncols=2, frameon=False, borderaxespad=0)
    return figure


def longest_sequences(labels: pd.DataFrame, target: NDArray[Any]) -> list[str]:
    """Names of the sequences with most labelled faces, equal ones by name."""
    if "sequence" not in labels:
        return []
    known = np.isfinite(target).all(axis=1) & labels["sequence"].notna().to_numpy()
    counts = labels["sequence"][known].astype("str").value_counts()
    long = [(-int(n), str(name)) for name, n in counts.items() if n >= LONG_ENOUGH]
    return [name for _, name in sorted(long)[:MOST]]


def _short(name: str) -> str:
    name = plain(name)  # no control or direction character in a title
    return name if len(name) <= 12 else f"…{name[-11:]}"
