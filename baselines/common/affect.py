"""Losses on valence and arousal."""

from __future__ import annotations

import torch
from torch import Tensor

_TINY = 1e-8


def pearson(prediction: Tensor, target: Tensor) -> Tensor:
    """Pearson correlation per column: [B, 2], [B, 2] -> [2].

    >>> x = torch.tensor([[0.0], [1.0], [2.0]])
    >>> pearson(2 * x + 1, x)
    tensor([1.])
    """
    p, t = prediction - prediction.mean(0), target - target.mean(0)
    covariance = (p * t).mean(0)
    return covariance / torch.sqrt(p.square().mean(0) * t.square().mean(0) + _TINY)


def concordance(prediction: Tensor, target: Tensor) -> Tensor:
    """Concordance correlation (Lin 1989) per column, with 1/N moments: [B, 2], [B, 2] -> [2].

    >>> x = torch.tensor([[0.0], [1.0], [2.0]])
    >>> concordance(x + 1, x).round(decimals=4)
    tensor([0.5714])
    """
    p, t = prediction - prediction.mean(0), target - target.mean(0)
    shift = (prediction.mean(0) - target.mean(0)).square()
    spread = p.square().mean(0) + t.square().mean(0)
    return 2 * (p * t).mean(0) / (spread + shift + _TINY)


def correlation_loss(prediction: Tensor, target: Tensor) -> Tensor:
    """(1 - mean PCC) + (1 - mean CCC), EIF eq. 14; at least two rows, else 0."""
    if len(target) < 2:
        return prediction.sum() * 0
    return 2 - pearson(prediction, target).mean() - concordance(prediction, target).mean()
