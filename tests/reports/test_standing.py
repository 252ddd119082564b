"""Who may be called best."""

from dataclasses import replace

import numpy as np
import pytest

from fer_bench.cautions import Caution
from fer_bench.reports.aggregate import Estimate, with_intervals
from fer_bench.reports.columns import columns_about
from fer_bench.reports.standing import at_null, collapsed, sound
from fer_bench.statistics import compare_crossed
from fer_bench.statistics.crossed import RunScore

USE = columns_about("recognition")[0]
LEAK = columns_about("leak")[1]


def estimate(mean, half=0.1, null=0.2, cautions=()):
    return Estimate(
        mean, mean - half, mean + half, 0, null, 1, 9, "fraction", "", (mean,), cautions
    )


@pytest.mark.parametrize(("mean", "guess"), [(0.25, True), (0.3, True), (0.31, False)])
def test_what_an_interval_shares_with_chance_is_a_guess(mean, guess):
    assert at_null(estimate(mean), USE) == guess


@pytest.mark.parametrize("training", [{"folds": 2, "seeds": 1}, {"folds": 1, "seeds": 2}])
@pytest.mark.parametrize(("mean", "guess"), [(0.48, False), (0.14, True)])
def test_two_trainings_do_not_make_a_guess_of_good_recognition(training, mean, guess):
    """With one degree of freedom, an interval reaches chance from wherever it is."""
    rng = np.random.default_rng(0)
    runs = [
        RunScore.of_mean("a", seed, fold, values, fold * 40 + np.arange(40))
        for fold in range(training["folds"])
        for seed in range(training["seeds"])
        for values in [mean + 0.1 * (fold + seed) + rng.normal(0, 0.2, 40)]
    ]
    value = replace(estimate(mean), null=0.143 + 0.1 * guess)
    crossed = {USE.key: compare_crossed(runs)}
    told = with_intervals({USE.key: value}, crossed, "a")[USE.key]
    assert told.low < told.null
    assert at_null(told, USE) == guess


@pytest.mark.parametrize("mean", [0.05, 0.2, 0.5])
def test_chance_is_the_best_that_a_leak_can_be(mean):
    assert not at_null(estimate(mean), LEAK)


def test_the_concordance_of_a_constant_is_zero():
    (ccc,) = columns_about("affect")
    assert at_null(estimate(0.05, null=None), ccc)
    assert not at_null(estimate(0.2, null=None), ccc)


def test_collapsed_rows_and_guesses_are_never_sound():
    wreck = {
        USE.key: estimate(0.9),
        "mi/E.expression": estimate(1, cautions=(Caution("collapsed", rank=1),)),
    }
    assert collapsed(wreck)
    assert not sound(wreck, USE)
    assert not sound({USE.key: estimate(0.2)}, USE)
    assert not sound({}, USE)
    assert sound({USE.key: estimate(0.9)}, USE)


def test_one_direction_that_leads_is_no_collapse():
    lopsided = {USE.key: estimate(0.9, cautions=(Caution("collapsed", rank=1.76),))}
    assert not collapsed(lopsided)
    assert sound(lopsided, USE)
    assert collapsed({USE.key: estimate(0.9, cautions=(Caution("collapsed-side", side="x"),))})
