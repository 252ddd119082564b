"""Traversals of a result folder: kept with the runs, on the page, as figures."""

from __future__ import annotations

import numpy as np
import pandas as pd
import torch
from typer.testing import CliRunner

from fer_bench.arrays import PartArrays
from fer_bench.cli.app import app
from fer_bench.metrics.traversals import STEPS, Traversal
from fer_bench.reports.figures.traversals import failures_figure, traversal_figure
from fer_bench.reports.material import Material
from fer_bench.reports.sections.failures import SECTION, misread
from fer_bench.reports.traversals import save_traversals, traversals_of
from fer_bench.runs.store import RunRecord

CLASSES = ("neutral", "anger")


def walk_of(k=3, threshold=0.5):
    rng = np.random.default_rng(1)
    likeness = np.tile([0.9, 0.95, 1.0, 0.8, 0.2], (k, 1))
    return Traversal(
        "E", "all ones", "decoder probe", "the pixels", threshold, 0.1, np.arange(k),
        rng.integers(0, 255, (k, len(STEPS), 8, 8, 3)).astype(np.uint8),
        np.tile([0, 0, 0, 1, 1], (k, 1)), likeness,
    )  # fmt: skip


def test_traversals_are_kept_with_the_run_and_damage_is_none(tmp_path):
    record = RunRecord(tmp_path)
    assert traversals_of(record) == []
    save_traversals(record, [walk_of(), walk_of(2, threshold=np.nan)])
    first, second = traversals_of(record)
    assert np.array_equal(first.faces, walk_of().faces)
    assert first.identity_shift == first.expression_change == 1
    assert np.isnan(second.threshold)
    (tmp_path / "traversals.safetensors").write_bytes(b"not that")
    assert traversals_of(record) == []


def test_the_figure_has_a_face_a_step_and_shifts_are_framed():
    figure = traversal_figure(walk_of())
    assert len(figure.axes) == 3 * len(STEPS)
    framed = [a for a in figure.axes if a.spines["left"].get_visible()]
    assert len(framed) == 2 * 3
    assert len(failures_figure([walk_of()]).axes) == 2 * 3
    assert failures_figure([walk_of(threshold=np.nan)]) is None


def test_the_surest_mistakes_come_first():
    logits = np.array([[2, 0], [0, 3], [0, 1], [5, 0]], np.float32)
    labels = pd.DataFrame({"expression": ["neutral", "neutral", "neutral", "anger"]})
    part = PartArrays("test", np.zeros((4, 1), np.float32), None, logits, None, labels, CLASSES)
    assert misread(part).tolist() == [3, 1, 2]


def test_the_command_draws_and_the_page_shows(build, two_methods, tmp_path):
    results = build(tmp_path / "results", methods=two_methods, seeds=1, folds=2)
    pictures = tmp_path / "pictures"
    options = ["--method", "DICE-FER", "--generator", f"{__name__}:drawn_16"]
    called = CliRunner().invoke(
        app, ["traverse", str(results), *options, "--pictures", str(pictures)]
    )
    assert called.exit_code == 0, called.output
    assert "DICE-FER: E, all ones" in called.output
    assert len(list((pictures / "dice-fer" / "e-all-ones").glob("*.png"))) % len(STEPS) == 0
    shown, hidden = (
        SECTION.render(Material(results, maps="none", faces=faces))[1] for faces in ("show", "none")
    )
    for section in (shown, hidden):
        assert "E, all ones" in section
    assert "Misread" in shown
    assert "data:image/webp" in shown
    assert "data:image" not in hidden


def drawn_16(codes):
    return torch.as_tensor(codes)[:, :1, None, None].expand(-1, 3, 24, 24).tanh()
