"""Interventional robustness score (Suter et al., ICML 2019)."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from fer_bench.metrics.disentanglement.discrete import (
    BINS,
    Floats,
    check_rows,
    factor_labels,
)


def irs_score(
    codes: ArrayLike, factors: ArrayLike, *, bins: int = BINS, quantile: float = 0.99
) -> float:
    """Interventional robustness score (Suter et al., ICML 2019).

    For each code and factor: the largest deviation (its 99 % quantile) from the mean at a fixed
    value of the factor, averaged over values, relative to the largest deviation at all. A
    code's score is one minus that for its best factor; codes weigh by their largest deviation.
    """
    x, f = np.asarray(codes, dtype=np.float64), np.asarray(factors)
    check_rows(x, f)
    labels = factor_labels(f, bins=bins)
    largest = np.abs(x - x.mean(axis=0)).max(axis=0)
    keep = largest > 0
    if not keep.any():
        return 0.0
    x, largest = x[:, keep], largest[keep]
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
