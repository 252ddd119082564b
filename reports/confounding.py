"""The controlled confounding experiment: accuracy and leak against the strength of a shortcut."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from matplotlib.figure import Figure

from fer_bench.reports.aggregate import Estimate, estimates
from fer_bench.reports.columns import formatted
from fer_bench.reports.style import COLUMN_WIDTH, MATPLOTLIB_MARKERS, TEXT_WIDTH, colour_of
from fer_bench.reports.summary import latest_records, scores_frame
from fer_bench.runs.store import RunRecord, RunStore


@dataclass(frozen=True)
class Panel:
    """One measure against rho.

    Attributes:
        key: "<metric>/<score key>"; `<attribute>` in it stands for the tied column.
        title, better, meaning: for a reader.
    """

    key: str
    title: str
    better: str
    meaning: str


PANELS = (
    Panel(
        "classification/test.accuracy",
        "Accuracy, unbiased test",
        "high",
        "The attribute says nothing of the expression in these faces.",
    ),
    Panel(
        "classification/test:reversed.accuracy",
        "Accuracy, reversed test",
        "high",
        "Every expression goes with the other attribute level: the shortcut misleads.",
    ),
    Panel(
        "groups/<attribute>.worst_cell",
        "Worst group × expression",
        "high",
        "Accuracy of the worst attribute level and expression together, unbiased test.",
    ),
    Panel(
        "leakage/E.identity.strongest",
        "Identity from E",
        "low",
        "Accuracy of the strongest attacker who names the person, unbiased test.",
    ),
)


@dataclass(frozen=True)
class Confounding:
    """What the runs of a `[confound]` experiment say.

    Attributes:
        attribute: what was tied to the expression.
        rhos: the strengths, rising.
        labels: rows in the order of the experiment.
        panels: those that were measured.
        found: panel key -> label -> rho -> mean over the runs with its interval.
        notes: what the ties came to, a list a strength, from one run of each.
    """

    attribute: str
    rhos: tuple[float, ...]
    labels: tuple[str, ...]
    panels: tuple[Panel, ...]
    found: Mapping[str, Mapping[str, Mapping[float, Estimate]]]
    notes: Mapping[float, Sequence[str]]

    def cell(self, panel: Panel, label: str, rho: float) -> tuple[str, str]:
        """Percent, or a dash, and its interval in words, or nothing."""
        value = self.found[panel.key].get(label, {}).get(rho)
        if value is None:
            return "–", ""
        text = formatted(value.mean, "percent")
        if value.low is None:
            return text, ""
        return text, f"{formatted(value.low, 'percent')} to {formatted(value.high, 'percent')}"


def confounding(store: RunStore, labels: Sequence[str]) -> Confounding | None:
    """Collect the runs with a tie, or None where there are none.

    Args:
        store: the result folder.
        labels: order of the rows; others follow.
    """
    by_rho: dict[float, list[RunRecord]] = {}
    for record in latest_records(store):
        if record.spec.tie is not None:
            by_rho.setdefault(record.spec.tie.rho, []).append(record)
    if not by_rho:
        return None
    attribute = next(iter(by_rho.values()))[0].spec.tie.attribute  # type: ignore[union-attr]
    scores = {rho: estimates(scores_frame(by_rho[rho])) for rho in sorted(by_rho)}
    known = dict.fromkeys([*labels, *(label for found in scores.values() for label in found)])
    found: dict[str, dict[str, dict[float, Estimate]]] = {}
    for panel in PANELS:
        key = panel.key.replace("<attribute>", attribute)
        for rho, rows in scores.items():
            for label, row in rows.items():
                if key in row:
                    found.setdefault(panel.key, {}).setdefault(label, {})[rho] = row[key]
    return Confounding(
        attribute=attribute,
        rhos=tuple(scores),
        labels=tuple(label for label in known if any(label in lines for lines in found.values())),
        panels=tuple(panel for panel in PANELS if panel.key in found),
        found=found,
        notes={rho: by_rho[rho][0].environment.get("tie", ()) for rho in scores},
    )


def confounding_figure(about: Confounding, *, paper: bool = False) -> Figure:
    """A panel a measure, a line a method, with 95 % intervals; dotted: chance."""
    n = len(about.panels)
    columns = min(n, 2)
    rows = -(-n // columns)
    width = (TEXT_WIDTH if columns > 1 else COLUMN_WIDTH) if paper else 4.6 * columns
    height = (2.3 if paper else 3.1) * rows + 0.4
    figure = Figure(figsize=(width, height))
    grid = figure.subplots(rows, columns, squeeze=False)
    colour = colour_of(about.labels)
    # Strengths stand evenly apart: those that matter crowd near 1.
    places = {rho: i for i, rho in enumerate(about.rhos)}
    for axes, panel in zip(grid.flat, about.panels, strict=False):
        for i, label in enumerate(about.labels):
            line = about.found[panel.key].get(label)
            if not line:
                continue
            # Side by side, so that intervals of methods with equal means can be told apart.
            shift = 0.05 * (i - (len(about.labels) - 1) / 2)
            at = [rho for rho in about.rhos if rho in line]
            axes.errorbar(
                [places[rho] + shift for rho in at],
                [100 * line[rho].mean for rho in at],
                yerr=_errors([line[rho] for rho in at]),
                fmt=f"{MATPLOTLIB_MARKERS[i % len(MATPLOTLIB_MARKERS)]}-",
                color=colour[label],
                markersize=4 if paper else 5.5,
                linewidth=1.2,
                elinewidth=0.9,
                label=_short(label),
            )
        chance = [v.null for line in about.found[panel.key].values() for v in line.values()]
        levels = [v for v in chance if v is not None]
        if levels:
            mean = 100 * sum(levels) / len(levels)
            axes.axhline(mean, color="#7A7A7A", linestyle=":", linewidth=1.2, zorder=0)
        axes.set_title(f"{panel.title} (%)")
        axes.set_xticks(list(places.values()), [f"{rho:g}" for rho in places])
        axes.set_xlabel(f"Tie of {_short(about.attribute)} to expression in training, ρ")
        axes.set_ylim(0, min(max(axes.get_ylim()[1], 20), 105))
    for axes in grid.flat[n:]:
        axes.set_visible(False)
    handles, names = grid.flat[0].get_legend_handles_labels()
    figure.tight_layout(rect=(0, 0.4 / height, 1, 1))
    figure.legend(handles, names, loc="lower center", ncols=min(len(names), 4))
    return figure


def _errors(values: Sequence[Estimate]) -> list[list[float]]:
    low = [v.mean if v.low is None else v.low for v in values]
    high = [v.mean if v.high is None else v.high for v in values]
    return [
        [100 * max(0.0, v.mean - bound) for v, bound in zip(values, low, strict=True)],
        [100 * max(0.0, bound - v.mean) for v, bound in zip(values, high, strict=True)],
    ]


def _short(text: Any) -> str:
    from fer_bench.reports.figures import shortened

    return shortened(str(text), 28)
