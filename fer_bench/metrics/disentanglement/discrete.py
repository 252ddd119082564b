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

from fer_bench.errors import DataError
from fer_bench.labels import entropy_of_counts, read_labels
from fer_bench.reading import NUMERIC, as_array, as_floats, read_matrix, readings, refuse_gaps

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Binning = Literal["quantile", "width"]

BINS = 20
LEAST = 10  # rows: what is fitted on half of fewer says nothing


def discretise(x: ArrayLike, *, bins: int = BINS, binning: Binning = "quantile") -> Ints:
    """Bin the columns of a matrix.

    Args:
        x: [n, d] or [n] numbers.
        bins: most bins of a column.
        binning: "quantile" for bins of about equal counts, where a column of at most `bins`
            distinct values keeps them; "width" for bins of equal width, always.

    Returns:
        Bin numbers 0, 1, ... in the shape of x. (`histogram_discretize` of disentanglement_lib,
        which "width" follows, counts from 1.)

    Raises:
        DataError: x has gaps, or is neither [n, d] nor [n].

    >>> discretise([0.1, 0.2, 0.3, 0.4, 0.5, 0.6], bins=3, binning="width").tolist()
    [0, 0, 1, 1, 2, 2]
    >>> discretise([5, 7, 5, 9], bins=4).tolist()
    [0, 1, 0, 2]
    """
    values = read_matrix(x, "x", vector=True).astype(np.float64)
    binned = np.stack([_bin(code, bins, binning) for code in values.T], axis=1)
    return binned[:, 0] if np.ndim(x) == 1 else binned


def _bin(values: Floats, bins: int, binning: Binning) -> Ints:
    if binning == "width":
        values = values - values.min()  # at an offset of 1e8 there may be no room for the edges
        top = values.max()
        edges = np.linspace(0, top, bins + 1)[:-1] if top > 0 else np.zeros(1)
        return np.digitize(values, edges).astype(np.int64) - 1
    distinct, codes = np.unique(values, return_inverse=True)
    if len(distinct) <= bins:
        return codes.astype(np.int64)
    edges = np.unique(np.quantile(values, np.linspace(0, 1, bins + 1)[1:-1]))
    return np.searchsorted(edges, values, side="right").astype(np.int64)


def entropy(labels: ArrayLike) -> Floats:
    """Plug-in entropy of labels, in nats.

    Args:
        labels: [n, k] or [n] whole numbers, text or categories, none missing.

    Returns:
        [k], one for each column; a float for a vector.

    Raises:
        DataError: fractions, missing labels, or another shape.

    >>> round(float(entropy([1, 1, 2, 2, 3, 3])), 6)
    1.098612
    """
    columns = _label_columns(labels, "labels")
    out = np.array([entropy_of_counts(np.unique(c, return_counts=True)[1]) for c in columns.T])
    return out[0] if np.ndim(labels) == 1 else out


def _label_columns(values: ArrayLike, name: str) -> Ints:
    """Labels [n, d] or [n] as codes [n, d], none missing."""
    array = as_array(values, name)
    if array.ndim not in (1, 2) or not array.size:
        raise DataError(f"{name} has shape {array.shape}: give labels [n] or [n, d].")
    rows = array.reshape(len(array), -1)
    return np.stack([read_labels(labels, name, missing=False) for labels in rows.T], axis=1)


def mutual_information(a: ArrayLike, b: ArrayLike) -> Floats:
    """Plug-in mutual information between columns of labels, in nats.

    Args:
        a: [n, d] or [n] whole numbers, text or categories, none missing. Measurements are binned
            first (`discretise`).
        b: [n, k] or [n], likewise.

    Returns:
        [d, k]; a float for two vectors.

    Raises:
        DataError: fractions, missing labels, or another number of rows.

    >>> round(float(mutual_information([1, 3, 2, 0, 1], [0, 3, 2, 2, 1])), 6)
    1.05492
    """
    left, right = _label_columns(a, "a"), _label_columns(b, "b")
    if len(left) != len(right):
        raise DataError(f"a has {len(left)} rows and b {len(right)}: give the same number.")
    mi = _information(left, right)
    return mi[0, 0] if np.ndim(a) == np.ndim(b) == 1 else mi


def _information(left: Ints, right: Ints) -> Floats:
    """`mutual_information` of columns [n, d] and [n, k] of whole numbers."""
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


def read_codes(
    codes: ArrayLike, factors: ArrayLike, *, least: int = LEAST
) -> tuple[NDArray[Any], Floats]:
    """Codes [n, d] and factors [n, k] as numbers; factors that are text become labels.

    Raises:
        DataError: other shapes, fewer than `least` rows, gaps.
    """
    x, f = as_array(codes, "codes"), as_array(factors, "factors")
    if x.ndim != 2 or f.ndim != 2 or len(x) != len(f) or not x.size or not f.size:
        raise DataError(
            f"codes have shape {x.shape} and factors {f.shape}: give [n, d] and [n, k] with the "
            "same n > 0."
        )
    values = [_factor(values, f"factor {j}") for j, values in enumerate(f.T)]
    return read_matrix(x, "codes", least=least), np.stack(values, axis=1)


def _factor(values: NDArray[Any], name: str) -> Floats:
    """One factor [n]: measurements or whole numbers as they are, text as codes."""
    if readings(values) <= NUMERIC:
        return refuse_gaps(as_floats(values, name).astype(np.float64), name)
    return read_labels(values, name, missing=False).astype(np.float64)


def read_amounts(values: ArrayLike, name: str) -> Floats:
    """A matrix [d, k] of what codes tell of factors, nowhere below 0 but by rounding."""
    amounts = read_matrix(values, name).astype(np.float64)
    if (amounts < -1e-9 * max(float(amounts.max()), 1.0)).any():
        raise DataError(f"{name} holds {amounts.min():.3g}: it is nowhere below 0.")
    return np.maximum(amounts, 0.0)


def read_varying(
    codes: ArrayLike, factors: ArrayLike, *, least: int = LEAST
) -> tuple[NDArray[Any], Floats]:
    """`read_codes` without factors that are constant, which no code can hold."""
    x, f = read_codes(codes, factors, least=least)
    return x, f[:, (f != f[:1]).any(axis=0)]


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
    """Discrete information between codes and factors, which MIG, modularity and InfoMEC share.

    Args:
        codes: [n, d] embeddings.
        factors: [n, k] what generated the images. Whole numbers and columns of at most `bins`
            distinct values are not binned.
        bins: number of bins.
        binning: of the codes: "quantile" or "width".
        permutations: of the rows of the factors. Their mean is what an independent code reaches
            by chance (with 1,000 rows and 20 bins about .06 nats for 7 classes, and .6 to .9 for
            100 people), and is subtracted. 0 keeps the plug-in values.
        seed: of the permutations.

    Raises:
        DataError: codes or factors have gaps, or not the same rows.

    >>> import numpy as np
    >>> factors = np.random.default_rng(0).integers(0, 4, (400, 1))
    >>> info = information(factors.astype(float), factors)
    >>> bool(np.isclose(info.mi[0, 0], info.entropies[0]))
    True
    """
    x, f = read_codes(codes, factors, least=1)
    left = discretise(x, bins=bins, binning=binning)
    right = factor_labels(f, bins=bins)
    mi = _information(left, right)
    if not permutations:
        return Information(mi, np.zeros_like(mi), entropy(right))
    rng = np.random.default_rng(seed)
    null = np.stack(
        [_information(left, right[rng.permutation(len(right))]) for _ in range(permutations)]
    )
    # What permutations (nearly) reach is nothing: noise left over in an empty code would make
    # the scores of shares (modularity, InfoM) anything.
    mean, spread = null.mean(axis=0), null.std(axis=0)
    above = mi > mean + 4 * spread + 1e-12
    return Information(np.where(above, mi - mean, 0.0), mean, entropy(right))


def factor_labels(factors: Floats, *, bins: int = BINS) -> Ints:
    """Integer codes of factors [n, k]: whole numbers as they are, the others in quantile bins."""
    columns = [
        np.unique(f, return_inverse=True)[1] if _is_integer(f) else _bin(f, bins, "quantile")
        for f in factors.T
    ]
    return np.stack(columns, axis=1).astype(np.int64)


def is_continuous(values: Floats, bins: int) -> bool:
    """Whether a factor is a measurement, not a label: fractions, and more values than bins."""
    return not _is_integer(values) and len(np.unique(values)) > bins


def _is_integer(values: Floats) -> bool:
    return bool(np.all(np.mod(values, 1) == 0))


def halves(n: int, seed: int) -> tuple[Ints, Ints]:
    """Rows to fit on and rows kept out, at random."""
    order = np.random.default_rng(seed).permutation(n)
    return order[: n // 2], order[n // 2 :]
