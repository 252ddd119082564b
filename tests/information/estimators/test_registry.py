"""One test over all registered estimators: what every one of them owes its reader."""

from __future__ import annotations

import math

import numpy as np
import pytest

from fer_bench.cautions import WORDINGS, Caution
from fer_bench.information import estimate_mi
from fer_bench.information.estimator import SIDES, Estimate, Estimator, make, sides_of
from fer_bench.information.inputs import clean_pair
from fer_bench.registry import estimators

OPTIONS = {"auto": {"calibrated": 0}}


def pair_for(estimator: str, n: int = 60):
    """A dependent pair of the kind of sides that an estimator reads."""
    random = np.random.default_rng(0)
    x, labels = random.normal(size=(n, 2)), random.integers(0, 3, n)
    discrete_sides = SIDES[sides_of(estimators.get(estimator))][0][0]
    if discrete_sides == 0:
        return x, x + random.normal(size=(n, 2))
    if discrete_sides == 1:
        return x + labels[:, None], labels
    return labels, (labels + (random.random(n) < 0.3)) % 3


@pytest.mark.parametrize("name", estimators.names())
def test_every_estimator_gives_a_finite_score_that_repeats_for_its_seed(name):
    x, y = pair_for(name)
    options = OPTIONS.get(name, {})
    first, again = (estimate_mi(x, y, estimator=name, seed=3, null=1, **options) for _ in range(2))
    assert math.isfinite(first.value)
    assert first.low <= first.value <= first.high
    assert first.details["estimator"] == name
    assert first.value == again.value


@pytest.mark.parametrize("name", estimators.names())
def test_every_caution_has_a_code_with_a_wording(name):
    score = estimate_mi(*pair_for(name, 12), estimator=name, null=0, **OPTIONS.get(name, {}))
    assert any(caution.code == "few-rows-for-mi" for caution in score.cautions)
    assert all(isinstance(caution, Caution) for caution in score.cautions)
    assert {caution.code for caution in score.cautions} <= set(WORDINGS)


@pytest.mark.parametrize("name", estimators.names())
def test_every_estimator_fits_and_estimates_by_itself(name):
    x, y = pair_for(name)
    tool = make(name, seed=1)
    assert isinstance(tool, Estimator)
    estimate = tool.fit(x, y).estimate()
    assert isinstance(estimate, Estimate)
    assert len(estimate.rows) == len(estimate.index) <= clean_pair(x, y).n
