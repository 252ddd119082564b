"""Calibration: how accurate an estimator is on the data at hand, from planted dependence."""

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
    read_integer,
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
FAULTS = frozenset({"calibration-bias", "calibration-slope"})  # codes of `Calibration.fault`


@dataclass(frozen=True)
class Calibration:
    """An estimator's readings on tasks of known information that share the margins of the data.

    Attributes:
        score: the estimate on the data.
        planted, read: [tasks] true and estimated information of the planted tasks, nats.
        bias: mean of estimate minus truth of planted tasks near the estimate, nats.
        slope: nats read for each nat planted; 1 for a calibrated estimator.
        spread: standard deviation of the readings about the fitted line, nats.
        corrected, low, high: the estimate corrected for its bias, and its 95 % interval, nats.
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
        """Why the estimate should not be trusted; None where it passes."""
        if abs(self.bias) > max(0.1, 0.25 * abs(self.score.value)):
            word = "low" if self.bias < 0 else "high"
            return Caution("calibration-bias", nats=abs(self.bias), direction=word)
        if self.slope < LEAST_SLOPE:
            return Caution("calibration-slope", share=max(self.slope, 0.0))
        return None

    def to_json(self) -> dict[str, Any]:
        """Plain JSON types, as stored in `Score.details`."""
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
    """Estimate mutual information, and measure the estimator's error on matched planted tasks.

    A planted task keeps the rows of both sides and changes only their pairing (`plant`), so that
    margins, n and dimensions are those of the data. The planted information ranges from 0 to twice
    the estimate. A line is fitted to (truth, estimate) and inverted to correct the estimate. The
    interval is the union of the estimate's own interval and that of the corrected value, which
    accounts for the scatter about the line. It is extended upwards by what the estimator misses on
    tasks whose dependence is partly nonlinear.

    Args:
        estimator: a registered name, a class or an instance.
        x, y: paired rows [n, d] or labels [n], as in `estimate_mi`.
        tasks: number of planted tasks.
        seed: of the estimator and the planted tasks.
        groups: [n] subject of each row, for the estimate; planted pairs ignore it.
        discrete_x, discrete_y: override whether a side is read as labels.
        options: of the estimator.

    Raises:
        DataError: a side is constant, or as for `estimate_mi`.
        EstimatorError: the estimator returned no finite number.

    >>> import numpy as np
    >>> rng = np.random.default_rng(0)
    >>> x = rng.normal(size=(500, 3))
    >>> result = calibrate("gaussian", x, x + rng.normal(size=(500, 3)))
    >>> result.low < 1.04 < result.high
    True
    """
    sample = clean_pair(x, y, groups=groups, discrete_x=discrete_x, discrete_y=discrete_y)
    tool = make(estimator, seed=seed, **options)
    tool.check(sample)
    read_integer("tasks", tasks, 3)
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
    """Calibrate an estimate that has already been made.

    Args:
        sample: the cleaned data.
        tool: the estimator.
        score: its estimate on `sample`, in nats.
        tasks: number of planted tasks with linear dependence.
        bent: number of planted tasks with partly nonlinear dependence.
        seed: of the planted tasks.

    Raises:
        DataError, EstimatorError: as for `calibrate`.
    """
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
    """Pair the rows of x and y anew so that they share a known amount of information.

    Each side is summarised by one number per row: a mixture of leading canonical variates of the
    data (`directions`) or a random projection. The ranks of both summaries are coupled by a
    Gaussian copula of correlation rho. Given the summaries the sides are independent, so they share
    exactly -1/2 log(1 - rho^2); with labels, what is left of that after one side is cut into
    classes.

    Args:
        sample: the cleaned data; its pairing is ignored.
        nats: information to plant.
        random: source of randomness.
        directions: canonical directions [dx, k], [dy, k] (`canonical_directions`); None projects at
            random.
        seen: share of the planted information that a linear model can detect. Below 1 the summary
            rotates with the distance from the centre. A single column and labels cannot rotate, so
            more is seen there.

    Returns:
        [n] row of y for each row of x.
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
    """Leading canonical directions of both sides, with ridge regularisation.

    Returns:
        [dx, k] and [dy, k], k at most `count`.
    """
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
    """Fit read = a + b truth, and invert it at a value.

    Args:
        truth, read: [tasks] planted and estimated information, nats.
        value: the estimate to invert.
        top: largest truth that is considered.
        error: standard error of `value`, in addition to the scatter of the tasks.

    Returns:
        The truth at `value`, the bounds of its 95 % interval, and the scatter about the line.
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
