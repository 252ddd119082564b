"""From an estimate to a score: intervals, nulls and p-values."""

from __future__ import annotations

import numpy as np
import pytest

from fer_bench.cautions import has
from fer_bench.information import estimate_mi, tasks
from fer_bench.information.estimator import make
from fer_bench.information.inputs import clean_pair
from fer_bench.information.scoring import permute_pairs, score_samples


class Numbers:
    """Somebody's estimator that gives these numbers in turn."""

    def __init__(self, *values):
        self.values = list(values)

    def fit(self, x, y):
        pass

    def estimate(self):
        return self.values.pop(0)


PAIR = tasks.normal("pair", tasks.paired_covariance(3, 3, [0.8]), 3)


def test_a_number_that_did_not_come_out_is_said():
    x, y = np.random.default_rng(0).normal(size=(2, 60, 40))
    score = estimate_mi(x, y, estimator="student", null=0)
    assert np.isnan(score.value)
    assert any("no number" in str(w) for w in score.cautions)


def test_what_is_no_number_has_no_p_value():
    x, y = np.random.default_rng(0).normal(size=(2, 100, 1))
    none = estimate_mi(x, y, estimator=Numbers(*[np.nan] * 20), null=19)
    assert (none.p, none.null) == (None, None)
    assert any("no number came out" in str(w) for w in none.cautions)
    alone = estimate_mi(x, y, estimator=Numbers(0.5, *[np.nan] * 19), null=19)
    assert (alone.value, alone.p, alone.null) == (0.5, None, None)
    assert any("19 of 19 permuted copies gave no number" in str(w) for w in alone.cautions)
    score = estimate_mi(x, y, estimator=Numbers(0.5, *[np.nan] * 3), calibrated=3)
    assert score.value == 0.5
    assert has(score.cautions, "not-calibrated")


def test_few_permuted_copies_give_no_p_value():
    x, y = np.random.default_rng(0).normal(size=(2, 100, 1))
    assert estimate_mi(x, x + y, estimator="ksg", null=5).p is None
    assert estimate_mi(x, x + y, estimator="ksg", null=19).p == 0.05


@pytest.mark.parametrize("estimator", ["mine", "nwj", "jsd", "smile", "demi", "classifier"])
def test_nothing_in_common_is_covered_by_the_sampling_error_alone(estimator):
    """Not only because an interval about a negative value reaches up to zero."""
    task = tasks.get("clusters-7-64-0" if estimator == "classifier" else "independent-64-64")
    samples = [clean_pair(*task.sample(300, seed)) for seed in range(8)]
    scores = score_samples(samples, make(estimator))
    assert sum(abs(s.value) < 2 * s.details["standard_error"] for s in scores) >= 7


def test_intervals_count_subjects_not_rows():
    x, y = PAIR.sample(300, 5)
    subjects = np.repeat(np.arange(300), 5)
    copies = estimate_mi(
        np.repeat(x, 5, 0), np.repeat(y, 5, 0), estimator="copula", groups=subjects, null=0
    )
    once = estimate_mi(x, y, estimator="copula", null=0)
    assert copies.high - copies.low == pytest.approx(once.high - once.low, rel=0.1)


def test_permuted_pairs_keep_groups_and_leave_no_row_in_place():
    subjects = np.repeat(np.arange(12), 10)
    order = permute_pairs(120, subjects, np.random.default_rng(0))
    assert sorted(order) == list(range(120))
    assert (order != np.arange(120)).all()
    met = {(subjects[i], subjects[j]) for i, j in enumerate(order)}
    assert len(met) <= 24  # blocks meet blocks, instead of all 144 combinations
