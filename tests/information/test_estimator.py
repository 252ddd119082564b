"""The contract of an estimator, and anybody's object behind it."""

from __future__ import annotations

import numpy as np
import pytest

from fer_bench.information import EstimatorError, estimate_mi, tasks
from fer_bench.information.estimators.neural import (
    MINE,
)


class Constant:
    """Somebody's estimator that ignores the data."""

    def fit(self, x, y):
        return self

    def estimate(self):
        return 0.7


class Correlation:
    """Somebody's estimator, a number and no more."""

    def fit(self, x, y):
        self.rho = np.corrcoef(x[:, 0], y[:, 0])[0, 1]

    def estimate(self):
        return -0.5 * np.log(1 - self.rho**2)


PAIR = tasks.normal("pair", tasks.paired_covariance(3, 3, [0.8]), 3)


def test_a_foreign_estimator_gives_a_score():
    x, y = tasks.get("1v1-normal-0.75").sample(200, 0)
    score = estimate_mi(x, y, estimator=Constant())
    assert score.value == 0.7
    assert score.low is None


def test_somebodys_estimator_reads_the_sides_it_says():
    x, labels = np.random.default_rng(0).normal(size=(100, 2)), np.arange(100) % 3
    with pytest.raises(EstimatorError, match="let its attribute `sides` say"):
        estimate_mi(x, labels, estimator=Correlation())
    odd = Correlation()
    odd.sides = "both"
    with pytest.raises(EstimatorError, match="sides is 'both'"):
        estimate_mi(x, x, estimator=odd)


def test_somebodys_estimator_may_work_in_place():
    class Shuffles(Correlation):
        def fit(self, x, y):
            super().fit(x, y)
            np.random.default_rng(0).shuffle(y)

    x, noise = np.random.default_rng(0).normal(size=(2, 200, 1))
    score = estimate_mi(x, x + noise, estimator=Shuffles(), null=2)
    assert (
        score.details["null_values"]
        == (estimate_mi(x, x + noise, estimator=Correlation(), null=2).details["null_values"])
    )


def test_what_somebodys_class_needs_is_given_or_named():
    class Needs(Correlation):
        def __init__(self, seed, bins):
            self.seed, self.bins = seed, bins

    x, y = np.random.default_rng(0).normal(size=(2, 100, 1))
    with pytest.raises(EstimatorError, match="Needs cannot be built: .*'bins'"):
        estimate_mi(x, y, estimator=Needs)
    assert estimate_mi(x, y, estimator=Needs, bins=3, seed=4).value >= 0


def test_fit_then_estimate_and_not_the_other_way_round():
    from fer_bench.information import EstimatorError

    with pytest.raises(EstimatorError, match="fit"):
        MINE().estimate()
    x, y = PAIR.sample(400, 4)
    tool = MINE(steps=60)
    value = tool.fit(x, y).estimate().value
    assert value == estimate_mi(x, y, estimator=MINE(steps=60), null=0).value
