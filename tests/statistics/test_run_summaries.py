"""Means over seeds and folds, and what their intervals rest on."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from fer_bench.statistics import summarise


def frame(values, **bounds):
    """values[fold][seed]"""
    rows = [
        {"method": "m", "metric": "x", "fold": f, "seed": s, "value": v}
        for f, seeds in enumerate(values)
        for s, v in enumerate(seeds)
    ]
    return pd.DataFrame(rows).assign(**bounds)


def test_folds_weigh_equally():
    row = summarise(frame([[0.0, 0.0, 0.0], [1.0]])).iloc[0]
    assert row["mean"] == 0.5
    assert (row["runs"], row["folds"], row["seeds"]) == (4, 2, 3)


def test_interval_over_folds_is_students():
    values = [0.6, 0.7, 0.75, 0.9]
    row = summarise(frame([[v] for v in values])).iloc[0]
    assert row["interval"] == "folds"
    expected = stats.t.interval(0.95, 3, np.mean(values), stats.sem(values))
    assert np.allclose([row["low"], row["high"]], expected)


def test_one_run_keeps_its_own_interval():
    row = summarise(frame([[0.8]], low=0.7, high=0.85)).iloc[0]
    assert row["interval"] == "subjects"
    assert (row["low"], row["high"]) == pytest.approx((0.7, 0.85))


def test_seeds_widen_the_subjects_interval():
    row = summarise(frame([[0.7, 0.8, 0.9]], low=0.75, high=0.85)).iloc[0]
    assert row["interval"] == "subjects + seeds"
    alone = summarise(frame([[0.7, 0.8, 0.9]])).iloc[0]
    assert alone["interval"] == "seeds"
    assert row["low"] < alone["low"] < alone["high"] < row["high"]


def test_nothing_to_rest_on():
    row = summarise(frame([[0.5]])).iloc[0]
    assert row["interval"] == ""
    assert np.isnan(row["low"])


def test_missing_values_are_counted_not_filled():
    row = summarise(frame([[np.nan, 0.5], [None, 0.7], [np.nan, np.nan]])).iloc[0]
    assert row["mean"] == pytest.approx(0.6)
    assert (row["runs"], row["folds"], row["missing"]) == (2, 2, 4)


def test_all_missing():
    row = summarise(frame([[np.nan]])).iloc[0]
    assert row["runs"] == 0
    assert np.isnan(row["mean"])


@pytest.mark.slow
def test_coverage_over_folds():
    """The Student interval over folds covers the true mean about 95 % of the time."""
    rng = np.random.default_rng(0)
    inside = 0
    for _ in range(400):
        level = 0.8 + 0.05 * rng.normal(size=(5, 1)) + 0.02 * rng.normal(size=(5, 3))
        row = summarise(frame(level)).iloc[0]
        inside += row["low"] <= 0.8 <= row["high"]
    assert 0.92 <= inside / 400 <= 0.98
