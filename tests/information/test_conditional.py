"""Conditional information: by neighbours, by the chain rule, by class."""

from __future__ import annotations

import numpy as np
import pytest

from fer_bench.errors import DataError
from fer_bench.information import EstimatorError, estimate_mi
from fer_bench.information.estimators.neighbours import KSG, conditional_ksg
from fer_bench.information.inputs import clean_pair


class Correlation:
    """Somebody's estimator, a number and no more."""

    def fit(self, x, y):
        self.rho = np.corrcoef(x[:, 0], y[:, 0])[0, 1]

    def estimate(self):
        return -0.5 * np.log(1 - self.rho**2)


def test_conditional_ksg_finds_independence_given_a_common_cause():
    rng = np.random.default_rng(4)
    z = rng.normal(size=(2000, 1))
    x, y = z + rng.normal(size=(2000, 1)), z + rng.normal(size=(2000, 1))
    assert abs(conditional_ksg(clean_pair(x, y), z).value) < 0.03
    assert estimate_mi(x, y, estimator="ksg", null=0).value > 0.1


def test_conditional_information_of_normals_by_the_chain_rule():
    rng = np.random.default_rng(5)
    z = rng.normal(size=(5000, 2))
    e = rng.normal(size=(5000, 1))
    x, y = z[:, :1] + e, z[:, 1:] + 0.75 * e + np.sqrt(1 - 0.75**2) * rng.normal(size=(5000, 1))
    score = estimate_mi(x, y, z=z, estimator="gaussian")
    assert score.value == pytest.approx(0.413339, abs=0.03)
    assert any("difference of two estimates" in str(w) for w in score.cautions)


def test_conditioning_on_labels_averages_over_classes():
    rng = np.random.default_rng(6)
    z = rng.integers(0, 3, 3000)
    x, y = z[:, None] + rng.normal(size=(2, 3000, 1))
    score = estimate_mi(x, y, z=z, estimator="ksg")
    assert abs(score.value) < 0.03
    assert len(score.details["by_class"]) == 3


def test_conditional_neighbours_heed_the_options_of_an_instance():
    x, y, z = np.random.default_rng(0).normal(size=(3, 200, 1))
    by_name = estimate_mi(x, x + y, z=z, estimator="ksg", k=20)
    assert estimate_mi(x, x + y, z=z, estimator=KSG(k=20)).value == by_name.value
    assert by_name.value != estimate_mi(x, x + y, z=z, estimator="ksg").value


@pytest.mark.parametrize("estimator", ["copula", "ksg", "student"])
def test_a_side_that_is_constant_within_a_class_shares_nothing_there(estimator):
    random = np.random.default_rng(0)
    z = np.arange(400) % 2
    x = np.where(z[:, None] == 0, 0.0, random.normal(size=(400, 2)))
    y = x + random.normal(size=(400, 2))
    score = estimate_mi(x, y, z=z, estimator=estimator, null=2)
    assert score.details["by_class"][0] == 0.0
    assert score.value == pytest.approx(score.details["by_class"][1] / 2)


@pytest.mark.parametrize("estimator", ["gaussian", "copula", "ksg", "student"])
@pytest.mark.filterwarnings("error")
def test_columns_that_vary_in_other_classes_only_are_left_out(estimator):
    x, noise = np.random.default_rng(0).normal(size=(2, 300, 2))
    y, z = 0.8 * x + 0.6 * noise, (x[:, 0] > 0).astype(int)
    x[z == 1, 1] = 0
    score = estimate_mi(x, y, z=z, estimator=estimator, null=0)
    within = [
        estimate_mi(x[z == 0], y[z == 0], estimator=estimator, null=0),
        estimate_mi(x[z == 1, :1], y[z == 1], estimator=estimator, null=0),
    ]
    assert score.details["by_class"] == pytest.approx([s.value for s in within], abs=1e-6)


@pytest.mark.parametrize("estimator", ["gaussian", "copula", "ksg"])
@pytest.mark.filterwarnings("error")
def test_constant_conditions_and_sides(estimator):
    x, noise = np.random.default_rng(0).normal(size=(2, 300, 2))
    y, same = x + noise, np.full(300, 0.5)
    given = estimate_mi(x, y, z=same, estimator=estimator, null=0)
    assert given.value == pytest.approx(estimate_mi(x, y, estimator=estimator, null=0).value)
    assert any("z is constant" in str(w) for w in given.cautions)
    assert estimate_mi(same, y, z=x[:, :1], estimator=estimator).value == 0


def test_small_classes_of_a_condition_are_said():
    x, noise = np.random.default_rng(0).normal(size=(2, 600, 20))
    score = estimate_mi(x, x + noise, z=np.arange(600) % 24, estimator="ksg", null=0)
    assert any("24 of 24 classes of z have fewer than 30 rows" in str(w) for w in score.cautions)
    assert any("in 40 dimensions" in str(w) for w in score.cautions)


def test_a_condition_is_read_as_it_says():
    x, y = np.random.default_rng(0).normal(size=(2, 400))
    days = np.arange(400, dtype=float) % 4
    with pytest.raises(DataError, match="discrete_z=True"):
        estimate_mi(x, y, z=days.astype("datetime64[D]"), estimator="gaussian")
    by_class = estimate_mi(x, y, z=days, discrete_z=True, estimator="gaussian", null=0)
    assert len(by_class.details["by_class"]) == 4
    measured = estimate_mi(x, y, z=days.astype(int), discrete_z=False, estimator="gaussian")
    assert "by_class" not in measured.details
    with pytest.raises(EstimatorError, match="give z as well"):
        estimate_mi(x, y, discrete_z=True)


def test_conditions_that_do_not_suit_are_refused():
    x, z = np.random.default_rng(0).normal(size=(2, 100, 1))
    labels = np.arange(100) % 3
    with pytest.raises(EstimatorError, match="which 'ross' does not read"):
        estimate_mi(x, labels, z=z, estimator="ross")
    with pytest.raises(EstimatorError, match="no null for a measured z"):
        estimate_mi(x, -x, z=z, estimator="ksg", null=20)
    with pytest.raises(DataError, match="discrete_z=False"):
        estimate_mi(x, -x, z=np.arange(100), estimator="ksg")
    with pytest.raises(EstimatorError, match="with z"):
        estimate_mi(x, labels, z=z, clusters=labels)
    with pytest.raises(EstimatorError, match="this package's"):
        estimate_mi(x, labels, z=z, estimator=Correlation())
