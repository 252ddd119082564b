"""Modularity (Ridgeway and Mozer, NeurIPS 2018)."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from fer_bench.metrics.disentanglement.discrete import read_amounts


def modularity_score(mi: ArrayLike) -> float:
    """Modularity (Ridgeway and Mozer, NeurIPS 2018): does a code tell of one factor only?

    Mean over codes of 1 - sum of squared information on other factors / (largest^2 (k - 1));
    an empty code counts 0.

    Args:
        mi: [d, k] information of d codes and k factors.

    Raises:
        DataError: gaps, or an information below 0.

    >>> round(modularity_score([[1, 0, 0], [0, 0, 0], [0, 0, 1]]), 6)
    0.666667
    """
    amounts = read_amounts(mi, "mi")
    squared = (amounts / max(float(amounts.max()), 1e-300)) ** 2
    top = squared.max(axis=1)
    if squared.shape[1] < 2:
        return float(np.mean(top > 0))
    rest = squared.sum(axis=1) - top
    with np.errstate(divide="ignore", invalid="ignore"):
        score = 1 - rest / (top * (squared.shape[1] - 1))
    return float(np.mean(np.where(top > 0, score, 0.0)))
