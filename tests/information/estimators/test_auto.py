"""The default chooses well and says why."""

from __future__ import annotations

import numpy as np
import pytest

from fer_bench.information import estimate_mi, tasks
from fer_bench.information.estimators.auto import telling_pair
from fer_bench.information.inputs import clean_pair


@pytest.mark.parametrize(
    ("name", "n", "chosen"),
    [
        ("channel-7-0.3", 500, "miller-madow"), ("clusters-7-2-1.5", 500, "ross"),
        ("clusters-7-16-0.8", 500, "classifier"), ("1v1-normal-0.75", 2000, "copula"),
        ("half_cube-multinormal-sparse-5-5-2-2.0", 2000, "copula"),
        ("student-identity-3-3-2", 2000, "student"), ("1v1-additive-0.1", 2000, "ksg"),
        ("relu64-same-class-7-6-1.2", 1000, "contrast"),
    ],
)  # fmt: skip
def test_auto_chooses_by_what_the_data_are(name, n, chosen):
    task = tasks.get(name)
    score = estimate_mi(*task.sample(n, 0), null=1, calibrated=0)
    assert score.details["chosen"] == chosen
    assert score.details["because"]
    assert score.value == pytest.approx(task.mi, abs=0.06 + 0.16 * task.mi)


def test_a_closed_form_that_overstates_is_not_believed():
    """Two tight clusters: a normal model reads several nats where there are log 2."""
    rng = np.random.default_rng(0)
    sign = rng.choice([-1.0, 1.0], size=(1500, 1))
    x, y = (sign * np.ones((1, 3)) + 0.02 * rng.normal(size=(1500, 3)) for _ in range(2))
    assert estimate_mi(x, y, estimator="gaussian", null=0).value > 2
    score = estimate_mi(x, y, null=0, calibrated=0)
    assert score.value == pytest.approx(np.log(2), abs=0.15)


def test_few_rows_are_no_excuse_for_a_closed_form():
    """Clusters of 80 rows: the standard error is wide, the bound on the same rows is not."""
    rng = np.random.default_rng(3)
    centres = 2 * rng.normal(size=(4, 4))
    x, y = (np.tile(centres, (20, 1)) + 0.5 * rng.normal(size=(80, 4)) for _ in range(2))
    assert estimate_mi(x, y, estimator="copula", null=0).value > 1.3
    score = estimate_mi(x, y, null=0, calibrated=0)
    assert score.details["chosen"] == "contrast"
    assert 0.3 < score.value < 1.2


def test_kept_out_values_are_below_the_middle():
    x, y = tasks.get("relu64-same-class-7-6-1.2").sample(600, 0)
    middle, kept = (
        estimate_mi(x, y, kept_out=kept, null=0, calibrated=0) for kept in (False, True)
    )
    assert kept.value == middle.details["held_out_value"] < middle.value


@pytest.mark.parametrize("n", [3000, 10_000])
def test_high_information_rests_on_the_closed_form_and_says_so(n):
    task = tasks.get("normal-20-20-10nats")
    score = estimate_mi(*task.sample(n, 0), null=0)
    assert score.value == pytest.approx(task.mi, rel=0.05)
    assert any("too high to be checked" in str(w) for w in score.cautions)


def test_what_two_columns_show_is_not_called_nothing():
    """0.004 nats with a narrow interval, for 5, was confirmed by a critic that learnt nothing."""
    random = np.random.default_rng(0)
    x = random.normal(size=(600, 8))
    y = np.cos(2 * x) + 0.5 * random.normal(size=(600, 8))
    score = estimate_mi(x, y, null=0, calibrated=0)
    assert score.details["chosen"] == "contrast"
    assert any("alone share" in str(w) for w in score.cautions)
    alone = max(estimate_mi(x[:, i], y[:, i], estimator="ksg", null=0).value for i in range(8))
    assert 0.2 < telling_pair(clean_pair(x, y))[0] < alone + 0.1


@pytest.mark.parametrize("n", [100, 300, 2000])
def test_no_pair_of_columns_tells_where_there_is_nothing(n):
    samples = [clean_pair(*tasks.get("independent-64-64").sample(n, seed)) for seed in range(10)]
    assert max(telling_pair(sample)[0] for sample in samples) < 0.01


def test_pairs_of_columns_are_sought_in_rows_from_everywhere():
    """The first rows may be of another kind than the rest."""
    x, y = np.random.default_rng(0).normal(size=(2, 20_000, 2))
    y[:2000] = x[:2000]
    assert telling_pair(clean_pair(x, y))[0] < 0.3
