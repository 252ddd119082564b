"""The scores of a result folder as one tidy table, and which of its runs count."""

from __future__ import annotations

from array import array
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fer_bench.cautions import Caution
from fer_bench.lifetime import garbage_kept
from fer_bench.metrics.attacks import normalised_leak
from fer_bench.registry import EXTERNAL
from fer_bench.runs.store import RunRecord, RunStore
from fer_bench.score import Outcome, Score

CEILINGS = ("pixels", "frozen-backbone", "face-descriptor")
NORMALISED_LEAK = "leakage/E.identity.normalised"
STRONGEST = ("leakage", "E.identity.strongest")
NUMBERS = ("value", "low", "high", "null", "p")


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
    """All scores of all runs as one tidy table, one row per score.

    Columns: run, label, method, role, seed, fold, metric, key ("<metric>/<score>"), value, low,
    high, null, p, n, unit, cautions (a tuple of `Caution`). The normalised leak is added here: its
    ceiling is the best identity probe on the reference rows (pixels, face-recognition features,
    a frozen backbone, given embeddings that were called so) of the same fold, which a run cannot
    know by itself: of the same seed, or, where references were run with fewer seeds, the mean
    over those.
    """
    return read_scores(records)[0]


@garbage_kept()
def read_scores(
    records: Iterable[RunRecord],
) -> tuple[pd.DataFrame, dict[str, dict[str, Outcome]]]:
    """`scores_frame`, and by run the metrics that were skipped or failed; files are read once."""
    lines = _Lines()
    without: dict[str, dict[str, Outcome]] = {}
    attacks: list[tuple[dict[str, Any], Score]] = []
    metric_of_leak, key_of_leak = STRONGEST
    for record in records:
        head = _head(record)
        outcomes = record.outcomes()
        without[record.folder.name] = {
            name: o for name, o in outcomes.items() if o.skipped or o.failed
        }
        for metric, outcome in outcomes.items():
            lines.add(head, {f"{metric}/{key}": score for key, score in outcome.scores.items()})
            if metric == metric_of_leak and key_of_leak in outcome.scores:
                attacks.append((head, outcome.scores[key_of_leak]))
    for head, score in _normalised_leaks(attacks):
        lines.add(head, {NORMALISED_LEAK: score})
    return lines.frame(), without


class _Lines:
    """Scores, column by column: a thousand runs have a hundred thousand."""

    def __init__(self) -> None:
        self._heads: list[dict[str, Any]] = []
        self._texts: list[tuple[str, str, str]] = []  # metric, key, unit
        self._numbers: list[NDArray[np.float64]] = []
        self._counts = array("q")
        self._cautions: list[tuple[Caution, ...]] = []

    def add(self, head: dict[str, Any], scores: Mapping[str, Score]) -> None:
        """Some scores, by "<metric>/<score>", of the run of a head."""
        numbers = [(s.value, s.low, s.high, s.null, s.p) for s in scores.values()]
        self._numbers.append(np.array(numbers, dtype=np.float64).reshape(-1, len(NUMBERS)))
        self._heads += [head] * len(scores)
        self._texts += [_texts(key, score.unit) for key, score in scores.items()]
        self._counts.extend([score.n for score in scores.values()])
        self._cautions += [score.cautions for score in scores.values()]

    def frame(self) -> pd.DataFrame:
        """The table; columns of words hold each word once, as Python objects."""

        def words(values: list[Any]) -> pd.Series:
            return pd.Series(values, dtype=object)

        columns: dict[str, Any] = {
            name: words([head[name] for head in self._heads])
            for name in ("run", "label", "method", "role")
        }
        for name in ("seed", "fold"):
            columns[name] = np.array([head[name] for head in self._heads], dtype=np.int64)
        metric, key, unit = (words([text[i] for text in self._texts]) for i in range(3))
        numbers = np.concatenate([np.empty((0, len(NUMBERS))), *self._numbers])
        columns |= {"metric": metric, "key": key}
        columns |= {name: numbers[:, i] for i, name in enumerate(NUMBERS)}
        columns |= {"n": np.array(self._counts), "unit": unit, "cautions": words(self._cautions)}
        return pd.DataFrame(columns)


@cache
def _texts(key: str, unit: str) -> tuple[str, str, str]:
    """Metric, key and unit of a score; many thousand lines share a few hundred of these."""
    return key.partition("/")[0], key, unit


def is_ceiling(method: str, role: str) -> bool:
    """Whether a row says how much of a person faces show: given embeddings where told so."""
    return method in CEILINGS or (method == EXTERNAL and role == "reference")


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
) -> Iterable[tuple[dict[str, Any], Score]]:
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
            yield head, normalised_leak(score, ceiling, chance)
