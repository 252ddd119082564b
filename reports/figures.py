"""Static figures: the same functions draw for the page (SVG) and for papers (PDF and SVG)."""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.lines import Line2D
from matplotlib.transforms import Bbox
from numpy.typing import NDArray

from fer_bench.reports.aggregate import Estimate
from fer_bench.reports.columns import leaderboard_columns
from fer_bench.reports.confounding import confounding, confounding_figure
from fer_bench.reports.maps import KINDS, TITLES, Maps, Which, maps_of
from fer_bench.reports.style import (
    COLUMN_WIDTH,
    FAINT,
    INK,
    MATPLOTLIB_MARKERS,
    TEXT_WIDTH,
    colour_of,
    colours,
    drawing,
)
from fer_bench.reports.summary import Row, Summary, Verdict, summarise
from fer_bench.reports.traces import trace_figure
from fer_bench.runs.store import RunRecord, RunStore

LEAK_KEYS = ("leakage/E.identity.normalised", "leakage/E.identity.strongest")
USE_KEYS = ("classification/test.accuracy", "affect/test.ccc.mean")


def inline_svg(figure: Figure, *, alt: str, cropped: bool = True) -> str:
    """A figure as `<svg>` text for the page: its ink follows the theme, its names are escaped.

    `cropped` cuts off empty margins at the price of drawing twice: not needed after a tight
    layout.
    """
    import matplotlib as mpl

    text = io.StringIO()
    # A salt of its own keeps the ids of one figure from meaning those of another.
    with mpl.rc_context({"svg.hashsalt": alt, "svg.fonttype": "none"}):
        box = "tight" if cropped else None
        figure.savefig(text, format="svg", bbox_inches=box, metadata={"Date": None})
    svg = text.getvalue()
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>|<!--.*?-->", "", svg, flags=re.S)
    # A style sheet inside a figure holds for the whole page: the browser would style the page
    # anew at every figure. The page's own sheet says the same once.
    svg = re.sub(r"<defs>\s*<style.*?</style>\s*</defs>", "", svg, flags=re.S)
    svg = re.sub(r'<g id="[^"]*"\s*/>', "", svg)
    svg = re.sub(r'<g id="[^"]*"', "<g", svg)
    svg = re.sub(r'(?<= d=")[^"]*', lambda path: _compact(path[0]), svg)
    svg = re.sub(r">\s+<", "><", svg)
    svg = svg.replace(INK, "currentColor").replace(FAINT, "var(--line)")
    svg = re.sub(r"font: (\S+) [^;\"]*", r"font-size: \1", svg)
    svg = re.sub(r"font-family: [^;\"]*;? ?", "", svg)
    width = re.search(r' width="([\d.]+)pt"', svg)
    size = f"width:{float(width[1]) * 96 / 72:.0f}px" if width else ""
    svg = re.sub(r' (width|height)="[\d.]+pt"', "", svg, count=2)
    return svg.replace("<svg", f'<svg role="img" aria-label="{escape(alt)}" style="{size}"', 1)


def _compact(path: str) -> str:
    """Path data with two decimals, on one line."""
    return re.sub(r"\d+\.\d+", lambda n: f"{float(n[0]):.2f}", " ".join(path.split()))


def trade_off(summary: Summary, *, paper: bool = False) -> Figure | None:
    """Usefulness against identity leak; the oracles and references frame the field."""
    use = next((k for k in USE_KEYS if k in summary.columns), None)
    leak = next((k for k in LEAK_KEYS if k in summary.columns), None)
    if use is None or leak is None:
        return None
    rows = [r for r in summary.rows if use in r.scores and leak in r.scores]
    if not rows:
        return None
    methods = [r.label for r in summary.of_role("method")]
    figure = Figure(figsize=(COLUMN_WIDTH, 2.6) if paper else (7.2, 4.4))
    axes = figure.add_subplot()
    scale = {k: 100 if leaderboard_columns()[k].style == "percent" else 1 for k in (use, leak)}
    placed = []
    for row in rows:
        x, y = row.scores[leak], row.scores[use]
        point = scale[leak] * x.mean, scale[use] * y.mean
        colour, marker = _look(row, methods, paper=paper)
        is_method = row.role == "method"
        axes.errorbar(
            *point,
            xerr=_error(x, scale[leak]),
            yerr=_error(y, scale[use]),
            fmt=marker,
            color=colour,
            markersize=7 if is_method else 6,
            markerfacecolor=colour if is_method else "none",
            elinewidth=1.2 if is_method else 0.8,
            alpha=1.0 if is_method else 0.75,
        )
        placed.append((point, row, colour))
    axes.set_xlabel(f"{leaderboard_columns()[leak].title}{_unit(leak)}: less is better")
    axes.set_ylabel(f"{leaderboard_columns()[use].title}{_unit(use)}: more is better")
    axes.margins(0.12)
    _frame(axes, summary, use, leak, scale, paper=paper)
    _name_points(axes, placed, paper=paper)
    return figure


def _look(row: Row, methods: Sequence[str], *, paper: bool) -> tuple[str, str]:
    """Colour and marker of a row in a scatter of rows."""
    if row.role != "method":
        return "#777777" if paper else INK, "s" if row.role == "reference" else "X"
    return colour_of(methods)[row.label], MATPLOTLIB_MARKERS[methods.index(row.label) % 8]


def _frame(
    axes: Any, summary: Summary, use: str, leak: str, scale: Mapping[str, float], *, paper: bool
) -> None:
    """Dotted lines where an oracle has only one of the two numbers, or pins an end."""
    ink = "#999999" if paper else FAINT
    for row in summary.of_role("oracle"):
        has = [key for key in (use, leak) if key in row.scores]
        if has == [leak]:
            at = scale[leak] * row.scores[leak].mean
            axes.axvline(at, color=ink, linestyle=":", linewidth=1.2, zorder=0)
            axes.annotate(
                shortened(row.label, 28),
                (at, 0.02),
                xycoords=("data", "axes fraction"),
                xytext=(-3, 0),
                textcoords="offset points",
                rotation=90,
                ha="right",
                va="bottom",
                fontsize=6.5 if paper else 8.5,
            )


def _name_points(
    axes: Any, placed: Sequence[tuple[tuple[float, float], Row, str]], *, paper: bool
) -> None:
    """Write each name beside its point, where it hides no other name and no other point."""
    canvas = FigureCanvasAgg(axes.figure)
    canvas.draw()
    inside = axes.get_window_extent(canvas.get_renderer())
    spots = axes.transData.transform([point for point, _, _ in placed])
    taken = [Bbox.from_extents(x - 6, y - 6, x + 6, y + 6) for x, y in spots]
    taken += [text.get_window_extent(canvas.get_renderer()) for text in axes.texts]
    steps = [s for distance in range(9, 130, 12) for s in (distance, -distance)]
    places = [(side, step) for step in steps for side in (8, -8)]
    for point, row, colour in sorted(placed, key=lambda p: -p[0][1]):
        for side, step in places:
            note = axes.annotate(
                shortened(row.label, 28),
                point,
                xytext=(side, step),
                textcoords="offset points",
                ha="left" if side > 0 else "right",
                va="center",
                fontsize=6.5 if paper else 9,
                color=colour,
                fontweight="bold" if row.role == "method" else "normal",
            )
            box = note.get_window_extent(canvas.get_renderer())
            fits = inside.x0 <= box.x0 and box.x1 <= inside.x1
            fits = fits and inside.y0 <= box.y0 and box.y1 <= inside.y1
            if (fits and not any(box.overlaps(t) for t in taken)) or (side, step) == places[-1]:
                taken.append(box)
                break
            note.remove()


def _error(found: Any, scale: float) -> list[list[float]] | None:
    if found.low is None or found.high is None:
        return None
    below, above = found.mean - found.low, found.high - found.mean
    return [[max(0.0, scale * below)], [max(0.0, scale * above)]]


def _unit(key: str) -> str:
    return {"percent": " (%)", "nats": " (nats)"}.get(leaderboard_columns()[key].style, "")


def rank_diagram(verdict: Verdict, *, paper: bool = False) -> Figure | None:
    """Critical-difference diagram (Demsar 2006), only where the statistics allow one."""
    ranking = verdict.ranking
    if ranking.critical_difference is None:
        return None
    import scikit_posthocs

    ranks = {shortened(label, 26): rank for label, rank in ranking.ranks.items()}
    told = pd.DataFrame(0.0, index=list(ranks), columns=list(ranks))
    for clique in ranking.cliques:
        names = [shortened(label, 26) for label in clique]
        told.loc[names, names] = 1.0
    for name in ranks:
        told.loc[name, name] = 1.0
    ink = "#222222" if paper else INK
    figure = Figure(figsize=(TEXT_WIDTH if paper else 7.2, 0.7 + 0.19 * len(ranks)))
    axes = figure.add_subplot()
    scikit_posthocs.critical_difference_diagram(
        ranks,
        told,
        ax=axes,
        elbow_props={"color": ink, "linewidth": 0.8},
        marker_props={"color": ink, "s": 12},
        crossbar_props={"color": "#0072B2", "linewidth": 3},
        label_fmt_left="{label} ({rank:.2f})",
        label_fmt_right="({rank:.2f}) {label}",
        text_h_margin=0.02,
    )
    axes.grid(visible=False)
    return figure


def training_curves(records: Sequence[RunRecord], *, paper: bool = False) -> Figure | None:
    """Losses by stage and player, and the validation figure, mean and range over the runs."""
    frames = [r.history.assign(run=r.folder.name) for r in records]
    frames = [f for f in frames if len(f)]
    if not frames:
        return None
    history = pd.concat(frames, ignore_index=True)
    history["value"] = pd.to_numeric(history["value"], errors="coerce")
    is_loss = history["term"] == "total"
    shown = [(history[is_loss], "Loss")]
    measures = history[(history["player"] == "prediction") & history["term"].isin(MEASURES)]
    if len(measures):
        shown.append((measures, "Prediction"))
    stages = list(dict.fromkeys(history["stage"]))
    width = TEXT_WIDTH if paper else min(10.5, 1.2 + 3.1 * len(stages))
    if len(stages) == 1 and len(shown) > 1:
        return _curves_one_stage(shown, stages[0], paper=paper)
    figure = Figure(figsize=(width, 1.9 * len(shown)))
    grid = figure.subplots(len(shown), len(stages), squeeze=False, sharex="col")
    for line, (part, ylabel) in enumerate(shown):
        for column, stage in enumerate(stages):
            axes = grid[line, column]
            here = part[part["stage"] == stage]
            if here.empty:
                axes.set_visible(False)
                continue
            _curves(axes, here)
            if line == 0:
                axes.set_title(shortened(str(stage), 30), loc="left")
            if column == 0 or not grid[line, column - 1].get_visible():
                axes.set_ylabel(ylabel)
            below = [p[p["stage"] == stage] for p, _ in shown[line + 1 :]]
            if all(p.empty for p in below):
                axes.set_xlabel("Epoch")
                axes.tick_params(labelbottom=True)
    figure.tight_layout()
    return figure


MEASURES = ("accuracy", "balanced_accuracy", "ccc")


def _curves_one_stage(shown: list[tuple[pd.DataFrame, str]], stage: str, *, paper: bool) -> Figure:
    figure = Figure(figsize=(TEXT_WIDTH if paper else 7.6, 2.1))
    for axes, (part, ylabel) in zip(figure.subplots(1, len(shown)), shown, strict=True):
        _curves(axes, part)
        axes.set_ylabel(ylabel)
        axes.set_xlabel(f"Epoch of stage “{shortened(str(stage), 24)}”")
    figure.tight_layout()
    return figure


def _curves(axes: Any, part: pd.DataFrame) -> None:
    keys = list(dict.fromkeys(zip(part["player"], part["term"], strict=True)))
    tint = dict(zip(keys, colours(len(keys)), strict=True))
    for (player, term, split), lines in part.groupby(["player", "term", "split"], sort=False):
        wide = lines.pivot_table(index="epoch", columns="run", values="value")
        middle, x = wide.mean(axis=1), wide.index.to_numpy()
        held = split != "train"
        name = shortened(str(player) if term == "total" else str(term).replace("_", " "), 22)
        first = not any(line.get_label() == name for line in axes.get_lines())
        axes.plot(
            x,
            middle,
            color=tint[player, term],
            linestyle="--" if held else "-",
            linewidth=1.4,
            marker="o" if len(x) == 1 else None,
            label=name if first else "_",
        )
        if wide.shape[1] > 1:
            axes.fill_between(
                x, wide.min(axis=1), wide.max(axis=1), color=tint[player, term], alpha=0.14, lw=0
            )
    axes.xaxis.get_major_locator().set_params(integer=True)
    if keys:
        handles = axes.get_legend_handles_labels()[0]
        if (part["split"] != "train").any():
            dashed = Line2D([], [], color="#888888", linestyle="--", label="validation")
            handles.append(dashed)
        axes.legend(handles=handles, loc="best", handlelength=1.6)


_CURVE_LOOKS = {"E": ("#0072B2", "o", "-"), "I": ("#E69F00", "s", "--")}


def probe_curves(row: Row, *, paper: bool = False) -> Figure | None:
    """What probes read as they grow, or see more of the embedding, with chance dotted."""
    panels = [
        (target, kind)
        for target in ("identity", "expression")
        for kind in ("dims", "mlp")
        if any(_on_curve(row, space, target, kind) for space in "EI")
    ]
    if not panels:
        return None
    size = (TEXT_WIDTH if paper else 10.4) / 4
    figure = Figure(figsize=(size * len(panels), (1.1 if paper else 0.9) * size))
    grid = figure.subplots(1, len(panels), squeeze=False, sharey=True)[0]
    for axes, (target, kind) in zip(grid, panels, strict=True):
        for space, (colour, marker, line) in _CURVE_LOOKS.items():
            found = _on_curve(row, space, target, kind)
            if not found:
                continue
            x = list(found)
            y = [100 * f.mean for f in found.values()]
            error = np.hstack([_error(f, 100) or [[0], [0]] for f in found.values()])
            axes.errorbar(x, y, yerr=error, color=colour, marker=marker, linestyle=line,
                          markersize=4, linewidth=1.3, elinewidth=0.7, label=space)  # fmt: skip
            chance = [100 * f.null for f in found.values() if f.null is not None]
            if chance:
                axes.axhline(np.mean(chance), color=colour, linestyle=":", linewidth=0.9)
        axes.set_xscale("log", base=2)
        axes.set_xticks(ticks := sorted({*_curve_ticks(row, target, kind)}), map(str, ticks))
        axes.minorticks_off()
        axes.set(ylim=(0, 105), xlabel={"dims": "Components seen", "mlp": "Network width"}[kind])
        if kind == "dims":
            axes.set_title(f"{target.capitalize()} from the embedding", loc="left")
    grid[0].set_ylabel("Read, %")
    grid[-1].legend(loc="lower right", bbox_to_anchor=(1, 1), ncols=2, borderaxespad=0)
    figure.tight_layout()
    return figure


def _on_curve(row: Row, space: str, target: str, kind: str) -> dict[int, Estimate]:
    """Capacity -> accuracy, of one curve of the `capacity` metric."""
    prefix = f"capacity/{space}.{target}.{kind}"
    found = {
        int(key.removeprefix(prefix)): score
        for key, score in row.scores.items()
        if key.startswith(prefix)
    }
    return dict(sorted(found.items()))


def _curve_ticks(row: Row, target: str, kind: str) -> Iterator[int]:
    for space in _CURVE_LOOKS:
        for i, x in enumerate(_on_curve(row, space, target, kind)):
            if kind == "mlp" or i % 2 == 0:
                yield x


def static_maps(
    maps: Maps, labels: pd.DataFrame, classes: Sequence[str], *, kind: str, paper: bool = False
) -> Figure | None:
    """E and I, coloured by expression and by subject, in one kind of map."""
    spaces = [space for space in ("E", "I") if f"{space}.{kind}" in maps.points]
    if not spaces:
        return None
    shown = labels.iloc[maps.rows]
    by = [("expression", list(classes))]
    subjects = sorted(shown["subject"].dropna().astype(str).unique())
    if len(subjects) > 1:
        by.append(("subject", subjects))
    panels = [(space, *what) for space in spaces for what in by]
    size = (TEXT_WIDTH if paper else 2.7 * len(panels)) / len(panels)
    figure = Figure(figsize=(size * len(panels), size + 0.6))
    for axes, (space, name, levels) in zip(
        figure.subplots(1, len(panels), squeeze=False)[0], panels, strict=True
    ):
        points = maps.points[f"{space}.{kind}"]
        tint = colour_of(levels)
        values = shown[name].astype(object)
        groups = [[level] for level in levels] if name == "expression" else [levels]
        for i, group in enumerate(groups):  # a marker of its own for each expression
            here = values.isin(group).to_numpy()
            axes.scatter(
                points[here, 0],
                points[here, 1],
                s=9,
                color=[tint[str(v)] for v in values[here]],
                marker=MATPLOTLIB_MARKERS[i % 8] if name == "expression" else "o",
                linewidths=0,
                alpha=0.8,
                rasterized=len(points) > 200,
            )
        axes.set_title(f"{space} by {name}", loc="left")
        axes.set(xticks=[], yticks=[], xlim=(-1.08, 1.08), ylim=(-1.08, 1.08))
        axes.set_aspect("equal")
        axes.grid(visible=False)
        for spine in axes.spines.values():
            spine.set_visible(True)
    tint = colour_of(list(classes))
    handles = [
        Line2D([], [], linestyle="none", marker=MATPLOTLIB_MARKERS[i % 8], color=tint[c])
        for i, c in enumerate(classes)
    ]
    names = [shortened(c, 20) for c in classes]
    figure.tight_layout(rect=(0, 0.09, 1, 1))
    figure.legend(handles, names, loc="lower left", ncols=4 if len(panels) < 3 else 8,
                  markerscale=0.7, handletextpad=0.1, columnspacing=1.0)  # fmt: skip
    return figure


def confusion_figure(
    matrix: Sequence[Sequence[int]], classes: Sequence[str], *, paper: bool = True
) -> Figure:
    """Row-normalised confusion matrix with the counts written in."""
    counts = np.asarray(matrix, dtype=float)
    shares = np.divide(
        counts,
        counts.sum(axis=1, keepdims=True),
        where=counts.sum(axis=1, keepdims=True) > 0,
        out=np.zeros_like(counts),
    )
    figure = Figure(figsize=(COLUMN_WIDTH, COLUMN_WIDTH))
    axes = figure.add_subplot()
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    names = [shortened(c, 14) for c in classes]
    axes.set_xticks(range(len(names)), names, rotation=40, ha="right")
    axes.set_yticks(range(len(names)), names)
    axes.set(xlabel="Predicted", ylabel="True")
    axes.grid(visible=False)
    for (i, j), share in np.ndenumerate(shares):
        ink = "white" if share > 0.55 else "#222222"
        text = f"{100 * share:.0f}" + (f"\n({counts[i, j]:.0f})" if i == j else "")
        axes.text(j, i, text, ha="center", va="center", color=ink, fontsize=6)
    return figure


def transfer_heat(summary: Summary, *, paper: bool = False) -> Figure | None:
    """Accuracy on the own test people and on every further test set, a row a method.

    Colours are Cohen's kappa, so that sets with different classes can be compared: 0 is what
    guessing in the same proportions gets.
    """
    rows = [row for row in summary.rows if row.role != "oracle"]
    own = "classification/test.accuracy"
    away = re.compile(r"transfer/(.+)\.accuracy")
    sets = list(dict.fromkeys(m[1] for row in rows for m in map(away.fullmatch, row.scores) if m))
    rows = [row for row in rows if any(f"transfer/{name}.accuracy" in row.scores for name in sets)]
    if not rows:
        return None
    keys = [own, *(f"transfer/{name}.accuracy" for name in sets)]
    found = [[row.scores.get(key) for key in keys] for row in rows]
    cell = 0.75 if paper else 0.95
    height = 0.26 * len(rows) + 1.1
    figure = Figure(figsize=(cell * len(keys) + 2.6, height), layout="constrained")
    axes = figure.add_subplot()
    kappa = [[np.nan if f is None else _kappa(f) for f in line] for line in found]
    texts = [["" if f is None else f"{100 * f.mean:.0f}" for f in line] for line in found]
    image = written_heat(axes, kappa, texts)
    axes.set_aspect("auto")
    axes.set_xticks(range(len(keys)), ["own people", *(shortened(name, 18) for name in sets)],
                    rotation=30, ha="right")  # fmt: skip
    axes.set_yticks(range(len(rows)), [shortened(row.label, 30) for row in rows])
    figure.colorbar(image, ax=axes).set_label("Cohen's kappa")
    return figure


def written_heat(
    axes: Axes, shares: Sequence[Sequence[float]], texts: Sequence[Sequence[str]]
) -> AxesImage:
    """Cells coloured by shares in [0, 1], NaN left empty, with a text in each."""
    image = axes.imshow(shares, cmap="cividis", vmin=0, vmax=1)
    axes.grid(visible=False)
    for (i, j), share in np.ndenumerate(np.asarray(shares, dtype=float)):
        if texts[i][j]:
            ink = "#111111" if share > 0.5 else "#ffffff"
            axes.text(j, i, texts[i][j], ha="center", va="center", color=ink)
    return image


def _kappa(accuracy: Estimate) -> float:
    chance = accuracy.null or 0.0
    return min(1.0, max(0.0, (accuracy.mean - chance) / (1 - chance))) if chance < 1 else 0.0


def per_class_figure(row: Row, *, paper: bool = True) -> Figure | None:
    """Recall and F1 of each expression with intervals."""
    if not row.per_class:
        return None
    figure = Figure(figsize=(COLUMN_WIDTH, 2.2))
    axes = figure.add_subplot()
    names = list(row.per_class)
    for offset, (what, colour) in zip(
        (-0.2, 0.2), (("recall", "#0072B2"), ("f1", "#E69F00")), strict=True
    ):
        found = [row.per_class[n].get(what) for n in names]
        at = [i + offset for i, f in enumerate(found) if f is not None]
        known = [f for f in found if f is not None]
        error = np.array([_error(f, 100) or [[0], [0]] for f in known]).reshape(len(known), 2).T
        axes.bar(
            at,
            [100 * f.mean for f in known],
            width=0.38,
            color=colour,
            label={"recall": "Recall", "f1": "F1"}[what],
        )
        axes.errorbar(
            at,
            [100 * f.mean for f in known],
            yerr=error,
            fmt="none",
            ecolor="#222222",
            elinewidth=0.8,
        )
    axes.set_xticks(range(len(names)), [shortened(n, 14) for n in names], rotation=30, ha="right")
    axes.set(ylabel="%", ylim=(0, 105))
    axes.legend(ncols=2, loc="upper center", bbox_to_anchor=(0.5, 1.18))
    return figure


def affect_figure(
    predicted: NDArray[Any], target: NDArray[Any], *, paper: bool = False
) -> Figure | None:
    """Valence and arousal: predicted against true, and the predictions on the circumplex."""
    known = np.isfinite(target).all(axis=1) & np.isfinite(predicted).all(axis=1)
    if not known.any():
        return None
    predicted, target = predicted[known], target[known]
    figure = Figure(figsize=(TEXT_WIDTH, 2.3) if paper else (8.4, 2.9))
    left, middle, right = figure.subplots(1, 3)
    for axes, i, name in ((left, 0, "Valence"), (middle, 1, "Arousal")):
        axes.plot([-1, 1], [-1, 1], color=FAINT if not paper else "#bbbbbb", lw=1)
        axes.scatter(
            target[:, i], predicted[:, i], s=8, alpha=0.5, lw=0, color="#0072B2", rasterized=True
        )
        axes.set(xlabel=f"{name}, true", ylabel="predicted", xlim=(-1.1, 1.1), ylim=(-1.1, 1.1))
    angle = np.linspace(0, 2 * np.pi, 100)
    right.plot(np.cos(angle), np.sin(angle), color=FAINT if not paper else "#bbbbbb", lw=1)
    right.scatter(*target.T, s=8, alpha=0.45, lw=0, color="#7A7A7A", rasterized=True, label="true")
    right.scatter(
        *predicted.T,
        s=8,
        alpha=0.6,
        lw=0,
        color="#D55E00",
        marker="^",
        rasterized=True,
        label="predicted",
    )
    right.set(xlabel="Valence", ylabel="Arousal", xlim=(-1.15, 1.15), ylim=(-1.15, 1.15))
    # Handles of their own: those of rasterised points would be left out of an SVG.
    handles = [
        Line2D([], [], marker=m, color=c, linestyle="none", markersize=4, label=name)
        for m, c, name in (("o", "#7A7A7A", "true"), ("^", "#D55E00", "predicted"))
    ]
    right.legend(handles=handles, loc="lower left", handletextpad=0.1, borderpad=0)
    for axes in (left, middle, right):
        axes.set_aspect("equal")
    figure.tight_layout()
    return figure


def shortened(text: str, longest: int) -> str:
    """One line of at most `longest` visible characters."""
    from fer_bench.reports.tables import _plain

    return _plain(text, longest=longest)


def write_figures(
    root: str | Path, *, out: str | Path | None = None, maps: Which = "tsne"
) -> list[Path]:
    """Write every figure as PDF and SVG in a paper's column widths, fonts embedded.

    Args:
        root: result folder.
        out: folder for the files; `<root>/figures` by default.
        maps: which maps to draw.

    Returns:
        The files written.
    """
    store = RunStore(root)
    summary = summarise(store)
    folder = Path(out) if out is not None else store.root / "figures"
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    with drawing(paper=True):
        for name, figure in _paper_figures(store, summary, maps):
            for ending in ("pdf", "svg"):
                path = folder / f"{name}.{ending}"
                metadata = {"CreationDate": None} if ending == "pdf" else {"Date": None}
                figure.savefig(path, bbox_inches="tight", metadata=metadata)
                written.append(path)
    return written


def _paper_figures(store: RunStore, summary: Summary, maps: Which) -> Iterator[tuple[str, Figure]]:
    figure = trade_off(summary, paper=True)
    if figure is not None:
        yield "trade-off", figure
    tied = confounding(store, [row.label for row in summary.rows])
    if tied is not None:
        yield "confounding", confounding_figure(tied, paper=True)
    elsewhere = transfer_heat(summary, paper=True)
    if elsewhere is not None:
        yield "transfer", elsewhere
    for verdict in summary.verdicts:
        ranks = rank_diagram(verdict, paper=True)
        if ranks is not None:
            yield f"ranks-{_file_names([verdict.title])[verdict.title]}", ranks
    names = _file_names(row.label for row in summary.rows)
    for row in summary.rows:
        record = store.record(row.representative)
        name = names[row.label]
        for part, matrix in row.confusion.items():
            yield f"{name}-confusion-{part}", confusion_figure(matrix, summary.classes)
        bars = per_class_figure(row)
        if bars is not None:
            yield f"{name}-per-class", bars
        curves = training_curves([store.record(run) for run in row.runs], paper=True)
        if curves is not None:
            yield f"{name}-training", curves
        read = probe_curves(row, paper=True)
        if read is not None:
            yield f"{name}-probes", read
        test = record.arrays.test
        if test.valence_arousal is not None:
            affect = affect_figure(test.valence_arousal, test.target, paper=True)
            if affect is not None:
                yield f"{name}-affect", affect
            traces = trace_figure(test.labels, test.valence_arousal, test.target, paper=True)
            if traces is not None:
                yield f"{name}-traces", traces
        for kind in KINDS[maps]:
            points = maps_of(record, kinds=KINDS[maps])
            drawn = static_maps(points, test.labels, summary.classes, kind=kind, paper=True)
            if drawn is not None:
                yield f"{name}-{kind}", drawn


def _file_names(labels: Iterable[str]) -> Mapping[str, str]:
    """Labels as distinct, harmless file names."""
    out: dict[str, str] = {}
    for label in labels:
        base = re.sub(r"[^a-z0-9]+", "-", shortened(label, 40).lower()).strip("-") or "row"
        name, i = base, 2
        while name in out.values():
            name, i = f"{base}-{i}", i + 1
        out[label] = name
    return out


__all__ = ["TITLES", "Callable", "inline_svg", "write_figures"]
