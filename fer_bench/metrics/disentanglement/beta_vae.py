"""BetaVAE score (Higgins et al., ICLR 2017)."""

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
from fer_bench.metrics.probes import Discriminant


def beta_vae_score(
    codes: ArrayLike,
    factors: ArrayLike,
    *,
    bins: int = BINS,
    votes: int = 2_000,
    size: int = 64,
    seed: int = 0,
) -> float:
    """BetaVAE score: can a linear classifier name the factor that two images share?

    Pairs of rows that agree in one factor are drawn, and the absolute differences of their codes
    are averaged over `size` pairs. A linear discriminant names the factor from this average. It is
    fitted on one half of the rows and tested on the other. The paper draws from a simulator; here
    the rows are given.

    Args:
        codes: [n, d] embeddings, n at least 10.
        factors: [n, k] what generated the images; constant factors are left out.
        bins: quantile bins of a continuous factor.
        votes: averages that are drawn from each half.
        size: pairs in an average.
        seed: of the halves and the pairs.

    Returns:
        Accuracy between 0 and 1; chance is 1 / k. 0 where no factor varies.

    Raises:
        DataError: codes or factors have gaps, not the same rows, or fewer than ten.

    Source: Higgins et al., beta-VAE, ICLR 2017, section 3.

    >>> import numpy as np
    >>> factors = np.random.default_rng(0).integers(0, 4, (200, 2))
    >>> beta_vae_score(factors, factors, votes=200)
    1.0
    """
    x, f = read_varying(codes, factors)
    if not f.shape[1]:
        return 0.0
    labels = factor_labels(f, bins=bins)
    rng = np.random.default_rng(seed)
    z = standardise(x).astype(np.float32)
    sides = []
    for rows in halves(len(x), seed):
        half = z[rows]
        gap = np.empty((votes, z.shape[1]), dtype=np.float64)
        which = rng.integers(0, labels.shape[1], votes)
        for j in range(labels.shape[1]):
            mine = np.flatnonzero(which == j)
            first, second = _same_factor_pairs(labels[rows, j], (len(mine), size), rng)
            for part in np.array_split(np.arange(len(mine)), max(1, len(mine) // 250)):
                gap[mine[part]] = np.abs(half[first[part]] - half[second[part]]).mean(axis=1)
        sides.append((gap, which))
    (gap, which), (held, truth) = sides
    model = Discriminant(gap, which, labels.shape[1])
    return float(np.mean(model.predict(held, 0.01) == truth))


def _same_factor_pairs(
    labels: Ints, shape: tuple[int, int], rng: np.random.Generator
) -> tuple[Ints, Ints]:
    """Rows of pairs with one label; two different images wherever the label has two.

    A row paired with itself would betray a factor with many values by its gap of 0.
    """
    order = np.argsort(labels, kind="stable")
    _, ordered, sizes = np.unique(labels[order], return_inverse=True, return_counts=True)
    alone = sizes[ordered] < 2  # no anchors
    anchors = np.flatnonzero(~alone) if not alone.all() else np.arange(len(labels))
    position = anchors[rng.integers(0, len(anchors), shape)]
    start = np.searchsorted(ordered, ordered[position], side="left")
    count = np.searchsorted(ordered, ordered[position], side="right") - start
    step = 1 + np.floor(rng.random(shape) * np.maximum(count - 1, 0)).astype(np.int64)
    partner = start + (position - start + step) % count
    return order[position], order[partner]
