"""How many directions the rows of a matrix spread in."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray


def effective_rank(values: NDArray[Any], *, of: Literal["scales", "variances"] = "scales") -> float:
    """exp of the entropy of the normalised spectrum of centred columns (Roy and Vetterli 2007).

    Args:
        values: [n, d], finite.
        of: "scales", the singular values, as in the paper; or "variances", their squares (the
            eigenvalues of the covariance), which count small directions less.

    Returns:
        Between 1 and d; 1 where no column varies.

    >>> rng = np.random.default_rng(0)
    >>> round(effective_rank(rng.normal(size=(500, 1)) * np.ones(8)), 3)
    1.0
    """
    centred = values - values.mean(axis=0, dtype=np.float64)
    n, d = centred.shape
    gram = centred.T @ centred if d <= n else centred @ centred.T
    spectrum = np.clip(np.linalg.eigvalsh(gram), 0.0, None)
    if of == "scales":
        spectrum = np.sqrt(spectrum)
    share = spectrum[spectrum > 0] / max(spectrum.sum(), np.finfo(float).tiny)
    return float(np.exp(-np.sum(share * np.log(share))))
