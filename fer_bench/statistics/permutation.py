"""Permutation nulls: what a score would be if there were nothing to find."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fer_bench.errors import DataError
from fer_bench.labels import read_groups, read_labels
from fer_bench.reading import NUMERIC, as_array, check_rows, column, readings
from fer_bench.statistics.bootstrap import finite_numbers


@dataclass(frozen=True)
class Null:
    """Values of a score under permutation.

    Attributes:
        mean: of the permuted values.
        low, high: their central 95 %.
        p: one-sided p-value of the observed value, (1 + #{null >= observed}) / (1 + draws)
            (Phipson and Smyth 2010: never 0).
        draws: number of permutations.
    """

    mean: float
    low: float
    high: float
    p: float
    draws: int


def null_of(observed: float, values: ArrayLike) -> Null:
    """Summarise permuted `values` against the `observed` one (larger means more).

    Args:
        observed: the value; NaN where it is not defined, and then the null is not either.
        values: [draws] permuted values; those that are not finite are left out.

    Raises:
        DataError: `values` are no numbers.

    >>> null_of(3.0, [0.0, 1.0, 2.0]).p
    0.25
    """
    null = finite_numbers(values, "values")
    if not len(null) or not np.isfinite(observed):
        nan = float("nan")
        return Null(nan, nan, nan, nan, 0)
    # A tie up to rounding counts as "at least as large": discrete scores tie often.
    tolerance = 1e-9 * max(1.0, abs(observed))
    p = (1 + np.count_nonzero(null >= observed - tolerance)) / (1 + len(null))
    low, high = np.quantile(null, [0.025, 0.975])
    return Null(float(null.mean()), float(low), float(high), float(p), len(null))


def permutations(
    n: int, *, draws: int, seed: int = 0, within: ArrayLike | None = None
) -> NDArray[np.int64]:
    """Random permutations [draws, n] of row numbers, within strata where given.

    Args:
        n: number of rows.
        draws: number of permutations.
        seed: of the generator.
        within: [n] stratum of each row; rows trade places with rows of their stratum only, so
            that whatever the strata explain stays in the null.

    >>> permutations(4, draws=1, within=[0, 0, 1, 1])[0, :2].max() < 2
    np.True_
    """
    codes = None if within is None else read_groups(within, n, "within")[0].tobytes()
    return _shuffled(n, draws, seed, codes)


@lru_cache(maxsize=1)
def _shuffled(n: int, draws: int, seed: int, within: bytes | None) -> NDArray[np.int64]:
    """The permutations, which cannot be written to: many attacks in a row ask for the same."""
    rng = np.random.default_rng(seed)
    keys = rng.random((draws, n))
    if within is None:
        out = np.argsort(keys, axis=1)
    else:
        codes = np.frombuffer(within, dtype=np.int64)
        target = np.argsort(codes, kind="stable")  # positions of each stratum, in order
        out = np.empty((draws, n), dtype=np.int64)
        out[:, target] = np.argsort(codes + keys, axis=1)  # the same strata, shuffled inside
    out.flags.writeable = False
    return out


def permutation_null(
    statistic: Callable[[NDArray[np.int64]], float],
    observed: float,
    n: int,
    *,
    draws: int = 199,
    seed: int = 0,
    within: ArrayLike | None = None,
) -> Null:
    """Null of `statistic(order)`, where `order` [n] permutes one side's rows.

    >>> x = np.arange(20.0)
    >>> null = permutation_null(lambda order: float(x @ x[order]), float(x @ x), 20, draws=99)
    >>> null.p
    0.01
    """
    orders = permutations(n, draws=draws, seed=seed, within=within)
    return null_of(observed, [statistic(order) for order in orders])


def agreement_null(
    predicted: ArrayLike,
    truth: ArrayLike,
    *,
    draws: int = 499,
    seed: int = 0,
    within: ArrayLike | None = None,
) -> Null:
    """Null of the accuracy of fixed predictions when the true labels are permuted.

    Args:
        predicted, truth: [n] labels, both as codes or both as text, none missing.
        draws: number of permutations.
        seed: of the permutations.
        within: [n] stratum of each row, as in `permutation_null`.

    Raises:
        DataError: lengths differ, a label is missing, or codes are compared with text.

    >>> agreement_null([0, 1] * 10, [0, 1] * 10, draws=99).p
    0.01
    """
    guess, label = _comparable(predicted, truth)
    orders = permutations(len(label), draws=draws, seed=seed, within=within)
    return null_of(float(np.mean(guess == label)), (label[orders] == guess).mean(axis=1))


def _comparable(predicted: ArrayLike, truth: ArrayLike) -> tuple[NDArray[Any], NDArray[Any]]:
    """Both sides as codes [n] that are equal where the labels are."""
    sides = [
        column(as_array(values, name), name)
        for values, name in ((predicted, "predicted"), (truth, "truth"))
    ]
    check_rows(sides[0], "predicted", len(sides[1]))
    numeric = {readings(side) <= NUMERIC for side in sides}
    if len(numeric) > 1:
        raise DataError("predicted and truth: one holds codes and the other text; name both alike.")
    codes = read_labels(np.concatenate(sides), "predicted and truth", missing=False)
    return codes[: len(sides[0])], codes[len(sides[0]) :]
