"""Rows of a result folder compared person by person."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from fer_bench.reports.paired import PairedScores, outlook
from fer_bench.reports.scores import NORMALISED_LEAK, STRONGEST, latest_records, scores_frame
from fer_bench.runs.store import RunStore
from fer_bench.statistics.crossed import RunScore, compare_crossed

ACCURACY = "classification/test.accuracy"


@pytest.fixture(scope="module")
def records(results):
    return latest_records(RunStore(results))[0]


@pytest.fixture(scope="module")
def paired(records):
    return PairedScores(records, scores_frame(records))


def test_accuracies_are_those_of_the_saved_predictions(records, paired):
    """The comparison equals one made from logits and labels, face by face."""
    methods = ["EIF", "ERM"]
    runs = []
    for record in records:
        if record.spec.label in methods:
            test = record.arrays.test
            right = test.logits.argmax(axis=1) == test.y
            spec, people = record.spec, test.labels["subject"].to_numpy(str)
            runs.append(RunScore.of_mean(spec.label, spec.seed, spec.fold, right, people))
    expected = compare_crossed(runs).pair("EIF", "ERM").difference
    difference = paired.compare(ACCURACY, methods).pair("EIF", "ERM").difference
    for name in ("value", "low", "high", "error", "dof"):
        assert getattr(difference, name) == pytest.approx(getattr(expected, name)), name


def test_a_scaled_leak_has_the_same_verdict_as_the_leak(paired, records):
    frame = scores_frame(records)
    if not (frame["key"] == NORMALISED_LEAK).any():
        pytest.skip("the folder has no ceiling of leaks")
    methods = ["EIF", "ERM"]
    raw = paired.compare("/".join(STRONGEST), methods)
    scaled = paired.compare(NORMALISED_LEAK, methods)
    assert scaled is not None
    assert raw is not None
    assert (scaled.pair("EIF", "ERM").difference.value > 0) == (
        raw.pair("EIF", "ERM").difference.value > 0
    )


def test_oracles_have_no_spread_over_seeds(paired, records):
    labels = sorted({record.spec.label for record in records})
    oracles = {r.spec.label for r in records if r.environment["method"]["role"] == "oracle"}
    comparison = paired.compare(ACCURACY, labels)
    assert oracles
    assert all(comparison.seed_variance[label] == 0 for label in oracles & comparison.means.keys())


def test_runs_without_any_interval_are_not_compared(records):
    frame = scores_frame(records).assign(low=np.nan, high=np.nan, key="another/score")
    assert PairedScores(records, frame).compare("another/score", ["EIF", "ERM"]) is None


def test_scores_of_earlier_versions_are_compared_by_their_intervals(records):
    """Without the effects of people, the intervals of the runs say how much people vary."""
    rows = [
        {
            "run": record.folder.name,
            "label": record.spec.label,
            "seed": record.spec.seed,
            "fold": record.spec.fold,
            "key": "another/score",
            "value": 0.5 + 0.01 * record.spec.seed,
            "low": 0.4,
            "high": 0.6,
        }
        for record in records
        if record.spec.label in ("EIF", "ERM")
    ]
    comparison = PairedScores(records, pd.DataFrame(rows)).compare("another/score", ["EIF", "ERM"])
    folds = len({row["fold"] for row in rows})
    error = 0.1 / stats.norm.ppf(0.975)
    people = comparison.pair("EIF", "ERM").difference.variance("people")
    assert people == pytest.approx(2 * error**2 / folds)


def test_the_outlook_names_this_sweep(paired, records):
    outlooks = outlook(paired.compare(ACCURACY, ["EIF", "ERM"]), "EIF")
    people = {s for r in records for s in r.arrays.test.subjects}
    assert outlooks.people == len(people)
    assert outlooks.seeds == 2
    assert outlooks.needed is None or outlooks.needed > 0
