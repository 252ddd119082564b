"""`estimate_mi`: options, units and calibrated intervals."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fer_bench.cautions import has
from fer_bench.errors import DataError
from fer_bench.information import EstimatorError, estimate_mi, tasks
from fer_bench.labels import label_entropy


class Correlation:
    """Somebody's estimator, a number and no more."""

    def fit(self, x, y):
        self.rho = np.corrcoef(x[:, 0], y[:, 0])[0, 1]

    def estimate(self):
        return -0.5 * np.log(1 - self.rho**2)


def test_auto_carries_a_calibrated_interval():
    score = estimate_mi(*tasks.get("1v1-additive-0.1").sample(600, 0), null=0)
    assert len(score.details["calibration"]["planted"]) == 8
    assert score.low <= tasks.get("1v1-additive-0.1").mi <= score.high


def test_a_calibrated_interval_holds_the_value_also_at_the_entropy():
    labels = np.random.default_rng(0).integers(0, 3, 500)
    score = estimate_mi(labels, labels)
    assert score.low <= score.value <= score.high


def test_a_calibration_that_failed_is_a_warning():
    x = np.random.default_rng(0).normal(size=(400, 1))
    score = estimate_mi(x, 2 * x + 1, null=0)
    assert score.details["calibration"]["fault"] in " ".join(map(str, score.cautions))


def test_somebody_elses_estimator_gets_a_null_and_a_calibration():
    random = np.random.default_rng(0)
    x = random.normal(size=(500, 1))
    y = x + random.normal(size=(500, 1))
    score = estimate_mi(x, y, estimator=Correlation(), null=19)
    assert (score.low, score.high, score.p) == (None, None, 0.05)
    assert abs(score.null) < 0.01
    calibrated = estimate_mi(x, y, estimator=Correlation(), calibrated=6)
    assert calibrated.low < 0.5 * np.log(2) < calibrated.high


@pytest.mark.parametrize(
    "options",
    [
        {"estimator": "smile", "tau": -5}, {"estimator": "ksg", "k": 99},
        {"estimator": "ksg", "k": 2.5}, {"estimator": "ksg", "scores": "no"},
        {"estimator": "doe", "components": 0},
        {"estimator": "gaussian", "max_dim": -1}, {"estimator": "mine", "steps": 0},
        {"estimator": "mine", "batch": 1}, {"estimator": "mine", "hidden": 0},
        {"estimator": "mine", "folds": 1000}, {"estimator": "mine", "device": "nowhere"},
        {"estimator": "mine", "rate": 0}, {"estimator": "sliced", "slices": 0},
        {"calibrated": 1}, {"null": -1}, {"seed": -1}, {"estimator": None},
    ],
    ids=str,
)  # fmt: skip
def test_impossible_options_are_refused_in_one_sentence(options):
    x, y = np.random.default_rng(0).normal(size=(2, 100, 2))
    with pytest.raises(EstimatorError, match="give|cut|no estimator"):
        estimate_mi(x, y, **options)


def test_clusters_are_one_to_a_row():
    x, y = np.random.default_rng(0).normal(size=(2, 100, 2))
    with pytest.raises(DataError, match="clusters has 2 entries"):
        estimate_mi(x, y, estimator="copula", clusters=[1, 2])


def test_bits_are_nats_over_log_two_in_the_calibration_as_well():
    x, y = np.random.default_rng(0).normal(size=(2, 200, 2))
    nats, bits = (
        estimate_mi(x, x + y, estimator="copula", calibrated=4, null=0, unit=unit)
        for unit in ("nats", "bits")
    )
    for key in ("high", "planted"):
        want = np.asarray(nats.details["calibration"][key]) / np.log(2)
        assert np.asarray(bits.details["calibration"][key]) == pytest.approx(want)
    assert bits.details["calibration"]["slope"] == nats.details["calibration"]["slope"]


@pytest.mark.parametrize("estimator", ["auto", "plugin", "miller-madow"])
@settings(max_examples=8, deadline=None)
@given(st.integers(0, 1000), st.integers(2, 12), st.integers(30, 120))
def test_a_label_with_itself_shares_its_entropy(estimator, seed, classes, n):
    """No estimator errs who reads H(Y) of Y with itself, by its own estimate of an entropy."""
    y = np.random.default_rng(seed).integers(0, classes, n)
    score = estimate_mi(y, y, estimator=estimator, null=0, calibrated=0)
    assert not has(score.cautions, "above-entropy")
    assert score.value <= label_entropy(y) + classes / (2 * n) + 1e-9
