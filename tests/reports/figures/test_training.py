"""Every stage and player has its curve."""

from __future__ import annotations

import pandas as pd
import pytest

from fer_bench.reports.figures import training
from fer_bench.reports.figures.style import drawing
from fer_bench.reports.figures.training import training_curves
from fer_bench.runs.store import RunStore, histories


def test_curves_show_each_player_and_stage(results, summary):
    store = RunStore(results)
    records = [store.record(run) for run in summary.row("DICE-FER").runs]
    with drawing(paper=False):
        figure = training_curves(records)
    assert [axes.get_title(loc="left") for axes in figure.axes[:2]] == ["expression", "identity"]
    line = figure.axes[0].lines[0]
    history = records[0].history
    assert list(line.get_xdata()) == sorted(history["epoch"].unique())
    words = [t.get_text() for t in figure.axes[0].get_legend().get_texts()]
    assert words == ["encoder", "critic", "validation"]
    assert {line.get_linestyle() for line in figure.axes[0].lines} == {"-", "--"}
    drawn = figure.axes[0].lines[0].get_ydata()
    runs = [
        r.history.query("stage == 'expression' and split == 'train' and term == 'total'")
        for r in records
    ]
    losses = [r[r["player"] == "encoder"].set_index("epoch")["value"] for r in runs]
    assert list(drawn) == pytest.approx(list(sum(losses) / len(losses)))


def test_stages_without_a_measure_leave_no_empty_panel(results, monkeypatch):
    records = [r for r in RunStore(results).records() if r.spec.label == "DICE-FER"]
    history = histories(records)
    keep = (history["player"] != "prediction") | (history["stage"] != "identity")
    monkeypatch.setattr(training, "histories", lambda _: history[keep].copy())
    with drawing(paper=False):
        figure = training_curves(records)
    shown = [axes for axes in figure.get_axes() if axes.get_visible()]
    assert len(shown) == 3
    assert all(axes.get_lines() for axes in shown)


def test_histories_read_at_once_are_those_read_one_by_one(results):
    records = RunStore(results).records()[:7]
    one_by_one = pd.concat([record.history for record in records], ignore_index=True)
    pd.testing.assert_frame_equal(histories(records), one_by_one)


def test_histories_of_versions_with_other_columns_are_read_one_by_one(results):
    class Older:
        history = pd.DataFrame({"epoch": [1], "term": ["total"], "value": [0.5]})

        def sealed(self, name):
            return self.history.to_csv(index=False).encode()

    records = [RunStore(results).records()[0], Older()]
    read = histories(records)
    assert len(read) == len(records[0].history) + 1
    assert read["value"].iloc[-1] == 0.5
