"""The protocol, tried on runs whose answer is known: what `fer-bench check-protocol` does.

Runs are made of arrays with planted structure (no images, no training), so that a failure is a
failure of the measurement.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fer_bench.arrays import PartArrays, RunArrays
from fer_bench.cautions import has
from fer_bench.metrics.leakage import leakage
from fer_bench.metrics.mi import mi
from fer_bench.metrics.modified_mig import modified_mig
from fer_bench.score import Score

CLASSES = ("neutral", "happiness", "sadness", "surprise", "fear", "disgust", "anger")
STRENGTHS = (0.0, 0.25, 0.5, 0.75, 1.0)
Oracle = Literal["label", "subject", "both", "collapsed", "random"]


@dataclass(frozen=True)
class Check:
    """One sentence about the protocol that must be true, and what was measured."""

    name: str
    passed: bool
    measured: str

    def __str__(self) -> str:
        return f"{'ok  ' if self.passed else 'FAIL'}  {self.name}: {self.measured}"


def planted_run(
    *,
    leak: float = 0.0,
    oracle: Oracle | None = None,
    subjects: int = 14,
    train: int = 6,
    validation: int = 4,
    images: int = 21,
    dims: int = 16,
    random_labels: bool = False,
    seed: int = 0,
) -> RunArrays:
    """A run whose E holds the expression and, with strength `leak`, the subject.

    Args:
        leak: 0 plants nothing of the subject in E, 1 as much as of the expression.
        oracle: replaces E and I by what the oracle of that name gives.
        subjects: of the test part.
        train, validation: how many others those parts have.
        images: of each subject, spread over seven expressions.
        dims: of E and I.
        random_labels: deal the expression labels anew.
        seed: of noise, directions and labels.
    """
    rng = np.random.default_rng(seed)
    people = subjects + train + validation
    y_axes, s_axes = rng.normal(size=(7, dims)), rng.normal(size=(people, dims))
    parts = {}
    first = 0
    for name, count in (("test", subjects), ("train", train), ("validation", validation)):
        s = np.repeat(np.arange(first, first + count), images)
        y = np.tile(np.arange(images) % 7, count)
        n = len(s)
        e = 2 * y_axes[y] + 2 * leak * s_axes[s] + rng.normal(size=(n, dims))
        i = 2 * s_axes[s] + rng.normal(size=(n, dims))
        if oracle is not None:
            e = i = _oracle(oracle, np.eye(7)[y], np.eye(people)[s], rng)
        labelled = rng.permutation(y) if random_labels else y
        parts[name] = PartArrays(
            name=name,
            expression=e.astype(np.float32),
            identity=i.astype(np.float32),
            logits=(10 * np.eye(7)[y]).astype(np.float32),
            valence_arousal=None,
            labels=pd.DataFrame(
                {
                    "expression": np.array(CLASSES)[labelled],
                    "subject": [f"s{k:03d}" for k in s],
                    "sequence": pd.Series([None] * n, dtype="object"),
                }
            ),
            classes=CLASSES,
        )
        first += count
    return RunArrays(parts=parts, classes=CLASSES, method=oracle or f"planted {leak:g}")


def _oracle(
    kind: Oracle, y: NDArray[np.float64], s: NDArray[np.float64], rng: np.random.Generator
) -> NDArray[np.float64]:
    if kind == "label":
        return y
    if kind == "subject":
        return s
    if kind == "both":
        return np.hstack([y, s])
    if kind == "collapsed":
        return np.ones((len(y), 8))
    return rng.normal(size=(len(y), 16))


def check_protocol(*, seed: int = 0) -> Iterator[Check]:
    """Yield the checks of the sanity suite, one after the other.

    Oracles at their places, random features and random labels at chance, planted leakage in
    order, permutation nulls at chance, and the closed form of the modified MIG.
    """
    yield from _oracles(seed)
    yield from _empty(seed)
    yield from _planted(seed)
    yield from _closed_form(seed)


def _oracles(seed: int) -> Iterator[Check]:
    run = planted_run(oracle="label", seed=seed)
    scores = leakage(run, seed=seed)
    leak, floor = scores["E.identity.strongest"], scores["E.identity.floor"]
    yield Check(
        "the label oracle leaks what labels leak",
        leak.value == floor.value and scores["E.identity.auc"].value == 0.5,
        f"leak {leak}, floor {floor}, AUC {scores['E.identity.auc']}",
    )
    best = scores["E.expression.strongest"]
    yield Check("the label oracle tells every expression", best.value == 1.0, f"{best}")
    bits = mi(run, seed=seed)["E.expression"]
    yield Check(
        "the label oracle carries H(Y) and no more",
        bits.details["uncertainty"] > 0.95 and not has(bits.cautions, "above-entropy"),
        f"{bits} of {bits.details['entropy']:.3f} nats",
    )
    scores = leakage(planted_run(oracle="subject", seed=seed), seed=seed)
    leak, told = scores["E.identity.strongest"], scores["E.expression.strongest"]
    yield Check("the subject oracle leaks all", leak.value == 1.0, f"leak {leak}")
    yield Check(
        "the subject oracle tells no expression", _p(told) > 0.01, f"{told}, p = {_p(told):.3f}"
    )
    scores = leakage(planted_run(oracle="both", seed=seed), seed=seed)
    leak, told = scores["E.identity.strongest"], scores["E.expression.strongest"]
    yield Check(
        "the oracle of both tells both",
        leak.value == told.value == 1.0,
        f"identity {leak}, expression {told}",
    )
    run = planted_run(oracle="collapsed", seed=seed)
    leak, bits = leakage(run, seed=seed)["E.identity.strongest"], mi(run, seed=seed)["E.identity"]
    yield Check(
        "a collapsed embedding is at chance, carries nothing and is called collapsed",
        abs(leak.value - leak.details["chance"]) < 0.05
        and abs(bits.value) < 0.02
        and has(bits.cautions, "collapsed"),
        f"leak {leak}, MI {bits}, {'; '.join(map(str, bits.cautions))}",
    )


def _empty(seed: int) -> Iterator[Check]:
    run = planted_run(oracle="random", seed=seed)
    scores = leakage(run, seed=seed)
    leak = scores["E.identity.strongest"]
    yield Check("random features leak nothing", _p(leak) > 0.01, f"{leak}, p = {_p(leak):.3f}")
    control = scores["E.identity.linear"]
    expected = control.details["chance"]
    yield Check(
        "permutation null and control task are at chance",
        abs((control.null or 0) - expected) < 0.03
        and abs(control.details["control"] - expected) < 0.06,
        f"null {control.null:.3f}, control {control.details['control']:.3f}, chance {expected:.3f}",
    )
    bits = mi(run, seed=seed)["E.identity"]
    yield Check("random features carry no nats", bits.value < 0.05, f"{bits}")
    told = leakage(planted_run(random_labels=True, seed=seed), seed=seed)["E.expression.strongest"]
    yield Check("random labels cannot be told", _p(told) > 0.01, f"{told}, p = {_p(told):.3f}")


def _planted(seed: int) -> Iterator[Check]:
    curves = planted_curve(seed=seed)
    leaks = [scores["E.identity.excess"].value for scores in curves.values()]
    curve = ", ".join(f"{k:g}: {v:.2f}" for k, v in zip(curves, leaks, strict=True))
    rising = all(b >= a - 0.03 for a, b in pairwise(leaks))
    yield Check(
        "planted leakage is found in order",
        rising and leaks[-1] > leaks[0] + 0.5,
        f"above the floor {curve}",
    )
    yield Check(
        "nothing planted, nothing found",
        _p(curves[0.0]["E.identity.strongest"]) > 0.01,
        f"{curves[0.0]['E.identity.strongest']}",
    )
    worst = max(curves, key=lambda k: curves[k]["E.identity.auc_centred"].value)
    yield Check("what leaks most ranks worst", worst == STRENGTHS[-1], f"strength {worst:g}")


def planted_curve(
    strengths: tuple[float, ...] = STRENGTHS, *, seed: int = 0
) -> dict[float, Mapping[str, Score]]:
    """Leakage scores of planted runs, by strength."""
    return {k: leakage(planted_run(leak=k, seed=seed), seed=seed) for k in strengths}


def _closed_form(seed: int) -> Iterator[Check]:
    rng = np.random.default_rng(seed)
    m = rng.normal(size=(20_000, 8))

    def partner(rho: float) -> NDArray[np.float64]:
        return rho * m + np.sqrt(1 - rho**2) * rng.normal(size=m.shape)

    scores = modified_mig(m, partner(0.9), partner(0.3), estimator="gaussian", seed=seed)
    gap = scores["mig"]
    yield Check(
        "the modified MIG of Gaussians is 6.266 nats", abs(gap.value - 6.265682) < 0.15, f"{gap}"
    )
    swapped = modified_mig(m, partner(0.3), partner(0.9), estimator="gaussian", seed=seed)
    yield Check(
        "leaked more than shared is negative",
        swapped["mig"].value < 0 and swapped["normalised"].value < 0,
        f"{swapped['mig']}, normalised {swapped['normalised']}",
    )


def _p(score: Score) -> float:
    return 1.0 if score.p is None else score.p
