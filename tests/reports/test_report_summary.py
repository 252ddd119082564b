"""The summary: right means, honest verdicts, nothing hidden."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pandas as pd
import pytest

from fer_bench.cautions import Caution, merged
from fer_bench.errors import RunError
from fer_bench.reports.aggregate import combined_p
from fer_bench.reports.columns import formatted, leaderboard_columns, main_columns
from fer_bench.reports.export import flat_frame
from fer_bench.reports.summary import scores_frame, summarise
from fer_bench.runs.store import RunStore, seal

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
        for found in row.scores.values():
            if found.low is not None:
                assert found.low <= found.mean + 1e-12
                assert found.mean <= found.high + 1e-12


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


def test_few_pairs_never_separate(summary):
    verdict = summary.verdict(ACCURACY)
    assert "EIF" in verdict.tied or verdict.best == "EIF"
    assert verdict.against["EIF"].n_pairs == 5
    assert verdict.against["EIF"].verdict == Caution("few-pairs", n=5)


def test_normalised_leak_is_one_at_the_ceiling_and_zero_at_chance(summary):
    key = "leakage/E.identity.normalised"
    assert summary.row("Pixels (PCA)").scores[key].mean == pytest.approx(1.0)
    assert abs(summary.row("Oracle: label").scores[key].mean) < 0.1


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


def test_markdown_says_who_is_best_and_warns(summary):
    text = summary.to_markdown()
    assert "**DICE-FER** names expressions most often right, but cannot be separated from" in text
    assert "saturated" in text


def test_frame_is_tidy_and_survives_parquet(results, tmp_path):
    frame = flat_frame(RunStore(results).records())
    assert not frame.duplicated(["run", "key"]).any()
    assert set(main_columns()) <= set(frame["key"])
    frame.to_parquet(tmp_path / "scores.parquet")
    read = pd.read_parquet(tmp_path / "scores.parquet")
    assert {c["code"] for cautions in read["cautions"] for c in cautions} >= {"fitted"}


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
    assert any("older runs" in c.text for c in summary.cautions)


def test_empty_folder_is_one_clear_sentence(tmp_path):
    with pytest.raises(RunError, match="no finished run"):
        summarise(RunStore(tmp_path))


@pytest.mark.parametrize(
    ("value", "style", "text"),
    [
        (0.12345, "percent", "12.3"),
        (-0.0001, "percent", "0.0"),
        (float("nan"), "nats", "–"),
        (-1.5, "nats", "−1.50"),
    ],
)
def test_numbers_are_printed_alike_everywhere(value, style, text):
    assert formatted(value, style) == text


def test_cautions_of_one_kind_are_one_remark():
    several = [Caution("few-clusters", clusters=n, of="subjects") for n in (3, 12, 3)]
    assert len({caution.kind for caution in several}) == 1
    assert several[0].kind != Caution("few-clusters", clusters=3, of="images").kind
    assert merged(several) == "the interval rests on 3 to 12 subjects only"
    assert merged(several[:1]) == str(several[0])


def test_an_interval_stays_within_the_range_of_a_fraction():
    from fer_bench.reports.aggregate import _within_range

    assert _within_range("fraction", -0.2, 1.3, [0.4, 0.6]) == (0.0, 1.0)
    assert _within_range("fraction", -0.2, 0.3, [-0.1, 0.1]) == (-0.2, 0.3)
    assert _within_range("nats", -0.2, 1.3, [0.4, 0.6]) == (-0.2, 1.3)


def test_a_reference_of_one_seed_is_the_ceiling_of_all(results):
    records = RunStore(results).records()
    one_seed = [r for r in records if not (r.spec.method == "pixels" and r.spec.seed == 1)]
    key = "leakage/E.identity.normalised"
    whole, part = (scores_frame(rs).set_index(["label", "seed", "fold", "key"])["value"]
                   for rs in (records, one_seed))  # fmt: skip
    whole, part = whole.xs(key, level="key"), part.xs(key, level="key")
    assert set(part.index) == {i for i in whole.index if i[:2] != ("Pixels (PCA)", 1)}
    same = [i for i in part.index if i[1] == 0]
    assert part[same].tolist() == whole[same].tolist()
    for fold in (0, 1, 2):  # the ceiling of seed 0 stands in for that of seed 1
        strongest = {
            r.spec.seed: r.outcomes()["leakage"].scores["E.identity.strongest"].value
            for r in records
            if r.spec.label in ("ERM", "Pixels (PCA)") and r.spec.fold == fold
            if (r.spec.label, r.spec.seed) in (("ERM", 1), ("Pixels (PCA)", 0))
        }
        expected = (strongest[1] - 1 / 8) / (strongest[0] - 1 / 8)
        assert part["ERM", 1, fold] == pytest.approx(expected)


def test_a_gap_carries_the_test_of_its_runs(results, summary):
    frame = scores_frame(RunStore(results).record(run) for run in summary.row("ERM").runs)
    tests = frame[frame["key"] == "groups/gender.gap"]["p"].dropna()
    assert len(tests) > 1
    expected = min(1.0, 2 * np.median(tests))
    assert summary.row("ERM").scores["groups/gender.gap"].p == pytest.approx(expected)


def test_one_p_value_of_many():
    assert combined_p([]) is None
    assert combined_p([float("nan")]) is None
    assert combined_p([0.03]) == 0.03
    assert combined_p([0.01, 0.02, 0.9]) == 0.04
    assert combined_p([0.6, 0.7]) == 1.0
