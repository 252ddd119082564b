"""Sliced information."""

from __future__ import annotations

import numpy as np

from fer_bench.information import estimate_mi


def test_sliced_information_sees_what_no_coordinate_shows():
    rng = np.random.default_rng(9)
    x = rng.normal(size=(1000, 2))
    y = rng.normal(size=(1000, 2)) * (1 + np.linalg.norm(x, axis=1, keepdims=True))
    score = estimate_mi(x, y, estimator="sliced")
    assert score.value > score.details["null_interval"][1]
