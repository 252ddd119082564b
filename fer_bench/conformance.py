"""Does a method adapter keep the contract, and do its losses move what they claim to move?"""

from __future__ import annotations

import torch
from torch import Tensor

from fer_bench.method import Task


def example_task() -> Task:
    """A small task."""
    return Task(
        classes=("neutral", "happiness", "anger"),
        subjects=tuple("abcdef"),
        n_train_subjects=6,
        shape=(3, 32, 32),
    )


@torch.no_grad()
def distance_correlation(a: Tensor, b: Tensor) -> Tensor:
    """Bias-corrected squared distance correlation of two samples [B, d], [B, e].

    About 0 for independent samples whatever their dimension, 1 for equal ones; may be slightly
    negative (Szekely and Rizzo 2013).
    """

    def centred(x: Tensor) -> Tensor:
        n = len(x)
        d = torch.cdist(x.double(), x.double())
        rows = d.sum(1, keepdim=True) / (n - 2)
        c = d - rows - rows.T + d.sum() / ((n - 1) * (n - 2))
        return c.fill_diagonal_(0.0)

    x, y = centred(a), centred(b)
    scale = torch.sqrt((x * x).sum() * (y * y).sum())
    return ((x * y).sum() / scale.clamp(min=1e-300)).float()
