"""How far E and I are from independence, plain and given the expression.

HSIC, distance correlation and CKA are one computation with three kernels: the U-centred
("unbiased") inner product of two similarity matrices, normalised. It is 0 in the mean for
independent data of any n and dimension, where the biased forms rise with the dimension.

Where attributes are correlated in the world, plain independence is the wrong target: E and I
that both know the expression must depend on each other. The conditional forms ask whether
anything is left given the expression.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fer_bench.arrays import RunArrays
from fer_bench.cautions import Caution
from fer_bench.errors import DataError
from fer_bench.labels import read_labels, renumbered
from fer_bench.metrics.attacks import centred
from fer_bench.metrics.common import Floats, Ints, random_rows, rounding, standardise, undefined
from fer_bench.metrics.metric import metric
from fer_bench.reading import read_matrix
from fer_bench.score import Score, ScoreSpec
from fer_bench.statistics.permutation import null_of, permutations

Kernel = Literal["rbf", "distance", "linear"]
NAMES: dict[str, Kernel] = {"hsic": "rbf", "dcor": "distance", "cka": "linear"}
PERMUTATIONS = 199
NULL_ROWS = 600  # rows the permutation null is computed on
MAX_ROWS = 5_000  # rows the metric uses; the functions take up to 50,000 and more
_BLOCK = 2_000


def _similarity(kernel: Kernel, width: float) -> Callable[[Floats, Floats], Floats]:
    """Similarity matrix of two blocks of rows."""
    if kernel == "linear":
        return lambda a, b: a @ b.T

    def squared(a: Floats, b: Floats) -> Floats:
        d = np.sum(a**2, axis=1)[:, None] + np.sum(b**2, axis=1) - 2 * a @ b.T
        return np.maximum(d, 0.0)

    if kernel == "distance":
        return lambda a, b: np.sqrt(squared(a, b))
    return lambda a, b: np.exp(squared(a, b) * (-0.5 / width**2))


def _median_distance(x: Floats) -> float:
    rows = x[np.random.default_rng(0).permutation(len(x))[:1000]]
    d = _similarity("distance", 1.0)(rows, rows)[np.triu_indices(len(rows), k=1)]
    positive = d[d > 0]
    return float(np.median(positive)) if len(positive) else 1.0


def _sides(x: ArrayLike, y: ArrayLike, *, least: int) -> tuple[Floats, Floats]:
    """Centred rows [n, d] and [n, e] of one n."""
    a, b = read_matrix(x, "x", vector=True), read_matrix(y, "y", vector=True)
    if len(a) != len(b) or len(a) < least:
        raise DataError(
            f"x has {len(a)} rows and y {len(b)}: give the same number, at least {least}."
        )
    return _centre(a), _centre(b)


def _centre(values: NDArray[Any]) -> Floats:
    """Columns less their mean; 0 where they vary by rounding alone."""
    rows = values.astype(np.float64)
    mean = rows.mean(axis=0)
    rows -= mean
    rows[:, np.abs(rows).max(axis=0) <= rounding(values.dtype) * np.abs(mean)] = 0.0
    return rows


def _scaled(rows: Floats) -> Floats:
    """Centred rows on a scale of 1: dependence does not change with the unit."""
    largest = float(np.abs(rows).max(initial=0.0))
    return rows / largest if largest > 0 else rows


def dependence(x: ArrayLike, y: ArrayLike, *, kernel: Kernel = "rbf") -> float:
    """Normalised unbiased dependence of two samples of rows, about 0 for independent ones.

    Blocks of rows are compared with blocks of rows, so memory is O(n), for any n.

    Args:
        x: [n, d], n >= 4.
        y: [n, e].
        kernel: "rbf" (HSIC; Gaussian kernel of median width), "distance" (bias-corrected
            squared distance correlation, Szekely and Rizzo 2013) or "linear" (CKA of
            Kornblith et al. 2019, debiased).

    Returns:
        U(x, y) / sqrt(U(x, x) U(y, y)), at most 1; 0 where a side is constant.

    Raises:
        DataError: fewer than four rows, another number on both sides, or gaps.

    >>> x = np.random.default_rng(0).normal(size=(200, 3))
    >>> round(dependence(x, 2 * x + 1, kernel="distance"), 6)
    1.0
    """
    a, b = (_scaled(side) for side in _sides(x, y, least=4))
    n = len(a)
    similar = [_similarity(kernel, _median_distance(s) if kernel == "rbf" else 1) for s in (a, b)]
    rows = np.zeros((2, n))
    products = np.zeros(3)  # xy, xx, yy
    for i in range(0, n, _BLOCK):
        for j in range(i, n, _BLOCK):
            k, m = (
                f(s[i : i + _BLOCK], s[j : j + _BLOCK])
                for f, s in zip(similar, (a, b), strict=True)
            )
            if i == j:
                np.fill_diagonal(k, 0.0)
                np.fill_diagonal(m, 0.0)
            twice = 1.0 if i == j else 2.0
            products += twice * np.array([np.vdot(k, m), np.vdot(k, k), np.vdot(m, m)])
            for side, block in enumerate((k, m)):
                rows[side, i : i + _BLOCK] += block.sum(axis=1)
                if i != j:
                    rows[side, j : j + _BLOCK] += block.sum(axis=0)

    def unbiased(product: float, p: Floats, q: Floats) -> float:
        inner = product + p.sum() * q.sum() / (n - 1) / (n - 2) - 2 / (n - 2) * float(p @ q)
        return float(inner / n / (n - 3))

    own = unbiased(products[1], rows[0], rows[0]), unbiased(products[2], rows[1], rows[1])
    return _ratio(unbiased(products[0], rows[0], rows[1]), *own)


def _ratio(shared: float, own_x: float, own_y: float) -> float:
    if own_x <= 1e-14 or own_y <= 1e-14:
        return 0.0
    return float(min(shared / np.sqrt(own_x * own_y), 1.0))


def _u_centred(x: Floats, kernel: Kernel, width: float) -> Floats:
    """U-centred similarity matrix [n, n] with a zero diagonal."""
    k = _similarity(kernel, width)(x, x)
    np.fill_diagonal(k, 0.0)
    n = len(k)
    row = k.sum(axis=1)
    out = k - (row[:, None] + row) / (n - 2) + row.sum() / (n - 1) / (n - 2)
    np.fill_diagonal(out, 0.0)
    return out


def dependence_score(
    x: ArrayLike,
    y: ArrayLike,
    *,
    kernel: Kernel = "rbf",
    given: ArrayLike | None = None,
    draws: int = PERMUTATIONS,
    seed: int = 0,
) -> Score:
    """`dependence` with a permutation p-value, also conditional on labels.

    Args:
        x: [n, d].
        y: [n, e].
        kernel: as for `dependence`.
        given: [n] labels; the value is then the mean over labels, by their number of rows, of
            the dependence among rows of one label (labels with fewer than eight rows, and rows
            without a label, are left out), and permutations stay within labels.
        draws: permutations, on a random 600 of the rows where there are more (stated).
        seed: of permutations and subset.

    Raises:
        DataError: another number of rows on both sides, gaps, or labels that cannot be read.
    """
    a, b = (_scaled(side) for side in _sides(x, y, least=1))
    labels = np.zeros(len(a), dtype=np.int64)
    if given is not None:
        labels = renumbered(read_labels(given, "given", rows=len(a)))
    big = np.flatnonzero(np.bincount(labels[labels >= 0]) >= 8)
    keep = np.isin(labels, big)
    if not keep.any():
        return undefined(Caution("few-per-label"), n=len(a))
    a, b, labels = a[keep], b[keep], np.searchsorted(big, labels[keep])
    n = len(a)
    groups = [np.flatnonzero(labels == k) for k in range(len(big))]
    value = sum(len(rows) / n * dependence(a[rows], b[rows], kernel=kernel) for rows in groups)
    # Every label keeps its share of the rows of the null.
    rng = np.random.default_rng(seed)
    share = min(1.0, NULL_ROWS / n)
    chosen = [rng.permutation(rows)[: max(8, round(share * len(rows)))] for rows in groups]
    total = sum(map(len, chosen))
    null = null_of(*_permuted_dependence(a, b, chosen, kernel, draws=draws, seed=seed))
    score = Score(
        float(value),
        null=null.mean,
        p=null.p,
        n=n,
        details={
            "kernel": kernel,
            "null_interval": [null.low, null.high],
            "null_rows": total,
            "given": "expression" if given is not None else "",
        },
    )
    if total < n:
        score = score.with_caution(Caution("p-from-random-rows", kept=total, total=n))
    return score


def _permuted_dependence(
    x: Floats, y: Floats, groups: Sequence[Ints], kernel: Kernel, *, draws: int, seed: int
) -> tuple[float, Floats]:
    """Mean `dependence` within groups of rows, and that of permutations within them [draws]."""
    nulls, observed, total = np.zeros(draws), 0.0, sum(map(len, groups))
    for k, rows in enumerate(groups):
        left, right = (
            _u_centred(s[rows], kernel, _median_distance(s[rows]) if kernel == "rbf" else 1.0)
            for s in (x, y)
        )
        scale = np.sqrt(np.vdot(left, left) * np.vdot(right, right))
        if scale <= 1e-14:
            continue
        weight = len(rows) / total / scale
        observed += weight * float(np.vdot(left, right))
        for d, order in enumerate(permutations(len(rows), draws=draws, seed=seed + 7 * k)):
            nulls[d] += weight * float(np.vdot(left[order][:, order], right))
    return observed, nulls


def cross_covariance(x: ArrayLike, y: ArrayLike) -> float:
    """Squared Frobenius norm of the cross-covariance, with 1 / (n - 1) (EIF's L_cov).

    Args:
        x: [n, d], n >= 2.
        y: [n, e].

    Raises:
        DataError: fewer than two rows, another number on both sides, or gaps.

    >>> cross_covariance([[1.0], [-1.0]], [[2.0], [-2.0]])
    16.0
    """
    a, b = _sides(x, y, least=2)
    return float(np.sum((a.T @ b / (len(a) - 1)) ** 2))


def cross_covariance_score(
    x: ArrayLike,
    y: ArrayLike,
    *,
    given: ArrayLike | None = None,
    draws: int = PERMUTATIONS,
    seed: int = 0,
) -> Score:
    """Squared Frobenius norm of the cross-*correlation* per pair of columns, with its null.

    Columns are standardised and the sum is divided by d e, so that embeddings of different
    scale and size compare: the mean squared correlation, 0 to 1. With `given`, columns lose
    their mean within each label first and permutations stay within labels.
    """
    a, b = (_scaled(side) for side in _sides(x, y, least=1))
    labels = None
    if given is not None:
        labels = renumbered(read_labels(given, "given", rows=len(a)))
        a, b, labels = a[labels >= 0], b[labels >= 0], labels[labels >= 0]
    if labels is not None:
        a, b = centred(a, labels), centred(b, labels)
    a, b = standardise(a), standardise(b)
    n = len(a)
    if n < 8:
        return undefined(Caution("few-rows", n=n, of="rows", least=8), n=n)

    # Correlations of single precision: 400 of these products are most of the metric's time.
    a, b = a.astype(np.float32), b.astype(np.float32)

    def mean_square(order: NDArray[np.int64]) -> float:
        return float(np.mean((a[order].T @ b / np.float32(n)) ** 2, dtype=np.float64))

    observed = mean_square(np.arange(n))
    orders = permutations(n, draws=draws, seed=seed, within=labels)
    null = null_of(observed, [mean_square(order) for order in orders])
    details = {"null_interval": [null.low, null.high]}
    return Score(observed, null=null.mean, p=null.p, n=n, details=details)


_SCORES = (
    ("hsic", "HSIC", "Hilbert-Schmidt independence criterion over its largest value."),
    ("dcor", "Distance correlation", "Unbiased; 0 where E and I are independent."),
    ("cka", "CKA", "Centred kernel alignment, debiased."),
    ("xcov", "Cross-correlation", "Mean squared correlation of columns of E and of I."),
)
SPECS = tuple(
    ScoreSpec(f"{key}{given}", title, meaning, unit="", better="low", range=(-1, 1))
    for key, title, meaning in _SCORES
    for given in ("", ".given_expression")
)


@metric("independence", needs={"identity"}, scores=SPECS)
def independence(run: RunArrays, *, seed: int = 0) -> dict[str, Score]:
    """HSIC, distance correlation, CKA and cross-correlation of E and I on the test part.

    Keys "hsic", "dcor", "cka", "xcov", and each with ".given_expression".
    """
    part = run.test
    assert part.identity is not None
    rows, cautions = random_rows(np.arange(len(part)), MAX_ROWS, seed=seed)
    known = rows[part.y[rows] >= 0]
    out: dict[str, Score] = {}
    for key, at, given in (
        ("", rows, None),
        (".given_expression", known, part.y[known] if len(known) else None),
    ):
        if key and given is None:
            continue
        e, i = part.expression[at], part.identity[at]
        for name, kernel in NAMES.items():
            out[name + key] = dependence_score(e, i, kernel=kernel, given=given, seed=seed)
        out["xcov" + key] = cross_covariance_score(e, i, given=given, seed=seed)
    return {key: score.with_caution(*cautions) for key, score in out.items()}
