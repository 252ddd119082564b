"""The scores of a result folder as one tidy table, and which of its runs count."""

from __future__ import annotations

import sys
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from fer_bench.evaluation.folder import METHOD
from fer_bench.metrics.attacks import normalised_leak
from fer_bench.runs.store import RunRecord, RunStore
from fer_bench.score import Outcome, Score

CEILINGS = ("pixels", "frozen-backbone", "face-descriptor")
NORMALISED_LEAK = "leakage/E.identity.normalised"
STRONGEST = ("leakage", "E.identity.strongest")


def latest_records(store: RunStore) -> tuple[list[RunRecord], dict[str, int]]:
    """The newest run of each row, seed, fold and strength of the tie; and older ones by label.

    A folder that was used again after an upgrade, or with other parameters, holds both.
    """
    newest: dict[tuple[str, int, int, str], RunRecord] = {}
    older: Counter[str] = Counter()
    for record in sorted(store.records(), key=lambda r: (r.folder / "done.json").stat().st_mtime):
        tie = record.spec.tie.model_dump_json() if record.spec.tie else ""
        place = (record.spec.label, record.spec.seed, record.spec.fold, tie)
        if place in newest:
            older[record.spec.label] += 1
        newest[place] = record
    return sorted(newest.values(), key=lambda r: r.folder.name), dict(older)


def of_weakest_tie(records: Sequence[RunRecord]) -> list[RunRecord]:
    """The runs whose rows are compared: of a confounding experiment, those of the weakest tie.

    Rows trained at different strengths are no rivals; `confounding` draws them as curves.
    """
    strengths = {-1.0 if r.spec.tie is None else r.spec.tie.rho for r in records}
    weakest = min(strengths, default=-1.0)
    return [r for r in records if (-1.0 if r.spec.tie is None else r.spec.tie.rho) == weakest]


def scores_frame(records: Iterable[RunRecord]) -> pd.DataFrame:
    """All scores of all runs as one tidy table, one row a score.

    Columns: run, label, method, role, seed, fold, metric, key ("<metric>/<score>"), value, low,
    high, null, p, n, unit, cautions (a tuple of `Caution`). The normalised leak is added here: its
    ceiling is the best identity probe on the reference rows (pixels, face-recognition features,
    a frozen backbone, given embeddings that were called so) of the same fold, which a run cannot
    know by itself: of the same seed, or, where references were run with fewer seeds, the mean
    over those.
    """
    return read_scores(records)[0]


def read_scores(
    records: Iterable[RunRecord],
) -> tuple[pd.DataFrame, dict[str, dict[str, Outcome]]]:
    """`scores_frame`, and by run the metrics that were skipped or failed; files are read once."""
    lines: list[tuple[Any, ...]] = []
    without: dict[str, dict[str, Outcome]] = {}
    attacks: list[tuple[dict[str, Any], Score]] = []
    metric_of_leak, key_of_leak = STRONGEST
    for record in records:
        head = _head(record)
        outcomes = record.outcomes()
        without[record.folder.name] = {k: o for k, o in outcomes.items() if o.skipped or o.failed}
        for metric, outcome in outcomes.items():
            lines += [_line(head, f"{metric}/{key}", s) for key, s in outcome.scores.items()]
            if metric == metric_of_leak and key_of_leak in outcome.scores:
                attacks.append((head, outcome.scores[key_of_leak]))
    lines += _normalised_leaks(attacks)
    columns = ["run", "label", "method", "role", "seed", "fold", "metric", "key", "value"]
    columns += ["low", "high", "null", "p", "n", "unit", "cautions"]
    frame = pd.DataFrame(lines, columns=columns)
    numbers = ["value", "low", "high", "null", "p"]
    frame[numbers] = frame[numbers].astype(float)
    return frame, without


def is_ceiling(method: str, role: str) -> bool:
    """Whether a row says how much of a person faces show: given embeddings where told so."""
    return method in CEILINGS or (method == METHOD and role == "reference")


def _head(record: RunRecord) -> dict[str, Any]:
    spec = record.spec
    return {
        "run": record.folder.name,
        "label": spec.label,
        "method": spec.method,
        "role": record.environment["method"]["role"],
        "seed": spec.seed,
        "fold": spec.fold,
    }


def _normalised_leaks(
    attacks: Sequence[tuple[dict[str, Any], Score]],
) -> Iterable[tuple[Any, ...]]:
    """The strongest identity probe of each run on the scale from chance to the ceiling."""
    by_place: dict[tuple[int, int], list[float]] = defaultdict(list)
    for head, score in attacks:
        if is_ceiling(head["method"], head["role"]):
            by_place[head["seed"], head["fold"]].append(score.value)
    ceilings = {place: max(values) for place, values in by_place.items()}
    for head, score in attacks:
        of_fold = [c for (_, fold), c in ceilings.items() if fold == head["fold"]]
        chance = score.details.get("chance", score.null)
        if of_fold and chance is not None and score.value == score.value:
            ceiling = ceilings.get((head["seed"], head["fold"]), float(np.mean(of_fold)))
            yield _line(head, NORMALISED_LEAK, normalised_leak(score, ceiling, chance))


def _line(head: Mapping[str, Any], key: str, score: Score) -> tuple[Any, ...]:
    """A row of the table. Many thousand rows share a few hundred keys: each is kept once."""
    return (
        *head.values(),
        sys.intern(key.partition("/")[0]),
        sys.intern(key),
        score.value,
        score.low,
        score.high,
        score.null,
        score.p,
        score.n,
        sys.intern(score.unit),
        score.cautions,
    )
