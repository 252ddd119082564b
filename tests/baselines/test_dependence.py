"""Distance correlation: zero for independent samples, and it sees more than correlation."""

from __future__ import annotations

import torch
from torch import nn

from fer_bench.baselines.common.dependence import distance_correlation


def test_distance_correlation_is_near_zero_for_independent_samples_of_any_dimension():
    torch.manual_seed(0)
    values = [distance_correlation(torch.randn(60, d), torch.randn(60, d)) for d in (1, 8, 64)]
    assert max(abs(float(v)) for v in values) < 0.12


def test_distance_correlation_sees_dependence_without_correlation():
    x = torch.linspace(-1, 1, 80)[:, None]
    assert float(distance_correlation(x, x**2)) > 0.1
    assert float(distance_correlation(x, nn.functional.relu(x))) > 0.5
