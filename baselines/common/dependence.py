"""A measure of dependence for claims."""

from __future__ import annotations

import torch
from torch import Tensor


@torch.no_grad()
def distance_correlation(a: Tensor, b: Tensor) -> Tensor:
    """Bias-corrected squared distance correlation of two samples [B, d], [B, e].

    About 0 for independent samples whatever their dimension, 1 for equal ones; may be slightly
    negative (Szekely and Rizzo 2013).

    >>> x = torch.arange(8.0)[:, None]
    >>> distance_correlation(x, -2 * x)
    tensor(1.)
    """

    def centred(x: Tensor) -> Tensor:
        n = len(x)
        distances = torch.cdist(x.double(), x.double())
        rows = distances.sum(1, keepdim=True) / (n - 2)
        middle = distances.sum() / ((n - 1) * (n - 2))
        return (distances - rows - rows.T + middle).fill_diagonal_(0.0)

    x, y = centred(a), centred(b)
    scale = torch.sqrt((x * x).sum() * (y * y).sum())
    return ((x * y).sum() / scale.clamp(min=1e-300)).float()
