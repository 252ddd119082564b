"""Agreement of valence and arousal with their labels, as a tensor that can be trained on."""

from __future__ import annotations

from torch import Tensor

TINY = 1e-8


def concordance(prediction: Tensor, target: Tensor) -> Tensor:
    """Concordance correlation (Lin 1989) per column, with 1/N moments: [B, 2], [B, 2] -> [2].

    `fer_bench.metrics.ccc` is the same number of arrays, with intervals.

    >>> import torch
    >>> x = torch.tensor([[0.0], [1.0], [2.0]])
    >>> concordance(x + 1, x).round(decimals=4)
    tensor([0.5714])
    """
    p, t = prediction - prediction.mean(0), target - target.mean(0)
    shift = (prediction.mean(0) - target.mean(0)).square()
    spread = p.square().mean(0) + t.square().mean(0)
    return 2 * (p * t).mean(0) / (spread + shift + TINY)
