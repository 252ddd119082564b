"""What probes have to solve on a run: rows to fit, tune and test on, and what to name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fer_bench.arrays import PartArrays, RunArrays
from fer_bench.cautions import Caution
from fer_bench.metrics.attacks import Attack, attack_scores, label_strata
from fer_bench.metrics.common import Ints, random_rows
from fer_bench.metrics.probes import Split, within_subject_split
from fer_bench.score import Score

PROBE_ROWS = 50_000  # rows of a part that probes see at most (a random subset, stated)
LEAST_PEOPLE = 20  # that a closed-set number of many people must rest on


@dataclass(frozen=True)
class IdentityProblem:
    """What identity probes have to solve on a test part.

    Attributes:
        part: the part, thinned where it is very large.
        split: rows to fit, tune and test on, within subjects.
        subject: [n] codes 0..people-1 of the probed subjects, -1 for others.
        people: how many subjects can be guessed.
        unit: what the split keeps apart, "expression" or "sequence".
        cautions: for the scores.
    """

    part: PartArrays
    split: Split
    subject: Ints
    people: int
    unit: str
    cautions: tuple[Caution, ...]

    @property
    def truth(self) -> Ints:
        """Codes of the tested rows."""
        return self.subject[self.split.test]

    @property
    def details(self) -> dict[str, object]:
        """To be carried along by the scores."""
        return {"unit": self.unit, "subjects": self.people, **_sizes(self.split)}

    def scores(self, attacks: Mapping[str, Attack], *, seed: int) -> dict[str, Score]:
        """`attack_scores` of attackers of this problem, with its cautions."""
        scores = attack_scores(
            attacks,
            self.truth,
            groups=self.truth,
            chance=1 / self.people,
            details=self.details,
            seed=seed,
        )
        return {key: score.with_caution(*self.cautions) for key, score in scores.items()}


def _sizes(split: Split) -> dict[str, object]:
    return {"fitted": len(split.train), "validated": len(split.validation)}


def identity_problem(part: PartArrays, *, seed: int = 0) -> IdentityProblem | Caution:
    """The closed-set problem within the subjects of a part, or why there is none.

    There is none where most tested faces are of a few people: with one person of 500 faces among
    hundreds of two, all probes read the share of that person.
    """
    part, cautions = _thinned(part, seed)
    if not part.has_subjects:
        return Caution("no-labels", of="subject", where="the test part")
    split, unit = within_subject_split(part.s, part.y, sequence=part.sequences, seed=seed)
    people = np.unique(part.s[split.test])
    if len(people) < 2 or not len(split.train):
        return Caution("subjects-on-one-side")
    effective = effective_people(part.s[split.test])
    if effective < min(LEAST_PEOPLE, len(people) / 2):
        return Caution("uneven-people", effective=effective, people=len(people))
    if not len(split.validation):
        cautions.append(Caution("no-validation"))
    if len(people) < len(part.subjects):
        cautions.append(Caution("subjects-left-out", kept=len(people), total=len(part.subjects)))
    # Codes of the probed subjects only, so that classes are those that can be guessed.
    s = np.where(np.isin(part.s, people), np.searchsorted(people, part.s), -1)
    return IdentityProblem(part, split, s, len(people), unit, tuple(cautions))


def effective_people(s: Ints) -> float:
    """How many people of equally many faces tell as much: 1 / sum of squared shares of faces [n].

    >>> effective_people(np.array([3, 3, 8, 8]))
    2.0
    >>> round(effective_people(np.array([3] * 98 + [8, 9])), 2)
    1.04
    """
    counts = np.unique(s, return_counts=True)[1]
    return float(counts.sum() ** 2 / np.sum(counts**2))


@dataclass(frozen=True)
class ExpressionProblem:
    """What expression probes have to solve on a run.

    Attributes:
        pools: train, validation (where there is one) and test part, thinned where very large.
        split: rows of the stacked pools to fit, tune and test on.
        expression: [n] codes of the stacked pools.
        cautions: for the scores.
    """

    pools: tuple[PartArrays, ...]
    split: Split
    expression: Ints
    cautions: tuple[Caution, ...]

    def stacked(self, name: str) -> NDArray[np.float32]:
        """[n, d] embedding "E", "I" or a further one of the stacked pools."""
        return np.concatenate([part.spaces[name] for part in self.pools])

    @property
    def truth(self) -> Ints:
        """Codes of the tested rows."""
        return self.expression[self.split.test]

    @property
    def group(self) -> Ints | None:
        """Subjects of the tested rows, for intervals."""
        test = self.pools[-1]
        groups = test.groups
        return None if groups is None else groups[test.y >= 0]

    def scores(self, attacks: Mapping[str, Attack], *, seed: int) -> dict[str, Score]:
        """`attack_scores` of attackers of this problem, with its cautions."""
        scores = attack_scores(
            attacks,
            self.truth,
            groups=self.group,
            strata=label_strata(self.group, self.truth),
            chance=1 / len(self.pools[-1].classes),
            details=_sizes(self.split),
            seed=seed,
        )
        return {key: score.with_caution(*self.cautions) for key, score in scores.items()}


def expression_problem(run: RunArrays, *, seed: int = 0) -> ExpressionProblem | Caution:
    """Train, tune and test rows of a run's expression probes, or why there are none."""
    test, train, validation = run.test, run.parts.get("train"), run.parts.get("validation")
    if train is None or not (train.y >= 0).any() or not (test.y >= 0).any():
        return Caution("no-labels", of="expression", where="the train or test part")
    given = [train, *([validation] if validation is not None else []), test]
    thinned = [_thinned(part, seed) for part in given]
    pools = [part for part, _ in thinned]
    cautions = [caution for _, several in thinned for caution in several]
    y = np.concatenate([part.y for part in pools])
    return ExpressionProblem(tuple(pools), _expression_split(pools, seed), y, tuple(cautions))


def _thinned(part: PartArrays, seed: int) -> tuple[PartArrays, list[Caution]]:
    """A part of at most PROBE_ROWS random rows: more do not move a probe, and cost gigabytes."""
    rows, cautions = random_rows(
        np.arange(len(part)), PROBE_ROWS, seed=seed, of=f"{part.name} rows, for probes"
    )
    return (part.with_rows(rows), cautions) if cautions else (part, [])


def _expression_split(pools: Sequence[PartArrays], seed: int) -> Split:
    """Fit on train, tune on validation (or on a quarter of the train subjects), test on test."""
    starts = np.cumsum([0, *(len(part) for part in pools)])
    rows = [start + np.flatnonzero(p.y >= 0) for start, p in zip(starts, pools, strict=False)]
    if len(pools) == 3 and len(rows[1]):
        return Split(rows[0], rows[1], rows[-1])
    train = pools[0]
    rng = np.random.default_rng(seed)
    units = train.s if train.has_subjects else np.arange(len(train))
    names = rng.permutation(np.unique(units[rows[0]]))
    held = np.isin(units[rows[0]], names[: len(names) // 4])
    return Split(rows[0][~held], rows[0][held], rows[-1])
