"""Planted tasks have the information they state, and calibration finds what is misread."""

from __future__ import annotations

import numpy as np
import pytest

from fer_bench.errors import DataError
from fer_bench.information import EstimatorError, estimate_mi, tasks
from fer_bench.information.calibration import calibrate, invert_line, plant
from fer_bench.information.inputs import clean_pair


def test_bent_tasks_hide_their_share_from_linear_models():
    """Independent normal sides, so that what a Gaussian model reads is what a line can see."""
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(2, 8000, 3))
    read = {}
    for seen in (1.0, 0.75, 0.5):
        orders = [plant(clean_pair(x, y), 0.8, rng, seen=seen) for _ in range(3)]
        read[seen] = np.mean(
            [estimate_mi(x, y[o], estimator="gaussian", null=0).value for o in orders]
        )
    assert read[1.0] == pytest.approx(0.8, abs=0.05)
    assert read[0.75] == pytest.approx(0.6, abs=0.05)
    assert read[0.5] == pytest.approx(0.4, abs=0.05)


def test_an_estimator_that_reads_nothing_fails_its_calibration():
    """Neighbours in 40 dimensions read about 0 whatever is planted: 0 is then no finding."""
    x, y = np.random.default_rng(0).normal(size=(2, 400, 40))
    blind = calibrate("ksg", x, y)
    assert blind.slope < 0.3
    assert blind.fault
    assert not calibrate("gaussian", x[:, :3], y[:, :3]).fault


@pytest.mark.parametrize("nats", [0.0, 0.5, 1.5])
@pytest.mark.parametrize("kind", ["continuous", "mixed", "labels"])
def test_planted_information_is_what_it_says(nats, kind):
    rng = np.random.default_rng(1)
    x, y = rng.gamma(2, size=(6000, 1)), rng.gamma(1, size=(6000, 1))
    if kind != "continuous":
        y = rng.integers(0, 7, 6000)
    if kind == "labels":
        x = rng.integers(0, 9, 6000)
    sample = clean_pair(x, y)
    order = plant(sample, nats, rng)
    assert sorted(order) == list(range(6000))
    tool = {"continuous": "ksg", "mixed": "ross", "labels": "miller-madow"}[kind]
    score = estimate_mi(x, y[order], estimator=tool, null=0)
    assert score.value == pytest.approx(nats, abs=0.06)


def test_calibration_reaches_the_truth_that_neighbours_miss_in_ten_dimensions():
    task = tasks.get("multinormal-sparse-5-5-2-2.0")
    score = calibrate("ksg", *task.sample(2000, 0))
    assert score.score.high < task.mi - 0.2
    assert score.bias < -0.2
    assert score.low < task.mi < score.high


def test_calibration_does_not_pretend_where_the_estimator_sees_nothing():
    truth = np.linspace(0, 1, 10)
    value, low, high, _ = invert_line(truth, np.full(10, 0.01), 0.01, top=2.0)
    assert (value, low, high) == (0.01, 0.0, 2.0)


def test_a_line_is_inverted_with_its_scatter():
    rng = np.random.default_rng(0)
    truth = np.linspace(0, 2, 40)
    read = 0.1 + 0.5 * truth + 0.02 * rng.normal(size=40)
    value, low, high, spread = invert_line(truth, read, 0.6, top=9.0)
    assert value == pytest.approx(1.0, abs=0.03)
    assert low < 1.0 < high < 1.2
    assert spread == pytest.approx(0.02, rel=0.4)


def test_nothing_can_be_planted_in_a_constant_side():
    x = np.random.default_rng(0).normal(size=(100, 2))
    with pytest.raises(DataError, match="constant"):
        calibrate("gaussian", np.ones(100), x)
    with pytest.raises(DataError, match="constant"):
        calibrate("ross", x, np.zeros(100, int))


def test_what_is_no_number_is_not_calibrated():
    wide = np.random.default_rng(0).normal(size=(2, 50, 40))
    with pytest.raises(EstimatorError, match="nothing to calibrate"):
        calibrate("student", *wide)


def test_planted_labels_are_as_near_as_their_classes_allow():
    """The classes do not fit each other in order, and what cannot be planted was called missed."""
    random = np.random.default_rng(0)
    a = random.choice(3, 2000, p=[0.1, 0.8, 0.1])
    b = (a == 1) ^ (random.uniform(size=2000) < 0.02)
    score = calibrate("miller-madow", a, b)
    assert abs(score.bias) < 0.02
    assert score.fault is None
    assert score.read == pytest.approx(score.planted, abs=0.05)
