"""From estimates to scores: intervals, permutation nulls, p-values and units."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from scipy.stats import t as student_t

from fer_bench.cautions import Caution, as_cautions
from fer_bench.information.estimator import Estimate, Estimator, Problem, is_constant
from fer_bench.information.inputs import Sample, is_discrete
from fer_bench.labels import label_entropy
from fer_bench.score import Effects, Score

NATS_PER_BIT = math.log(2)
# What of the details is information; all else stays as it is when a score is given in bits.
IN_NATS = {
    "standard_error", "null_values", "null_interval", "fitted_value", "held_out_value", "curve",
    "entropy", "entropy_x", "entropy_y", "bias_removed", "first_order_bias", "largest_slice",
    "by_class", "with_z", "z_alone", "calibration", "planted", "read", "bias", "spread",
    "corrected", "low", "high",
}  # fmt: skip
ROUNDING = 1e-9  # nats
FEWEST_FOR_P = 19  # permuted copies: fewer cannot say 0.05


def score_sample(
    sample: Sample,
    estimator: Estimator,
    *,
    null: int | None = None,
    clusters: np.ndarray | None = None,
) -> Score:
    """Estimate a sample and its permuted copies in one pass.

    Args:
        sample: cleaned.
        estimator: to use, with its seed.
        null: number of permuted copies; the estimator's default if None.
        clusters: [n] rows that count as one observation in the interval; None for `sample.groups`.
    """
    seed = estimator.seed
    if is_constant(sample):
        return constant_score(sample)
    estimator.check(sample)
    count = estimator.null_runs if null is None else null
    random = np.random.default_rng([seed, 7])
    problems = [Problem(sample, seed)] + [
        Problem(sample, seed + 1 + i, permute_pairs(sample.n, sample.groups, random))
        for i in range(count)
    ]
    estimate, *others = estimator.estimate_many(problems)
    values = [other.value for other in others]
    return score_estimate(sample, estimator.name, estimate, values, clusters)


def score_samples(samples: Sequence[Sample], estimator: Estimator) -> list[Score]:
    """Estimate several samples in one pass; sample i with the estimator's seed plus i.

    Networks of all samples are trained at once, at a fraction of the cost of one after the other.
    """
    for sample in samples:
        estimator.check(sample)
    varying = [i for i, sample in enumerate(samples) if not is_constant(sample)]
    estimated = estimator.estimate_many([Problem(samples[i], estimator.seed + i) for i in varying])
    scores = [constant_score(sample) for sample in samples]
    for i, estimate in zip(varying, estimated, strict=True):
        scores[i] = score_estimate(samples[i], estimator.name, estimate, [])
    return scores


def score_estimate(
    sample: Sample,
    name: str,
    estimate: Estimate,
    null: list[float],
    clusters: np.ndarray | None = None,
) -> Score:
    """Turn an estimate into a score.

    Args:
        sample: that was estimated.
        name: of the estimator.
        estimate: of the sample as paired.
        null: estimates of its permuted copies, nats.
        clusters: [n] rows that count as one observation in the interval; None for `sample.groups`.
    """
    effects = None if clusters is None else _effects(estimate, clusters)
    clusters = sample.groups if clusters is None else clusters
    error = estimate.standard_error(clusters)
    value = estimate.value
    members = len(estimate.index)
    if clusters is not None:
        members = len(np.unique(clusters[estimate.index]))
    half = float(student_t.ppf(0.975, max(members - 1, 1))) * error
    certain = value + half
    half = max(half, -value)  # a value below 0 is an error of at least that size
    p = estimate.p
    cautions = [*sample.cautions, *estimate.cautions]
    if not math.isfinite(value):
        cautions.append(Caution("no-number"))
        p, null = None, []
    if unread := sum(not math.isfinite(v) for v in null):
        cautions.append(Caution("null-no-number", failed=unread, copies=len(null)))
        null = []
    if p is None and len(null) >= FEWEST_FOR_P:
        p = (1 + sum(v >= value for v in null)) / (1 + len(null))
    cautions += _above_entropy(sample, estimate)
    if certain < 0:
        cautions.append(Caution("below-zero"))
    details: dict[str, Any] = {"estimator": name, **estimate.details}
    known = math.isfinite(error)
    if known:
        details["standard_error"] = error
    if null:
        details["null_values"] = list(null)
        details["null_interval"] = _null_interval(null, len(estimate.index))
    return Score(
        value=value,
        low=value - half if known else None,
        high=value + half if known else None,
        null=float(np.mean(null)) if null else None,
        p=p,
        n=len(estimate.index),
        unit="nats",
        cautions=as_cautions(cautions),
        details=details,
        effects=effects,
    )


def _above_entropy(sample: Sample, estimate: Estimate) -> Iterator[Caution]:
    """Say where the value exceeds the entropy of a side of labels."""
    for name, side in (("x", sample.x), ("y", sample.y)):
        if not is_discrete(side):
            continue
        # By the estimator's own estimate of entropy, where it has one: a label with itself has it.
        entropy = estimate.details.get(f"entropy_{name}", label_entropy(side))
        if estimate.value > entropy + ROUNDING:
            yield Caution("above-entropy", of=name, entropy=entropy)


def _effects(estimate: Estimate, clusters: np.ndarray) -> Effects | None:
    """What each cluster changes in the estimate, what was fitted held fixed."""
    if not len(estimate.rows) or not np.isfinite(estimate.rows).all():
        return None
    valued = clusters[estimate.index]
    count = int(clusters.max()) + 1
    centred = estimate.rows - estimate.rows.mean()
    rest = len(valued) - np.bincount(valued, minlength=count)
    changes = np.bincount(valued, weights=centred, minlength=count) / np.maximum(rest, 1)
    faces = np.bincount(clusters, minlength=count).astype(np.float64)
    return Effects(np.arange(count), changes, faces)


def _null_interval(null: Sequence[float], n: int) -> list[float]:
    """Where 95 % of the estimates of n rows with nothing in common lie, by some permuted copies."""
    k = len(null)
    spread = float(np.std(null, ddof=1)) if k > 1 else math.nan
    # One estimate more beside k others; and n rows do not tell less than 1 / n from nothing.
    wide = float(student_t.ppf(0.975, max(k - 1, 1))) * math.sqrt(
        spread**2 * (1 + 1 / k) + 1 / n**2
    )
    center = float(np.mean(null))
    return [center - wide, center + wide]


def constant_score(sample: Sample) -> Score:
    """The score of a sample with a constant side: 0 nats, without asking an estimator."""
    return Score(
        0.0, 0.0, 0.0, null=0.0, p=1.0, n=sample.n, unit="nats",
        cautions=as_cautions(sample.cautions),
        details={"estimator": "none: a side is constant"},
    )  # fmt: skip


def permute_pairs(n: int, groups: np.ndarray | None, random: np.random.Generator) -> np.ndarray:
    """A random order of y that gives every row of x a new partner.

    Rows of one group stay next to each other: the order is a cyclic shift of the rows sorted by
    shuffled groups. Permuting rows independently would make the null too narrow.

    Args:
        n: number of rows.
        groups: [n] group of each row, or None.
        random: source of randomness.

    Returns:
        [n] row of y for each row of x.

    >>> sorted(permute_pairs(4, None, np.random.default_rng(0)).tolist())
    [0, 1, 2, 3]
    """
    order = random.permutation(n)
    if groups is not None:
        shuffled = random.permutation(int(groups.max()) + 1)
        order = order[np.argsort(shuffled[groups[order]], kind="stable")]
        shift = int(random.integers(n // 4, n - n // 4))
    else:
        shift = 1
    paired = np.empty(n, dtype=np.int64)
    paired[order] = np.roll(order, shift)
    return paired


def in_bits(score: Score) -> Score:
    """The same score in bits."""

    def bits(value: Any) -> Any:
        if isinstance(value, Mapping):
            return {key: bits(item) if key in IN_NATS else item for key, item in value.items()}
        if isinstance(value, (list, tuple)):
            return [bits(item) for item in value]
        return value if value is None else value / NATS_PER_BIT

    return replace(
        score, value=bits(score.value), low=bits(score.low), high=bits(score.high),
        null=bits(score.null), unit="bits", details=bits(score.details),
    )  # fmt: skip
