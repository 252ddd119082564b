"""Density estimators against closed forms."""

from __future__ import annotations

import numpy as np
import pytest

from fer_bench.cautions import has
from fer_bench.information import estimate_mi, tasks


def test_club_equals_its_loose_closed_form_and_l1out_is_near_the_truth():
    x, y = tasks.get("1v1-normal-0.75").sample(4000, 1)
    club = estimate_mi(x, y, estimator="club", null=0, folds=4, steps=400)
    assert club.value == pytest.approx(0.75**2 / (1 - 0.75**2), abs=0.1)
    near = estimate_mi(x, y, estimator="l1out", null=0, folds=4, steps=400)
    assert near.value == pytest.approx(0.4133, abs=0.05)


@pytest.mark.parametrize(
    ("name", "within"),
    [("multinormal-dense-5-5-0.5", 0.06), ("multinormal-sparse-25-25-2-2.0", 0.12)],
)
def test_entropies_of_correlated_columns_differ_by_the_information(name, within):
    """What the mixtures cannot fit must not count: it read 1.0 for 0.6 once."""
    task = tasks.get(name)
    score = estimate_mi(*task.sample(3000, 0), estimator="doe", null=0)
    assert score.value == pytest.approx(task.mi, abs=within)


@pytest.mark.parametrize("estimator", ["doe", "club", "l1out"])
def test_densities_of_more_columns_than_rows_stay_numbers(estimator):
    """Directions that the fitted rows do not fill made it 1e30 nats."""
    x, y = np.random.default_rng(0).normal(size=(2, 60, 40))
    score = estimate_mi(x, y, estimator=estimator, null=0, steps=100)
    assert score.low <= 0 <= score.high
    assert abs(score.value) < 500
    assert any("reduce it first" in str(w) for w in score.cautions)


@pytest.mark.parametrize("dims", [1, 3])
def test_upper_bounds_say_that_they_are_loose(dims):
    """CLUB of normal pairs is d rho^2 / (1 - rho^2): 1,300 where 9 nats are shared."""
    rng, rho = np.random.default_rng(0), 0.95
    x = rng.normal(size=(1500, dims))
    y = rho * x + np.sqrt(1 - rho**2) * rng.normal(size=x.shape)
    truth = -dims / 2 * np.log(1 - rho**2)
    score = estimate_mi(x, y, estimator="club", null=0)
    caution = next(c for c in score.cautions if c.code == "loose-upper-bound")
    assert score.value > 3 * truth
    assert caution.values["normal"] == pytest.approx(truth, rel=0.15)
    apart = estimate_mi(x, rng.normal(size=x.shape), estimator="club", null=0)
    assert not has(apart.cautions, "loose-upper-bound")


def test_what_no_rows_can_tell_apart_is_said_to_be_an_upper_bound():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(1500, 3))
    y = 0.999 * x + np.sqrt(1 - 0.999**2) * rng.normal(size=x.shape)
    score = estimate_mi(x, y, estimator="l1out", null=0)
    assert score.value > np.log(1500)
    assert has(score.cautions, "upper-bound")
