"""What attackers cost, and what they find: planted leaks, clean codes, sabotage.

Run with `pytest tests/benchmarks/test_attackers_speed.py --benchmark-only -o addopts=
--import-mode=importlib`. Found shares stand in `extra_info`; `FER_BENCH_SHARE=0.1` runs a tenth of
the draws.
"""

import os
import time
from functools import cache

import numpy as np
import pandas as pd
import pytest
from scipy.special import ndtr, ndtri
from scipy.stats import beta

from fer_bench.arrays import PartArrays, RunArrays
from fer_bench.attackers.closed_forms import Cosine
from fer_bench.attackers.erase import ERASERS
from fer_bench.attackers.faces import Faces
from fer_bench.attackers.ladder import climb, closed_forms
from fer_bench.attackers.power import KINDS, find_power, leak_p_value, plant
from fer_bench.metrics.metric import load_metrics, score_run

SHARE = float(os.environ.get("FER_BENCH_SHARE", "1"))
CLASSES = ("neutral", "happiness", "sadness", "surprise", "fear", "disgust", "anger")
PEOPLE = (120, 40, 60)


def world(people, *, seed, d=64, images=14, leak=0.0):
    """Faces of expressions and mixed noise; `leak` of four shared directions tell the person."""
    rng, fixed = np.random.default_rng(seed), np.random.default_rng(99)
    axes, code_axes = fixed.normal(size=(7, d)), fixed.normal(size=(4, d))
    mix = fixed.normal(size=(d, d)) / np.sqrt(d)
    s, y = np.repeat(np.arange(people), images), np.tile(np.arange(images) % 7, people)
    code = leak * rng.normal(size=(people, 4)) @ code_axes / 2
    x = 2 * axes[y] + (code[s] + rng.normal(size=(len(s), d))) @ mix
    return Faces.of_people(x, s, y).at_most(10)


def worlds(seed=0, **others):
    return tuple(world(n, seed=10 * seed + k, **others) for k, n in enumerate(PEOPLE))


def part(name, people, first):
    rng = np.random.default_rng(first)
    s, y = np.repeat(np.arange(people), 25), np.tile(np.arange(25) % 7, people)
    x = rng.normal(size=(len(s), 64)) + 2 * np.random.default_rng(99).normal(size=(7, 64))[y]
    x += 0.3 * np.random.default_rng(98).normal(size=(600, 64))[first + s]
    labels = pd.DataFrame(
        {
            "expression": np.array(CLASSES)[y],
            "subject": [f"s{first + k:03d}" for k in s],
            "sequence": pd.Series([None] * len(s), dtype="object"),
            "row": np.arange(len(s)) + 25 * first,
        }
    )
    arrays = [x.astype(np.float32), x[:, ::-1].astype(np.float32)]
    return PartArrays(name, *arrays, None, None, labels, CLASSES)


def small_copies():
    """Of all 440 people, 48 pixels."""
    return np.random.default_rng(0).integers(0, 255, (440 * 25, 48, 48, 3), dtype=np.uint8)


@pytest.mark.timeout(3600)
@pytest.mark.parametrize("metric", ["attackers", "attackers-all", "photo-link", "frontier"])
def test_attackers_of_a_run(benchmark, metric, tmp_path, monkeypatch):
    """5,000 test faces, 64-d, 200 + 200 people: 15 CPU-seconds at most, all together 120."""
    monkeypatch.setenv("FER_BENCH_CACHE", str(tmp_path))
    parts = {
        "train": part("train", 200, 0),
        "validation": part("validation", 40, 200),
        "test": part("test", 200, 240),
    }
    run = RunArrays(parts=parts, classes=CLASSES, read_faces=small_copies)
    started = time.process_time()
    outcome = benchmark.pedantic(score_run, args=(run, load_metrics([metric])), rounds=1)[metric]
    benchmark.extra_info["CPU-seconds"] = round(time.process_time() - started, 1)
    assert outcome.failed is None


def counted(benchmark, hits):
    """The share and its 95 % interval (Clopper and Pearson 1934), beside the seconds of each."""
    n, k = len(hits), int(np.sum(hits))
    low = beta.ppf(0.025, k, n - k + 1) if k else 0.0
    high = beta.ppf(0.975, k + 1, n - k) if k < n else 1.0
    benchmark.extra_info |= {"draws": n, "share": [k / n, low, high]}
    return k / n


@cache
def stated(kind):
    """How small a leak of this kind an evaluation in 512 dimensions says that it finds."""
    return find_power(worlds(d=512), kind, closed_forms(), draws=12)


@pytest.mark.timeout(3600)
@pytest.mark.parametrize("kind", KINDS)
def test_stated_strength(benchmark, kind):
    """The EER, to who knows the plant, of the weakest leak found in nine of ten; 512-d."""
    power = benchmark.pedantic(stated, args=(kind,), rounds=1)
    found = [power.threshold, power.low, power.high]
    benchmark.extra_info |= {"leaks found from EER": found, "draws": len(power.planted)}


@pytest.mark.timeout(14_400)
def test_planted_leaks_are_found(benchmark):
    """100 leaks at and above twice the strength that the evaluation says it finds; 512-d."""
    clean = worlds(d=512)
    # Twice Phi^-1(1 - EER).
    doubled = {kind: float(ndtr(2 * ndtri(stated(kind).threshold))) for kind in KINDS}

    def find():
        return [
            leak_p_value(
                plant(clean, kind, doubled[kind] * (1 - 0.1 * (draw % 3)), seed=500 + draw),
                closed_forms(),
                seed=draw,
            )
            <= 0.01
            for draw in range(max(4, round(100 * SHARE)))
            for kind in (KINDS[draw % len(KINDS)],)
        ]

    hits = benchmark.pedantic(find, rounds=1)
    assert counted(benchmark, hits) >= 0.95


@pytest.mark.timeout(14_400)
def test_clean_codes_are_not(benchmark):
    """300 without a leak, 512-d: 1 % nominal."""
    clean = worlds(d=512)

    def find():
        return [
            leak_p_value(plant(clean, "spread", 0.5, seed=draw), closed_forms(), seed=draw) <= 0.01
            for draw in range(max(8, round(300 * SHARE)))
        ]

    hits = benchmark.pedantic(find, rounds=1)
    assert counted(benchmark, hits) <= 0.03


class Untrained(Cosine):
    """Compares noise."""

    def __init__(self):
        super().__init__("untrained", 1, 4)

    def fit(self, train, validation):
        return self

    def embed(self, x):
        return super().embed(np.random.default_rng(len(x)).normal(size=(len(x), 4)))


def shuffled(faces, seed):
    rows = np.random.default_rng(seed).permutation(len(faces))
    return Faces(faces.x[rows], faces.target, faces.apart, faces.people)


def sabotaged(kind, seed):
    """(parts, attackers) of an evaluation that cannot be trusted."""
    train, validation, test = worlds(seed, leak=0.9, d=32)
    attackers = closed_forms()
    if kind == "untrained":
        attackers = (Cosine(), Untrained())
    elif kind == "wrong people":
        train = shuffled(train, seed)
    elif kind == "wrong run":
        turn = np.linalg.qr(np.random.default_rng(seed).normal(size=(32, 32)))[0]
        test = test.with_x(test.x @ turn)
    elif kind == "shuffled enrolment":
        test = shuffled(test, seed)
    elif kind == "ten pairs":
        test = test.of([0, 1]).rows(np.arange(10))
    return (train, validation, test), attackers


KINDS_OF_SABOTAGE = ("untrained", "wrong people", "wrong run", "shuffled enrolment", "ten pairs")


@pytest.mark.timeout(3600)
def test_sabotage_is_flagged_and_sound_attackers_are_not(benchmark):
    """20 sabotaged evaluations, 20 sound ones."""

    def flagged(parts, attackers):
        ladder = climb(*parts, attackers=attackers, permutations=19, draws=20)
        return bool(ladder.cautions or [c for r in ladder.rungs.values() for c in r.cautions])

    def both():
        broken = [flagged(*sabotaged(kind, k)) for kind in KINDS_OF_SABOTAGE for k in range(4)]
        sound = [
            flagged(worlds(k, leak=leak, d=32), closed_forms())
            for leak in (0.0, 0.3, 0.6, 0.9)
            for k in range(5)
        ]
        return broken, sound

    broken, sound = benchmark.pedantic(both, rounds=1)
    benchmark.extra_info |= {"sabotaged flagged": sum(broken), "sound flagged": sum(sound)}
    assert sum(broken) == 20
    assert sum(sound) == 0


@pytest.mark.parametrize("name", sorted(ERASERS))
def test_erasers(benchmark, name):
    benchmark.group = "fit and transform, 2,000 rows, 64-d, 200 people"
    faces = world(200, seed=0, leak=1.0)
    eraser = ERASERS[name](8)
    erased = benchmark(lambda: eraser.fit(faces.x, faces.target).transform(faces.x))
    assert erased.shape == faces.x.shape
