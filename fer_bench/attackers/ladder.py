"""The ladder: attackers of rising effort; the one that counts is chosen before the test people.

Steps 0 to 2 are closed forms: the ignorant cosine, whitening with LDA, and PLDA. Step 3 is a
trained metric network. All are fitted on the training people and tuned on the validation people.
The attacker that counts is the best one on the validation people; the ladder contains the ignorant
one, so that on those people the choice is never a step down.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from fer_bench.attackers.alarms import fitting_alarms, people_alarms, reading_alarms
from fer_bench.attackers.attacker import Attacker
from fer_bench.attackers.closed_forms import PLDA, Cosine, WhitenedLDA
from fer_bench.attackers.columns import columns_of
from fer_bench.attackers.comparisons import (
    Comparisons,
    compared_and_permuted,
    compared_pairs,
    searched,
)
from fer_bench.attackers.faces import Faces
from fer_bench.attackers.network import MetricNetwork
from fer_bench.attackers.numbers import search_numbers, verification_numbers
from fer_bench.attackers.worst import worst_tenth
from fer_bench.cautions import Caution
from fer_bench.score import Score

ENROLLED = (1, 3, 5)
PERMUTATIONS = 199


def closed_forms() -> tuple[Attacker, ...]:
    """The default attackers: ignorant cosine, LDA, PLDA."""
    return Cosine(), WhitenedLDA(), PLDA()


def all_attackers() -> tuple[Attacker, ...]:
    """The default ones and the trained one."""
    return (*closed_forms(), MetricNetwork())


def strongest(
    train: Faces, validation: Faces, attackers: Sequence[Attacker] | None = None
) -> Attacker:
    """The fitted attacker that is best on the validation people, without its numbers (`climb`)."""
    fitted = [attacker.fit(train, validation) for attacker in attackers or closed_forms()]
    return max(fitted, key=lambda each: (compared_pairs(each, validation).auc, -each.step))


@dataclass(frozen=True)
class Rung:
    """One fitted attacker.

    Attributes:
        attacker: fitted on the training people.
        training, validation: its AUC on those people.
        compared: its comparisons of the test people.
        scores: of `verification_numbers` on the test people.
        cautions: alarms about it.
    """

    attacker: Attacker
    training: float
    validation: float
    compared: Comparisons
    scores: Mapping[str, Score]
    cautions: tuple[Caution, ...]


@dataclass(frozen=True)
class Ladder:
    """All attackers on the same people.

    Attributes:
        rungs: by name, from the ignorant one up.
        chosen: the name of the best one on the validation people.
        train, validation, test: the faces, at most a few per person.
        cautions: alarms about the evaluation as a whole.
    """

    rungs: Mapping[str, Rung]
    chosen: str
    train: Faces
    validation: Faces
    test: Faces
    cautions: tuple[Caution, ...]

    @property
    def best(self) -> Rung:
        """The attacker that counts."""
        return self.rungs[self.chosen]


def climb(
    train: Faces,
    validation: Faces | None,
    test: Faces,
    *,
    attackers: Sequence[Attacker] | None = None,
    permutations: int = PERMUTATIONS,
    draws: int = 300,
    seed: int = 0,
) -> Ladder:
    """Fit attackers, choose on the validation people, read on the test people.

    Args:
        train: faces of the people that attackers are fitted on; everybody counts alike.
        validation: faces of others; None takes a quarter of the training people.
        test: faces of people that neither the method nor an attacker has seen.
        attackers: `closed_forms()` by default.
        permutations: how often the people are dealt anew within each expression, for the null.
        draws: bootstrap resamples over people.
        seed: of all of it.

    Example:
        >>> rng = np.random.default_rng(0)
        >>> def some(people, first):
        ...     s, y = np.repeat(np.arange(people), 8), np.tile(np.arange(8) % 4, people)
        ...     leak = rng.normal(size=(people, 6))[s]
        ...     return Faces.of_people(leak + rng.normal(size=(len(s), 6)), s + first, y)
        >>> ladder = climb(some(40, 0), some(20, 40), some(30, 60), permutations=19, draws=50)
        >>> ladder.best.scores["auc"].value > 0.7
        True
    """
    train, test = train.at_most(seed=seed), test.at_most(seed=seed)
    if validation is None or validation.n_people < 2:
        train, validation = train.halves(seed=seed)
    validation = validation.at_most(seed=seed)
    fitted = [attacker.fit(train, validation) for attacker in attackers or closed_forms()]
    rungs: dict[str, Rung] = {}
    for attacker in fitted:
        compared, drawn = compared_and_permuted(attacker, test, draws=permutations, seed=seed)
        permuted = np.stack(list(drawn)) if permutations else None
        scores = verification_numbers(compared, permuted=permuted, draws=draws, seed=seed)
        training, tuned = (compared_pairs(attacker, part).auc for part in (train, validation))
        first = next(iter(rungs.values()), None)
        cautions = fitting_alarms(attacker, training, first.training) if first else ()
        rungs[attacker.name] = Rung(attacker, training, tuned, compared, scores, cautions)
    chosen = max(rungs.values(), key=lambda rung: (rung.validation, -rung.attacker.step))
    ignorant = rungs[fitted[0].name]
    alarms = (
        *reading_alarms(train, validation, test, chosen.validation, chosen.scores),
        *people_alarms(ignorant.training, ignorant.validation),
        *columns_of(train).cautions,
    )
    return Ladder(rungs, chosen.attacker.name, train, validation, test, alarms)


def template_numbers(ladder: Ladder, *, draws: int = 300, seed: int = 0) -> dict[str, Score]:
    """Numbers of the chosen attacker with m enrolled faces, m in 1, 3, 5: "mean3.auc", ...

    "mean" compares with one template of the m faces, "best" takes the best of m comparisons.
    Numbers of m that too few people have faces for are missing.
    """
    out: dict[str, Score] = {}
    for faces in ENROLLED:
        for kind in ("mean", "best") if faces > 1 else ("mean",):
            searches = searched(
                ladder.best.attacker, ladder.test, enrolled=faces, templates=kind, seed=seed
            )
            if searches is None:
                continue
            scores = search_numbers(searches, draws=draws, seed=seed)
            scores |= verification_numbers(searches.comparisons, draws=draws, seed=seed)
            out |= {f"{kind}{faces}.{key}": score for key, score in scores.items()}
    return out


def worst_people(ladder: Ladder, *, seed: int = 0) -> Score:
    """The worst tenth of the people for the chosen attacker (`worst_tenth`)."""
    return worst_tenth(ladder.best.attacker, ladder.test, compared=ladder.best.compared, seed=seed)
