"""Valence and arousal over the whole set, in one convention."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
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
    with pytest.raises(FerBenchError, match=r"must both be \[n, 2\]"):
        affect_scores(sample[0][:, :1], sample[1])
    with pytest.raises(FerBenchError, match="diverged"):
        affect_scores(np.full((300, 2), np.nan), sample[1])


def test_metric(planted):
    scores = affect(planted.run(subjects=6, train_subjects=6))
    assert scores["test.ccc.mean"].value > 0.8
    assert has(scores["train.rmse.valence"].cautions, "fitted")
