"""What a reader must be told about a result folder: each caution once, gravest first."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import pandas as pd

from fer_bench.cautions import Caution, merged
from fer_bench.metrics.classification import FITTED
from fer_bench.reports.columns import columns_of, main_columns
from fer_bench.reports.text import capitalised
from fer_bench.runs.store import RunRecord

LEVELS = ("error", "warning", "note")


@dataclass(frozen=True)
class Remark:
    """What a reader must see, for all cautions of one kind.

    Attributes:
        text: the sentence.
        level: "error" (a number is missing or void), "warning", or "note".
        rows: labels of the rows it concerns; empty means all of them.
        metrics: the metrics that said it, where a metric did.
        runs: in how many runs it was said.
        kind: of the cautions; see `Caution.kind`.
    """

    text: str
    level: str
    rows: tuple[str, ...] = ()
    metrics: tuple[str, ...] = ()
    runs: int = 0
    kind: tuple[str, ...] = ()


@dataclass(frozen=True)
class Said:
    """A caution, and who said it: the label of a row and the name of a metric, where known."""

    caution: Caution
    label: str
    metric: str = ""


def remarks(said: Iterable[Said], *, methods: Iterable[str]) -> tuple[Remark, ...]:
    """Cautions of one kind as one remark; first what is grave and about methods.

    Args:
        said: by runs, metrics and the summary itself; what every fitted score says is no news.
        methods: labels of the rows that are compared, neither references nor oracles.
    """
    by_kind: dict[tuple[str, ...], list[Said]] = defaultdict(list)
    for one in said:
        if one.caution != FITTED:
            by_kind[one.caution.kind].append(one)
    claims = set(methods)

    def gravity(remark: Remark) -> tuple[int, bool, bool, int]:
        aside = bool(remark.rows) and not claims & set(remark.rows)
        minor = bool(remark.metrics) and not headline_metrics() & set(remark.metrics)
        return LEVELS.index(remark.level), aside, minor, -remark.runs

    return tuple(sorted((_remark(kind, places) for kind, places in by_kind.items()), key=gravity))


def _remark(kind: tuple[str, ...], places: Sequence[Said]) -> Remark:
    return Remark(
        text=capitalised(merged(one.caution for one in places)),
        level=places[0].caution.level,
        rows=_unique(one.label for one in places if one.label),
        metrics=_unique(one.metric for one in places if one.metric),
        runs=len(places),
        kind=kind,
    )


@lru_cache
def headline_metrics() -> frozenset[str]:
    """Metrics whose cautions come first: those of the leaderboard and of information."""
    keys = [*main_columns(), *(column.key for column in columns_of("information"))]
    return frozenset({"training", *(key.partition("/")[0] for key in keys)})


def said_by_scores(frame: pd.DataFrame) -> Iterator[Said]:
    """What the scores of the runs carry."""
    for label, metric, cautions in zip(
        frame["label"], frame["metric"], frame["cautions"], strict=True
    ):
        for caution in cautions:
            yield Said(caution, label, metric)


def said_in_training(records: Iterable[RunRecord]) -> Iterator[Said]:
    """What training said; results before codes hold sentences."""
    for record in records:
        for caution in map(Caution.from_json, record.environment.get("warnings", ())):
            yield Said(caution, record.spec.label, "training")


def said_of_runs(
    runs: Mapping[str, int],
    failures: Iterable[Any],
    failed_metrics: Iterable[tuple[str, str, str]],
    superseded: Mapping[str, int],
) -> Iterator[Said]:
    """What is missing, failed or thin in the folder.

    Args:
        runs: label of a method -> how many runs it has.
        failures: planned runs that are not there, with `label` and `kind`.
        failed_metrics: (label, metric, error) of metrics that raised one.
        superseded: label -> older runs of the same place.
    """
    for kind, labels in _by_kind(failures).items():
        for label, n in Counter(labels).items():
            yield Said(Caution(f"runs-{kind}", runs=n), label)
    for label, n in superseded.items():
        yield Said(Caution("older-runs", runs=n), label)
    for label, metric, error in failed_metrics:
        yield Said(Caution("metric-failed", metric=metric, error=error), label)
    for label, n in runs.items():
        if n < 2:
            yield Said(Caution("one-run"), label)


def _by_kind(failures: Iterable[Any]) -> dict[str, list[str]]:
    out: dict[str, list[str]] = {}
    for failure in failures:
        kind = failure.kind if failure.kind in ("skipped", "damaged") else "failed"
        out.setdefault(kind, []).append(failure.label)
    return out


def _unique(items: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(items))
