"""Small things that several metrics share."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fer_bench import spectrum
from fer_bench.cautions import Caution
from fer_bench.labels import read_groups
from fer_bench.reading import read_matrix
from fer_bench.score import Effects, Score
from fer_bench.statistics.bootstrap import bootstrap_draws, cluster_sums, delete_one, interval

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

FEW_GROUPS = 5
MOST_EFFECTS = 20_000  # beyond as many people (or faces), their effects are not kept


def undefined(reason: Caution, *, n: int = 0, unit: str = "") -> Score:
    """A score that could not be measured, and why.

    >>> str(*undefined(Caution("one-label")).cautions)
    'all rows have one label'
    """
    return Score(float("nan"), n=n, unit=unit, cautions=(reason,))


def with_interval(score: Score, draws: ArrayLike, *, clusters: int, of: str = "subjects") -> Score:
    """Add the interval of bootstrap draws, and a warning where it rests on few clusters."""
    low, high = interval(draws, clusters=clusters)
    if not (np.isfinite(low) and np.isfinite(high)):
        return score
    score = replace_bounds(score, low, high)
    if clusters < FEW_GROUPS:
        score = score.with_caution(Caution("few-clusters", clusters=clusters, of=of))
    return score


def replace_bounds(score: Score, low: float, high: float, **details: Any) -> Score:
    """Copy of a score with bounds (and further details)."""
    return replace(score, low=low, high=high, details={**score.details, **details})


def ratio_scores(
    rows: ArrayLike,
    groups: ArrayLike | None,
    functions: Mapping[str, Callable[[Floats], Floats]],
    *,
    n: int,
    units: Mapping[str, str] | None = None,
    draws: int = 1000,
    seed: int = 0,
) -> dict[str, Score]:
    """Scores that are functions of summed rows [n, k], with intervals over the groups.

    Args:
        rows: [n, k] statistics of each row.
        groups: [n] subject codes, or None: then every row is a cluster.
        functions: name -> function of totals [b, k], giving values [b].
        n: number of samples to state.
        units: by name; "fraction" otherwise.
        draws: bootstrap resamples.
        seed: of the bootstrap.
    """
    sums = cluster_sums(rows, groups)
    total = sums.sum(axis=0, keepdims=True)
    names = list(functions)

    def evaluate(totals: Floats) -> Floats:
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.stack([functions[name](totals) for name in names], axis=1)

    values = evaluate(total)[0]
    drawn = bootstrap_draws(sums, evaluate, draws=draws, seed=seed)
    effects = person_effects(delete_one(sums, evaluate), groups, n=len(np.asarray(rows)))
    out = {}
    for column, name in enumerate(names):
        unit = (units or {}).get(name, "fraction")
        if not np.isfinite(values[column]):
            out[name] = undefined(Caution("undefined"), n=n)
            continue
        score = Score(float(values[column]), n=n, unit=unit, effects=effects[column])
        out[name] = with_interval(
            score,
            drawn[:, column],
            clusters=len(sums),
            of="images" if groups is None else "subjects",
        )
    return out


def person_effects(changes: Floats, groups: ArrayLike | None, *, n: int) -> list[Effects | None]:
    """The effects [G, m] of clusters on m scores; None where some are not defined, or too many.

    Args:
        changes: from `delete_one`, clusters in the order of `cluster_sums`.
        groups: [n] subject codes that were clustered, or None.
        n: number of rows.
    """
    codes, count = read_groups(groups, n)
    if count > MOST_EFFECTS:
        return [None] * changes.shape[1]
    people = np.arange(count)
    if groups is not None:
        ids = np.asarray(groups)
        people = np.full(count, -1)
        people[codes] = ids if ids.dtype.kind in "iu" else codes
        if len(np.unique(people)) < count:  # rows of nobody known
            return [None] * changes.shape[1]
    faces = np.bincount(codes, minlength=count).astype(np.float64)
    return [
        Effects(people, column, faces) if np.isfinite(column).all() else None
        for column in changes.T
    ]


def mean_scores(
    columns: Mapping[str, ArrayLike], groups: ArrayLike | None, *, draws: int = 1000, seed: int = 0
) -> dict[str, Score]:
    """Means of columns [n] of fractions, with intervals over the groups (`ratio_scores`).

    >>> mean_scores({"share": [0.0, 1.0]}, None)["share"].value
    0.5
    """
    names = list(columns)
    n = len(np.asarray(columns[names[0]]))
    rows = np.stack([*(np.asarray(columns[name]) for name in names), np.ones(n)], axis=1)

    def mean(column: int) -> Callable[[Floats], Floats]:
        return lambda totals: totals[:, column] / totals[:, -1]

    means = {name: mean(column) for column, name in enumerate(names)}
    return ratio_scores(rows, groups, means, n=n, draws=draws, seed=seed)


def random_rows(
    rows: Ints, limit: int, *, seed: int, of: str = "rows"
) -> tuple[Ints, list[Caution]]:
    """At most `limit` of the rows at random, in order, and what a reader must know of it.

    >>> kept, cautions = random_rows(np.arange(9), 3, seed=0)
    >>> len(kept), str(*cautions)
    (3, 'a random 3 of 9 rows')
    """
    if len(rows) <= limit:
        return rows, []
    kept = np.sort(np.random.default_rng(seed).choice(rows, size=limit, replace=False))
    return kept, [Caution("random-rows", kept=limit, total=len(rows), of=of)]


def half_width(score: Score) -> float:
    """Half the width of a score's interval; NaN without one.

    >>> half_width(Score(0.5, 0.25, 0.75))
    0.25
    """
    if score.low is None or score.high is None:
        return float("nan")
    return (score.high - score.low) / 2


def bounds(value: float, half: float) -> tuple[float | None, float | None]:
    """The interval of half a width about a value; none where that is not known.

    >>> bounds(1.0, 0.5), bounds(1.0, float("nan"))
    ((0.5, 1.5), (None, None))
    """
    if not np.isfinite(half):
        return None, None
    return float(value - half), float(value + half)


def standardise(x: ArrayLike, like: ArrayLike | None = None) -> Floats:
    """Columns of x with the mean and spread of `like` (x itself by default) removed.

    Columns without spread become 0, and so do those that vary by no more than rounding in the
    precision `like` is given in.
    """
    return scaled(x, *column_scale(x if like is None else like))


def column_scale(like: ArrayLike) -> tuple[Floats, Floats]:
    """Mean and spread [d] of columns [n, d] for `scaled`; the spread is 0 where it is rounding."""
    base = np.asarray(like)
    mean, spread = _moments(base)
    flat = spread <= rounding(base.dtype) * np.maximum(np.abs(mean), np.finfo(np.float64).tiny)
    return mean, np.where(flat, 0.0, spread)


def scaled(x: ArrayLike, mean: Floats, spread: Floats) -> Floats:
    """Columns of x [n, d] with a mean and spread [d] removed; 0 where there is no spread."""
    flat = spread == 0
    values = np.asarray(x, dtype=np.float64)
    return np.where(flat, 0.0, (values - mean) / np.where(flat, 1.0, spread))


def _moments(values: NDArray[Any]) -> tuple[Floats, Floats]:
    """Mean and standard deviation of columns [n, d], at any scale a float can have."""
    scale = np.maximum(np.abs(values).max(axis=0, initial=0.0).astype(np.float64), 1e-300)
    scale = 2.0 ** np.floor(np.log2(scale))  # a power of two divides without rounding
    scaled = values / scale
    return scaled.mean(axis=0) * scale, scaled.std(axis=0) * scale


def rounding(dtype: np.dtype[Any]) -> float:
    """Relative spread of a column that may be rounding alone, in the precision it is given in.

    >>> rounding(np.dtype("float32"))
    1e-07
    """
    return {"float16": 1e-3, "float32": 1e-7}.get(dtype.name, 1e-14)


def effective_rank(x: ArrayLike) -> float:
    """Effective rank of the centred columns of x [n, d]: exp of the entropy of their variances.

    Roy and Vetterli (EUSIPCO 2007), on the eigenvalues of the covariance; 0 for a constant.

    Raises:
        DataError: x has gaps, or is no matrix of numbers.

    >>> round(effective_rank([[1, 0], [-1, 0], [0, 1], [0, -1]]), 6)
    2.0
    >>> effective_rank([[3, 3], [3, 3]])
    0.0
    """
    values = read_matrix(x, "x")
    centred = values - values.mean(axis=0, dtype=np.float64)
    spread = np.abs(centred).max()
    if spread <= rounding(values.dtype) * np.abs(values).max():
        return 0.0
    # Squares of 1e300 are no numbers.
    return spectrum.effective_rank(centred / spread, of="variances")
