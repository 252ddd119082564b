"""The figures of the RAF-DB report: heights are what was measured."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from fer_bench.reports.figures.overview import overview, training_recalls
from fer_bench.reports.figures.training import term_curves


def estimate(mean):
    return SimpleNamespace(mean=mean, low=mean - 0.1, high=mean + 0.1, values=[mean])


def heights(axes):
    return [patch.get_height() for patch in axes.patches]


def test_accuracy_classes_and_terms_stand_in_one_figure():
    scores = {"classification/test.accuracy": 0.825, "mig/shared": 0.65, "mig/leaked": 0.2,
              "mig/mig": 0.45}  # fmt: skip
    row = SimpleNamespace(
        scores={key: estimate(value) for key, value in scores.items()},
        per_class={"happiness": {"recall": estimate(0.934)}, "fear": {"recall": estimate(0.554)}},
    )
    left, right = overview(row).axes
    assert heights(left) == pytest.approx([82.5, 93.4, 55.4])
    assert heights(right) == pytest.approx([0.65, 0.2, 0.45])
    assert [t.get_text() for t in right.get_xticklabels()][-1] == "MIG"
    row.scores = {}
    assert overview(row) is None


def test_training_recalls_are_those_of_the_counts():
    [axes] = training_recalls([[9, 1], [5, 5]], ["neutral", "fear"]).axes
    assert heights(axes) == pytest.approx([70, 90, 50])
    assert training_recalls([[0, 0], [0, 0]], ["neutral", "fear"]) is None
    assert training_recalls([], []) is None


def test_every_term_has_a_line_of_its_own():
    rows = [
        (stage, epoch, "train", player, term, float(epoch))
        for epoch in (1, 2, 3)
        for stage, player, term in (
            ("expression", "encoder", "total"), ("expression", "encoder", "l1"),
            ("expression", "encoder", "global_jsd"), ("identity", "encoder", "adversarial"),
            ("identity", "discriminator", "total"),
        )
    ]  # fmt: skip
    columns = ["stage", "epoch", "split", "player", "term", "value"]
    history = pd.DataFrame(rows, columns=columns)

    def record(frame):
        written = frame.to_csv(index=False).encode()
        return SimpleNamespace(sealed=lambda name: written, folder=SimpleNamespace(name="r"))

    figure = term_curves([record(history)])
    shown = [axes for axes in figure.axes if axes.get_visible()]
    legends = [[t.get_text() for t in axes.get_legend().get_texts()] for axes in shown]
    assert legends == [["l1", "global jsd"], ["adversarial"]]
    assert np.isfinite([line.get_ydata().max() for axes in shown for line in axes.lines]).all()
    assert term_curves([record(history[history["term"] == "total"])]) is None
