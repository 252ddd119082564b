"""The controlled confounding experiment: accuracy and leak against the strength of a shortcut."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from fer_bench.reports.aggregate import Estimate, estimates
from fer_bench.reports.columns import Column, columns_of
from fer_bench.reports.scores import latest_records, scores_frame
from fer_bench.reports.text import formatted
from fer_bench.runs.store import RunRecord, RunStore


@dataclass(frozen=True)
class Confounding:
    """What the runs of a `[confound]` experiment say.

    Attributes:
        attribute: what was tied to the expression.
        rhos: the strengths, rising.
        labels: rows in the order of the experiment.
        panels: the measures there are.
        means: panel key -> label -> rho -> mean over the runs with its interval.
        notes: what the ties came to, a list per strength, from one run of each.
    """

    attribute: str
    rhos: tuple[float, ...]
    labels: tuple[str, ...]
    panels: tuple[Column, ...]
    means: Mapping[str, Mapping[str, Mapping[float, Estimate]]]
    notes: Mapping[float, Sequence[str]]

    def cell(self, panel: Column, label: str, rho: float) -> tuple[str, str]:
        """Percent, or a dash, and its interval in words, or nothing."""
        value = self.means[panel.key].get(label, {}).get(rho)
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
    for record in latest_records(store)[0]:
        if record.spec.tie is not None:
            by_rho.setdefault(record.spec.tie.rho, []).append(record)
    if not by_rho:
        return None
    attribute = next(iter(by_rho.values()))[0].spec.tie.attribute  # type: ignore[union-attr]
    scores = {rho: estimates(scores_frame(by_rho[rho])) for rho in sorted(by_rho)}
    known = dict.fromkeys([*labels, *(label for means in scores.values() for label in means)])
    means: dict[str, dict[str, dict[float, Estimate]]] = {}
    panels = columns_of("confounding")
    for panel in panels:
        key = panel.key.replace("<attribute>", attribute)
        for rho, rows in scores.items():
            for label, row in rows.items():
                if key in row:
                    means.setdefault(panel.key, {}).setdefault(label, {})[rho] = row[key]
    return Confounding(
        attribute=attribute,
        rhos=tuple(scores),
        labels=tuple(label for label in known if any(label in lines for lines in means.values())),
        panels=tuple(panel for panel in panels if panel.key in means),
        means=means,
        notes={rho: by_rho[rho][0].environment.get("tie", ()) for rho in scores},
    )
