"""The differentiable concordance is the number of `fer_bench.metrics.ccc`."""

from __future__ import annotations

import pytest
import torch

from fer_bench.metrics import ccc
from fer_bench.training.concordance import concordance


def test_concordance_is_that_of_the_metric():
    torch.manual_seed(0)
    x, y = torch.randn(50, 2), torch.randn(50, 2) + 0.3
    expected = [ccc(x[:, k], y[:, k]) for k in range(2)]
    assert concordance(x, y).tolist() == pytest.approx(expected, abs=1e-5)


def test_a_constant_agrees_with_nothing():
    assert concordance(torch.zeros(9, 1), torch.randn(9, 1)).item() == 0
