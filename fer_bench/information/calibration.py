"""How far to trust an estimator on data like yours: the same rows, with planted dependence."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from scipy.optimize import brentq
from scipy.special import ndtr, ndtri
from scipy.stats import rankdata
from scipy.stats import t as student_t

from fer_bench.cautions import Caution
from fer_bench.errors import DataError
from fer_bench.information.estimator import (
    Estimator,
    EstimatorError,
    Problem,
    is_constant,
    make,
    whole_number,
)
from fer_bench.information.inputs import Sample, clean_pair, is_discrete, one_hot
from fer_bench.information.scoring import score_estimate
from fer_bench.labels import label_entropy
from fer_bench.score import Score

TASKS = 10
BENT = 3  # further tasks, whose dependence no linear model sees in full
SEEN = 0.75  # the share of their information that one does see
MOST = 0.9999  # correlation of the copula
LEAST_SLOPE = 0.5  # an estimator that reads less of what is planted has failed


@dataclass(frozen=True)
class Calibration:
    """What an estimator read on tasks of known information, made of one's own rows.

    Attributes:
        score: the estimate on the data as they are.
        planted, read: [tasks] true and estimated information of the planted tasks, nats.
        bias: mean of estimate minus truth near the estimate.
        slope: nats read for each nat planted; 1 is right.
        spread: standard deviation about the fitted line.
        corrected, low, high: the estimate with its bias taken out, and its 95 % interval.
    """

    score: Score
    planted: np.ndarray
    read: np.ndarray
    bias: float
    slope: float
    spread: float
    corrected: float
    low: float
    high: float

    @property
    def fault(self) -> Caution | None:
        """Why the estimate should not be trusted, or None where it may be."""
        if abs(self.bias) > max(0.1, 0.25 * abs(self.score.value)):
            word = "low" if self.bias < 0 else "high"
            return Caution("calibration-bias", nats=abs(self.bias), direction=word)
        if self.slope < LEAST_SLOPE:
            return Caution("calibration-slope", share=max(self.slope, 0.0))
        return None

    def to_json(self) -> dict[str, Any]:
        """JSON types, as `Score.details` carries them."""
        return {
            "planted": self.planted.tolist(), "read": self.read.tolist(), "bias": self.bias,
            "slope": self.slope, "spread": self.spread, "corrected": self.corrected,
            "low": self.low, "high": self.high,
            "fault": str(self.fault or ""),
        }  # fmt: skip


def calibrate(
    estimator: str | Estimator | type,
    x: Any,
    y: Any,
    *,
    tasks: int = TASKS,
    seed: int = 0,
    groups: Any = None,
    discrete_x: bool | None = None,
    discrete_y: bool | None = None,
    **options: Any,
) -> Calibration:
    """Estimate, and measure the estimator's error on matched problems.

    A planted task keeps the rows of both sides exactly as they are and only pairs them anew, so
    that margins, n and dimensions match: see `plant`. Its truth spans from zero to twice the
    estimate. A line through (truth, estimate) is inverted for the corrected value. The interval
    reaches from the estimate's own to that of the corrected value, which covers the scatter about
    the line; and further up as far as the estimator misses bent tasks, which hide a quarter of
    their information from linear models.

    Args:
        tasks: how many tasks are planted.
        others: as in `estimate_mi`. Planted pairs ignore `groups`.

    >>> import numpy as np
    >>> rng = np.random.default_rng(0)
    >>> x = rng.normal(size=(500, 3))
    >>> found = calibrate("gaussian", x, x + rng.normal(size=(500, 3)))
    >>> found.low < 1.04 < found.high
    True

    Raises:
        DataError: a side is constant, so that nothing can be planted; else as `estimate_mi`.
        EstimatorError: the estimator gave no number, for these rows or for planted ones.
    """
    sample = clean_pair(x, y, groups=groups, discrete_x=discrete_x, discrete_y=discrete_y)
    tool = make(estimator, seed=seed, **options)
    tool.check(sample)
    whole_number("tasks", tasks, 3)
    if is_constant(sample):
        raise DataError("a side is constant: nothing can be planted in it.")
    estimate = tool.estimate_many([Problem(sample, seed)])[0]
    score = score_estimate(sample, tool.name, estimate, [])
    if not math.isfinite(score.value):
        raise EstimatorError(
            f"{tool.name!r} gave {score.value} for these rows: nothing to calibrate."
        )
    return calibrate_value(sample, tool, score, tasks=tasks, seed=seed)


def calibrate_value(
    sample: Sample, tool: Estimator, score: Score, *, tasks: int, bent: int = BENT, seed: int
) -> Calibration:
    """`calibrate` for a score (in nats) that is there already, with so many bent tasks."""
    asked = tool
    tool = tool.as_chosen(score, sample.n, seed=seed)
    random = np.random.default_rng([seed, 23])
    top = min(_ceiling(sample), _reachable(sample))
    targets = np.linspace(0, min(max(2 * score.value, 0.3), top), tasks)
    along = canonical_directions(sample)
    alone = replace(sample, groups=None)
    problems = [
        Problem(alone, seed + 100 + i, plant(sample, target, random, along if i % 3 else None))
        for i, target in enumerate(targets)
    ]
    read = np.array([e.value for e in tool.estimate_many(problems)])
    if not np.isfinite(read).all():
        raise EstimatorError(
            f"{tool.name!r} gave no number for planted rows: it cannot be calibrated on such data."
        )
    limit = _ceiling(sample, share=1.0)
    corrected, low, high, spread = invert_line(
        targets, read, score.value, limit, score.details.get("standard_error", 0.0)
    )
    slope = float(np.polyfit(targets, read, 1)[0])
    near = np.abs(targets - corrected) <= max(0.5 * corrected, 0.15)
    bias = float((read - targets)[near].mean()) if near.any() else score.value - corrected
    if score.low is not None and score.high is not None:
        # Planted tasks are often harder than the data: the truth may lie anywhere between the two.
        low, high = min(low, score.low), max(high, min(score.high, limit))
    seen = _seen(alone, asked, score.value, along, random, seed, bent) if bent else 1.0
    high = max(high, min(score.value / seen, limit))
    return Calibration(score, targets, read, bias, slope, spread, corrected, low, high)


def _seen(
    sample: Sample,
    tool: Estimator,
    nats: float,
    along: tuple[np.ndarray, np.ndarray],
    random: np.random.Generator,
    seed: int,
    tasks: int,
) -> float:
    """Share of the information of bent tasks that the estimator reads, from `SEEN` to 1.

    Straight tasks are easy for whatever has a linear or normal model in it; a critic with few
    rows may well miss what is not. One at a time, so that `auto` chooses for each.
    """
    nats = min(nats, _ceiling(sample))
    if nats <= 0.02 or all(is_discrete(s) or s.shape[1] == 1 for s in (sample.x, sample.y)):
        return 1.0
    read = []
    for i in range(tasks):
        order = plant(sample, nats, random, along if i % 2 else None, seen=SEEN)
        read += [e.value for e in tool.estimate_many([Problem(sample, seed + 200 + i, order)])]
    return float(np.clip(np.mean(read) / nats, SEEN, 1.0))


def plant(
    sample: Sample,
    nats: float,
    random: np.random.Generator,
    directions: tuple[np.ndarray, np.ndarray] | None = None,
    *,
    seen: float = 1.0,
) -> np.ndarray:
    """An order that pairs the rows of x and y anew with a known information between them.

    Each side is summarised by one number per row: a mix of the leading canonical variates of the
    data as they are (`directions`), or a random projection. With `seen` below 1 it also turns
    with the distance from the centre, until a linear model sees that share of the information
    (more of it, where one side is labels or a single column, which cannot turn).
    The summaries' ranks are then tied by a Gaussian copula. Given the summaries the sides are
    independent, so that they share exactly what the copula does, -1/2 log(1 - rho^2); for labels,
    what is left of it after cutting one side into classes.
    """
    n = sample.n
    sample = replace(sample, x=_by_size(sample.x), y=_by_size(sample.y))
    rho = _correlation(nats, _class_sizes(sample))
    a = random.standard_normal(n)
    b = rho * a + np.sqrt(1 - rho**2) * random.standard_normal(n)
    sides = (sample.x, sample.y)
    if directions is None:
        directions = (np.zeros((0, 0)), np.zeros((0, 0)))
    # A linear model sees rho times the correlation that the bends leave on both sides.
    planted, linear = (1 - np.exp(-2 * share * nats) for share in (1.0, seen))
    straight = np.sqrt(linear / planted) if nats > 0 else 1.0
    left, right = (
        np.argsort(_summary(side, known, random, float(straight)))
        for side, known in zip(sides, directions, strict=True)
    )
    order = np.empty(n, dtype=np.int64)
    # Row of x with the r-th smallest summary meets the row of y whose summary has b's rank.
    rank_b = (rankdata(b, method="ordinal") - 1).astype(int)[np.argsort(a)]
    order[left] = right[rank_b]
    return order


def _by_size(side: np.ndarray) -> np.ndarray:
    """Labels with the classes in order of size: alike ones can then be tied most closely."""
    if not is_discrete(side):
        return side
    return np.argsort(np.argsort(-np.bincount(side), kind="stable"))[side]


def _class_sizes(sample: Sample) -> list[np.ndarray]:
    """Largest first, of every side of labels."""
    sides = (side for side in (sample.x, sample.y) if is_discrete(side))
    return [np.sort(np.bincount(side))[::-1] for side in sides]


def _summary(
    side: np.ndarray, known: np.ndarray, random: np.random.Generator, straight: float
) -> np.ndarray:
    """[n] one number per row, of which a linear model of the side explains the share `straight`."""
    if is_discrete(side):
        return side + random.uniform(size=len(side))  # classes in order, ties at random
    use = known if known.size else np.eye(side.shape[1])
    tiny = 1e-9 * random.standard_normal(len(side))
    first = side @ (use @ random.standard_normal(use.shape[1])) + tiny
    if straight >= 1 or side.shape[1] == 1:
        return first
    first = (first - first.mean()) / first.std()
    second = side @ random.standard_normal(side.shape[1]) + tiny  # the known may be a single one
    second = second - second.mean() - (first @ second) / len(first) * first
    second /= max(second.std(), 1e-12)
    radius = np.hypot(first, second)

    def turned(speed: float) -> np.ndarray:
        return np.cos(speed * radius) * first + np.sin(speed * radius) * second

    def excess(speed: float) -> float:
        bent = turned(speed)
        explained = np.corrcoef(bent, first)[0, 1] ** 2 + np.corrcoef(bent, second)[0, 1] ** 2
        return float(explained) - straight

    speeds = np.linspace(0, 3, 31)
    over = [i for i, speed in enumerate(speeds) if excess(speed) < 0]
    return turned(brentq(excess, speeds[over[0] - 1], speeds[over[0]]) if over else 3.0)


def canonical_directions(sample: Sample, count: int = 3) -> tuple[np.ndarray, np.ndarray]:
    """Leading canonical directions of both sides [d, <= count], ridge-regularised."""
    sides = [features if not is_discrete(features) else one_hot(features)
             for features in (sample.x, sample.y)]  # fmt: skip
    roots = []
    centred = [side - side.mean(axis=0) for side in sides]
    for side in centred:
        n, d = side.shape
        spectrum, vectors = np.linalg.eigh(side.T @ side / n)
        ridge = max(1e-3, d / n) * max(float(spectrum.mean()), 1e-12)
        roots.append(vectors / np.sqrt(np.clip(spectrum, 0, None) + ridge) @ vectors.T)
    cross = roots[0] @ (centred[0].T @ centred[1] / len(centred[0])) @ roots[1]
    u, _, vt = np.linalg.svd(cross, full_matrices=False)
    return roots[0] @ u[:, :count], roots[1] @ vt[:count].T


def _correlation(nats: float, counts: Sequence[np.ndarray]) -> float:
    """Correlation of the copula that leaves so much information after cutting into classes."""
    if nats <= 0:
        return 0.0
    if not counts:
        return float(np.sqrt(1 - np.exp(-2 * nats)))
    cuts = _cuts(counts)

    def excess(rho: float) -> float:
        return _cut_information(rho, cuts) - nats

    return MOST if excess(MOST) < 0 else float(brentq(excess, 0.0, MOST, xtol=1e-5))


def _cuts(counts: Sequence[np.ndarray]) -> list[np.ndarray]:
    """Where a normal variable is cut into classes of these sizes."""
    return [ndtri(np.clip(np.cumsum(c) / c.sum(), 0, 1)) for c in counts]


def _reachable(sample: Sample) -> float:
    """The most that can be planted between two sides of labels, whose sizes may not fit."""
    counts = _class_sizes(sample)
    return _cut_information(MOST, _cuts(counts)) if len(counts) == 2 else math.inf


def _cut_information(rho: float, cuts: Sequence[np.ndarray]) -> float:
    """Information of a bivariate normal, one or both coordinates cut into classes."""
    grid = ndtri((np.arange(4000) + 0.5) / 4000)  # equal-probability points of the other side
    edges = np.concatenate([[-np.inf], cuts[0]])
    below = ndtr((edges[None, :] - rho * grid[:, None]) / np.sqrt(1 - rho**2))
    chance = np.diff(below, axis=1)  # [grid, classes]
    if len(cuts) == 2:
        codes = np.searchsorted(cuts[1][:-1], grid)
        rows = np.stack([np.bincount(codes, weights=c, minlength=len(cuts[1])) for c in chance.T])
        joint = rows.T / rows.sum()
    else:
        joint = chance / chance.sum()
    independent = joint.sum(1, keepdims=True) * joint.sum(0, keepdims=True)
    positive = joint > 0
    return float((joint[positive] * np.log(joint[positive] / independent[positive])).sum())


def _ceiling(sample: Sample, share: float = 0.9) -> float:
    """A share of the entropy of the labels, or what a sample of measurements can show."""
    limits = [label_entropy(side) for side in (sample.x, sample.y) if is_discrete(side)]
    return share * min(limits) if limits else 10.0 * share


def invert_line(
    truth: np.ndarray, read: np.ndarray, value: float, top: float, error: float = 0.0
) -> tuple[float, float, float, float]:
    """Fit read = a + b truth; return the truth at `value`, its 95 % interval, and the scatter.

    `error` is the standard error of the value, on top of the scatter of the tasks.
    """
    n = len(truth)
    center = truth.mean()
    design = np.stack([np.ones(n), truth - center], axis=1)
    (level, slope), *_ = np.linalg.lstsq(design, read, rcond=None)
    residual = read - design @ np.array([level, slope])
    spread = float(np.sqrt((residual**2).sum() / max(n - 2, 1)))
    if slope < 0.05:  # it reads the same whatever is planted: the data rule nothing out
        return max(value, 0.0), 0.0, top, spread
    corrected = center + (value - level) / slope
    leverage = 1 / n + (corrected - center) ** 2 / ((truth - center) ** 2).sum()
    half = (
        float(student_t.ppf(0.975, max(n - 2, 1)))
        * np.sqrt(spread**2 * (1 + leverage) + error**2)
        / slope
    )
    low, middle, high = np.clip([corrected - half, corrected, corrected + half], 0, top)
    return float(middle), float(low), float(high), spread
