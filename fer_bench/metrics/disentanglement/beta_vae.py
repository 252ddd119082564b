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
    """BetaVAE score (Higgins et al., ICLR 2017), on given rows instead of a simulator.

    Mean absolute difference of pairs that share one factor; a linear classifier names the
    factor. Fitted on pairs of one half of the rows, valued on the other. Chance is 1 / k for k
    factors that vary; the others are left out.

    Raises:
        DataError: codes or factors have gaps, not the same rows, or fewer than ten.
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
