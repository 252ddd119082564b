"""Labels on both sides against reference values."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fer_bench.information import estimate_mi


@pytest.mark.parametrize(
    ("x", "y", "nats"),
    [
        ([1, 3, 2, 0, 1] * 2, [0, 3, 2, 2, 1] * 2, 1.054920),
        ([2, 1, 0, 1, 0] * 2, [0, 2, 1, 1, 0] * 2, 0.500402),
    ],
)
def test_discrete_reference_values(x, y, nats):
    assert estimate_mi(x, y, estimator="plugin", null=0).value == pytest.approx(nats, abs=1e-6)


def test_miller_madow_takes_the_first_order_bias_out():
    rng = np.random.default_rng(8)
    by_name = {
        e: np.mean(
            [
                estimate_mi(
                    rng.integers(0, 7, 300), rng.integers(0, 7, 300), estimator=e, null=0
                ).value
                for _ in range(200)
            ]
        )
        for e in ("plugin", "miller-madow")
    }
    assert by_name["plugin"] == pytest.approx(36 / 600, abs=0.01)
    assert abs(by_name["miller-madow"]) < 0.01


@given(st.integers(0, 2**31), st.integers(2, 6), st.integers(2, 6))
@settings(max_examples=25, deadline=None)
def test_plugin_lies_between_zero_and_the_entropies(seed, kx, ky):
    rng = np.random.default_rng(seed)
    x, y = rng.integers(0, kx, 60), rng.integers(0, ky, 60)
    score = estimate_mi(x, y, estimator="plugin", null=0)
    limit = min(score.details.get("entropy_x", 0), score.details.get("entropy_y", 0))
    assert -1e-12 <= score.value <= limit + 1e-12
    assert estimate_mi(y, x, estimator="plugin", null=0).value == pytest.approx(score.value)
