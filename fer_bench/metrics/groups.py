"""Groups of people: who is recognised worse? And other data: what is left without adaptation?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import log_softmax

from fer_bench.arrays import Part, RunArrays
from fer_bench.metrics.classification import classification_scores
from fer_bench.metrics.common import Floats, ratio_scores, undefined, with_interval
from fer_bench.metrics.metric import metric
from fer_bench.score import Score
from fer_bench.statistics.bootstrap import bootstrap_draws, cluster_sums
from fer_bench.statistics.permutation import null_of

SMALL = 10  # subjects (images where subjects are unknown) below which a group is not compared
PERMUTATIONS = 999


def group_scores(
    correct: ArrayLike,
    group: ArrayLike,
    *,
    names: Sequence[str],
    subjects: ArrayLike | None = None,
    seed: int = 0,
) -> dict[str, Score]:
    """Accuracy of each group, the worst one, and the gap with a permutation test.

    Args:
        correct: [n] whether each image was recognised.
        group: [n] codes into names, -1 where unknown (left out).
        names: of the groups.
        subjects: [n] codes; groups are compared by subjects, where a subject lies in one group.
        seed: of bootstrap and permutations.

    Returns:
        "<name>" for each group; "worst" and "gap" (largest - smallest accuracy) over groups of
        at least ten images. The gap's null and p come from permuting the group among subjects:
        the gap of several equal groups is above 0 by itself.
    """
    right, code = np.asarray(correct, dtype=np.float64), np.asarray(group, dtype=np.int64)
    known = code >= 0
    right, code = right[known], code[known]
    who = np.arange(len(code)) if subjects is None else np.asarray(subjects)[known]
    out: dict[str, Score] = {}
    compared = []
    for index, name in enumerate(names):
        rows = code == index
        n = int(rows.sum())
        if not n:
            out[name] = undefined("no image of this group", unit="fraction")
            continue
        score = ratio_scores(
            np.c_[right[rows], np.ones(n)],
            who[rows],
            {"accuracy": lambda t: t[:, 0] / t[:, 1]},
            n=n,
            seed=seed,
        )["accuracy"]
        if n < SMALL:
            score = score.with_caution(f"n = {n} < {SMALL}: shown, not compared")
        else:
            compared.append(index)
        out[name] = score
    if len(compared) < 2:
        reason = f"fewer than two groups of {SMALL} images"
        return {
            **out,
            "worst": undefined(reason, unit="fraction"),
            "gap": undefined(reason, unit="fraction"),
        }

    kept = np.isin(code, compared)
    right, code, who = right[kept], np.searchsorted(compared, code[kept]), who[kept]
    k = len(compared)
    table = np.zeros((len(code), 2 * k))
    table[np.arange(len(code)), code] = right
    table[np.arange(len(code)), k + code] = 1
    sums = cluster_sums(table, who)

    def rates(totals: Floats) -> Floats:
        with np.errstate(invalid="ignore", divide="ignore"):
            return totals[:, :k] / totals[:, k:]

    def gap(totals: Floats) -> Floats:
        r = rates(totals)
        return r.max(axis=1) - r.min(axis=1)

    total = sums.sum(axis=0, keepdims=True)
    accuracy = rates(total)[0]
    observed = float(gap(total)[0])
    null = null_of(observed, _permuted_gaps(right, code, who, k, seed))
    n = len(code)
    details = {
        "groups": {names[c]: float(a) for c, a in zip(compared, accuracy, strict=True)},
        "null_interval": [null.low, null.high],
    }
    worst = Score(
        float(accuracy.min()),
        n=n,
        unit="fraction",
        details={**details, "group": names[compared[int(accuracy.argmin())]]},
    )
    difference = Score(observed, null=null.mean, p=null.p, n=n, unit="fraction", details=details)
    clusters = len(sums)
    draws = bootstrap_draws(sums, lambda t: np.c_[rates(t).min(axis=1), gap(t)], seed=seed)
    out["worst"] = with_interval(worst, draws[:, 0], clusters=clusters)
    out["gap"] = with_interval(difference, draws[:, 1], clusters=clusters)
    return out


def worst_cell_score(
    correct: ArrayLike,
    group: ArrayLike,
    expression: ArrayLike,
    *,
    names: Sequence[str],
    classes: Sequence[str],
    subjects: ArrayLike | None = None,
    seed: int = 0,
) -> Score:
    """Accuracy of the worst (group x expression), over cells of at least ten images.

    The measure of Sagawa et al. (ICLR 2020): who took a shortcut fails where it misleads, which
    the mean over groups hides. The minimum of several cells is below their common accuracy by
    itself; `details["cells"]` has them all.

    Args:
        correct: [n] whether each image was recognised.
        group, expression: [n] codes into names and classes, -1 where unknown (left out).
        subjects: [n] codes, whom the interval counts.
        seed: of the bootstrap.

    >>> cell = [0] * 10 + [1] * 10
    >>> worst_cell_score([1] * 15 + [0] * 5, cell, [0] * 20, names="ab", classes=["x"]).value
    0.5
    """
    right = np.asarray(correct, dtype=np.float64)
    g, y = np.asarray(group, dtype=np.int64), np.asarray(expression, dtype=np.int64)
    known = np.flatnonzero((g >= 0) & (y >= 0))
    cell = g[known] * len(classes) + y[known]
    count = np.bincount(cell, minlength=len(names) * len(classes))
    kept = np.flatnonzero(count >= SMALL)
    if len(kept) < 2:
        return undefined(f"fewer than two cells of {SMALL} images", unit="fraction")
    rows = np.isin(cell, kept)
    at, k = np.searchsorted(kept, cell[rows]), len(kept)
    table = np.zeros((len(at), 2 * k))
    table[np.arange(len(at)), at] = right[known][rows]
    table[np.arange(len(at)), k + at] = 1
    sums = cluster_sums(table, None if subjects is None else np.asarray(subjects)[known][rows])

    def worst(totals: Floats) -> Floats:
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.nanmin(totals[:, :k] / totals[:, k:], axis=1)

    total = sums.sum(axis=0)
    accuracy = total[:k] / total[k:]
    words = [f"{names[c // len(classes)]} x {classes[c % len(classes)]}" for c in map(int, kept)]
    score = Score(
        float(accuracy.min()),
        n=len(at),
        unit="fraction",
        details={
            "cell": words[int(accuracy.argmin())],
            "cells": {w: float(a) for w, a in zip(words, accuracy, strict=True)},
            "left_out": int(np.sum((count > 0) & (count < SMALL))),
        },
    )
    return with_interval(score, bootstrap_draws(sums, worst, seed=seed), clusters=len(sums))


def _permuted_gaps(
    right: Floats, code: NDArray[np.int64], who: NDArray[np.int64], k: int, seed: int
) -> Floats:
    """Gaps when groups are dealt anew, to subjects where each has one group, else to images."""
    people, person = np.unique(who, return_inverse=True)
    pairs = len(np.unique(np.stack([person, code]), axis=1).T)
    if pairs > len(people):  # the attribute varies within a person: deal it to images
        person, people = np.arange(len(code)), np.arange(len(code))
    hits = np.bincount(person, weights=right, minlength=len(people))
    size = np.bincount(person, minlength=len(people)).astype(np.float64)
    member = np.zeros(len(people), dtype=np.int64)
    member[person] = code
    rng = np.random.default_rng(seed)
    dealt = member[np.argsort(rng.random((PERMUTATIONS, len(people))), axis=1)]
    with np.errstate(invalid="ignore", divide="ignore"):
        rates = np.stack([(dealt == g) @ hits / ((dealt == g) @ size) for g in range(k)], axis=1)
    return np.asarray(rates.max(axis=1) - rates.min(axis=1))


@metric("groups", version=2, needs={"logits", "attributes"})
def groups(run: RunArrays, *, seed: int = 0) -> dict[str, Score]:
    """Accuracy by the values of every attribute: "<attribute>.<value>", worst ones, gap."""
    part = run.test
    assert part.logits is not None
    known = part.y >= 0
    correct = part.logits.argmax(axis=1) == part.y
    out: dict[str, Score] = {}
    for name in part.attribute_names():
        values = part.labels[name]
        if values.dtype.kind == "f" and values.nunique() > 12:
            continue  # a measurement, not a group
        text = values.astype("object").where(values.notna() & known, None)
        found = sorted({str(v) for v in text.dropna()})
        if not 2 <= len(found) <= 12:
            continue
        place = {value: code for code, value in enumerate(found)}
        codes = np.array([-1 if v is None or v != v else place[str(v)] for v in text])
        scores = group_scores(correct, codes, names=found, subjects=part.groups, seed=seed)
        out |= {f"{name}.{key}": score for key, score in scores.items()}
        out[f"{name}.worst_cell"] = worst_cell_score(
            correct,
            codes,
            part.y,
            names=found,
            classes=run.classes,
            subjects=part.groups,
            seed=seed,
        )
    if not out:
        return {"gap": undefined("no attribute has 2 to 12 values", unit="fraction")}
    return out


# --- transfer -----------------------------------------------------------------------------


@metric("transfer", needs={"logits", "extra_tests"})
def transfer(run: RunArrays, *, seed: int = 0) -> dict[str, Score]:
    """Recognition on further test sets without adaptation, on the classes both sides have.

    Keys "<set>.accuracy", ".balanced_accuracy", ".macro_f1", ".ece", ".nll", and ".drop", the
    accuracy on the run's own test part over the same classes less that on the set. The method
    chooses among the shared classes only: a set that has no contempt cannot be blamed on it.
    """
    out: dict[str, Score] = {}
    for name, part in run.parts.items():
        if not name.startswith("test:") or part.logits is None:
            continue
        out |= {
            f"{name.removeprefix('test:')}.{key}": score
            for key, score in _transfer_scores(run.test, part, run.classes, seed).items()
        }
    return out


def _transfer_scores(
    home: Part, part: Part, classes: tuple[str, ...], seed: int
) -> Mapping[str, Score]:
    # The classes a data set has are known before any image of it is looked at.
    shared = np.intersect1d(np.unique(part.y[part.y >= 0]), np.unique(home.y[home.y >= 0]))
    names = [classes[k] for k in shared]
    if len(shared) < 2:
        return {"accuracy": undefined("fewer than two shared classes", unit="fraction")}

    def scores(p: Part) -> dict[str, Score]:
        assert p.logits is not None
        y = np.where(np.isin(p.y, shared), np.searchsorted(shared, p.y), -1)
        logits = log_softmax(np.asarray(p.logits, dtype=np.float64)[:, shared], axis=1)
        return classification_scores(logits, y, classes=names, groups=p.groups, seed=seed)

    away = scores(part)
    keys = ("accuracy", "balanced_accuracy", "macro_f1", "ece", "nll", "confusion")
    out = {key: away[key] for key in keys}
    if home.logits is not None:
        own, there = scores(home)["accuracy"], away["accuracy"]
        value = own.value - there.value
        half = np.hypot(_half(own), _half(there))  # different people: independent errors
        out["drop"] = Score(
            value,
            value - half if np.isfinite(half) else None,
            value + half if np.isfinite(half) else None,
            null=0.0,
            n=there.n,
            unit="fraction",
            details={"classes": names, "home": own.value},
        )
    return out


def _half(score: Score) -> float:
    if score.low is None or score.high is None:
        return float("nan")
    return (score.high - score.low) / 2
