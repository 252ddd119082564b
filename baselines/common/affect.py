"""Losses on valence and arousal."""

from __future__ import annotations

import torch
from torch import Tensor

from fer_bench.training.concordance import TINY, concordance


def pearson(prediction: Tensor, target: Tensor) -> Tensor:
    """Pearson correlation per column: [B, 2], [B, 2] -> [2].

    >>> x = torch.tensor([[0.0], [1.0], [2.0]])
    >>> pearson(2 * x + 1, x)
    tensor([1.])
    """
    p, t = prediction - prediction.mean(0), target - target.mean(0)
    covariance = (p * t).mean(0)
    return covariance / torch.sqrt(p.square().mean(0) * t.square().mean(0) + TINY)


def correlation_loss(prediction: Tensor, target: Tensor) -> Tensor:
    """(1 - mean PCC) + (1 - mean CCC), EIF eq. 14; at least two rows, else 0."""
    if len(target) < 2:
        return prediction.sum() * 0
    return 2 - pearson(prediction, target).mean() - concordance(prediction, target).mean()
