"""Signs that an evaluation could not have seen a leak, or sees one where there is none."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from fer_bench.attackers.attacker import Attacker
from fer_bench.attackers.faces import Faces
from fer_bench.cautions import Caution
from fer_bench.metrics.common import Floats
from fer_bench.score import Score

LEAST_PEOPLE = 20
LEAST_PAIRS = 100
ALIKE = 0.3  # by how much training and test E may be less alike than two halves of training E
OFFSET = 0.03  # of the AUC of permuted people from .5
FLAT = 0.2  # share of the second moments that tells directions apart; below it is noise
EVERYBODY, TIED = 0.99, 1e-6  # an AUC that cannot be beaten, and its distance from .5 where all tie
GAP = 0.1  # of the AUC between validation and test people


def fitting_alarms(attacker: Attacker, training: float, ignorant: float) -> tuple[Caution, ...]:
    """An attacker that is not above the ignorant one even on its own training people.

    Where it reads nearly everybody, or all faces of an expression are one point, there is no more
    to learn.
    """
    learnt = training > min(ignorant, EVERYBODY)
    if attacker.step == 0 or learnt or abs(ignorant - 0.5) < TIED:
        return ()
    return (
        Caution("attacker-not-fitted", attacker=attacker.name, auc=training, ignorant=ignorant),
    )


def reading_alarms(
    train: Faces, validation: Faces, test: Faces, tuned: float, scores: Mapping[str, Score]
) -> tuple[Caution, ...]:
    """What makes the numbers of the test people doubtful.

    Args:
        train, validation, test: the faces.
        tuned: AUC of the chosen attacker on the validation people.
        scores: its numbers on the test people.
    """
    out = []
    for name, faces in (("training", train), ("validation", validation), ("test", test)):
        pairs = len(faces.pairs[0])
        few = faces.n_people < LEAST_PEOPLE and name != "validation"
        if few or pairs < LEAST_PAIRS:
            out.append(Caution("few-attacked", part=name, people=faces.n_people, pairs=pairs))
    within, across = likeness(train, test)
    if within - across > ALIKE:
        out.append(Caution("foreign-embedding", within=within, across=across))
    auc = scores["auc"]
    if auc.null is not None and abs(auc.null - 0.5) > OFFSET:
        out.append(Caution("permuted-above-chance", auc=auc.null))
    if np.isfinite(auc.value) and tuned - auc.value > GAP and (auc.low or 0) <= 0.5 + OFFSET:
        out.append(Caution("validation-not-repeated", validation=tuned, test=auc.value))
    return tuple(out)


def people_alarms(training: float, validation: float) -> tuple[Caution, ...]:
    """Training people at chance for the ignorant attacker, validation people far from it.

    It was fitted on neither: the subjects of the training part are probably wrong, and attackers
    learnt from them.
    """
    if abs(training - 0.5) > OFFSET or validation < 0.5 + 2 * OFFSET:
        return ()
    return (Caution("training-people-at-chance", training=training, validation=validation),)


def likeness(train: Faces, test: Faces) -> tuple[float, float]:
    """Correlation of second moments: of two halves of the training people, and of train and test.

    Embeddings of one encoder share their covariance, on whatever people; those of another run
    point elsewhere. Moments without a direction are alike.
    """
    if train.x.shape[1] != test.x.shape[1]:
        return 1.0, 0.0
    first, second = train.halves(0.5)
    return _moment_cosine(first, second), _moment_cosine(train, test)


def _moment_cosine(a: Faces, b: Faces) -> float:
    """Cosine between the uncentred second moments, without their mean eigenvalue."""
    (p, first), (q, second) = (_deviation(faces) for faces in (a, b))
    if max(first, second) < FLAT:
        return 1.0
    length = np.linalg.norm(p) * np.linalg.norm(q)
    return float(np.sum(p * q) / length) if length > 0 else 1.0


def _deviation(faces: Faces) -> tuple[Floats, float]:
    """Second moments less their mean eigenvalue, and the share of them that this is.

    Every expression counts alike: test people may show others more often.
    """
    _, code, count = np.unique(faces.apart, return_inverse=True, return_counts=True)
    x = faces.x / np.sqrt(len(count) * count[code.ravel()])[:, None]
    moment = x.T @ x
    out = moment - np.trace(moment) / len(moment) * np.eye(len(moment))
    return out, float(np.linalg.norm(out) / (np.linalg.norm(moment) or 1.0))
