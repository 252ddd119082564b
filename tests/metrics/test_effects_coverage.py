"""Differences of scores that are no means over people: does the jackknife over people cover?

`python tests/metrics/test_effects_coverage.py` prints the rows of a table of the docs as JSON.
"""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import binomtest

from fer_bench.attackers.closed_forms import Cosine
from fer_bench.attackers.comparisons import compared_pairs
from fer_bench.attackers.faces import Faces
from fer_bench.attackers.numbers import person_effects, verification_numbers
from fer_bench.metrics.classification import classification_scores
from fer_bench.metrics.verification import pair_cosines, verification_pairs, verification_scores
from fer_bench.statistics.crossed import RunScore, compare_crossed

FACES, CLASSES, SEEDS = 8, ("a", "b", "c", "d"), 2


def macro_f1(people, seen, who, own):
    return classification_scores(seen, own["y"], classes=CLASSES, groups=own["s"], draws=2)[
        "macro_f1"
    ]


def auc(people, seen, who, own):
    pairs = verification_pairs(own["s"], own["y"])
    return verification_scores(who, own["s"], own["y"], pairs=pairs, draws=2)["auc"]


def eer(people, seen, who, own):
    faces = Faces.of_people(who, own["s"], own["y"])
    compared = compared_pairs(Cosine().fit(faces, faces), faces)
    score = verification_numbers(compared, draws=2)["eer"]
    return replace(score, effects=person_effects(compared)["eer"])


def runs(people, rng):
    """(method, seed, what it sees of expressions, of people, labels): two equal methods."""
    own = {"s": np.repeat(np.arange(people), FACES), "y": np.tile(np.arange(FACES) % 4, people)}
    n = people * FACES
    easy = 0.7 * rng.normal(size=people)[own["s"]]
    face = rng.normal(size=(people, 6))[own["s"]]
    for method in ("a", "b"):
        suits = 0.7 * rng.normal(size=people)[own["s"]]
        for seed in range(SEEDS):
            skill = 1 + 0.1 * rng.normal() + easy + suits
            seen = skill[:, None] * np.eye(4)[own["y"]] + rng.normal(size=(n, 4))
            who = (0.8 + 0.1 * rng.normal() + 0.2 * suits)[:, None] * face
            yield method, seed, seen, who + rng.normal(size=(n, 6)), own


def sweep(score, people, rng):
    """Two equal methods with two seeds each, tested on the same people."""
    for method, seed, seen, who, own in runs(people, rng):
        told = score(people, seen, who, own)
        yield RunScore.of_effects(method, seed, 0, told.value, told.effects)


def coverage(score, people, *, sweeps, seed=0):
    """Share of 95 % intervals of the difference that hold its true value, 0."""
    rng = np.random.default_rng(seed)
    pairs = [compare_crossed(sweep(score, people, rng)).pairs[0] for _ in range(sweeps)]
    return np.mean([pair.difference.low <= 0 <= pair.difference.high for pair in pairs])


def drawn_auc(who, own, times):
    """AUC of "the same person?" where people stand in the test part `times` [draws, people]."""
    genuine, impostor = verification_pairs(own["s"], own["y"])
    g, m = pair_cosines(who, genuine), pair_cosines(who, impostor)
    order = np.argsort(m)
    first, second = own["s"][impostor.first][order], own["s"][impostor.second][order]
    below = np.searchsorted(m[order], g)
    out = []
    for weights in times:
        heavy = weights[own["s"][genuine.first]]
        sums = np.r_[0, np.cumsum(weights[first] * weights[second])]
        out.append(heavy @ sums[below] / heavy.sum() / sums[-1])
    return np.array(out)


def bootstrap_coverage(people, *, sweeps, seed=0, draws=200):
    """Coverage of a two-level bootstrap of the AUC's difference: people, then seeds."""
    rng = np.random.default_rng(seed)
    holds = []
    for _ in range(sweeps):
        times = rng.multinomial(people, np.full(people, 1 / people), size=draws)
        auc_of = {(m, k): drawn_auc(who, own, times) for m, k, _, who, own in runs(people, rng)}
        means = [
            np.mean([np.choose(pick, [auc_of[m, k] for k in range(SEEDS)]) for pick in picks], 0)
            for m, picks in zip("ab", rng.integers(SEEDS, size=(2, SEEDS, draws)), strict=True)
        ]
        low, high = np.quantile(means[0] - means[1], [0.025, 0.975])
        holds.append(low <= 0 <= high)
    return np.mean(holds)


def test_a_drawn_auc_is_that_of_the_people_drawn():
    *_, who, own = next(runs(6, np.random.default_rng(0)))
    times = np.array([[1, 1, 1, 1, 1, 1], [2, 0, 1, 1, 0, 2]])
    rows = np.flatnonzero(times[1][own["s"]])
    some = {key: value[rows] for key, value in own.items()}
    assert drawn_auc(who, own, times[:1]) == pytest.approx(auc(6, None, who, own).value)
    assert drawn_auc(who, own, times[1:] > 0) == pytest.approx(auc(4, None, who[rows], some).value)


@pytest.mark.parametrize("score", [macro_f1, auc, eer])
def test_jackknifed_differences_cover(score):
    assert coverage(score, 15, sweeps=60) >= 0.87  # of .95, three standard errors off


def row(score, people, *, sweeps=300):
    share = coverage(score, people, sweeps=sweeps)
    interval = binomtest(round(share * sweeps), sweeps).proportion_ci()
    name = {macro_f1: "macro F1", auc: "verification AUC", eer: "attackers' EER"}[score]
    told = {"score": name, "people": people, "coverage": (float(share), *interval)}
    return {**told, "sweeps": sweeps, "seed": 0}


if __name__ == "__main__":
    scores = (macro_f1, auc, eer)
    print(json.dumps([row(score, people) for score in scores for people in (8, 15, 30)]))
