"""Nearest neighbours against brute force and scikit-learn."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import digamma
from sklearn.feature_selection import mutual_info_classif

from fer_bench.information import estimate_mi, tasks
from fer_bench.information.estimators.neighbours import KSG, KSG2, Ross
from fer_bench.information.inputs import clean_pair


def brute_ksg(x, y, k):
    """The definition, pair by pair."""
    dx = np.abs(x[:, None] - x[None]).max(-1)
    dy = np.abs(y[:, None] - y[None]).max(-1)
    n = len(x)
    joint = np.maximum(dx, dy)
    np.fill_diagonal(joint, np.inf)
    total = 0.0
    for i in range(n):
        radius = np.sort(joint[i])[k - 1]
        nx, ny = (dx[i] < radius).sum() - 1, (dy[i] < radius).sum() - 1
        total += digamma(nx + 1) + digamma(ny + 1)
    return digamma(k) + digamma(n) - total / n


@pytest.mark.parametrize(("d", "k"), [(1, 3), (1, 1), (2, 5), (5, 3), (25, 10)])
def test_ksg_equals_brute_force(d, k):
    rng = np.random.default_rng(d)
    x = rng.normal(size=(500, d))
    y = x + rng.normal(size=(500, d))
    sample = clean_pair(x, y)
    estimate = KSG(k=k, scores=False).fit(x, y).estimate().value
    assert estimate == pytest.approx(brute_ksg(sample.x, sample.y, k), abs=1e-12)


def test_ksg2_equals_brute_force():
    rng = np.random.default_rng(1)
    x = rng.normal(size=(300, 2))
    y = x + rng.normal(size=(300, 2))
    sample, k, n = clean_pair(x, y), 4, 300
    dx = np.abs(sample.x[:, None] - sample.x[None]).max(-1)
    dy = np.abs(sample.y[:, None] - sample.y[None]).max(-1)
    total = 0.0
    for i in range(n):
        joint = np.maximum(dx[i], dy[i])
        joint[i] = np.inf
        near = np.argsort(joint)[:k]
        nx = (dx[i] <= dx[i][near].max()).sum() - 1
        ny = (dy[i] <= dy[i][near].max()).sum() - 1
        total += digamma(nx) + digamma(ny)
    want = digamma(k) - 1 / k + digamma(n) - total / n
    assert KSG2(k=k, scores=False).fit(x, y).estimate().value == pytest.approx(want, abs=1e-12)


def test_ksg_beyond_the_tree_and_within_agree():
    """Three dimensions go through a tree, four through the kernel: a constant-free extra column."""
    rng = np.random.default_rng(2)
    x = rng.normal(size=(400, 2))
    y = x[:, :1] + rng.normal(size=(400, 1))
    by_tree = KSG(scores=False).fit(x, y).estimate().value
    sample = clean_pair(x, y)
    assert by_tree == pytest.approx(brute_ksg(sample.x, sample.y, 5), abs=1e-12)


@pytest.mark.parametrize("name", ["independent-5-5", "1v1-normal-0.75"])
def test_the_standard_error_of_neighbours_is_that_of_repeated_draws(name):
    """Rows share their neighbours: taken for independent they would err by a third less."""
    values = [estimate_mi(*tasks.get(name).sample(300, s), estimator="ksg", null=0)
             for s in range(100)]  # fmt: skip
    spread = np.std([score.value for score in values])
    stated = np.mean([score.details["standard_error"] for score in values])
    assert 0.8 < stated / spread < 1.4


def test_ross_equals_scikit_learn():
    rng = np.random.default_rng(3)
    y = rng.integers(0, 5, 600)
    x = rng.normal(size=(600, 1)) + y[:, None]
    want = mutual_info_classif(x, y, n_neighbors=3)[0]
    assert Ross(k=3, scores=False).fit(x, y).estimate().value == pytest.approx(want, abs=1e-6)


def test_ross_without_variation_among_classes_of_two_reads_nothing():
    x = np.where(np.arange(20) < 10, 1.0, np.arange(20))
    labels = np.where(np.arange(20) < 10, 0, np.arange(20))
    score = estimate_mi(x, labels, estimator="ross")
    assert score.value == 0
    assert any("one member" in str(w) for w in score.cautions)


def test_a_class_of_estimators_takes_a_constant_side():
    x = np.random.default_rng(0).normal(size=(60, 2))
    assert KSG2().fit(np.ones((60, 2)), x).estimate().value == 0.0
