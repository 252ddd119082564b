"""What changed between two result folders: the page a maintainer wants after an upgrade."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from fer_bench import statistics
from fer_bench.reports.columns import Column, leaderboard_columns
from fer_bench.reports.paired import PairedScores, change_of
from fer_bench.reports.standing import is_evidence
from fer_bench.reports.summary import Row, Summary


@dataclass(frozen=True)
class Shift:
    """One number before and after.

    Attributes:
        label, key: of the row and the score.
        before, after: means.
        difference, low, high: after less before, by the crossed model (`change_of`), or by the
            corrected resampled t-test where runs say nothing of people.
        p: of the same test, Holm-adjusted over all shifts; None where there is none.
        n_pairs: runs of equal seed and fold.
        may_claim: whether training was repeated often enough for a claim, and both numbers are
            evidence.
        kind: "same" (to the last bit), "better", "worse", "other" (moved, but neither way is
            better), or "unclear".
    """

    label: str
    key: str
    before: float
    after: float
    difference: float
    low: float | None
    high: float | None
    p: float | None
    n_pairs: int
    may_claim: bool
    kind: str

    @property
    def column(self) -> Column:
        """What the number is."""
        return leaderboard_columns()[self.key]


@dataclass(frozen=True)
class Change:
    """A later summary against an earlier one.

    Attributes:
        before, after: titles and dates.
        shifts: of rows and scores that both have, the clearest first.
        only_before, only_after: labels that one of them lacks.
        settings: what else differs, in words (data, folds, versions, budget).
        paired: whether the data and the folds are the same, so that runs can be paired.
    """

    before: str
    after: str
    shifts: tuple[Shift, ...]
    only_before: tuple[str, ...]
    only_after: tuple[str, ...]
    settings: tuple[str, ...]
    paired: bool

    def of_kind(self, *kinds: str) -> list[Shift]:
        """Shifts of some kinds."""
        return [shift for shift in self.shifts if shift.kind in kinds]


def compare_summaries(
    before: Summary, after: Summary, scores: tuple[PairedScores, PairedScores] | None = None
) -> Change:
    """Compare the rows that two summaries share, run by run where data and folds agree.

    Args:
        before, after: the summaries.
        scores: the same of both with what each test person changes in them.
    """
    old = {row.label: row for row in before.rows}
    new = {row.label: row for row in after.rows}
    shared = [label for label in new if label in old]
    paired = (
        before.data["fingerprint"] == after.data["fingerprint"]
        and before.fold_hash == after.fold_hash
    )
    raw = [
        (old[label], new[label], column)
        for label in shared
        for column in leaderboard_columns().values()
        if column.key in old[label].scores and column.key in new[label].scores
    ]
    folds = len(after.folds)
    share = 1 / (folds - 1) if folds > 1 else 0.0
    moved = [_shift(a, b, column, share, paired=paired) for a, b, column in raw]
    if scores is not None and paired:
        moved = [_by_person(shift, *scores) for shift in moved]
    adjusted = statistics.holm([np.nan if s.p is None else s.p for s in moved])
    shifts = [_judged(s, float(p)) for s, p in zip(moved, adjusted, strict=True)]
    order = {"worse": 0, "better": 1, "other": 2, "unclear": 3, "same": 4}
    shifts.sort(key=lambda s: (order[s.kind], s.p if s.p is not None else 1.0))
    return Change(
        before=f"{before.title}, {before.created}",
        after=f"{after.title}, {after.created}",
        shifts=tuple(shifts),
        only_before=tuple(label for label in old if label not in new),
        only_after=tuple(label for label in new if label not in old),
        settings=tuple(_settings(before, after, old, new, shared)),
        paired=paired,
    )


def _by_run(row: Row, key: str) -> dict[tuple[int, int], float]:
    """(seed, fold) -> value; empty where some run lacks the score."""
    values = row.scores[key].values
    places = [(run["seed"], run["fold"]) for run in row.runs.values()]
    return dict(zip(places, values, strict=True)) if len(values) == len(places) else {}


def _shift(old: Row, new: Row, column: Column, share: float, *, paired: bool) -> Shift:
    a, b = _by_run(old, column.key), _by_run(new, column.key)
    both = sorted(set(a) & set(b)) if paired else []
    d = np.array([b[place] - a[place] for place in both])
    before, after = old.scores[column.key].mean, new.scores[column.key].mean
    test = statistics.corrected_t_test(d, test_to_train=share)
    same = len(d) > 0 and bool(np.all(d == 0)) and len(a) == len(b) == len(d)
    return Shift(
        label=new.label,
        key=column.key,
        before=before,
        after=after,
        difference=float(d.mean()) if len(d) else after - before,
        low=test.low if np.isfinite(test.low) else None,
        high=test.high if np.isfinite(test.high) else None,
        p=None if same or not np.isfinite(test.p) else test.p,
        n_pairs=len(d),
        may_claim=is_evidence(old.scores[column.key]) and is_evidence(new.scores[column.key]),
        kind="same" if same else "unclear",
    )


def _by_person(shift: Shift, before: PairedScores, after: PairedScores) -> Shift:
    """A shift by the crossed model, where the runs say how people vary."""
    pair = None if shift.kind == "same" else change_of(before, after, shift.key, shift.label)
    if pair is None or not np.isfinite(pair.difference.error):
        return shift
    moved = pair.difference
    return replace(
        shift,
        difference=moved.value,
        low=moved.low,
        high=moved.high,
        p=moved.p,
        may_claim=shift.may_claim and pair.separated,
    )


def _judged(shift: Shift, p: float) -> Shift:
    if shift.kind == "same" or not np.isfinite(p):
        return shift
    kind = "unclear"
    if p < 0.05 and shift.may_claim:
        better = leaderboard_columns()[shift.key].better
        up = shift.difference > 0
        kind = "other" if not better else "better" if up == (better == "high") else "worse"
    return replace(shift, p=p, kind=kind)


def _settings(
    before: Summary,
    after: Summary,
    old: dict[str, Row],
    new: dict[str, Row],
    shared: list[str],
) -> Iterable[str]:
    if before.data["fingerprint"] != after.data["fingerprint"]:
        yield (
            "The faces are not the same "
            f"({before.data['fingerprint'][:12]} before, {after.data['fingerprint'][:12]} after): "
            "runs cannot be paired."
        )
    if before.fold_hash != after.fold_hash:
        yield "The folds are not the same: runs cannot be paired."
    for name in sorted({*before.environment, *after.environment}):
        a, b = before.environment.get(name), after.environment.get(name)
        if a != b:
            yield f"{name}: {_words(a)} before, {_words(b)} after."
    for label in shared:
        for what in ("parameters", "training"):
            a, b = getattr(old[label], what), getattr(new[label], what)
            for key in sorted({*a, *b}):
                if a.get(key) != b.get(key):
                    yield (
                        f"{label}: {what}.{key} was {_words(a.get(key))}, is {_words(b.get(key))}."
                    )


def _words(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{k} {v}" for k, v in value.items())
    return "not set" if value is None else str(value)
