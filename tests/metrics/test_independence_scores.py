"""Independence: exact against full matrices, no bias, valid p-values, conditional forms."""

import numpy as np
import pytest
from scipy.spatial.distance import cdist

import fer_bench.metrics.independence as module
from fer_bench.cautions import Caution
from fer_bench.errors import FerBenchError
from fer_bench.metrics.independence import (
    cross_covariance,
    cross_covariance_score,
    dependence,
    dependence_score,
    independence,
)

KERNELS = ["rbf", "distance", "linear"]


def full_distance_correlation(x, y):
    """Bias-corrected squared distance correlation from the n x n matrices, as published."""
    n = len(x)

    def centred(d):
        row = d.sum(axis=1)
        out = d - (row[:, None] + row) / (n - 2) + d.sum() / (n - 1) / (n - 2)
        np.fill_diagonal(out, 0)
        return out

    a, b = centred(cdist(x, x)), centred(cdist(y, y))
    return (a * b).sum() / np.sqrt((a * a).sum() * (b * b).sum())


@pytest.fixture(scope="module")
def pair():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(150, 5))
    return x, 0.5 * x[:, :3] + rng.normal(size=(150, 3))


def test_distance_correlation_is_the_published_one(pair):
    assert dependence(*pair, kernel="distance") == pytest.approx(full_distance_correlation(*pair))


@pytest.mark.parametrize("kernel", KERNELS)
def test_blocks_give_the_same(pair, kernel, monkeypatch):
    whole = dependence(*pair, kernel=kernel)
    monkeypatch.setattr(module, "_BLOCK", 37)
    assert dependence(*pair, kernel=kernel) == pytest.approx(whole)


@pytest.mark.parametrize("kernel", KERNELS)
def test_value_and_null_use_one_statistic(pair, kernel):
    """On few rows the permutation test's observed value is the reported one."""
    x, y = (module._scaled(s) for s in module._sides(*pair, least=4))
    sides = [module._u_centred(s, kernel, module._median_distance(s)) for s in (x, y)]
    ratio = np.vdot(*sides) / np.sqrt(np.vdot(sides[0], sides[0]) * np.vdot(sides[1], sides[1]))
    assert dependence(*pair, kernel=kernel) == pytest.approx(ratio)


@pytest.mark.parametrize("kernel", KERNELS)
def test_no_bias_in_many_dimensions(kernel):
    rng = np.random.default_rng(0)
    values = [dependence(*rng.normal(size=(2, 80, 64)), kernel=kernel) for _ in range(60)]
    assert abs(np.mean(values)) < 4 * np.std(values) / np.sqrt(60)


@pytest.mark.parametrize("kernel", KERNELS)
def test_same_rows_are_wholly_dependent(pair, kernel):
    x, _ = pair
    assert dependence(x, 3 * x - 7, kernel=kernel) == pytest.approx(1)


def test_what_linear_kernels_cannot_see():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(400, 1))
    y = x**2 + 0.1 * rng.normal(size=(400, 1))
    assert dependence_score(x, y, kernel="rbf").p < 0.01
    assert dependence_score(x, y, kernel="distance").p < 0.01
    assert dependence(x, y, kernel="rbf") > dependence(x, y, kernel="linear") + 0.1


def test_condition_explains_away():
    """E and I share nothing but the label: dependent, and independent given it."""
    rng = np.random.default_rng(0)
    y = rng.integers(0, 4, 500)
    code = rng.normal(size=(4, 6))
    e, i = code[y] + rng.normal(size=(500, 6)), code[y] + rng.normal(size=(500, 6))
    for kernel in KERNELS:
        assert dependence_score(e, i, kernel=kernel).p < 0.01
        assert dependence_score(e, i, kernel=kernel, given=y).p > 0.02
    assert cross_covariance_score(e, i).p < 0.01
    assert cross_covariance_score(e, i, given=y).p > 0.02
    shared = rng.normal(size=(500, 6))
    assert dependence_score(e + shared, i + shared, given=y).p < 0.01
    assert cross_covariance_score(e + shared, i + shared, given=y).p < 0.01


@pytest.mark.slow
def test_p_values_are_uniform():
    rng = np.random.default_rng(0)
    p = [dependence_score(*rng.normal(size=(2, 40, 5)), draws=99, seed=k).p for k in range(300)]
    assert 0.02 <= np.mean(np.array(p) <= 0.05) <= 0.085
    assert abs(np.mean(p) - 0.5) < 0.06


def test_cross_covariance_is_numpys(pair):
    x, y = pair
    expected = np.sum(np.cov(x, y, rowvar=False)[:5, 5:] ** 2)
    assert cross_covariance(x, y) == pytest.approx(expected)
    score = cross_covariance_score(x, y)
    correlation = np.corrcoef(x, y, rowvar=False)[:5, 5:]
    assert score.value == pytest.approx(np.mean(correlation**2))


def test_subset_is_stated():
    rng = np.random.default_rng(0)
    score = dependence_score(*rng.normal(size=(2, 1500, 2)))
    assert score.n == 1500
    assert Caution("p-from-random-rows", kept=600, total=1500) in score.cautions


def test_collapsed_and_bad_input():
    x = np.random.default_rng(0).normal(size=(50, 3))
    for kernel in KERNELS:
        score = dependence_score(np.ones((50, 2)), x, kernel=kernel)
        assert score.value == 0
        assert score.p == 1
    with pytest.raises(FerBenchError, match="50 rows and y 49"):
        dependence(x, x[:49])
    assert np.isnan(dependence_score(x, x, given=np.arange(50)).value)


def test_metric(planted):
    clean = independence(planted.run(subjects=12, train_subjects=2))
    leaky = independence(planted.run(subjects=12, train_subjects=2, e_identity=1.5))
    for name in ("hsic", "dcor", "cka", "xcov"):
        for key in (name, f"{name}.given_expression"):
            assert clean[key].p > 0.01, key
            assert leaky[key].p < 0.01, key
            assert leaky[key].value > clean[key].value


def test_small_parts(planted):
    scores = independence(planted.run(subjects=8, images=1, train_subjects=2))
    assert all(np.isfinite(s.value) or s.cautions for s in scores.values())
