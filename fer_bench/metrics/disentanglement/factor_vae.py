"""FactorVAE score (Kim and Mnih, ICML 2018)."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from fer_bench.metrics.common import standardise
from fer_bench.metrics.disentanglement.discrete import (
    BINS,
    Ints,
    factor_labels,
    halves,
    read_varying,
)


def factor_vae_score(
    codes: ArrayLike,
    factors: ArrayLike,
    *,
    bins: int = BINS,
    votes: int = 5_000,
    size: int = 64,
    seed: int = 0,
) -> float:
    """FactorVAE score: does the code that varies least name the factor that is held fixed?

    Sets of rows that agree in one factor are drawn. The code with the least variance in a set,
    relative to its variance in all rows, votes, and a table of majorities names the factor. The
    table is made from one half of the rows and tested on the other. The paper draws from a
    simulator; here the rows are given.

    Args:
        codes: [n, d] embeddings, n at least 10; constant codes are left out.
        factors: [n, k] what generated the images; constant factors are left out.
        bins: quantile bins of a continuous factor.
        votes: sets that are drawn from each half.
        size: rows of a set.
        seed: of the halves and the sets.

    Returns:
        Accuracy between 0 and 1; chance is 1 / k. 0 where no code or no factor varies.

    Raises:
        DataError: codes or factors have gaps, not the same rows, or fewer than ten.

    Source: Kim and Mnih, Disentangling by Factorising, ICML 2018, section 4.

    >>> import numpy as np
    >>> factors = np.random.default_rng(0).integers(0, 4, (200, 2))
    >>> factor_vae_score(factors, factors, votes=200)
    1.0
    """
    x, f = read_varying(codes, factors)
    z = standardise(x).astype(np.float32)
    z = z[:, z.any(axis=0)]
    if not z.shape[1] or not f.shape[1]:
        return 0.0
    labels = factor_labels(f, bins=bins)
    rng = np.random.default_rng(seed)
    tables = []
    for rows in halves(len(x), seed):
        sets, which = _same_factor_rows(labels[rows], size, votes, rng)
        variance = np.empty((votes, z.shape[1]), dtype=np.float32)
        half = z[rows]
        for start in range(0, votes, 500):
            variance[start : start + 500] = half[sets[start : start + 500]].var(axis=1)
        table = np.zeros((z.shape[1], labels.shape[1]))
        np.add.at(table, (variance.argmin(axis=1), which), 1)
        tables.append(table)
    guess = tables[0].argmax(axis=1)
    return float(tables[1][np.arange(len(guess)), guess].sum() / votes)


def _same_factor_rows(
    labels: Ints, size: int, votes: int, rng: np.random.Generator
) -> tuple[Ints, Ints]:
    """Rows [votes, size] that share the value of one factor, and which factor [votes]."""
    which = rng.integers(0, labels.shape[1], votes)
    anchor = rng.integers(0, len(labels), votes)
    rows = np.empty((votes, size), dtype=np.int64)
    for j in range(labels.shape[1]):
        mine = np.flatnonzero(which == j)
        order = np.argsort(labels[:, j], kind="stable")
        ordered = labels[order, j]
        value = labels[anchor[mine], j]
        start = np.searchsorted(ordered, value, side="left")
        count = np.searchsorted(ordered, value, side="right") - start
        draw = np.floor(rng.random((len(mine), size)) * count[:, None]).astype(np.int64)
        rows[mine] = order[start[:, None] + draw]
    return rows, which
