"""Objectives: what critics are trained to maximise, one value [P] for each problem."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from fer_bench.information.critics import Scores, log_sum_exp


def log_moving_average(
    log_average: Tensor, log_mean: Tensor, steps: Tensor, *, decay: float = 0.9
) -> tuple[Tensor, Tensor]:
    """Take the mean of a batch into an exponential moving average, in logarithms.

    Args:
        log_average: [P] so far; minus infinity to begin with.
        log_mean: [P] of the batch.
        steps: batches taken in, with this one.
        decay: weight of what was before.

    Returns:
        The new average [P] (for the next call), and the same divided by 1 - decay^steps, without
        which it would start ten times too small.

    >>> first = torch.zeros(1)
    >>> log_moving_average(torch.full((1,), -math.inf), first, torch.tensor(1))[1].exp()
    tensor([1.0000])
    """
    log_average = torch.logaddexp(log_average + math.log(decay), log_mean + math.log1p(-decay))
    return log_average, log_average - torch.log1p(-(decay ** steps.float()))


def _log_mean_exp(scores: Scores) -> Tensor:
    total = log_sum_exp(scores.negative.flatten(1))
    return total - math.log(scores.negative.shape[1] * scores.per_row)


def donsker_varadhan(scores: Scores, state: dict[str, Tensor] | None = None) -> Tensor:
    """E T - log E exp T over the negatives.

    With a `state` the gradient of the logarithm is divided by a moving average instead of the
    batch's own mean (Belghazi et al. 2018, section 3.2).
    """
    log_mean = _log_mean_exp(scores)
    if state is None:
        return scores.positive.mean(1) - log_mean
    if "average" not in state:
        state["average"] = torch.full_like(log_mean.detach(), -math.inf)
        state["steps"] = torch.zeros(())
    state["steps"] = state["steps"] + 1
    state["average"], average = log_moving_average(
        state["average"], log_mean.detach(), state["steps"]
    )
    return scores.positive.mean(1) - torch.exp(log_mean - average)


def nguyen_wainwright_jordan(scores: Scores) -> Tensor:
    """1 + E T - E exp T, which is E T' - E exp(T' - 1) for T' = T + 1: 0 for a silent critic.

    Belghazi et al. call it MINE-f.
    """
    return 1 + scores.positive.mean(1) - torch.exp(_log_mean_exp(scores))


def jensen_shannon(scores: Scores) -> Tensor:
    """Log-likelihood of telling pairs from permuted ones, in excess of a coin toss.

    At its best T is the log density ratio.
    """
    per_row = F.softplus(scores.negative).sum(2) / scores.per_row  # softplus(-inf) = 0
    return 2 * math.log(2) - F.softplus(-scores.positive).mean(1) - per_row.mean(1)


def info_nce(scores: Scores) -> Tensor:
    """Log-probability of the right partner among 1 + K, plus log(1 + K) (van den Oord 2018)."""
    log_sum = torch.logaddexp(scores.positive, log_sum_exp(scores.negative))
    return (scores.positive - log_sum).mean(1) + math.log(1 + scores.per_row)


def interpolated(scores: Scores, alpha: float) -> Tensor:
    """I_alpha of Poole et al. 2019, between NWJ (alpha 0) and InfoNCE (alpha 1)."""
    log_row = log_sum_exp(scores.negative) - math.log(scores.per_row)
    return interpolated_rows(scores.positive, log_row, scores.per_row, alpha).mean(1)


def interpolated_rows(positive: Tensor, log_row: Tensor, per_row: int, alpha: float) -> Tensor:
    """Contributions of rows to I_alpha, from their score and the log-mean-exp of negatives."""
    rest, weight = (math.log(share) if share > 0 else -math.inf for share in (1 - alpha, alpha))
    joint = torch.logaddexp(positive, log_row + math.log(max(per_row - 1, 1))) - math.log(per_row)
    a = torch.logaddexp(joint + weight, torch.full_like(joint, rest))
    b = torch.logaddexp(log_row + weight, torch.full_like(joint, rest))
    return 1 + positive - a - torch.exp(log_row - b)
