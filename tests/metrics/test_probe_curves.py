"""Probe curves: they rise where something is planted, and say over how many directions."""

import numpy as np
import pytest

from fer_bench.arrays import RunArrays
from fer_bench.metrics.probe_curves import WIDTHS, probe_curves


def with_expression_embedding(planted, run, make):
    parts = {
        name: planted.replaced(part, expression=make(part).astype(np.float32))
        for name, part in run.parts.items()
    }
    return RunArrays(parts=parts, classes=run.classes)


@pytest.fixture(scope="module")
def run(planted):
    return planted.run(subjects=10, images=14, train_subjects=12)


@pytest.fixture(scope="module")
def curves(run):
    return probe_curves(run, seed=1)


def test_every_cell_has_both_curves(curves):
    probes = ["linear", *(f"mlp{w}" for w in WIDTHS), *(f"dims{k}" for k in (1, 2, 4, 8))]
    assert set(curves) == {
        f"{space}.{target}.{probe}"
        for space in "EI"
        for target in ("identity", "expression")
        for probe in probes
    }


def test_what_is_planted_is_read_by_wide_probes_and_not_by_narrow_ones(curves):
    for cell in ("E.expression", "I.identity"):
        assert curves[f"{cell}.linear"].value > 0.9
        assert curves[f"{cell}.mlp256"].value > 0.9
        assert curves[f"{cell}.mlp256"].value > curves[f"{cell}.mlp4"].value
        assert curves[f"{cell}.linear"].value > curves[f"{cell}.dims1"].value
        assert curves[f"{cell}.linear"].p < 0.01
    for cell in ("E.identity", "I.expression"):
        assert curves[f"{cell}.linear"].value < 0.35
        assert curves[f"{cell}.mlp256"].value < 0.35


def test_intervals_enclose_the_value_and_chance_is_told(curves):
    for key, score in curves.items():
        assert score.low <= score.value <= score.high
        chance = 1 / 10 if "identity" in key else 1 / 7
        assert score.details["chance"] == pytest.approx(chance)


def test_identity_in_faint_directions_needs_many_of_them(planted, run):
    def faint(part):
        loud = 20 * np.eye(7)[part.y]  # seven loud directions tell the expression, ...
        names = np.eye(400)[[int(name[1:]) for name in part.labels["subject"]]][:, :10]
        rng = np.random.default_rng(part.s.max())
        shared = rng.normal(size=(len(part), 1)) * np.ones((1, 10))  # ... one is no news, ...
        return np.c_[loud + rng.normal(size=loud.shape), 3 * shared + names]  # ... ten the person

    scores = probe_curves(with_expression_embedding(planted, run, faint), seed=0)
    assert scores["E.identity.dims1"].value < 0.4
    assert scores["E.identity.linear"].value > 0.95


def test_cells_without_a_problem_are_left_out(planted, run):
    parts = {}
    for name, part in run.parts.items():
        labels = part.labels.assign(subject=None)
        parts[name] = planted.replaced(part, labels=labels, identity=None)
    scores = probe_curves(RunArrays(parts=parts, classes=run.classes))
    assert {key.split(".")[1] for key in scores} == {"expression"}
    assert {key.split(".")[0] for key in scores} == {"E"}


def test_a_constant_embedding_tells_nothing(planted, run):
    scores = probe_curves(with_expression_embedding(planted, run, lambda p: np.ones((len(p), 4))))
    for key, score in scores.items():
        if key.startswith("E"):
            assert score.value <= 0.3
