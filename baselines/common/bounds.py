"""Bounds on dependence that encoders and critics are trained with.

These are training losses on small batches. The numbers of a report come from
`fer_bench.information`, with fresh critics on held-out rows.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from fer_bench.information.objectives import log_moving_average

BoundName = Literal["dv", "jsd"]


class Bound(nn.Module):
    """Mean over positions of a lower bound, from critic scores; to be maximised.

    Args:
        name: "dv", Donsker-Varadhan, in nats: E_p[T] - log E_q[exp T] (Belghazi et al. 2018);
            its gradient divides by a moving average of E_q[exp T] that is corrected for its
            start, because the gradient of a batch's own log-mean is biased.
            "jsd", Jensen-Shannon: E_p[-softplus(-T)] - E_q[softplus(T)] + 2 ln 2, a bound on
            twice the Jensen-Shannon divergence (at most 2 ln 2). It is no mutual information.
        positions: P; each position has a bound of its own, and they are averaged. Summing the
            scores of all positions before the exponential would be the bound of another critic.
        decay: of the moving average.

    >>> bound = Bound("dv")
    >>> round(bound(torch.ones(4, 1), torch.zeros(2, 4, 1)).item(), 6)
    1.0
    """

    log_average: Tensor
    steps: Tensor

    def __init__(self, name: BoundName, *, positions: int = 1, decay: float = 0.9) -> None:
        super().__init__()
        self.name = name
        self.decay = decay
        self.register_buffer("log_average", torch.full((positions,), -math.inf))
        self.register_buffer("steps", torch.zeros((), dtype=torch.int64))

    def forward(self, joint: Tensor, marginal: Tensor) -> Tensor:
        """Joint scores [B, P] and marginal scores [K, B, P] -> scalar."""
        if self.name == "jsd":
            value = -functional.softplus(-joint).mean() - functional.softplus(marginal).mean()
            return value + 2 * math.log(2)
        marginal = marginal.flatten(0, 1)
        log_mean = torch.logsumexp(marginal, 0) - math.log(len(marginal))
        value = (joint.mean(0) - log_mean).mean()
        if not self.training:
            return value
        surrogate = (joint.mean(0) - torch.exp(log_mean - self._update(log_mean.detach()))).mean()
        return surrogate + (value - surrogate).detach()

    @torch.no_grad()
    def _update(self, log_mean: Tensor) -> Tensor:
        """Take in one batch; return the log of the corrected average."""
        self.steps += 1
        average, corrected = log_moving_average(
            self.log_average, log_mean, self.steps, decay=self.decay
        )
        self.log_average.copy_(average)
        return corrected


def label_ceiling(name: BoundName, counts: Sequence[int], *, class_aware: bool = False) -> float:
    """The largest value of a bound where both sides of a joint pair share the class label alone.

    Donsker-Varadhan against marginal pairs is at most H(Y); against pairs of other classes there
    is no largest value. Jensen-Shannon is at most 2 ln 2, which only pairs of other classes allow.

    Args:
        name: see `Bound`.
        counts: faces a class.
        class_aware: whether marginal pairs are of other classes.

    >>> [round(label_ceiling("jsd", [1] * classes), 2) for classes in (2, 4, 7, 8)]
    [0.43, 0.76, 0.96, 0.99]
    """
    p = torch.tensor([count for count in counts if count], dtype=torch.float64)
    p = p / p.sum()
    if class_aware:
        return 2 * math.log(2) if name == "jsd" else math.inf
    if name == "dv":
        return float(torch.special.entr(p).sum())
    # Twice the divergence of P(y, y') = p_y [y = y'] from Q(y, y') = p_y p_y'.
    joint = p * torch.log(2 / (1 + p))
    marginal = p**2 * torch.log(2 * p / (1 + p))
    return float(joint.sum() + marginal.sum() + (1 - (p**2).sum()) * math.log(2))


def derangements(batch: int, count: int, *, device: torch.device | None = None) -> Tensor:
    """[count, batch] rows in which no row is paired with itself: distinct random cyclic shifts.

    There are batch - 1 of them; a larger count gives all.

    A plain permutation has one fixed point on average, and every fixed point is a joint pair
    among the marginal ones, which biases the bound downwards.

    Raises:
        ValueError: fewer than two rows.
    """
    if batch < 2:
        raise ValueError("a derangement needs at least two rows.")
    shifts = 1 + torch.randperm(batch - 1)[:count]
    return ((torch.arange(batch) + shifts[:, None]) % batch).to(device)


def class_aware_negatives(labels: Tensor, count: int) -> Tensor:
    """[count, batch] rows of another class each, drawn at random.

    The bound is then against p(image) p(code | other class): it can exceed I(image; code), and
    it is a contrast, not an estimate. A row without any other class gets a derangement.
    """
    batch = len(labels)
    other = (labels[:, None] != labels[None]).float().cpu()
    alone = other.sum(1) == 0
    other[alone] = 1.0
    drawn = torch.multinomial(other, count, replacement=True).T
    if alone.any():
        row = torch.arange(batch)[alone]
        drawn[:, alone] = (row + torch.randint(1, batch, (count, len(row)))) % batch
    return drawn.to(labels.device)
