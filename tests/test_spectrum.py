"""Effective ranks against planted directions."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fer_bench.spectrum import effective_rank


def test_effective_rank_counts_directions():
    rows = np.random.default_rng(0).normal(size=(5000, 6))
    assert effective_rank(rows) == pytest.approx(6, abs=0.01)
    assert effective_rank(rows[:, :1] @ np.ones((1, 6))) == pytest.approx(1, abs=1e-6)
    assert effective_rank(np.ones((20, 3))) == 1


@given(st.integers(0, 2**31), st.integers(3, 40), st.integers(1, 12))
@settings(max_examples=25, deadline=None)
def test_variances_count_small_directions_less(seed, n, d):
    rows = np.random.default_rng(seed).normal(size=(n, d)) * np.arange(1, d + 1)
    by_variance = effective_rank(rows, of="variances")
    assert 1 - 1e-9 <= by_variance <= effective_rank(rows) + 1e-9 <= min(n, d) + 1e-6
