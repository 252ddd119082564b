"""Bootstrap over clusters: exact sums, paired resamples, and the coverage that is promised."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fer_bench.errors import FerBenchError
from fer_bench.labels import read_groups
from fer_bench.statistics import bootstrap_draws, cluster_sums, interval, jackknife_interval
from fer_bench.statistics.bootstrap import resampling_weights


@given(st.lists(st.none() | st.integers(-3, 4), min_size=1, max_size=30))
def test_cluster_sums_keep_every_row(groups):
    rows = np.arange(1.0, len(groups) + 1)[:, None]
    sums = cluster_sums(rows, groups)
    unknown, known = groups.count(None), set(groups) - {None}
    assert sums.sum() == rows.sum()
    assert len(sums) == len(known) + unknown
    for group in known:
        assert rows[[g == group for g in groups]].sum() in sums


def test_missing_groups_are_clusters_of_their_own():
    codes, count = read_groups(np.array([np.nan, 1.0, np.nan, 1.0]), 4)
    assert count == 3
    assert codes[1] == codes[3]
    assert codes[0] != codes[2]


def test_groups_must_match_rows():
    with pytest.raises(FerBenchError, match="groups has 3 entries for 2 rows"):
        cluster_sums([[1.0], [2.0]], [0, 1, 2])


def test_nothing_to_resample():
    with pytest.raises(FerBenchError, match="sums has no rows"):
        bootstrap_draws(np.empty((0, 2)), lambda t: t[:, 0])


def test_blocks_give_the_draws_of_one_go(monkeypatch):
    import fer_bench.statistics.bootstrap as module

    whole = np.concatenate(list(resampling_weights(7, draws=50, seed=3)))
    monkeypatch.setattr(module, "_BLOCK", 7 * 8)
    parts = np.concatenate(list(resampling_weights(7, draws=50, seed=3)))
    assert whole.shape == (50, 7)
    assert (whole == parts).all()
    assert (whole.sum(axis=1) == 7).all()


def test_equal_seeds_pair_the_draws():
    rng = np.random.default_rng(0)
    a = cluster_sums(np.c_[rng.random(40), np.ones(40)], np.arange(40) // 4)
    b = a + np.array([4.0, 0.0]) * 0.1

    def mean(t):
        return t[:, 0] / t[:, 1]

    gap = bootstrap_draws(b, mean, draws=300, seed=1) - bootstrap_draws(a, mean, draws=300, seed=1)
    assert np.allclose(gap, 0.1)


@pytest.mark.parametrize("clusters", [0, 1])
def test_one_cluster_has_no_interval(clusters):
    assert np.isnan(interval(np.ones(100), clusters=clusters)).all()


def test_interval_skips_undefined_draws():
    draws = np.r_[np.full(50, np.nan), np.linspace(0, 1, 101)]
    low, high = interval(draws, clusters=50)
    assert 0 < low < 0.05
    assert 0.95 < high < 1


def _clustered(rng, clusters):
    """Ragged clusters, with effects of their own: correlated rows around mean 0.7."""
    sizes = rng.integers(5, 20, clusters)
    rate = np.clip(0.7 + 0.15 * rng.normal(size=clusters), 0, 1)
    groups = np.repeat(np.arange(clusters), sizes)
    return (rng.random(len(groups)) < rate[groups]).astype(float), groups


def _coverage(clusters, repetitions, seed):
    rng = np.random.default_rng(seed)
    # Mean of the clipped rate, by quadrature.
    points = np.linspace(-8, 8, 200_001)
    density = np.exp(-(points**2) / 2)
    truth = np.average(np.clip(0.7 + 0.15 * points, 0, 1), weights=density)
    inside = naive = 0
    for repetition in range(repetitions):
        right, groups = _clustered(rng, clusters)
        rows = np.c_[right, np.ones(len(right))]

        def share(t):
            return t[:, 0] / t[:, 1]

        sums = cluster_sums(rows, groups)
        low, high = interval(
            bootstrap_draws(sums, share, draws=600, seed=repetition), clusters=len(sums)
        )
        inside += low <= truth <= high
        half = 1.96 * right.std() / np.sqrt(len(right))
        naive += abs(right.mean() - truth) <= half
    return inside / repetitions, naive / repetitions


@pytest.mark.slow
@pytest.mark.parametrize("clusters", [10, 20, 60])
def test_coverage_of_clustered_data(clusters):
    """Nominal 95 % covers between 92 % and 97 %; treating images as independent does not."""
    covered, naive = _coverage(clusters, 1500, seed=clusters)
    assert 0.92 <= covered <= 0.97
    assert naive < 0.90


def test_jackknife_of_a_mean_is_the_student_interval():
    from scipy import stats

    values = np.random.default_rng(0).normal(size=25)
    out = (values.sum() - values) / 24
    low, high = jackknife_interval(values.mean(), out)
    expected = stats.t.interval(0.95, 24, values.mean(), stats.sem(values))
    assert np.allclose([low, high], expected)


@settings(max_examples=30)
@given(st.integers(2, 30), st.integers(0, 1000))
def test_constant_scores_have_no_width(clusters, seed):
    sums = np.c_[np.full(clusters, 3.0), np.full(clusters, 4.0)]
    draws = bootstrap_draws(sums, lambda t: t[:, 0] / t[:, 1], draws=50, seed=seed)
    assert interval(draws, clusters=clusters) == (0.75, 0.75)
