"""Separated attribute predictability (Kumar et al., ICLR 2018)."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fer_bench.metrics.common import standardise
from fer_bench.metrics.disentanglement.discrete import (
    BINS,
    Floats,
    Ints,
    discretise,
    halves,
    is_continuous,
    read_varying,
)


def sap_score(codes: ArrayLike, factors: ArrayLike, *, bins: int = BINS, seed: int = 0) -> float:
    """Separated attribute predictability: the gap between the two codes that predict a factor best.

    Each code predicts each factor on its own. A continuous factor is scored by the squared
    correlation, as in the paper. A label is scored by the accuracy above the majority rate of the
    best guess in each quantile bin of the code, on the half of the rows that was not fitted. (The
    paper fits a linear SVM to the code, which misses a class that lies between two others.)

    Args:
        codes: [n, d] embeddings, n at least 10.
        factors: [n, k] what generated the images; constant factors are left out.
        bins: quantile bins of a code; a factor with more distinct values, and fractions among
            them, is continuous.
        seed: of the halves.

    Returns:
        The gap, averaged over factors.

    Raises:
        DataError: codes or factors have gaps, not the same rows, or fewer than ten.

    Source: Kumar et al., DIP-VAE, ICLR 2018, section 3.
    """
    x, f = read_varying(codes, factors)
    if not f.shape[1]:
        return 0.0
    fit, held = halves(len(x), seed)
    binned = discretise(x, bins=bins)
    scores = np.zeros((x.shape[1], f.shape[1]))
    z = standardise(x)
    for j in range(f.shape[1]):
        values = f[:, j]
        if is_continuous(values, bins):
            scores[:, j] = (z.T @ standardise(values[:, None])[:, 0] / len(z)) ** 2
        else:
            scores[:, j] = _binned_accuracy(binned, values, fit, held)
    ordered = np.sort(np.vstack([scores, np.zeros((1, f.shape[1]))]), axis=0)[::-1]
    return float(np.mean(ordered[0] - ordered[1]))


def _binned_accuracy(binned: Ints, labels: NDArray[Any], fit: Ints, held: Ints) -> Floats:
    """Held-out accuracy above the majority rate of the best guess in each bin, per code."""
    y = np.unique(labels, return_inverse=True)[1]
    classes = int(y.max()) + 1
    majority = np.bincount(y[fit]).argmax()
    base = float(np.mean(y[held] == majority))
    out = np.empty(binned.shape[1])
    for i in range(binned.shape[1]):
        size = int(binned[:, i].max()) + 1
        cells = np.bincount(binned[fit, i] * classes + y[fit], minlength=size * classes)
        table = cells.reshape(size, classes)
        guess = np.where(table.sum(axis=1) > 0, table.argmax(axis=1), majority)
        out[i] = max(float(np.mean(guess[binned[held, i]] == y[held])) - base, 0.0)
    return out
