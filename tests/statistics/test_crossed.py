"""Differences over people, seeds and folds: coverage, pairing, pooling, claims."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose
from scipy import stats

from fer_bench.errors import FerBenchError
from fer_bench.statistics import compare_crossed
from fer_bench.statistics.crossed import RunScore, quantile
from fer_bench.statistics.simulation import SweepModel, simulate


def means(method: str, seed: int, values: np.ndarray, fold: int = 0) -> RunScore:
    people = fold * 1000 + np.arange(len(values))
    return RunScore.of_mean(method, seed, fold, values, people)


def test_with_deterministic_methods_it_is_the_paired_t_test() -> None:
    rng = np.random.default_rng(0)
    a, b = rng.normal(0.6, 0.2, 30), rng.normal(0.5, 0.2, 30)
    runs = [means("a", 0, a), means("b", 0, b)]
    difference = compare_crossed(runs, deterministic=["a", "b"]).pair("a", "b").difference
    expected = stats.ttest_rel(a, b)
    assert_allclose(difference.p, expected.pvalue)
    interval = expected.confidence_interval()
    assert_allclose([difference.low, difference.high], [interval.low, interval.high])


def test_without_people_to_vary_it_is_the_pooled_t_test_over_seeds() -> None:
    """Every person of a run has its score: only seeds vary, pooled over both methods."""
    rng = np.random.default_rng(1)
    a, b = rng.normal(0.6, 0.05, 4), rng.normal(0.5, 0.05, 4)
    runs = [means("a", s, np.full(20, v)) for s, v in enumerate(a)]
    runs += [means("b", s, np.full(20, v)) for s, v in enumerate(b)]
    difference = compare_crossed(runs).pair("a", "b").difference
    assert_allclose(difference.p, stats.ttest_ind(a, b).pvalue)
    assert difference.dof == pytest.approx(6)


def test_people_by_seed_noise_is_counted_once() -> None:
    """With no seed effect at all, the mean variance equals that of the paired test over people."""
    rng = np.random.default_rng(2)
    seeds = []
    for _ in range(300):
        model = SweepModel(people=30, seeds=4, sd_seeds=(0.0,) * 4)
        seeds.append(compare_crossed(model.draw(rng)).pairs[0].difference)
    people = np.mean([d.variance("people") for d in seeds])
    total = np.mean([d.error**2 for d in seeds])
    assert total < 1.25 * people


@pytest.mark.parametrize(
    "model",
    [
        SweepModel(people=15, seeds=2),
        SweepModel(people=50, seeds=3),
        SweepModel(people=8, seeds=3, folds=5),
        SweepModel(people=15, seeds=2, heavy_tails=True),
        SweepModel(people=50, seeds=5, sd_seeds=(0.06, 0.02, 0.02, 0.02)),
        SweepModel(people=50, seeds=2, means=(0.6, 0.6), sd_seeds=(0.06, 0.06)),
    ],
    ids=["two-seeds", "three-seeds", "folds", "heavy-tails", "unequal-spreads", "two-by-two"],
)
def test_intervals_cover_and_equal_methods_are_rarely_apart(model: SweepModel) -> None:
    verdict = simulate(model, sweeps=150)
    assert 0.92 <= verdict.coverage <= 0.985
    assert verdict.false_separation <= 0.065 + 2 * np.sqrt(0.065 / 150)


def test_with_few_degrees_of_freedom_the_tails_are_averaged() -> None:
    """Two seeds of two methods: p is the mean of both tails, and 5 % where the interval ends."""
    rng = np.random.default_rng(9)
    model = SweepModel(people=40, seeds=2, means=(0.7, 0.6), sd_seeds=(0.04, 0.04))
    difference = compare_crossed(model.draw(rng)).pairs[0].difference
    shares = [part.variance / difference.error**2 for part in difference.components]
    dofs = [part.dof for part in difference.components]
    assert_allclose(dofs, [39, 2])

    def p_of(distance: float) -> float:
        t = distance / difference.error
        return sum(w * 2 * stats.t.sf(t, f) for w, f in zip(shares, dofs, strict=True))

    assert_allclose(difference.p, p_of(abs(difference.value)))
    assert_allclose(p_of(difference.high - difference.value), 0.05)


@given(st.floats(0, 1), st.floats(1, 1e6), st.floats(1, 1e6))
def test_a_quantile_of_averaged_tails_is_exceeded_as_often_as_it_says(share, one, other) -> None:
    tails = [(share, one), (1 - share, other)]
    t = quantile(0.025, tails)
    assert sum(w * stats.t.sf(t, f) for w, f in tails) == pytest.approx(0.025)
    assert_allclose(quantile(0.025, [(1.0, one)]), stats.t.ppf(0.975, one))


def test_an_interval_over_people_alone_is_that_of_a_deterministic_method() -> None:
    runs = list(SweepModel(people=20, folds=2).draw(np.random.default_rng(10)))
    interval = compare_crossed(runs).means["m0"]
    people = interval.over("people")
    assert people.error**2 == pytest.approx(interval.variance("people"))
    assert people.dof == interval.components[0].dof
    one_fold = [run for run in runs if run.fold == 0]
    fixed = compare_crossed(one_fold, deterministic=["m0"]).means["m0"]
    assert compare_crossed(one_fold).means["m0"].over("people") == fixed.over("people")
    assert fixed.over("people").low == pytest.approx(fixed.low)


def test_a_naive_interval_would_fail_the_same_check() -> None:
    """One seed: nothing tells how far training varies; the interval is short, and says so."""
    assert simulate(SweepModel(people=50, seeds=1), sweeps=200).coverage < 0.92
    runs = SweepModel(people=50, seeds=1).draw(np.random.default_rng(0))
    assert compare_crossed(runs).missing == ("seeds", "folds")


def test_an_eraser_is_paired_with_its_encoder_by_seed() -> None:
    """Seeds move both alike, so the difference is known far better than either."""
    rng = np.random.default_rng(3)
    shift = rng.normal(0, 0.1, 4)
    person = rng.normal(0.5, 0.1, 25)
    runs = [means("erm", s, person + d) for s, d in enumerate(shift)]
    runs += [means("erased", s, person + d - 0.03) for s, d in enumerate(shift)]
    apart = compare_crossed(runs).pair("erm", "erased").difference
    paired = compare_crossed(runs, derived={"erased": "erm"}).pair("erm", "erased").difference
    assert apart.high - apart.low > 0.1
    assert_allclose([paired.low, paired.high], 0.03, atol=1e-9)


def test_unequal_spreads_are_not_pooled() -> None:
    model = SweepModel(people=30, seeds=8, sd_seeds=(0.2, 0.01, 0.01, 0.01), sd_noise=0.05)
    comparison = compare_crossed(model.draw(np.random.default_rng(0)))
    assert comparison.spreads_p is not None
    assert comparison.spreads_p < 0.05
    assert not comparison.pooled
    assert comparison.seed_variance["m0"] > 20 * comparison.seed_variance["m1"]


def test_bartlett_is_that_of_scipy() -> None:
    rng = np.random.default_rng(4)
    values = rng.normal(0, [0.05, 0.02, 0.03], (5, 3))
    runs = [means(f"m{m}", s, np.full(9, values[s, m])) for m in range(3) for s in range(5)]
    expected = stats.bartlett(*values.T).pvalue
    assert compare_crossed(runs).spreads_p == pytest.approx(expected)


@pytest.mark.parametrize(
    ("seeds", "gap", "claim"), [(1, 0.3, False), (2, 0.04, False), (2, 0.3, True), (3, 0.04, True)]
)
def test_a_claim_needs_seeds(seeds: int, gap: float, claim: bool) -> None:
    rng = np.random.default_rng(5)
    person = rng.normal(0.5, 0.1, 40)
    runs = [
        means(m, s, person + base + rng.normal(0, 1e-3, 40))
        for m, base in (("a", gap), ("b", 0.0))
        for s in range(seeds)
    ]
    pair = compare_crossed(runs).pair("a", "b")
    assert pair.p_holm < 0.05
    assert pair.separated is claim


def test_one_run_of_a_deterministic_method_is_enough() -> None:
    rng = np.random.default_rng(8)
    person = rng.normal(0.5, 0.1, 40)
    runs = [means("pixels", 0, person + 0.3 + rng.normal(0, 1e-3, 40))]
    runs += [means("erm", s, person + rng.normal(0, 1e-3, 40)) for s in range(2)]
    assert compare_crossed(runs, deterministic=["pixels"]).pair("pixels", "erm").separated
    assert not compare_crossed(runs).pair("pixels", "erm").separated


def test_folds_that_disagree_widen_the_interval() -> None:
    rng = np.random.default_rng(6)
    steady, shaky = [], []
    for fold in range(5):
        person = rng.normal(0.5, 0.05, 20)
        for s in range(2):
            noise = rng.normal(0, 0.01, 20)
            for runs, jump in ((steady, 0.0), (shaky, 0.2 * (fold % 2))):
                runs.append(means("a", s, person + 0.1 + jump + noise, fold))
                runs.append(means("b", s, person - noise, fold))
    first = compare_crossed(steady).pair("a", "b").difference
    second = compare_crossed(shaky).pair("a", "b").difference
    assert second.error > 5 * first.error
    assert second.variance("folds") > 0


def test_scores_without_effects_are_compared_unpaired() -> None:
    runs = [
        RunScore.of_interval(m, s, 0, v + s / 100, v - 0.1, v + 0.1)
        for m, v in (("a", 0.9), ("b", 0.2))
        for s in range(3)
    ]
    difference = compare_crossed(runs).pair("a", "b").difference
    half = 0.1 / stats.norm.ppf(0.975)
    assert_allclose(difference.variance("people"), 2 * half**2)
    assert difference.variance("seeds") > 0


@given(
    scale=st.floats(0.01, 100),
    offset=st.floats(-10, 10),
    seed=st.integers(0, 99),
)
@settings(max_examples=25, deadline=None)
def test_units_do_not_change_a_verdict(scale: float, offset: float, seed: int) -> None:
    runs = list(SweepModel(people=12, seeds=3).draw(np.random.default_rng(seed)))
    moved = [replace(r, value=r.value * scale + offset, effects=r.effects * scale) for r in runs]
    one, two = compare_crossed(runs), compare_crossed(moved)
    assert_allclose(
        [p.p_holm for p in one.pairs], [p.p_holm for p in two.pairs], rtol=1e-6, atol=1e-9
    )


def test_the_order_of_runs_and_people_does_not_matter() -> None:
    rng = np.random.default_rng(7)
    runs = list(SweepModel(people=10, seeds=2).draw(rng))
    turned = [
        replace(r, people=r.people[::-1], effects=r.effects[::-1], faces=r.faces[::-1])
        for r in reversed(runs)
    ]
    one, two = compare_crossed(runs), compare_crossed(turned)
    for pair in one.pairs:
        other = two.pair(pair.first, pair.second)
        assert_allclose(pair.difference.error, other.difference.error)


def test_runs_of_other_people_are_refused() -> None:
    runs = [means("a", 0, np.ones(5)), means("b", 0, np.ones(6))]
    with pytest.raises(FerBenchError, match="other people of fold 0"):
        compare_crossed(runs)
    with pytest.raises(FerBenchError, match="two runs tell of method 'a', seed 0, fold 0"):
        compare_crossed([means("a", 0, np.ones(5))] * 2)
    with pytest.raises(FerBenchError, match="nothing to compare"):
        compare_crossed([])


def test_effects_of_a_mean_are_what_leaving_a_person_out_changes() -> None:
    values, people = np.array([1.0, 0, 1, 1, 0]), np.array(list("aabbc"))
    run = RunScore.of_mean("m", 0, 0, values, people)
    for name, effect in zip(run.people, run.effects, strict=True):
        assert_allclose(effect, values.mean() - values[people != name].mean())
