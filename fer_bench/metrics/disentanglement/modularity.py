"""Modularity (Ridgeway and Mozer, NeurIPS 2018)."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from fer_bench.metrics.disentanglement.discrete import read_amounts


def modularity_score(mi: ArrayLike) -> float:
    """Modularity: does a code tell of one factor only?

    The mean over codes of 1 - (sum of squared information on the other factors) / (largest
    squared information * (k - 1)). A code that tells of no factor counts as 0.

    Args:
        mi: [d, k] information of d codes on k factors.

    Returns:
        A number between 0 and 1.

    Raises:
        DataError: gaps, or an information below 0.

    Source: Ridgeway and Mozer, NeurIPS 2018, equation 2.

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
