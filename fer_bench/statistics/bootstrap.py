"""Intervals by bootstrap over clusters (subjects): vectorised over the draws.

Photographs of one person are not independent, so the resampled unit is the person. Most scores
are functions of sums over rows (accuracy, a confusion matrix, moments); those need nothing but
the sums of each cluster, and a thousand draws are one matrix product.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import scipy  # its parts load at first use
from numpy.typing import ArrayLike, NDArray

from fer_bench.labels import read_groups
from fer_bench.reading import as_array, as_floats, column, read_matrix, read_number

_BLOCK = 4_000_000  # resampling weights held in memory at once

Floats = NDArray[np.float64]


def cluster_sums(rows: ArrayLike, groups: ArrayLike | None = None) -> Floats:
    """Sum rows [n, k] within clusters: [G, k], in the order of their ids.

    Args:
        rows: [n, k] statistics of each row.
        groups: [n] ids of the clusters (people); a row whose id is missing is its own cluster,
            as every row is without ids.

    Raises:
        DataError: rows are not finite numbers, or there is not one id per row.

    >>> cluster_sums([[1.0], [2.0], [4.0]], [0, 0, 1]).tolist()
    [[3.0], [4.0]]
    """
    values = read_matrix(rows, "rows").astype(np.float64, copy=False)
    codes, count = read_groups(groups, len(values))
    if count == len(values):
        sums = np.empty_like(values)
        sums[codes] = values
        return sums
    order = np.argsort(codes, kind="stable")
    starts = np.searchsorted(codes[order], np.arange(count))
    return np.add.reduceat(values[order], starts, axis=0)


def resampling_weights(clusters: int, *, draws: int, seed: int) -> Iterator[Floats]:
    """Yield blocks [b, clusters] of how often each cluster was drawn; `draws` rows in all."""
    rng = np.random.default_rng(seed)
    probabilities = np.full(clusters, 1.0 / clusters)
    block = max(1, _BLOCK // clusters)
    for start in range(0, draws, block):
        size = min(block, draws - start)
        yield rng.multinomial(clusters, probabilities, size=size).astype(np.float64)


def bootstrap_draws(
    sums: ArrayLike,
    function: Callable[[Floats], Floats],
    *,
    draws: int = 1000,
    seed: int = 0,
) -> Floats:
    """Bootstrap a function of summed statistics.

    Args:
        sums: [G, k] one row of sums a cluster (`cluster_sums`).
        function: maps totals [b, k] to values [b] or [b, m], row by row.
        draws: number of resamples.
        seed: of the resampling; equal seeds and cluster counts give equal resamples, so that
            differences between scores of the same clusters are paired.

    Returns:
        [draws] or [draws, m] values.

    Raises:
        DataError: `sums` has no rows, or what is not a finite number.

    >>> right = cluster_sums([[1, 1], [0, 1], [1, 1], [1, 1]], [0, 0, 1, 1])
    >>> bootstrap_draws(right, lambda t: t[:, 0] / t[:, 1], draws=200).shape
    (200,)
    """
    table = read_matrix(sums, "sums").astype(np.float64, copy=False)
    blocks = [
        function(weights @ table)
        for weights in resampling_weights(len(table), draws=draws, seed=seed)
    ]
    return np.concatenate(blocks)


def delete_one(sums: ArrayLike, function: Callable[[Floats], Floats]) -> Floats:
    """What a function of summed statistics loses without each cluster: f(all) - f(all but one).

    Args:
        sums: [G, k] one row of sums a cluster (`cluster_sums`).
        function: maps totals [b, k] to values [b] or [b, m].

    Returns:
        [G] or [G, m] changes; NaN where the value without a cluster is not defined.

    Raises:
        DataError: `sums` has no rows, or what is not a finite number.

    >>> delete_one([[1.0, 1.0], [0.0, 1.0]], lambda t: t[:, 0] / t[:, 1]).tolist()
    [0.5, -0.5]
    """
    table = read_matrix(sums, "sums").astype(np.float64, copy=False)
    total = table.sum(axis=0, keepdims=True)
    with np.errstate(divide="ignore", invalid="ignore"):
        return function(total) - function(total - table)


def interval(draws: ArrayLike, *, clusters: int, level: float = 0.95) -> tuple[float, float]:
    """Expanded percentile interval of bootstrap draws.

    The plain percentile interval of few clusters is too short. The tails are widened to
    Phi(-sqrt(G / (G - 1)) t), t the Student quantile with G - 1 degrees of freedom (Hesterberg,
    The American Statistician 2015, "expanded percentile").

    Args:
        draws: [b] values; NaN draws (a class that was not drawn) are left out.
        clusters: number of resampled clusters G.
        level: nominal coverage.

    Returns:
        (low, high); both NaN with fewer than two clusters or no finite draw.

    Raises:
        DataError: `draws` are no numbers, or a setting is out of range.
    """
    values = finite_numbers(draws, "draws")
    clusters = int(read_number(clusters, "clusters", least=0, integer=True))
    read_number(level, "level", least=0, most=1)
    if clusters < 2 or not len(values):
        return float("nan"), float("nan")
    t = scipy.stats.t.ppf((1 + level) / 2, clusters - 1)
    tail = scipy.stats.norm.cdf(-np.sqrt(clusters / (clusters - 1)) * t)
    low, high = np.quantile(values, [tail, 1 - tail])
    return float(low), float(high)


def jackknife_interval(
    value: float, leave_one_out: ArrayLike, *, level: float = 0.95
) -> tuple[float, float]:
    """Student interval from delete-one-cluster values.

    For statistics of *pairs* of clusters (verification), where resampling with replacement
    would compare a cluster with itself.

    Args:
        value: of the statistic on all clusters.
        leave_one_out: [G] its value without each cluster; NaN where it is not defined.
        level: nominal coverage.

    Returns:
        (low, high); both NaN with fewer than three values.

    Raises:
        DataError: `leave_one_out` are no numbers, or the level is out of range.
    """
    values = finite_numbers(leave_one_out, "leave_one_out")
    read_number(level, "level", least=0, most=1)
    clusters = len(values)
    if clusters < 3 or not np.isfinite(value):
        return float("nan"), float("nan")
    error = np.sqrt((clusters - 1) / clusters * np.sum((values - values.mean()) ** 2))
    half = scipy.stats.t.ppf((1 + level) / 2, clusters - 1) * error
    return float(value - half), float(value + half)


def finite_numbers(values: ArrayLike, name: str) -> Floats:
    """The finite ones of numbers [n]: a resample may well have no value."""
    numbers = as_floats(column(as_array(values, name), name), name).astype(np.float64)
    return numbers[np.isfinite(numbers)]
