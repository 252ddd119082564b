"""The summary: right means, honest verdicts, nothing hidden."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from fer_bench.cautions import Caution
from fer_bench.errors import RunError
from fer_bench.reports.columns import columns_of, leaderboard_columns
from fer_bench.reports.paired import PairedScores
from fer_bench.reports.scores import scores_frame
from fer_bench.reports.summary import _apart, _judged, _verdicts, _with_intervals, summarise
from fer_bench.runs.store import RunStore, seal
from fer_bench.statistics.crossed import RunScore, compare_crossed

ACCURACY = "classification/test.accuracy"


def test_means_are_those_of_the_runs(results, summary):
    """The mean over folds of the mean over seeds, computed again from the arrays."""
    by_fold: dict[int, list[float]] = {}
    for record in RunStore(results).records():
        if record.spec.method == "erm":
            test = record.arrays.test
            hit = float((test.logits.argmax(axis=1) == test.y).mean())
            by_fold.setdefault(record.spec.fold, []).append(hit)
    expected = np.mean([np.mean(hits) for hits in by_fold.values()])
    assert summary.row("ERM").scores[ACCURACY].mean == pytest.approx(expected)


def test_interval_holds_the_mean_and_widens_with_spread(summary):
    for row in summary.rows:
        for result in row.scores.values():
            if result.low is not None:
                assert result.low <= result.mean + 1e-12
                assert result.mean <= result.high + 1e-12


def test_roles_are_set_apart_and_best_comes_first(summary):
    roles = [row.role for row in summary.rows]
    assert roles == sorted(roles, key=["method", "reference", "oracle"].index)
    means = [row.scores[ACCURACY].mean for row in summary.of_role("method")]
    assert means == sorted(means, reverse=True)


def test_confusion_counts_every_test_face_once(results, summary):
    for row in summary.rows:
        if row.role == "method" and row.label != "EIF":
            assert np.sum(row.confusion["test"]) == 336
            assert np.sum(row.confusion["train"]) == 2 * 336  # in two of three folds


def test_verdicts_name_the_best_mean_and_never_an_oracle(summary):
    for verdict in summary.verdicts:
        means = {
            row.label: row.scores[verdict.key].mean
            for row in summary.of_role("method")
            if verdict.key in row.scores
        }
        pick = max if leaderboard_columns()[verdict.key].better == "high" else min
        assert verdict.best == pick(means, key=means.get)
        assert set(verdict.tied) <= set(means) - {verdict.best}
        assert set(verdict.against) == set(means) - {verdict.best}


def test_nobody_is_ranked_by_a_number_that_is_no_evidence(results, summary, cautioned):
    """The best MIG fails its calibration: the verdict is on the others."""
    key = "mig/mig"
    known = summary.verdict(key)
    rows = cautioned(summary, key, **{known.best: "calibration-bias"}).rows
    paired = PairedScores.of(RunStore(results))
    frame = scores_frame(RunStore(results).records())
    (verdict,) = _verdicts(rows, [key], frame, paired)
    assert verdict.comparable == known.comparable - 1
    assert known.best not in {verdict.best, *verdict.against}


def test_differences_are_paired_by_person(summary):
    verdict = summary.verdict(ACCURACY)
    gap = verdict.against["EIF"]
    assert gap.n_pairs == 5
    assert gap.verdict == (
        Caution("separated", better=verdict.best) if gap.separated else Caution("may-be-chance")
    )
    assert verdict.missing == ()
    assert verdict.outlook is not None
    assert verdict.outlook.people == 24
    assert 0 < verdict.outlook.chance < 1


def test_failures_and_warnings_are_there(summary):
    (failure,) = summary.failures
    assert (failure.label, failure.seed, failure.fold) == ("EIF", 1, 2)
    assert "not finite" in failure.reason
    texts = [c.text for c in summary.cautions]
    assert any("saturated" in t for t in texts)
    assert any("pairs of the same subject" in t for t in texts)
    assert summary.cautions[0].level == "error"
    assert not any("fitted on" in t for t in texts)  # every train score says so: no news


def test_skipped_metrics_carry_their_reason(summary):
    assert summary.row("ERM").skipped == {"mig": "the method has no identity embedding"}


def test_summary_is_saved_as_plain_json(results, summary):  # saved by `summarise`
    saved = json.loads((results / "summary.json").read_text("utf-8"))
    assert [row["label"] for row in saved["rows"]] == [row.label for row in summary.rows]
    assert saved["rows"][0]["scores"][ACCURACY]["mean"] == summary.rows[0].scores[ACCURACY].mean
    assert "NaN" not in (results / "summary.json").read_text("utf-8")


def test_older_runs_of_the_same_place_are_left_out_and_said(results, tmp_path):
    root = tmp_path / "again"
    shutil.copytree(results, root)
    store = RunStore(root)
    record = next(r for r in store.records() if r.spec.method == "erm")
    twin = store.runs / f"{record.folder.name[:-10]}0000000000"
    shutil.copytree(record.folder, twin)
    seal(twin, twin.name)
    summary = summarise(store)
    assert len(summary.row("ERM").runs) == 6
    assert any(c.kind[0] == "older-runs" for c in summary.cautions)


def test_a_folder_where_all_failed_says_why(results, tmp_path):
    store, failed = RunStore(tmp_path), RunStore(results)
    spec = failed.records()[0].spec
    store.save_failure(spec, reason="the loss is not finite", kind="failed")
    with pytest.raises(RunError, match="1 tried.: .* failed because the loss is not"):
        summarise(store)


def test_empty_folder_is_one_clear_sentence(tmp_path):
    with pytest.raises(RunError, match="no finished run"):
        summarise(RunStore(tmp_path))


def test_a_gap_carries_the_test_of_its_runs(results, summary):
    frame = scores_frame(RunStore(results).record(run) for run in summary.row("ERM").runs)
    tests = frame[frame["key"] == "groups/gender.gap"]["p"].dropna()
    assert len(tests) > 1
    expected = min(1.0, 2 * np.median(tests))
    assert summary.row("ERM").scores["groups/gender.gap"].p == pytest.approx(expected)


def test_reading_results_needs_no_torch(results):
    """It takes longer to import than a thousand runs take to read, and most of the memory."""
    code = (
        "import sys; from fer_bench.reports.tables import write_table; "
        "write_table(sys.argv[1]); print(sorted({'torch', 'sklearn'} & sys.modules.keys()))"
    )
    command = [sys.executable, "-c", code, str(results)]
    assert subprocess.check_output(command, text=True).strip() == "[]"


def test_a_row_far_above_chance_is_no_guess_for_its_two_seeds(summary):
    """Two seeds give an interval of one degree of freedom, which reaches chance."""
    rng, people = np.random.default_rng(0), np.arange(40)
    own = {"DICE-FER": (0.41, 0.52), "ERM": (0.60, 0.61), "EIF": (0.55, 0.56)}
    runs = [
        RunScore.of_mean(label, seed, 0, value + rng.normal(0, 0.1, 40), people)
        for label, values in own.items()
        for seed, value in enumerate(values)
    ]
    paired = SimpleNamespace(compare=lambda key, labels: compare_crossed(runs))
    wide = {"low": 0.0, "null": 0.15, "floor": None}
    rows = [
        replace(row, scores=row.scores | {summary.use.key: replace(value, **wide)})
        for row in summary.rows
        if row.label in own and (value := row.scores[summary.use.key])
    ]
    assert _apart(rows, summary.use) == set(own)
    assert not _apart(_judged(rows, summary.use, paired), summary.use)


@pytest.mark.parametrize("table", ["claims", "ladder"])
def test_attackers_of_a_table_rest_on_people_and_the_seeds_of_all_methods(summary, table):
    key = columns_of(table)[0].key
    rng = np.random.default_rng(0)

    class Attacked(PairedScores):
        deterministic, derived = frozenset(), {}

        def __init__(self):
            pass

        def runs(self, wanted, labels):
            return [
                RunScore.of_mean(label, seed, 0, rng.normal(0.6, 0.1, 40), np.arange(40))
                for label in labels for seed in (0, 1) if wanted == key
            ]  # fmt: skip

    methods = summary.of_role("method")
    wide = replace(methods[0].scores[ACCURACY], mean=0.6, low=0.1, high=1.0, how="two seeds")
    rows = [replace(row, scores=row.scores | {key: wide}) for row in methods]
    for row in _with_intervals(rows, [], Attacked()):
        estimate = row.scores[key]
        assert estimate.how == "varying people and seeds"
        assert estimate.high - estimate.low < 0.2
