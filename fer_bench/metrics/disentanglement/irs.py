"""Interventional robustness score (Suter et al., ICML 2019)."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from fer_bench.metrics.common import standardise
from fer_bench.metrics.disentanglement.discrete import BINS, Floats, factor_labels, read_varying


def irs_score(
    codes: ArrayLike, factors: ArrayLike, *, bins: int = BINS, quantile: float = 0.99
) -> float:
    """Interventional robustness: does a code stay where it is while other factors change?

    For each code and factor, the largest deviation (a quantile of them) from the mean at a fixed
    value of the factor is averaged over the values and divided by the largest deviation of the
    code at all. The score of a code is one minus that ratio for its best factor; codes weigh by
    their largest deviation.

    Args:
        codes: [n, d] embeddings; constant codes are left out.
        factors: [n, k] what generated the images; constant factors are left out.
        bins: quantile bins of a continuous factor.
        quantile: of the deviations that counts as the largest.

    Returns:
        A number between 0 and 1.

    Raises:
        DataError: codes or factors have gaps, not the same rows, or a single one.

    Source: Suter et al., Robustly Disentangled Causal Mechanisms, ICML 2019.
    """
    x, f = read_varying(codes, factors, least=2)
    if not f.shape[1]:
        return 0.0
    labels = factor_labels(f, bins=bins)
    x = x[:, standardise(x).any(axis=0)].astype(np.float64)
    if not x.shape[1]:
        return 0.0
    x -= x.mean(axis=0)
    x /= np.abs(x).max()
    largest = np.abs(x).max(axis=0)
    deviation = np.zeros((x.shape[1], labels.shape[1]))
    for j in range(labels.shape[1]):
        order = np.argsort(labels[:, j], kind="stable")
        cuts = np.flatnonzero(np.diff(labels[order, j])) + 1
        groups = np.split(x[order], cuts)
        for rows in groups:
            off = np.abs(rows - rows.mean(axis=0))
            deviation[:, j] += _upper_quantile(off, quantile) / len(groups)
    best = 1 - (deviation / largest[:, None]).min(axis=1)
    return float(np.average(best, weights=largest))


def _upper_quantile(values: Floats, quantile: float) -> Floats:
    """`np.quantile(values, quantile, axis=0)` by one partition."""
    at = quantile * (len(values) - 1)
    low = int(np.floor(at))
    high = min(low + 1, len(values) - 1)
    part = np.partition(values, sorted({low, high}), axis=0)
    return part[low] + (at - low) * (part[high] - part[low])
