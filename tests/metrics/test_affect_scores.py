"""Valence and arousal over the whole set, in one convention."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import stats
from torchmetrics.functional.regression import concordance_corrcoef, pearson_corrcoef

from fer_bench.cautions import has
from fer_bench.errors import FerBenchError
from fer_bench.metrics import affect_scores, ccc, pcc, rmse, sagr
from fer_bench.metrics.affect import affect

FLOATS = st.floats(-1, 1, width=32)


@pytest.fixture(scope="module")
def sample():
    rng = np.random.default_rng(0)
    target = rng.uniform(-1, 1, size=(300, 2))
    return 0.6 * target + 0.1 + 0.3 * rng.normal(size=target.shape), target


def test_against_numpy_and_torchmetrics(sample):
    scores = affect_scores(*sample)
    for k, name in enumerate(("valence", "arousal")):
        a, b = sample[0][:, k], sample[1][:, k]
        assert scores[f"rmse.{name}"].value == pytest.approx(np.sqrt(np.mean((a - b) ** 2)))
        assert scores[f"pcc.{name}"].value == pytest.approx(np.corrcoef(a, b)[0, 1])
        assert scores[f"pcc.{name}"].value == pytest.approx(
            float(pearson_corrcoef(torch.tensor(a), torch.tensor(b)))
        )
        population = 2 * np.mean((a - a.mean()) * (b - b.mean()))
        population /= a.var() + b.var() + (a.mean() - b.mean()) ** 2
        assert scores[f"ccc.{name}"].value == pytest.approx(population)
        # torchmetrics divides by n - 1; at n = 300 that is a third digit.
        assert scores[f"ccc.{name}"].value == pytest.approx(
            float(concordance_corrcoef(torch.tensor(a), torch.tensor(b))), abs=2e-3
        )
        assert scores[f"sagr.{name}"].value == np.mean(np.sign(a) == np.sign(b))
        assert scores[f"ccc.{name}"].low < population < scores[f"ccc.{name}"].high
    mean = (scores["ccc.valence"].value + scores["ccc.arousal"].value) / 2
    assert scores["ccc.mean"].value == pytest.approx(mean)


def test_one_number_for_the_set_not_a_mean_of_batches(sample):
    a, b = sample[0][:, 0], sample[1][:, 0]
    batches = np.mean([rmse(a[k : k + 30], b[k : k + 30]) for k in range(0, 300, 30)])
    assert rmse(a, b) > batches


@pytest.mark.parametrize(
    ("predicted", "target", "expected"),
    [([0.0], [0.0], 1.0), ([0.1], [0.0], 0.0), ([0.0], [-0.1], 0.0), ([-0.1], [-0.2], 1.0)],
)
def test_zero_rule(predicted, target, expected):
    assert sagr(predicted, target) == expected


def test_large_offsets_do_not_spoil_moments():
    rng = np.random.default_rng(0)
    a = rng.normal(size=200)
    b = a + 0.5 * rng.normal(size=200)
    assert pcc(a + 1e6, b + 1e6) == pytest.approx(pcc(a, b), abs=1e-6)
    assert ccc(a + 1e6, b + 1e6) == pytest.approx(ccc(a, b), abs=1e-6)


@given(arrays(np.float64, (12, 2), elements=FLOATS))
def test_bounds(values):
    a, b = values.T
    assert rmse(a, b) >= 0
    assert 0 <= sagr(a, b) <= 1
    for value in (pcc(a, b), ccc(a, b)):
        assert np.isnan(value) or -1 - 1e-9 <= value <= 1 + 1e-9
    if np.ptp(a) > 1e-3:
        assert ccc(a, a) == pytest.approx(1)


def test_constant_prediction_has_no_correlation(sample):
    scores = affect_scores(np.zeros((300, 2)), sample[1])
    assert np.isnan(scores["pcc.mean"].value)
    assert scores["pcc.mean"].cautions
    assert scores["ccc.mean"].value == 0


def test_missing_targets_are_left_out(sample):
    a, b = sample[0], sample[1].copy()
    b[:100, 1] = np.nan
    assert affect_scores(a, b)["rmse.mean"].n == 200
    nothing = affect_scores(a, np.full_like(b, np.nan))
    assert np.isnan(nothing["ccc.mean"].value)


def test_bad_shapes_and_divergence(sample):
    with pytest.raises(FerBenchError, match=r"give \[n, 2\]"):
        affect_scores(sample[0][:, :1], sample[1])
    with pytest.raises(FerBenchError, match="diverged"):
        affect_scores(np.full((300, 2), np.nan), sample[1])


def test_metric(planted):
    scores = affect(planted.run(subjects=6, train_subjects=6))
    assert scores["test.ccc.mean"].value > 0.8
    assert has(scores["train.rmse.valence"].cautions, "fitted")


@settings(max_examples=60, deadline=None)
@given(
    st.integers(0, 10_000),
    st.sampled_from([1e-6, 1e-3, 1.0, 1e6]),
    st.sampled_from([0.0, 0.5, -1e3, 1e6]),
)
def test_correlation_is_scipys_at_any_scale_and_offset(seed, scale, offset):
    rng = np.random.default_rng(seed)
    target = rng.uniform(-1, 1, 40)
    predicted = offset + scale * (0.6 * target + 0.3 * rng.normal(size=40))
    expected = stats.pearsonr(predicted, target).statistic
    assert pcc(predicted, target) == pytest.approx(expected, rel=1e-6)
    deviation = predicted - predicted.mean()
    covariance = np.mean(deviation * (target - target.mean()))
    spread = np.mean(deviation**2) + target.var() + (predicted.mean() - target.mean()) ** 2
    assert ccc(predicted, target) == pytest.approx(2 * covariance / spread, rel=1e-6)
    scores = affect_scores(np.c_[predicted, target], np.c_[target, target], draws=20)
    assert scores["pcc.valence"].value == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("score", [ccc, pcc, rmse, sagr])
@given(st.lists(st.tuples(FLOATS, FLOATS, st.booleans()), min_size=2))
def test_rows_without_a_target_are_left_out_however_that_is_said(score, rows):
    a, b, missing = (np.array(column) for column in zip(*rows, strict=True))
    a[missing] = np.nan  # a prediction is not needed there
    targets = (np.where(missing, np.nan, b), np.ma.array(b, mask=missing))
    for target in targets:
        if missing.all():
            with pytest.raises(FerBenchError, match="no value that is known"):
                score(a, target)
        else:
            expected = score(a[~missing], b[~missing])
            assert score(a, target) == pytest.approx(expected, nan_ok=True)


@pytest.mark.parametrize("dimension", ["valence", "arousal"])
def test_a_set_with_one_dimension_is_scored_on_it(sample, dimension):
    a, b = sample[0], sample[1].copy()
    other = {"valence": 1, "arousal": 0}[dimension]
    b[:, other] = np.nan
    both, one = affect_scores(*sample, draws=200), affect_scores(a, b, draws=200)
    for measure in ("ccc", "pcc", "rmse", "sagr"):
        key = f"{measure}.{dimension}"
        assert (one[key].value, one[key].n) == (both[key].value, both[key].n)
        assert (one[key].low, one[key].high) == (both[key].low, both[key].high)
        for rest in (f"{measure}.{'arousal' if other else 'valence'}", f"{measure}.mean"):
            assert np.isnan(one[rest].value)
            assert has(one[rest].cautions, "no-labels")


def test_each_dimension_has_its_own_rows(sample):
    a, b = sample[0], sample[1].copy()
    b[:100, 1] = np.nan
    scores = affect_scores(a, b)
    assert scores["ccc.valence"].value == pytest.approx(ccc(a[:, 0], b[:, 0]))
    assert scores["ccc.arousal"].value == pytest.approx(ccc(a[100:, 1], b[100:, 1]))
    assert [scores[f"ccc.{d}"].n for d in ("valence", "arousal", "mean")] == [300, 200, 200]


def test_a_missing_prediction_is_no_missing_target(sample):
    a = sample[0].copy()
    a[3, 1] = np.nan
    with pytest.raises(FerBenchError, match="row 3, which has a target"):
        affect_scores(a, sample[1])
