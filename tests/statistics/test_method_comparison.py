"""Tests between methods: reference values of Demsar 2006, and honest verdicts."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from statsmodels.stats.multitest import multipletests

from fer_bench.cautions import Caution
from fer_bench.errors import FerBenchError
from fer_bench.statistics import (
    compare,
    corrected_t_test,
    friedman,
    holm,
    nemenyi_critical_difference,
    wilcoxon_p,
)


def runs(means, *, folds=5, seeds=3, spread=0.02, fold_spread=0.05, seed=0):
    rng = np.random.default_rng(seed)
    level = fold_spread * rng.normal(size=folds)
    return pd.DataFrame(
        [
            {
                "method": name,
                "metric": "accuracy",
                "fold": f,
                "seed": s,
                "value": mean + level[f] + spread * rng.normal(),
            }
            for name, mean in means.items()
            for f in range(folds)
            for s in range(seeds)
        ]
    )


def test_demsar_friedman():
    test = friedman([3.143, 2.000, 2.893, 1.964], 14)
    assert test.chi2 == pytest.approx(9.28, abs=0.01)
    assert test.f == pytest.approx(3.69, abs=0.01)
    assert test.f_p == pytest.approx(stats.f.sf(3.69, 3, 39), abs=1e-3)


@pytest.mark.parametrize(
    ("k", "n", "expected"),
    [(4, 14, 1.2536), (3, 5, 1.4823), (3, 10, 1.0481), (5, 10, 1.9288)],
)
def test_nemenyi_critical_difference(k, n, expected):
    assert nemenyi_critical_difference(k, n) == pytest.approx(expected, abs=2e-4)


def test_friedman_is_scipys_without_ties():
    values = np.random.default_rng(0).normal(size=(12, 4)) + np.arange(4) * 0.4
    ranks = stats.rankdata(-values, axis=1).mean(axis=0)
    expected = stats.friedmanchisquare(*values.T)
    assert friedman(ranks, 12).chi2 == pytest.approx(expected.statistic)
    assert friedman(ranks, 12).chi2_p == pytest.approx(expected.pvalue)


def test_holm_is_statsmodels():
    p = np.random.default_rng(0).random(9) ** 3
    assert np.allclose(holm(p), multipletests(p, method="holm")[1])
    with_gap = holm(np.r_[p, np.nan])
    assert np.isnan(with_gap[-1])
    assert np.allclose(with_gap[:-1], holm(p))


@pytest.mark.parametrize("n", [5, 6, 9, 16])
def test_wilcoxon_is_scipys_exact_test(n):
    d = np.random.default_rng(n).normal(0.3, 1, n)
    assert wilcoxon_p(d) == pytest.approx(stats.wilcoxon(d, method="exact").pvalue)


def test_wilcoxon_needs_six_pairs():
    assert wilcoxon_p(np.arange(1, 6)) > 0.05
    assert wilcoxon_p(np.arange(1, 7)) < 0.05
    assert wilcoxon_p([0.0, 0.0]) == 1.0


def test_corrected_t_test_is_wider_by_the_stated_factor():
    d = np.random.default_rng(0).normal(0.1, 1, 15)
    plain = stats.ttest_1samp(d, 0)
    assert corrected_t_test(d, test_to_train=0).p == pytest.approx(plain.pvalue)
    corrected = corrected_t_test(d, test_to_train=0.25)
    assert corrected.t == pytest.approx(plain.statistic * np.sqrt((1 / 15) / (1 / 15 + 0.25)))
    assert corrected.low < d.mean() < corrected.high


@pytest.mark.parametrize(
    ("value", "pairs", "p"), [(0.0, 2, 1.0), (0.5, 6, 0.0), (0.5, 5, np.nan), (0.5, 2, np.nan)]
)
def test_corrected_t_test_without_spread(value, pairs, p):
    test = corrected_t_test([value] * pairs, test_to_train=0.25)
    np.testing.assert_equal(test.p, p)
    assert np.isfinite(test.low) == np.isfinite(p)


def test_clear_difference_is_separated_and_ordered():
    comparison = compare(runs({"weak": 0.5, "strong": 0.8, "middle": 0.65}), "accuracy")
    assert comparison.methods == ("strong", "middle", "weak")
    assert comparison.pairs["separated"].all()
    assert comparison.pairs.iloc[0]["verdict"] == Caution("separated", better="strong")
    assert comparison.ranks == {"strong": 1.0, "middle": 2.0, "weak": 3.0}
    assert comparison.blocks == 5
    assert comparison.diagram is None
    assert comparison.critical_difference == pytest.approx(1.4823, abs=1e-3)


def test_lower_is_better_turns_the_order():
    comparison = compare(runs({"leaky": 0.9, "clean": 0.2}), "accuracy", higher_is_better=False)
    row = comparison.pairs.iloc[0]
    assert row["better"] == "clean"
    assert row["difference"] < 0
    assert row["wins"] == 15
    assert row["effect"] > 0


def test_equal_methods_are_not_separated():
    frame = runs({"a": 0.7}, spread=0.02)
    twin = frame.assign(method="b")
    row = compare(pd.concat([frame, twin]), "accuracy").pairs.iloc[0]
    assert row["ties"] == 15
    assert row["wilcoxon_p"] == 1.0
    assert not row["separated"]


def test_too_few_pairs():
    comparison = compare(runs({"a": 0.9, "b": 0.1}, folds=5, seeds=1), "accuracy")
    assert comparison.pairs.iloc[0]["verdict"] == Caution("few-pairs", n=5)
    assert comparison.diagram == Caution("few-to-rank", least=3)


def test_false_separations_are_rare():
    """With equal methods, Holm keeps the chance of any separation near alpha."""
    wrong = [
        compare(runs({"a": 0.7, "b": 0.7, "c": 0.7}, seed=s), "accuracy").pairs["separated"].any()
        for s in range(60)
    ]
    assert np.mean(wrong) <= 0.1


def test_missing_cells_are_stated():
    frame = runs({"a": 0.9, "b": 0.5, "c": 0.2})
    frame.loc[(frame["method"] == "a") & (frame["fold"] == 0), "value"] = np.nan
    comparison = compare(frame, "accuracy")
    assert comparison.blocks == 4
    assert comparison.notes == (Caution("cells-incomplete", lacking=3, cells=15),)
    assert comparison.pairs.set_index(["better", "worse"]).loc[("a", "b"), "n"] == 12
    assert comparison.diagram == Caution("few-blocks", blocks=4)


def test_method_without_any_value_is_left_out():
    frame = runs({"a": 0.9, "b": 0.5})
    frame.loc[frame["method"] == "b", "value"] = np.nan
    comparison = compare(frame, "accuracy")
    assert comparison.methods == ("a",)
    assert comparison.notes == (Caution("no-value-from", methods="b"),)
    assert comparison.pairs.empty


def test_cliques_join_what_the_distance_does_not_part():
    comparison = compare(
        runs({"a": 0.90, "b": 0.90, "c": 0.3, "d": 0.3}, folds=12, seeds=1), "accuracy"
    )
    assert {frozenset(c) for c in comparison.cliques} == {
        frozenset({"a", "b"}),
        frozenset({"c", "d"}),
    }


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda f: f.drop(columns="seed"), "lacks the column 'seed'"),
        (lambda f: pd.concat([f, f.head(1)]), "two rows tell of method 'a'"),
    ],
)
def test_bad_frames(change, message):
    with pytest.raises(FerBenchError, match=message):
        compare(change(runs({"a": 0.9, "b": 0.5})), "accuracy")


def test_unknown_names():
    frame = runs({"a": 0.9, "b": 0.5})
    with pytest.raises(FerBenchError, match="did you mean 'accuracy'"):
        compare(frame, "acuracy")
    with pytest.raises(FerBenchError, match="no run of method 'z'"):
        compare(frame, "accuracy", methods=["a", "z"])
