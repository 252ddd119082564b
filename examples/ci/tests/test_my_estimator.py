"""Laws that every estimator must keep, agreement with KSG, and values that must not drift."""

import numpy as np
import pytest
from my_estimator import MyKSG

from fer_bench.information.estimators.neighbours import KSG
from fer_bench.testing import at_most, parametrize_with_checks, within


@parametrize_with_checks([MyKSG(k=3)], like=KSG(k=3, scores=False))
def test_laws(check):
    check()


@pytest.mark.fer_baseline(value=within(0.01), error=at_most(0.02))
def test_values(fer_baseline):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(1000, 1))
    y = 0.8 * x + 0.6 * rng.normal(size=(1000, 1))
    value = MyKSG(k=3).fit(x, y).estimate()
    truth = -0.5 * np.log(1 - 0.8**2)
    fer_baseline({"value": value, "error": abs(value - truth)})
