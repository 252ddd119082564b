"""Permutation nulls: valid p-values, strata kept."""

import numpy as np
import pytest
from scipy import stats

from fer_bench.statistics import agreement_null, null_of, permutation_null
from fer_bench.statistics.permutation import permutations


def test_orders_are_permutations_within_strata():
    strata = np.array([2, 0, 0, 1, 2, 2, 1, 0])
    orders = permutations(8, draws=200, seed=0, within=strata)
    assert (np.sort(orders, axis=1) == np.arange(8)).all()
    assert (strata[orders] == strata).all()
    # Every row reaches every place of its stratum.
    assert {tuple(sorted(set(orders[:, 0])))} == {(0, 4, 5)}


def test_orders_do_not_depend_on_what_was_asked_before():
    strata = np.array([2, 0, 0, 1, 2, 2, 1, 0])
    asked = [(8, 3, 0, None), (8, 3, 1, None), (8, 3, 0, strata), (8, 3, 0, strata[::-1])]
    first = [permutations(n, draws=d, seed=s, within=w).copy() for n, d, s, w in asked]
    for (n, d, s, w), orders in zip(asked, first, strict=True):
        again = permutations(n, draws=d, seed=s, within=w)
        assert (again == orders).all()
        with pytest.raises(ValueError, match="read-only"):
            again[0, 0] = 1
    assert len({orders.tobytes() for orders in first}) == len(asked)


def test_ties_count_as_reached():
    assert null_of(1.0, [1.0, 1.0, 0.0]).p == 0.75


def test_no_finite_null_value():
    null = null_of(1.0, [np.nan])
    assert null.draws == 0
    assert np.isnan(null.p)


def test_p_is_never_zero():
    null = permutation_null(lambda o: float((o == np.arange(30)).sum()), 30.0, 30, draws=99)
    assert null.p == 0.01


def test_agreement_within_subjects_ignores_what_subjects_explain():
    """Predictions that name the subject's usual class agree, but not within subjects."""
    rng = np.random.default_rng(0)
    subject = np.repeat(np.arange(10), 20)
    usual = rng.integers(0, 4, 10)[subject]
    truth = np.where(rng.random(200) < 0.8, usual, rng.integers(0, 4, 200))
    assert agreement_null(usual, truth, seed=1).p < 0.01
    assert agreement_null(usual, truth, seed=1, within=subject).p == 1.0


@pytest.mark.slow
def test_p_values_are_uniform_under_the_null():
    rng = np.random.default_rng(0)
    p = []
    for repetition in range(1500):
        x, y = rng.normal(size=(2, 20))
        null = permutation_null(
            lambda order, x=x, y=y: float(x @ y[order]), float(x @ y), 20, draws=199,
            seed=repetition,
        )  # fmt: skip
        p.append(null.p)
    # The p-values are multiples of 1/200: spread each over its step before the KS test.
    spread = np.array(p) - rng.random(len(p)) / 200
    assert stats.kstest(spread, "uniform").pvalue > 0.01


@pytest.mark.slow
def test_agreement_p_values_are_uniform_with_clustered_predictions():
    """Predictions depend on the subject, labels vary within it: strata keep the test valid."""
    rng = np.random.default_rng(1)
    subject = np.repeat(np.arange(8), 30)
    p = []
    for repetition in range(800):
        guess = np.where(
            rng.random(240) < 0.7, rng.integers(0, 3, 8)[subject], rng.integers(0, 3, 240)
        )
        truth = rng.integers(0, 3, 240)
        p.append(agreement_null(guess, truth, draws=199, seed=repetition, within=subject).p)
    assert 0.03 <= np.mean(np.array(p) <= 0.05) <= 0.07
