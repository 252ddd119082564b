"""Losses and validation figures over epochs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from fer_bench.reports.figures.style import TEXT_WIDTH, colours, spaced
from fer_bench.reports.text import plain
from fer_bench.runs.store import RunRecord, histories

MEASURES = ("accuracy", "balanced_accuracy", "ccc")
PANEL = (2.6, 1.9)  # inches


def training_curves(records: Sequence[RunRecord], *, paper: bool = False) -> Figure | None:
    """Losses by stage and player, and the validation figure, mean and range over the runs."""
    return _drawn(records, _panels, paper=paper)


def term_curves(records: Sequence[RunRecord], *, paper: bool = False) -> Figure | None:
    """The terms that totals are made of (MI, L1, adversarial), a panel per player and stage."""
    return _drawn(records, _term_panels, paper=paper)


def _drawn(
    records: Sequence[RunRecord], panels_of: Callable[[pd.DataFrame], Any], *, paper: bool
) -> Figure | None:
    history = histories(records)
    history["value"] = pd.to_numeric(history["value"], errors="coerce")
    panels = list(panels_of(history))
    if not panels:
        return None
    across = 4 if len(panels) > 3 else len(panels)
    down = -(-len(panels) // across)
    width = TEXT_WIDTH if paper else min(10.5, 1.2 + PANEL[0] * across)
    figure = Figure(figsize=(width, PANEL[1] * down + 0.3))
    grid = figure.subplots(down, across, squeeze=False)
    for axes, (stage, ylabel, part) in zip(grid.flat, panels, strict=False):
        _curves(axes, part)
        axes.set_title(plain(stage, 30), loc="left")
        axes.set(xlabel="Epoch", ylabel=ylabel)
    for axes in grid.flat[len(panels) :]:
        axes.set_visible(False)
    spaced(figure, across=0.6)
    return figure


def _panels(history: pd.DataFrame) -> Any:
    """(stage, what is drawn, its rows): the loss of every stage, then what stages measure."""
    losses = history[history["term"] == "total"]
    measures = history[(history["player"] == "prediction") & history["term"].isin(MEASURES)]
    for part, ylabel in ((losses, "Loss"), (measures, "Prediction")):
        for stage, rows in part.groupby("stage", sort=False):
            yield str(stage), ylabel, rows


def _term_panels(history: pd.DataFrame) -> Any:
    """(stage, player, its terms on training faces), where there is more than the total."""
    terms = history[(history["player"] != "prediction") & (history["split"] == "train")]
    terms = terms[terms["term"] != "total"]
    for (stage, player), rows in terms.groupby(["stage", "player"], sort=False):
        yield str(stage), plain(str(player), 22), rows


def _curves(axes: Any, part: pd.DataFrame) -> None:
    """A line per player or measure, its band from the lowest to the highest run."""
    import seaborn as sns

    names = [
        plain(player if term == "total" else str(term).replace("_", " "), 22)
        for player, term in zip(part["player"], part["term"], strict=True)
    ]
    part = part.assign(name=names, held=part["split"] != "train")
    order = list(dict.fromkeys(names))
    palette = dict(zip(order, colours(len(order)), strict=True))
    sns.lineplot(
        part, x="epoch", y="value", hue="name", hue_order=order, palette=palette, style="held",
        style_order=[False, True], dashes=["", (4, 2)], errorbar=("pi", 100), legend=False,
        markers=["o", "o"] if part["epoch"].nunique() == 1 else False, linewidth=1.4,
        err_kws={"linewidth": 0, "alpha": 0.14}, ax=axes,
    )  # fmt: skip
    axes.xaxis.get_major_locator().set_params(integer=True)
    handles = [Line2D([], [], color=palette[name], label=name) for name in order]
    if part["held"].any():
        handles.append(Line2D([], [], color="#888888", linestyle="--", label="validation"))
    axes.legend(handles=handles, loc="best", handlelength=1.6)
