"""The head that predicts whatever the task asks for, with its loss."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from fer_bench.baselines.common.affect import correlation_loss
from fer_bench.method import Batch, Prediction, Task


class TaskHead(nn.Module):
    """Code [B, dim] -> class scores or valence-arousal; rows without a label count nothing.

    Args:
        task: its `target` decides what is predicted.
        dim: length of the code.
        hidden: width of a hidden layer; 0 for a linear head.
        balanced: weight classes by inverse frequency in training.
        correlation: weight of (1 - PCC) + (1 - CCC) beside the squared error of
            valence-arousal.
    """

    class_weight: Tensor | None

    def __init__(
        self,
        task: Task,
        dim: int,
        *,
        hidden: int = 0,
        balanced: bool = False,
        correlation: float = 0.5,
    ) -> None:
        super().__init__()
        self.discrete = task.target == "expression"
        outputs = len(task.classes) if self.discrete else 2
        self.net: nn.Module = nn.Linear(dim, outputs)
        if hidden:
            self.net = nn.Sequential(nn.Linear(dim, hidden), nn.ReLU(), nn.Linear(hidden, outputs))
        self.correlation = correlation
        weight = inverse_frequency(task.class_counts) if balanced and self.discrete else None
        self.register_buffer("class_weight", weight, persistent=False)

    def forward(self, code: Tensor) -> Tensor:
        """Class scores [B, C] or valence-arousal [B, 2]."""
        return self.net(code)

    def loss(self, output: Tensor, batch: Batch) -> Tensor:
        """Cross-entropy, or squared error with the correlation term."""
        output = output.float()
        if self.discrete:
            return cross_entropy(output, batch.expression, self.class_weight)
        known = known_affect(batch)
        if not known.any():
            return output.sum() * 0
        predicted, target = output[known], batch.valence_arousal[known]
        loss = functional.mse_loss(predicted, target)
        if self.correlation:
            loss = loss + self.correlation * correlation_loss(predicted, target)
        return loss

    def row_losses(self, output: Tensor, batch: Batch) -> tuple[Tensor, Tensor]:
        """Loss per row [B] without batch statistics, and which rows have a label [B]."""
        output = output.float()
        if self.discrete:
            known = batch.expression >= 0
            losses = functional.cross_entropy(
                output, batch.expression.clamp(min=0), self.class_weight, reduction="none"
            )
        else:
            known = known_affect(batch)
            target = torch.nan_to_num(batch.valence_arousal)
            losses = (output - target).square().mean(1)
        return losses * known, known

    def prediction(self, code: Tensor) -> Prediction:
        """What `Method.predict` returns."""
        output = self.net(code)
        if self.discrete:
            return Prediction(logits=output)
        return Prediction(valence_arousal=output)


def known_affect(batch: Batch) -> Tensor:
    """Rows [B] with both valence and arousal."""
    return torch.isfinite(batch.valence_arousal).all(1)


def cross_entropy(scores: Tensor, labels: Tensor, weight: Tensor | None = None) -> Tensor:
    """Cross-entropy over the rows with a label; 0 if there are none.

    >>> cross_entropy(torch.zeros(2, 4), torch.tensor([-1, -1]))
    tensor(0.)
    """
    known = labels >= 0
    if not known.any():
        return scores.sum() * 0
    return functional.cross_entropy(scores[known].float(), labels[known], weight)


def inverse_frequency(counts: tuple[int, ...]) -> Tensor:
    """Class weights n / (C n_c); 0 for a class without faces."""
    n = torch.tensor(counts, dtype=torch.float32)
    return torch.where(n > 0, n.sum() / (len(n) * n.clamp(min=1)), torch.zeros_like(n))


def train_subjects(batch: Batch, task: Task) -> Tensor:
    """Subject codes [B] that a head may know; -1 for missing ones and for held-out people."""
    known = batch.subject < task.n_train_subjects
    return torch.where(known, batch.subject, torch.full_like(batch.subject, -1))
