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
from fer_bench.information.inputs import clean_pair, features, normal_scores

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
    assert any("only 25 rows" in str(w) for w in mi(X[:25], Y[:25]).cautions)


def test_three_dimensional_arrays_are_refused():
    with pytest.raises(DataError, match="flatten images"):
        mi(np.zeros((50, 4, 4)), Y[:50])


def test_constant_columns_are_left_out_with_a_warning():
    wide = np.hstack([X, np.full((200, 2), 5.0)])
    score = mi(wide, Y)
    assert any("2 constant columns" in str(w) for w in score.cautions)
    assert score.value == pytest.approx(mi(X, Y).value, abs=1e-9)


@pytest.mark.parametrize("estimator", ["gaussian", "ksg", "mine", "auto", "copula"])
def test_a_constant_side_reads_zero_and_says_so(estimator):
    score = estimate_mi(np.ones((50, 4)), Y[:50], estimator=estimator)
    assert score.value == 0.0
    assert any("constant" in str(w) for w in score.cautions)


def test_one_class_reads_zero_and_says_so():
    score = estimate_mi(X, np.zeros(200, int), estimator="auto")
    assert score.value == 0.0
    assert any("one class" in str(w) for w in score.cautions)


def test_missing_labels_are_an_error_not_a_class():
    labels = pd.array([0, 1, None, 1] * 50, dtype="Int64")
    with pytest.raises(DataError, match="50 missing labels"):
        estimate_mi(X, labels, estimator="ross")


def test_minus_one_is_an_ordinary_label():
    labels = np.where(X[:, 0] > 0, 1, -1)
    assert estimate_mi(X[:, :1], labels, estimator="ross", null=0).value > 0.4


def test_offsets_of_1e8_do_not_change_the_value():
    assert mi(X + 1e8, Y).value == pytest.approx(mi(X, Y).value, abs=1e-6)


def test_times_in_nanoseconds_keep_their_digits():
    ticks = np.random.default_rng(0).integers(0, 1000, (300, 2))
    late, back = ticks + 2**60, -ticks - 2**60
    for side in (ticks, late, back, late.astype(np.uint64)):
        cleaned = clean_pair(side, ticks, discrete_x=False).x
        assert np.abs(cleaned) == pytest.approx(np.abs(clean_pair(ticks, ticks).x))


@pytest.mark.parametrize(
    ("side", "why"),
    [({}, "one dict"), (3.0, "one float"), (np.array([10**400] * 50, object), "beyond 1e308")],
)
def test_what_is_no_array_of_numbers_is_named(side, why):
    with pytest.raises(DataError, match=why):
        clean_pair(side, np.arange(50.0), discrete_x=False)


def test_an_offset_that_ate_float32_digits_is_flagged():
    score = mi((X + 1e6).astype(np.float32), Y)
    assert any("offset leaves float32" in str(w) for w in score.cautions)


def test_float16_ties_are_flagged_for_one_column():
    x = (X[:, :1] * 1e-2).repeat(10, axis=0).astype(np.float16)
    score = mi(x, RNG.normal(size=(2000, 1)))
    assert any("float16" in str(w) or "distinct" in str(w) for w in score.cautions)


def test_more_dimensions_than_rows_warns_and_stays_finite():
    score = estimate_mi(RNG.normal(size=(60, 100)), RNG.normal(size=(60, 100)), estimator="copula")
    assert np.isfinite(score.value)
    assert any("100 dimensions for 60 rows" in str(w) for w in score.cautions)


def test_labels_in_a_float_column_are_pointed_out():
    score = mi(X, RNG.integers(0, 3, 200).astype(float))
    assert any("pass discrete_y=True" in str(w) for w in score.cautions)


def test_measurements_in_an_integer_column_are_pointed_out():
    score = estimate_mi(RNG.integers(0, 10**6, 200), RNG.integers(0, 3, 200), estimator="plugin")
    assert any("pass discrete_x=False" in str(w) for w in score.cautions)


def test_copied_rows_are_pointed_out():
    score = estimate_mi(np.vstack([X, X]), np.vstack([Y, Y]), estimator="ksg", null=0)
    assert any("50% of the rows are duplicates" in str(w) for w in score.cautions)


def test_a_collapsed_embedding_is_pointed_out():
    flat = X[:, :1] @ np.ones((1, 8)) + 1e-4 * RNG.normal(size=(200, 8))
    assert any("collapsed embedding" in str(w) for w in mi(flat, Y).cautions)


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
    assert any("hardly more than a guess" in str(w) for w in score.cautions)


def test_empty_sides_are_refused():
    with pytest.raises(DataError, match="x has no rows"):
        mi(np.zeros((0, 3)), np.zeros((0, 3)))


@pytest.mark.parametrize("scale", [1e300, 1e-300])
def test_extreme_units_do_not_change_the_value(scale):
    assert mi(X * scale, Y).value == pytest.approx(mi(X, Y).value, abs=1e-6)


def test_a_side_against_itself_is_pointed_out():
    assert any("infinitely much" in str(w) for w in mi(X, X).cautions)


def noted(word, x, y, **options):
    return any(word in str(w) for w in clean_pair(x, y, **options).cautions)


@given(st.integers(0, 2**31), st.integers(2, 3), st.integers(2, 5))
@settings(max_examples=25, deadline=None)
def test_copied_measurements_against_labels_are_pointed_out(seed, times, classes):
    rng = np.random.default_rng(seed)
    x, labels = rng.normal(size=(200, 1)), rng.integers(0, classes, 200)
    assert not noted("duplicates", x, labels)
    assert noted("duplicates", np.tile(x, (times, 1)), np.tile(labels, times))


def test_copies_that_read_as_information_come_with_the_note():
    rng = np.random.default_rng(0)
    x, labels = np.tile(rng.normal(size=400), 2), np.tile(rng.integers(0, 7, 400), 2)
    score = estimate_mi(x, labels, estimator="ross", null=0, calibrated=0)
    assert score.value > 0.1  # of nothing at all
    assert any("50% of the rows are duplicates" in str(w) for w in score.cautions)


@pytest.mark.parametrize("labels", [RNG.integers(0, 3, 2000), (np.arange(2000) % 200 > 90)])
@pytest.mark.parametrize(
    "measured",
    [lambda z: z.round(2), lambda z: (40 + 12 * z).round(), lambda z: np.maximum(z, 0)],
    ids=["rounded", "years", "rectified"],
)
def test_ties_of_a_coarse_measurement_are_no_copies(measured, labels):
    z = RNG.normal(size=2000) + labels
    assert not noted("duplicates", measured(z), labels)


@given(
    st.integers(0, 2**31),
    st.integers(0, 2),
    st.integers(0, 2),
    st.floats(0.01, 100).flatmap(lambda scale: st.sampled_from([scale, -scale])),
    st.floats(-100, 100),
)
@settings(max_examples=25, deadline=None)
def test_a_column_on_both_sides_is_named(seed, i, j, scale, offset):
    rng = np.random.default_rng(seed)
    x, y = rng.normal(size=(50, 3)), rng.normal(size=(50, 3))
    assert not noted("infinitely much", x, y)
    y[:, j] = scale * x[:, i] + offset
    assert noted(f"column {i} of x and column {j} of y are the same values", x, y)
    constant = np.ones((50, 1))
    assert noted(f"column {i + 1} of x and column {j} of y", np.hstack([constant, x]), y)
    assert noted(f"column {i} of x and y are the same values", x, y[:, j])


def test_a_linear_map_of_a_side_shares_infinitely_much():
    assert any("infinitely much" in str(w) for w in mi(X, 2 * X + 1).cautions)
    reversed_columns = mi(X, X[:, ::-1] * 3 + 1).cautions
    assert any("column 0 of x and column 2 of y" in str(w) for w in reversed_columns)
    assert noted("x and y are the same values up to sign", X[:, 0], -7 * X[:, 0] + 0.1)


def test_a_shared_column_of_wide_sides_is_found_in_thinned_rows():
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(2, 4000, 800))
    y[:, 611] = 5 - x[:, 402]
    assert noted("column 402 of x and column 611 of y", x, y)


def test_alike_columns_that_share_little_are_not_taken_for_the_same():
    rng = np.random.default_rng(1)
    far = np.zeros((200, 1))
    far[3] = 1e9
    assert not noted("infinitely much", X + far, rng.normal(size=(200, 3)) + far)
    rare = np.zeros((200, 3))
    rare[7] = 1, 2, 3  # units that fire once, for the same row
    assert not noted("infinitely much", np.hstack([rare, X]), np.hstack([rare, Y]))
    assert not noted("infinitely much", np.ones((50, 2)), np.ones((50, 3)))


@pytest.mark.parametrize(
    "rows",
    [
        RNG.integers(0, 2, (300, 3)),
        RNG.integers(0, 2, (300, 3)) > 0,
        np.eye(4)[RNG.integers(0, 4, 300)],
        np.eye(30, dtype=np.float32)[np.arange(300) % 30],
        torch.eye(3)[torch.arange(300) % 3],
    ],
    ids=["integers", "booleans", "one-hot", "wide one-hot", "tensor"],
)
def test_labels_in_several_columns_are_pointed_out(rows):
    z = np.random.default_rng(0).normal(size=(300, 3))
    assert noted("distinct rows: if they are labels, pass discrete_x=True", rows, z)
    assert not noted("distinct rows", rows, z, discrete_x=True)


@pytest.mark.parametrize("d", [2, 64, 600])
def test_sparse_embeddings_are_not_taken_for_labels(d):
    rng = np.random.default_rng(0)
    rows = np.maximum(rng.normal(size=(2000, d)) - 1, 0)
    rows[:1200] = 0  # a good part of the rows fires nowhere
    assert not noted("distinct", rows, rng.normal(size=(2000, 2)))


def test_masked_measurements_are_missing():
    for values in (X * 100, (X * 100).astype(int)):
        masked = np.ma.array(values, mask=False)
        assert clean_pair(masked, Y).n == 200
        masked[7, 2] = np.ma.masked
        masked[9, 0] = np.ma.masked
        with pytest.raises(DataError, match=r"x has 2 NaN or infinite.*row 7, column 2"):
            clean_pair(masked, Y)


@pytest.mark.parametrize("labels", [np.arange(200) % 3, np.array(["a", "b"] * 100)])
def test_masked_labels_are_missing(labels):
    masked = np.ma.array(labels, mask=np.arange(200) % 50 == 4)
    with pytest.raises(DataError, match=r"y has 4 missing labels \(first at row 4\)"):
        clean_pair(X, masked)
    groups = clean_pair(X, Y, groups=masked).groups  # people without a name are not one person
    assert len(np.unique(groups[masked.mask])) == 4
    assert not np.isin(groups[masked.mask], groups[~masked.mask]).any()
    with pytest.raises(DataError, match=r"y has 4 missing labels \(first at row 4\)"):
        clean_pair(X, np.ma.stack([masked, masked], axis=1), discrete_y=True)


@pytest.mark.parametrize("missing", [None, float("nan"), pd.NA])
def test_missing_entries_of_a_list_of_words_are_no_class(missing):
    with pytest.raises(DataError, match=r"y has 50 missing labels \(first at row 1\)"):
        clean_pair(X, ["a", missing, "b", "nan"] * 50)
    assert clean_pair(X, ["a", "b", "nan", "b"] * 50).y.max() == 2


def test_rows_of_labels_with_a_missing_one_are_refused():
    with pytest.raises(DataError, match=r"y has 100 missing labels \(first at row 1\)"):
        clean_pair(X, [[0.0, 1.0], [0.0, np.nan]] * 100, discrete_y=True)
    assert clean_pair(X, [["a", 1], ["a", 2]] * 100, discrete_y=True).y.max() == 1


@pytest.mark.parametrize("tensor", [torch.tensor, np.asarray])
def test_complex_numbers_are_refused(tensor):
    with pytest.raises(DataError, match="x is complex"):
        clean_pair(tensor(X + 1j * Y), Y)


def test_views_of_complex_tensors_are_read():
    imaginary = torch.tensor(X + 1j * Y).conj().imag
    assert clean_pair(imaginary, Y).x == pytest.approx(clean_pair(-Y, Y).x)


@pytest.mark.parametrize(
    "times",
    [
        pd.date_range("2020-01-01", periods=200),
        pd.date_range("2020-01-01", periods=200, tz="UTC"),
        np.arange(200).astype("m8[s]"),
        list(pd.date_range("2020-01-01", periods=200).date),
        pd.DataFrame({"day": pd.date_range("2020-01-01", periods=200), "value": X[:, 0]}),
    ],
    ids=["dates", "with a zone", "durations", "list", "frame"],
)
def test_times_are_no_measurements(times):
    with pytest.raises(DataError, match=r"x holds times \(first at row 0.*days for times"):
        clean_pair(times, Y)
    assert clean_pair(times, Y, discrete_x=True).x.max() == 199


def test_missing_times_are_missing():
    days = np.arange(200).astype("M8[D]")
    days[5] = "NaT"
    with pytest.raises(DataError, match=r"x has 1 missing labels \(first at row 5\)"):
        clean_pair(days, Y, discrete_x=True)
    with pytest.raises(DataError, match="x has 200 NaN"):
        clean_pair(np.full(200, "NaT", dtype="M8[ns]"), Y)


def test_records_and_sides_without_columns_get_a_sentence():
    records = pd.DataFrame({"a": X[:, 0], "b": X[:, 1]}).to_records(index=False)
    with pytest.raises(DataError, match="x has dtype .*give its fields as columns"):
        clean_pair(records, Y)
    for discrete in (None, False, True):
        with pytest.raises(DataError, match="x has no columns"):
            clean_pair(np.zeros((200, 0)), Y, discrete_x=discrete)


def test_objects_that_are_numbers_are_read_as_numbers():
    mixed = pd.DataFrame({"a": X[:, 0], "b": np.arange(200) % 9, "c": X[:, 1] > 0})
    want = clean_pair(mixed.astype(float), Y).x
    assert clean_pair(mixed, Y).x == pytest.approx(want)
    assert clean_pair(mixed.to_numpy(dtype=object), Y).x == pytest.approx(want)
    assert clean_pair(X[:, 0].astype(object), Y).x == pytest.approx(clean_pair(X[:, 0], Y).x)
    mixed.loc[3, "b"] = None
    with pytest.raises(DataError, match=r"x has 1 NaN.*row 3, column 1"):
        clean_pair(mixed.astype(object), Y)


def test_objects_that_are_whole_numbers_are_labels():
    labels = np.arange(200) % 12
    assert clean_pair(X, labels.astype(object)).y.max() == 11
    assert clean_pair(X, (labels > 5).astype(object)).y.max() == 1
    assert clean_pair(X, labels.astype(object), discrete_y=False).y.shape == (200, 1)


def test_text_and_lists_among_measurements_are_named_by_row_and_column():
    mixed = X.astype(object)
    mixed[4, 1] = "n/a"
    with pytest.raises(DataError, match=r"x holds text \(first at row 4, column 1\)"):
        clean_pair(mixed, Y)
    with pytest.raises(DataError, match=r"x holds lists \(first at row 0, column 0\)"):
        clean_pair(pd.Series(list(X)), Y)
