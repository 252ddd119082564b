"""The people that leak most: chosen on one half of their faces, read on the other."""

from __future__ import annotations

import numpy as np

from fer_bench.attackers.attacker import Attacker
from fer_bench.attackers.comparisons import Comparisons, compared_pairs
from fer_bench.attackers.faces import Faces
from fer_bench.cautions import Caution
from fer_bench.metrics.common import Floats, Ints, undefined, with_interval
from fer_bench.score import Score

SHARE = 0.1
SPLITS = 20  # random halves of everybody's faces, averaged over
LEAST_PEOPLE = 20
PERMUTATIONS = 999


def worst_tenth(
    attacker: Attacker, faces: Faces, *, compared: Comparisons | None = None, seed: int = 0
) -> Score:
    """AUC of the tenth of the targets that leak most.

    An average hides a few who are recognised well. Whoever is looked for where it was measured
    is found by luck, however: so everybody's faces are halved at random, the tenth is chosen on
    pairs within one half, and read on pairs within the other, which share no face with those.

    Args:
        attacker: fitted.
        faces: of people it has not seen.
        compared: its comparisons, if they are there already.
        seed: of halves and permutations.

    Returns:
        Mean over the tenth of the share of impostor pairs that their own pairs beat; null = the
        same of a random tenth, with a one-sided p-value against random tenths (twice the median
        over the splits: Meinshausen, Meier and Buehlmann, JASA 2009); interval by bootstrap over
        the tenth. `details` hold deciles over people, nobody's own value.
    """
    compared = compared_pairs(attacker, faces) if compared is None else compared
    first, second = _half_means(compared, faces, np.random.default_rng(seed))
    usable = np.isfinite(first).all(axis=0) & np.isfinite(second).all(axis=0)
    people = int(usable.sum())
    if people < LEAST_PEOPLE:
        return undefined(Caution("few-for-worst", people=people, least=LEAST_PEOPLE))
    first, second = first[:, usable], second[:, usable]
    size = max(1, round(SHARE * people))
    chosen = np.argsort(-first, axis=1, kind="stable")[:, :size]
    values = np.take_along_axis(second, chosen, axis=1)
    value, level = float(values.mean()), second.mean(axis=0)
    rng = np.random.default_rng([seed, 1])
    picks = np.argsort(rng.random((PERMUTATIONS, people)), axis=1)[:, :size]  # random tenths
    null = second[:, picks].mean(axis=2)
    each = (1 + (null >= values.mean(axis=1, keepdims=True)).sum(axis=1)) / (1 + PERMUTATIONS)
    # Splits of the same faces depend on each other: twice the median of their p-values holds.
    p = min(1.0, 2 * float(np.median(each)))
    score = Score(
        value, null=float(null.mean()), p=p, n=people, unit="fraction",
        details={
            "people": people,
            "chosen": size,
            "deciles": np.quantile(level, np.linspace(0, 1, 11)).tolist(),
        },
    )  # fmt: skip
    spread = rng.choice(values.mean(axis=0), size=(PERMUTATIONS, size)).mean(axis=1)
    return with_interval(score, spread, clusters=size)


def _half_means(
    compared: Comparisons, faces: Faces, rng: np.random.Generator
) -> tuple[Floats, Floats]:
    """[splits, targets] mean standing of each target's pairs within either half of its faces."""
    genuine, _ = faces.pairs
    standing = _without_expressions(compared.standing(compared.genuine.scores), faces)
    names, target = np.unique(faces.target, return_inverse=True)
    owner = target[genuine.first]
    halves: tuple[list[Floats], list[Floats]] = ([], [])
    for _ in range(SPLITS):
        half = _balanced_halves(target, rng)
        for side, means in enumerate(halves):
            both = (half[genuine.first] == side) & (half[genuine.second] == side)
            count = np.bincount(owner[both], minlength=len(names))
            total = np.bincount(owner[both], standing[both], minlength=len(names))
            with np.errstate(invalid="ignore"):
                means.append(np.where(count > 0, total / count, np.nan))
    return np.stack(halves[0]), np.stack(halves[1])


def _without_expressions(standing: Floats, faces: Faces) -> Floats:
    """Standings less what the two expressions of a pair make of them.

    The halves of a person hold different expressions: where one half has the pairs that score
    high, the other has not, and whoever was chosen by the first would read low on the second.
    """
    genuine, _ = faces.pairs
    both = np.sort(np.stack([faces.apart[genuine.first], faces.apart[genuine.second]], 1), axis=1)
    cell = np.unique(both, axis=0, return_inverse=True)[1].ravel()
    mean = np.bincount(cell, standing) / np.bincount(cell)
    return standing - mean[cell] + standing.mean()


def _balanced_halves(target: Ints, rng: np.random.Generator) -> Ints:
    """0 or 1 for each face, equally often within a target."""
    order = np.lexsort((rng.random(len(target)), target))
    out = np.empty(len(target), dtype=np.int64)
    out[order] = np.arange(len(target)) % 2
    return out
