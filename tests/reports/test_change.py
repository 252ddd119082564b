"""Two folders: what is the same, what moved, and what cannot be told."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from fer_bench.reports.change import compare_summaries
from fer_bench.reports.page import write_report
from fer_bench.reports.paired import PairedScores
from fer_bench.reports.summary import summarise
from fer_bench.runs.store import RunStore

ACCURACY = "classification/test.accuracy"


def moved(summary, label, key, shift):
    """The same summary with one score of one row moved run by run."""
    row = summary.row(label)
    result = row.scores[key]
    values = tuple(v + s for v, s in zip(result.values, shift, strict=True))
    score = replace(result, values=values, mean=float(np.mean(values)))
    other = replace(row, scores=row.scores | {key: score})
    rows = tuple(other if r.label == label else r for r in summary.rows)
    return replace(summary, rows=rows)


def shift_of(change, label, key):
    return next(s for s in change.shifts if (s.label, s.key) == (label, key))


def test_a_folder_against_itself_is_the_same_to_the_last_bit(summary):
    change = compare_summaries(summary, summary)
    assert {s.kind for s in change.shifts} == {"same"}
    assert change.settings == ()
    assert change.paired


def test_a_steady_loss_is_found_and_comes_first(summary):
    noise = 0.002 * np.array([1, -1, 0, 1, -1, 0])
    change = compare_summaries(summary, moved(summary, "ERM", ACCURACY, noise - 0.1))
    first = change.shifts[0]
    assert (first.label, first.key, first.kind) == ("ERM", ACCURACY, "worse")
    assert first.difference == pytest.approx(-0.1)
    assert first.low < -0.1 < first.high < 0
    assert len(change.of_kind("same")) == len(change.shifts) - 1


def test_less_leak_is_better(summary):
    noise = 0.001 * np.array([1, -1, 0, 1, -1, 0])
    key = "leakage/E.identity.strongest"
    change = compare_summaries(summary, moved(summary, "ERM", key, noise - 0.1))
    assert shift_of(change, "ERM", key).kind == "better"


def test_noise_is_not_a_change(summary):
    noise = np.array([0.05, -0.06, 0.02, -0.03, 0.04, -0.01])
    change = compare_summaries(summary, moved(summary, "ERM", ACCURACY, noise))
    assert shift_of(change, "ERM", ACCURACY).kind == "unclear"


def test_other_faces_cannot_be_paired(summary):
    other = replace(summary, data=summary.data | {"fingerprint": "0" * 64})
    change = compare_summaries(summary, other)
    assert not change.paired
    assert "cannot be paired" in change.settings[0]
    assert all(s.low is None and s.kind == "unclear" for s in change.shifts)


def test_rows_and_settings_that_differ_are_said(summary):
    row = summary.row("ERM")
    changed = replace(row, training=row.training | {"epochs": 99})
    rows = tuple(changed if r.label == "ERM" else r for r in summary.rows if r.label != "EIF")
    change = compare_summaries(summary, replace(summary, rows=rows))
    assert change.only_before == ("EIF",)
    assert "ERM: training.epochs was 6, is 99." in change.settings


def test_the_same_people_tell_what_changed(build, two_methods, tmp_path):
    worse = {**two_methods, "erm": replace(two_methods["erm"], skill=0.4)}
    sizes = {"seeds": 3, "folds": 2, "n_subjects": 12, "failure": False}
    stores = [
        RunStore(build(tmp_path / name, methods=methods, **sizes))
        for name, methods in (("before", two_methods), ("after", worse))
    ]
    change = compare_summaries(
        *(summarise(store) for store in stores), tuple(map(PairedScores.of, stores))
    )
    lost = shift_of(change, "ERM", ACCURACY)
    assert lost.kind == "worse"
    assert shift_of(change, "DICE-FER", ACCURACY).kind == "same"
    # The interval is that of person by person differences, averaged over seeds and folds.
    correct = []
    for store in stores:
        records = [r for r in store.records() if r.spec.method == "erm"]
        parts = [record.arrays.test for record in records]
        faces = pd.concat(
            pd.DataFrame(
                {"person": part.labels["subject"], "right": part.logits.argmax(1) == part.y}
            )
            for part in parts
        )
        correct.append(faces.groupby("person")["right"].mean())
    gap = correct[1] - correct[0]
    assert lost.difference == pytest.approx(gap.mean(), abs=1e-6)
    assert lost.high - lost.low > 2 * gap.std() / np.sqrt(len(gap))


def test_page_opens_with_the_change(small_results, tmp_path):
    out = tmp_path / "change.html"
    path = write_report(small_results, against=small_results, out=out, maps="none")
    text = path.read_text("utf-8")
    assert text.index('id="change"') < text.index('id="headline"')
    assert "are the same to the last bit" in text
