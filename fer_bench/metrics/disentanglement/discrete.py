"""Discrete information between codes and factors, and what the scores of factors share.

Discrete information needs bins. Quantile bins are the default: one outlier moves the
equal-width information of a clean code from 1.69 nats to 0.0007. Columns with no more distinct
values than bins are taken as they are, so labels are never binned.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fer_bench.errors import FerBenchError
from fer_bench.labels import label_entropy

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Binning = Literal["quantile", "width"]

BINS = 20


def discretise(x: ArrayLike, *, bins: int = BINS, binning: Binning = "quantile") -> Ints:
    """Bin the columns of x [n, d] (or [n]): codes 0, 1, ... of the same shape.

    Columns of at most `bins` distinct values keep them under "quantile"; "width" always cuts
    the range into equal widths (`histogram_discretize` of disentanglement_lib counts from 1).

    >>> discretise([0.1, 0.2, 0.3, 0.4, 0.5, 0.6], bins=3, binning="width").tolist()
    [0, 0, 1, 1, 2, 2]
    >>> discretise([5, 7, 5, 9], bins=4).tolist()
    [0, 1, 0, 2]
    """
    values = np.asarray(x)
    if values.ndim == 1:
        return discretise(values[:, None], bins=bins, binning=binning)[:, 0]
    out = np.empty(values.shape, dtype=np.int64)
    for column in range(values.shape[1]):
        out[:, column] = _bin(values[:, column], bins, binning)
    return out


def _bin(column: NDArray[Any], bins: int, binning: Binning) -> Ints:
    if binning == "width":
        edges = np.histogram(column, bins)[1][:-1]
        return np.digitize(column, edges).astype(np.int64) - 1
    distinct, codes = np.unique(column, return_inverse=True)
    if len(distinct) <= bins:
        return codes.astype(np.int64)
    edges = np.unique(np.quantile(column, np.linspace(0, 1, bins + 1)[1:-1]))
    return np.searchsorted(edges, column, side="right").astype(np.int64)


def entropy(labels: ArrayLike) -> Floats:
    """Plug-in entropy in nats of each column of integer codes [n, k]; a float for [n].

    >>> round(float(entropy([1, 1, 2, 2, 3, 3])), 6)
    1.098612
    """
    values = np.asarray(labels, dtype=np.int64)
    if values.ndim == 1:
        return entropy(values[:, None])[0]
    return np.array([label_entropy(column) for column in values.T])


def mutual_information(a: ArrayLike, b: ArrayLike) -> Floats:
    """Plug-in mutual information in nats between columns of integer codes [n, d] and [n, k].

    Returns:
        [d, k]; a float for two vectors [n].

    >>> round(float(mutual_information([1, 3, 2, 0, 1], [0, 3, 2, 2, 1])), 6)
    1.05492
    """
    left, right = np.asarray(a, dtype=np.int64), np.asarray(b, dtype=np.int64)
    if left.ndim == 1 and right.ndim == 1:
        return mutual_information(left[:, None], right[:, None])[0, 0]
    check_rows(left, right)
    left, sizes_a = _dense(left)
    right, sizes_b = _dense(right)
    n, d = left.shape
    k = right.shape[1]
    # x log x of every possible count, looked up instead of computed for each cell.
    terms = np.arange(n + 1, dtype=np.float64)
    terms[1:] *= np.log(terms[1:])
    h_a = [terms[np.bincount(left[:, i])].sum() for i in range(d)]
    h_b = [terms[np.bincount(right[:, j])].sum() for j in range(k)]
    out = np.empty((d, k))
    # One histogram for a code with all factors: shift every factor into a range of its own.
    offsets = np.r_[0, np.cumsum(sizes_b)[:-1]]
    shifted = right + offsets
    total = int(sizes_b.sum())
    for i in range(d):
        if total * sizes_a[i] <= 4_000_000:
            cells = (left[:, i, None] * total + shifted).ravel()
            counts = np.bincount(cells, minlength=total * sizes_a[i]).reshape(sizes_a[i], total)
            joint = np.add.reduceat(terms[counts].sum(axis=0), offsets)
        else:  # many labels on both sides: histograms would be mostly empty
            joint = np.array(
                [
                    terms[
                        np.unique(left[:, i] * sizes_b[j] + right[:, j], return_counts=True)[1]
                    ].sum()
                    for j in range(k)
                ]
            )
        out[i] = (joint - h_a[i] - np.array(h_b)) / n + np.log(n)
    return np.maximum(out, 0.0)


def _dense(codes: Ints) -> tuple[Ints, Ints]:
    """Columns renumbered 0..m-1, and m by column."""
    out = np.empty_like(codes)
    sizes = np.empty(codes.shape[1], dtype=np.int64)
    for column in range(codes.shape[1]):
        values = codes[:, column]
        low, high = values.min(), values.max()
        if high - low < 4 * len(values) + 64:  # a table is faster than sorting
            seen = np.zeros(high - low + 1, dtype=np.int64)
            seen[values - low] = 1
            place = np.cumsum(seen) - 1
            out[:, column] = place[values - low]
            sizes[column] = place[-1] + 1
        else:
            distinct, out[:, column] = np.unique(values, return_inverse=True)
            sizes[column] = len(distinct)
    return out, sizes


def check_rows(a: NDArray[Any], b: NDArray[Any]) -> None:
    """Refuse codes and factors that are not [n, d] and [n, k] with one n > 0."""
    if a.ndim != 2 or b.ndim != 2 or len(a) != len(b) or not len(a):
        raise FerBenchError(
            f"codes have shape {a.shape} and factors {b.shape}: give [n, d] and [n, k] with the "
            "same n > 0."
        )


@dataclass(frozen=True)
class Information:
    """What the scores from discrete information share.

    Attributes:
        mi: [d, k] in nats. Where permutations were run: less their mean, and 0 where it is
            within four standard deviations of it.
        null: [d, k] that mean, zeros without.
        entropies: [k] of the factors.
    """

    mi: Floats
    null: Floats
    entropies: Floats


def information(
    codes: ArrayLike,
    factors: ArrayLike,
    *,
    bins: int = BINS,
    binning: Binning = "quantile",
    permutations: int = 0,
    seed: int = 0,
) -> Information:
    """Discrete information between codes and factors.

    Args:
        codes: [n, d].
        factors: [n, k]; columns of at most `bins` values, and columns of integers (labels),
            are not binned.
        bins: number of bins.
        binning: "quantile" or "width" (codes only).
        permutations: of the rows of the factors; their mean is the value that an independent
            code reaches (at n = 1,000 and 20 bins about .06 nats for 7 classes, and .6 to .9
            for 100 identities) and is subtracted. 0 leaves the plug-in values.
        seed: of the permutations.
    """
    x, f = np.asarray(codes, dtype=np.float64), np.asarray(factors)
    check_rows(x, f)
    left = discretise(x, bins=bins, binning=binning)
    right = factor_labels(f, bins=bins)
    mi = mutual_information(left, right)
    if not permutations:
        return Information(mi, np.zeros_like(mi), entropy(right))
    rng = np.random.default_rng(seed)
    null = np.stack(
        [mutual_information(left, right[rng.permutation(len(right))]) for _ in range(permutations)]
    )
    # What permutations (nearly) reach is nothing: noise left over in an empty code would make
    # the scores of shares (modularity, InfoM) anything.
    mean, spread = null.mean(axis=0), null.std(axis=0)
    above = mi > mean + 4 * spread + 1e-12
    return Information(np.where(above, mi - mean, 0.0), mean, entropy(right))


def factor_labels(factors: ArrayLike, *, bins: int = BINS) -> Ints:
    """Integer codes of factors [n, k]: whole numbers as they are, the others in quantile bins."""
    f = np.asarray(factors)
    out = np.empty(f.shape, dtype=np.int64)
    for column in range(f.shape[1]):
        values = f[:, column]
        whole = values.dtype.kind in "iub" or bool(np.all(np.mod(values, 1) == 0))
        if whole:
            out[:, column] = np.unique(values, return_inverse=True)[1]
        else:
            out[:, column] = _bin(values, bins, "quantile")
    return out


def is_continuous(values: NDArray[Any], bins: int) -> bool:
    """Whether a factor is a measurement, not a label: fractions, and more values than bins."""
    if values.dtype.kind in "iub":
        return False
    return len(np.unique(values)) > bins and not bool(np.all(np.mod(values, 1) == 0))


def halves(n: int, seed: int) -> tuple[Ints, Ints]:
    """Rows to fit on and rows kept out, at random."""
    order = np.random.default_rng(seed).permutation(n)
    return order[: n // 2], order[n // 2 :]
