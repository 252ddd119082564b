"""Mutual information gap (Chen et al., NeurIPS 2018)."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from fer_bench.metrics.disentanglement.discrete import read_amounts
from fer_bench.reading import read_vector


def mig_score(mi: ArrayLike, entropies: ArrayLike) -> float:
    """Mutual information gap: how much more the best code tells of a factor than the second best.

    The mean over factors of (largest - second largest information of a code) / H(factor). With a
    single code the second is 0. Factors without entropy are left out.

    Args:
        mi: [d, k] information of d codes on k factors.
        entropies: [k] of the factors, in the same unit.

    Returns:
        A number between 0 and 1.

    Raises:
        DataError: gaps, an information below 0, or not one entropy per factor.

    Source: Chen et al., Isolating Sources of Disentanglement, NeurIPS 2018, equation 6.

    >>> mig_score([[1.0, 0.0], [0.0, 1.0]], [1.0, 1.0])
    1.0
    """
    m = read_amounts(mi, "mi")
    h = read_vector(entropies, "entropies", rows=m.shape[1])
    ordered = np.sort(np.vstack([m, np.zeros((1, m.shape[1]))]), axis=0)[::-1]
    keep = h > 0
    if not keep.any():
        return 0.0
    return float(np.mean((ordered[0] - ordered[1])[keep] / h[keep]))
