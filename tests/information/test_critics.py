"""Critics: shapes, products of factors and their negatives."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from fer_bench.information import estimate_mi, tasks
from fer_bench.information.critics import AllPairs, Critic, Scores, log_sum_exp, product_scores
from fer_bench.information.training import Fold

PAIR = tasks.normal("pair", tasks.paired_covariance(3, 3, [0.8]), 3)


def all_pairs(matrix: torch.Tensor) -> Scores:
    eye = torch.eye(matrix.shape[-1], dtype=torch.bool)
    negative = matrix.masked_fill(eye, -math.inf)
    return Scores(matrix.diagonal(dim1=-2, dim2=-1), negative, matrix.shape[-1] - 1)


@pytest.mark.parametrize("kind", Critic.kinds)
def test_every_kind_of_critic_learns(kind):
    score = estimate_mi(*PAIR.sample(1500, 1), estimator="mine", critic=kind, null=0, steps=300)
    assert score.value == pytest.approx(PAIR.mi, abs=0.12)


@pytest.mark.parametrize("kind", Critic.kinds)
def test_an_untrained_critic_says_nothing(kind):
    """A random own term of x would: it read -0.02 where there was nothing, and certain of it."""
    x, y = torch.randn(2, 40, 5, generator=torch.Generator().manual_seed(0))
    rows = np.arange(40)
    fold = Fold(x, y, torch.arange(40), rows[:20], rows[20:30], rows[30:], seed=0)
    critic = Critic(5, 5, kind=kind, base=False)
    weights = critic.initial(torch.Generator().manual_seed(0), fold, lambda blocks: blocks)
    batched = {name: value[None] for name, value in weights.items()}
    scores = critic.scores(batched, x[None], y[None])
    assert not scores.positive.any()
    assert not scores.negative[scores.negative > -math.inf].any()


def test_a_product_scores_all_pairs():
    f, g = torch.randn(2, 3, 7, 5, generator=torch.Generator().manual_seed(0))
    want, computed = all_pairs(f @ g.transpose(1, 2)), product_scores(f, g)
    assert torch.allclose(computed.positive, want.positive, atol=1e-5)
    assert torch.allclose(computed.negative, want.negative, atol=1e-5)


def test_log_sum_exp_and_its_gradient_are_those_of_torch():
    values = 30 * torch.randn(4, 50, generator=torch.Generator().manual_seed(1)).double()
    values[0, 3] = -math.inf
    values.requires_grad_()
    weights = torch.arange(4.0).double()
    computed, want = (
        torch.autograd.grad((f(values) * weights).sum(), values)[0]
        for f in (log_sum_exp, lambda v: torch.logsumexp(v, -1))
    )
    assert torch.allclose(log_sum_exp(values), torch.logsumexp(values, -1))
    assert torch.allclose(computed, want)


def test_test_rows_meet_all_others_slab_by_slab():
    f, g = 2 * torch.randn(2, 300, 5, generator=torch.Generator().manual_seed(2))
    low, high, tau = -7.0, 9.0, 4.0
    matrix = (f @ g.T).clamp(low, high)
    others = all_pairs(matrix.clamp(-tau, tau)[None]).negative[0]
    scored = AllPairs(f, g, slab=128)
    computed = scored.negatives(low, high, lambda v: v.clamp(-tau, tau))
    assert scored.span() == pytest.approx((float((f @ g.T).min()), float((f @ g.T).max())))
    assert torch.allclose(computed.log_row, others.logsumexp(1) - math.log(299), atol=1e-5)
    assert torch.allclose(computed.log_column, others.logsumexp(0) - math.log(299), atol=1e-5)
    i = torch.arange(300)
    shifted = torch.stack([matrix[i, (i + k) % 300].mean() for k in range(1, 300)])
    assert torch.allclose(computed.shifted, shifted, atol=1e-5)
