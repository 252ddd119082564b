"""Groups of people: who is recognised worse? And other data: what is left without adaptation?"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fer_bench.arrays import RunArrays
from fer_bench.cautions import Caution
from fer_bench.errors import DataError
from fer_bench.labels import label_codes, read_classes, read_groups, read_labels
from fer_bench.metrics.common import Floats, Ints, mean_scores, undefined, with_interval
from fer_bench.metrics.metric import metric
from fer_bench.reading import read_vector
from fer_bench.score import Score, ScoreSpec
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
        group: [n] codes into names, or names; missing ones (-1, NaN) are left out.
        names: of the groups.
        subjects: [n] ids; groups are compared by subjects, where a subject lies in one group.
        seed: of bootstrap and permutations.

    Returns:
        "<name>" for each group; "worst" and "gap" (largest - smallest accuracy) over groups of
        at least ten images. The gap's null and p come from permuting the group among subjects:
        the gap of several equal groups is above 0 by itself.

    Raises:
        DataError: lengths differ, `correct` has gaps, a group has no name.

    >>> scores = group_scores([1] * 15 + [0] * 5, ["f", "m"] * 10, names=["f", "m"])
    >>> round(scores["f"].value, 3), round(scores["gap"].value, 3)
    (0.8, 0.1)
    """
    names = read_classes(names, "names")
    code = read_labels(group, "group", classes=names)
    right = _hits(correct, len(code))
    known = code >= 0
    who = read_groups(subjects, len(code), "subjects")[0][known]
    right, code = right[known], code[known]
    out = {
        name: _accuracy(right[code == index], who[code == index], seed=seed)
        for index, name in enumerate(names)
    }
    compared = [index for index, name in enumerate(names) if out[name].n >= SMALL]
    if len(compared) < 2:
        reason = Caution("few-groups", of="groups", least=SMALL)
        return out | {key: undefined(reason, unit="fraction") for key in ("worst", "gap")}
    kept = np.isin(code, compared)
    return out | _compared(
        right[kept],
        np.searchsorted(compared, code[kept]),
        who[kept],
        names=[names[index] for index in compared],
        seed=seed,
    )


def _hits(correct: ArrayLike, rows: int) -> Floats:
    """Whether each image was recognised, as numbers from 0 to 1."""
    right = read_vector(correct, "correct", rows=rows)
    if ((right < 0) | (right > 1)).any():
        raise DataError("correct holds values outside 0 to 1: give one truth value an image.")
    return right


def _accuracy(right: Floats, who: Ints, *, seed: int) -> Score:
    """Accuracy of one group, with what is to be said where it is small."""
    n = len(right)
    if not n:
        return undefined(Caution("no-images", of="group"), unit="fraction")
    score = mean_scores({"accuracy": right}, who, seed=seed)["accuracy"]
    return score.with_caution(Caution("small-group", n=n, least=SMALL)) if n < SMALL else score


def _compared(
    right: Floats, code: Ints, who: Ints, *, names: Sequence[str], seed: int
) -> dict[str, Score]:
    """The worst of several groups, and the gap between the best and the worst."""
    k, n = len(names), len(code)
    sums = cluster_sums(_hits_and_sizes(right, code, k), who)

    def rates(totals: Floats) -> Floats:
        with np.errstate(invalid="ignore", divide="ignore"):
            return totals[:, :k] / totals[:, k:]

    def worst_and_gap(totals: Floats) -> Floats:
        r = rates(totals)
        return np.c_[r.min(axis=1), r.max(axis=1) - r.min(axis=1)]

    total = sums.sum(axis=0, keepdims=True)
    accuracy = rates(total)[0]
    worst, gap = map(float, worst_and_gap(total)[0])
    null = null_of(gap, _permuted_gaps(right, code, who, k, seed))
    details = {
        "groups": dict(zip(names, map(float, accuracy), strict=True)),
        "null_interval": [null.low, null.high],
    }
    lowest = names[int(accuracy.argmin())]
    scores = {
        "worst": Score(worst, n=n, unit="fraction", details={**details, "group": lowest}),
        "gap": Score(gap, null=null.mean, p=null.p, n=n, unit="fraction", details=details),
    }
    draws = bootstrap_draws(sums, worst_and_gap, seed=seed)
    return {
        key: with_interval(score, drawn, clusters=len(sums))
        for (key, score), drawn in zip(scores.items(), draws.T, strict=True)
    }


def _hits_and_sizes(right: Floats, code: Ints, k: int) -> Floats:
    """Per row: a hit and a count in the columns of its cell, [n, 2 k]."""
    table = np.zeros((len(code), 2 * k))
    rows = np.arange(len(code))
    table[rows, code], table[rows, k + code] = right, 1
    return table


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
        group, expression: [n] codes into names and classes, or names; missing ones (-1, NaN)
            are left out.
        names, classes: of groups and expressions.
        subjects: [n] ids, whom the interval counts.
        seed: of the bootstrap.

    Raises:
        DataError: as in `group_scores`.

    >>> cell = [0] * 10 + [1] * 10
    >>> worst_cell_score([1] * 15 + [0] * 5, cell, [0] * 20, names="ab", classes=["x"]).value
    0.5
    """
    names, classes = read_classes(names, "names"), read_classes(classes)
    g = read_labels(group, "group", classes=names)
    y = read_labels(expression, "expression", rows=len(g), classes=classes)
    right = _hits(correct, len(g))
    who = None if subjects is None else read_groups(subjects, len(g), "subjects")[0]
    known = np.flatnonzero((g >= 0) & (y >= 0))
    cell = g[known] * len(classes) + y[known]
    count = np.bincount(cell, minlength=len(names) * len(classes))
    kept = np.flatnonzero(count >= SMALL)
    if len(kept) < 2:
        return undefined(Caution("few-groups", of="cells", least=SMALL), unit="fraction")
    rows = np.isin(cell, kept)
    at, k = np.searchsorted(kept, cell[rows]), len(kept)
    table = _hits_and_sizes(right[known][rows], at, k)
    sums = cluster_sums(table, None if who is None else who[known][rows])

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


SPECS = (
    ScoreSpec(
        "<attribute>.<group>",
        "Accuracy of a group",
        "Accuracy on the test faces of this group.",
        better="high",
        range=(0, 1),
        tables=("groups",),
    ),
    ScoreSpec(
        "<attribute>.worst_cell",
        "Worst group × expression",
        "Accuracy of the worst attribute level and expression together.",
        better="high",
        range=(0, 1),
        tables=("groups", "confounding"),
    ),
    ScoreSpec(
        "<attribute>.worst",
        "Worst group",
        "Accuracy of the worst group of at least ten images.",
        better="high",
        range=(0, 1),
        tables=("groups",),
    ),
    ScoreSpec(
        "<attribute>.gap",
        "Gap",
        "Accuracy of the best group less that of the worst.",
        better="low",
        range=(0, 1),
        null="null",
        tables=("groups",),
    ),
)


@metric("groups", version=2, needs={"logits", "attributes"}, scores=SPECS)
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
        levels = sorted({str(v) for v in text.dropna()})
        if not 2 <= len(levels) <= 12:
            continue
        codes = label_codes(text, levels)
        scores = group_scores(correct, codes, names=levels, subjects=part.groups, seed=seed)
        out |= {f"{name}.{key}": score for key, score in scores.items()}
        out[f"{name}.worst_cell"] = worst_cell_score(
            correct,
            codes,
            part.y,
            names=levels,
            classes=run.classes,
            subjects=part.groups,
            seed=seed,
        )
    if not out:
        return {"gap": undefined(Caution("no-attribute"), unit="fraction")}
    return out
