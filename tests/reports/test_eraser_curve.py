"""What was planted above, on and below the curve of an eraser is told so."""

import numpy as np
import pytest

from fer_bench.reports.columns import leaderboard_columns
from fer_bench.reports.eraser_curve import above_curve, curve_front
from fer_bench.reports.paired import PairedScores
from fer_bench.statistics import RunScore

USE, LEAK = (
    leaderboard_columns()[key]
    for key in ("classification/test.accuracy", "attackers/E.identity.auc")
)
CURVE = {"ERM": (0.9, 0.9), "weak": (0.85, 0.7), "strong": (0.6, 0.5)}


class Planted(PairedScores):
    """Runs of rows with these accuracies and leaks, whose test people differ."""

    def __init__(self, rows, *, seeds=3, people=120, draw=0, moved=0.0):
        rng = np.random.default_rng(draw)
        hard = rng.normal(0, 0.1, people)
        by_seed = rng.normal(0, moved, seeds)  # all rows of the curve start from ERM's training
        own = rng.normal(0, moved, seeds)
        self.deterministic = set()
        self._scored = [
            (key, RunScore.of_mean(
                label, seed, 0,
                values[at]
                + (key == USE.key) * (hard + (by_seed if label in CURVE else own)[seed])
                + rng.normal(0, 0.02, people),
                np.arange(people),
            ))
            for label, values in rows.items() for seed in range(seeds)
            for at, key in enumerate((USE.key, LEAK.key))
        ]  # fmt: skip

    def runs(self, key, labels):
        return [run for of, run in self._scored if of == key and run.method in labels]

    def mean(self, key, label):
        return float(np.mean([run.value for run in self.runs(key, [label])]))


def standing(use, leak, **size):
    rows = CURVE | {"method": (use, leak)}
    paired = Planted(rows, **size)
    means = {label: (paired.mean(USE.key, label), paired.mean(LEAK.key, label)) for label in rows}
    told = above_curve(means, set(CURVE), paired, USE, LEAK)
    assert [each.label for each in told] == ["method"]
    return told[0]


@pytest.mark.parametrize(
    ("use", "leak", "gain"),
    [
        (0.925, 0.8, 0.05),  # ERM and the weak eraser give .875 there
        (0.825, 0.8, -0.05),
        (0.775, 0.6, 0.05),  # between the erasers: .725
        (0.85, 0.95, -0.05),  # ERM leaks less and gives .9
    ],
)
def test_the_distance_from_the_curve_is_told(use, leak, gain):
    told = standing(use, leak)
    assert told.gain == pytest.approx(gain, abs=0.02)
    assert told.low < gain < told.high
    assert told.decided
    assert told.above == (gain > 0)


def test_on_the_curve_nothing_is_decided():
    told = standing(0.875, 0.8)
    assert told.low < 0 < told.high
    assert not told.decided


def test_below_the_least_leak_of_the_curve_there_is_no_verdict():
    told = standing(0.9, 0.4)
    assert told.gain is None
    assert not told.above


def test_one_training_decides_nothing():
    assert not standing(0.925, 0.8, seeds=1).decided


def test_rows_of_one_training_vary_together():
    """ERM and its erased rows are better or worse by the same seeds: that is counted once."""
    decided = [standing(0.875, 0.8, draw=i, moved=0.02, seeds=4).decided for i in range(80)]
    assert np.mean(decided) <= 0.12  # .05 and two and a half standard errors


def test_an_eraser_that_another_beats_in_both_is_no_part_of_the_curve():
    rows = CURVE | {"crude": (0.55, 0.8), "alike": (0.85, 0.75), "other": (0.99, 0.4)}
    of_erm = set(rows) - {"other"}
    assert curve_front(rows, of_erm, LEAK) == ("strong", "weak", "ERM")
