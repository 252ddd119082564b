"""Bad input gets a sentence, never a silent number."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from fer_bench.errors import DataError, UnknownNameError
from fer_bench.information import EstimatorError, estimate_mi
from fer_bench.information.inputs import clean_pair, effective_rank, features, normal_scores

RNG = np.random.default_rng(0)
X = RNG.normal(size=(200, 3))
Y = X + RNG.normal(size=(200, 3))


def mi(x, y, **options):
    return estimate_mi(x, y, **{"estimator": "gaussian", "null": 0, **options})


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_a_non_finite_value_is_named_by_row_and_column(bad):
    x = X.copy()
    x[7, 2] = bad
    with pytest.raises(DataError, match=r"x has 1 NaN or infinite.*row 7, column 2"):
        mi(x, Y)


def test_rows_must_pair_up():
    with pytest.raises(DataError, match="x has 200 rows and y has 199"):
        mi(X, Y[:-1])


def test_too_few_rows_raise_and_few_rows_warn():
    with pytest.raises(DataError, match="9 rows are too few"):
        mi(X[:9], Y[:9])
    assert any("only 25 rows" in w for w in mi(X[:25], Y[:25]).warnings)


def test_three_dimensional_arrays_are_refused():
    with pytest.raises(DataError, match="flatten images"):
        mi(np.zeros((50, 4, 4)), Y[:50])


def test_constant_columns_are_left_out_with_a_warning():
    wide = np.hstack([X, np.full((200, 2), 5.0)])
    score = mi(wide, Y)
    assert any("2 constant columns" in w for w in score.warnings)
    assert score.value == pytest.approx(mi(X, Y).value, abs=1e-9)


@pytest.mark.parametrize("estimator", ["gaussian", "ksg", "mine", "auto", "copula"])
def test_a_constant_side_reads_zero_and_says_so(estimator):
    score = estimate_mi(np.ones((50, 4)), Y[:50], estimator=estimator)
    assert score.value == 0.0
    assert any("constant" in w for w in score.warnings)


def test_one_class_reads_zero_and_says_so():
    score = estimate_mi(X, np.zeros(200, int), estimator="auto")
    assert score.value == 0.0
    assert any("one class" in w for w in score.warnings)


def test_missing_labels_are_an_error_not_a_class():
    labels = pd.array([0, 1, None, 1] * 50, dtype="Int64")
    with pytest.raises(DataError, match="50 missing labels"):
        estimate_mi(X, labels, estimator="ross")


def test_minus_one_is_an_ordinary_label():
    labels = np.where(X[:, 0] > 0, 1, -1)
    assert estimate_mi(X[:, :1], labels, estimator="ross", null=0).value > 0.4


def test_offsets_of_1e8_do_not_change_the_value():
    assert mi(X + 1e8, Y).value == pytest.approx(mi(X, Y).value, abs=1e-6)


def test_an_offset_that_ate_float32_digits_is_flagged():
    score = mi((X + 1e6).astype(np.float32), Y)
    assert any("offset leaves float32" in w for w in score.warnings)


def test_float16_ties_are_flagged_for_one_column():
    x = (X[:, :1] * 1e-2).repeat(10, axis=0).astype(np.float16)
    score = mi(x, RNG.normal(size=(2000, 1)))
    assert any("float16" in w or "distinct" in w for w in score.warnings)


def test_more_dimensions_than_rows_warns_and_stays_finite():
    score = estimate_mi(RNG.normal(size=(60, 100)), RNG.normal(size=(60, 100)), estimator="copula")
    assert np.isfinite(score.value)
    assert any("100 dimensions for 60 rows" in w for w in score.warnings)


def test_labels_in_a_float_column_are_pointed_out():
    score = mi(X, RNG.integers(0, 3, 200).astype(float))
    assert any("pass discrete_y=True" in w for w in score.warnings)


def test_measurements_in_an_integer_column_are_pointed_out():
    score = estimate_mi(RNG.integers(0, 10**6, 200), RNG.integers(0, 3, 200), estimator="plugin")
    assert any("pass discrete_x=False" in w for w in score.warnings)


def test_copied_rows_are_pointed_out():
    score = estimate_mi(np.vstack([X, X]), np.vstack([Y, Y]), estimator="ksg", null=0)
    assert any("50% of the rows are duplicates" in w for w in score.warnings)


def test_a_collapsed_embedding_is_pointed_out():
    flat = X[:, :1] @ np.ones((1, 8)) + 1e-4 * RNG.normal(size=(200, 8))
    assert any("collapsed embedding" in w for w in mi(flat, Y).warnings)


def test_tensors_lists_frames_and_strings_read_alike():
    want = mi(X, Y).value
    assert mi(torch.tensor(X, requires_grad=True), Y.tolist()).value == pytest.approx(want)
    assert mi(pd.DataFrame(X), Y).value == pytest.approx(want)
    words = np.array(["cat", "dog"])[(X[:, 0] > 0).astype(int)]
    codes = (X[:, 0] > 0).astype(int)
    assert (
        estimate_mi(X[:, :1], words, estimator="ross", null=0).value
        == estimate_mi(X[:, :1], codes, estimator="ross", null=0).value
    )


def test_unknown_names_and_options_are_named_with_what_is_near():
    with pytest.raises(UnknownNameError, match="did you mean 'mine'"):
        estimate_mi(X, Y, estimator="mime")
    with pytest.raises(EstimatorError, match="no option 'patiense': did you mean 'patience'"):
        estimate_mi(X, Y, estimator="mine", patiense=3)
    with pytest.raises(EstimatorError, match="'nats' or 'bits'"):
        mi(X, Y, unit="bit")


@pytest.mark.parametrize(
    ("estimator", "x", "y"),
    [("plugin", X, Y), ("ksg", X, X[:, 0] > 0), ("classifier", X, Y), ("ross", X, Y)],
)
def test_an_estimator_that_does_not_apply_says_what_it_needs(estimator, x, y):
    with pytest.raises(EstimatorError, match="needs"):
        estimate_mi(x, y, estimator=estimator)


@given(st.integers(0, 2**31), st.integers(10, 80), st.integers(1, 5))
@settings(max_examples=25, deadline=None)
def test_normal_scores_keep_ranks_and_have_unit_variance(seed, n, d):
    values = np.random.default_rng(seed).normal(size=(n, d)) ** 3
    scores = normal_scores(values)
    assert (np.argsort(scores, axis=0) == np.argsort(values, axis=0)).all()
    assert scores.std(axis=0) == pytest.approx(np.ones(d))
    assert normal_scores(np.exp(values / np.abs(values).max())) == pytest.approx(scores)


def test_effective_rank_counts_directions():
    rows = RNG.normal(size=(5000, 6))
    assert effective_rank(rows) == pytest.approx(6, abs=0.01)
    assert effective_rank(rows[:, :1] @ np.ones((1, 6))) == pytest.approx(1, abs=1e-6)


def test_wide_sides_reach_networks_as_leading_components():
    wide = RNG.normal(size=(300, 2)) @ RNG.normal(size=(2, 400))
    assert features(wide).shape == (300, 128)
    assert clean_pair(wide, wide).x.shape == (300, 400)


def test_a_class_may_be_called_none():
    rng = np.random.default_rng(0)
    labels = np.array(["None", "nan", "glasses"], dtype=object)[rng.integers(0, 3, 200)]
    sample = clean_pair(rng.normal(size=200), labels)
    assert sorted(np.unique(sample.y)) == [0, 1, 2]
    labels[7] = None
    with pytest.raises(DataError, match="missing"):
        clean_pair(rng.normal(size=200), labels)


@pytest.mark.parametrize("n", [10, 11, 13, 20])
@pytest.mark.parametrize("estimator", ["auto", "mine", "infonce", "copula", "ksg"])
def test_the_fewest_rows_give_a_number_and_a_warning(estimator, n):
    score = estimate_mi(X[:n], Y[:n], estimator=estimator, null=0)
    assert np.isfinite([score.value, score.low, score.high]).all()
    assert any("hardly more than a guess" in w for w in score.warnings)


def test_empty_sides_are_refused():
    with pytest.raises(DataError, match="x has no rows"):
        mi(np.zeros((0, 3)), np.zeros((0, 3)))


@pytest.mark.parametrize("scale", [1e300, 1e-300])
def test_extreme_units_do_not_change_the_value(scale):
    assert mi(X * scale, Y).value == pytest.approx(mi(X, Y).value, abs=1e-6)


def test_a_side_against_itself_is_pointed_out():
    assert any("infinitely much" in w for w in mi(X, X).warnings)
