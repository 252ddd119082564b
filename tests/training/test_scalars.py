"""TensorBoard scalars say what the history of a run says, epoch by epoch."""

import sys

import pytest

import fer_bench
from fer_bench.errors import MissingExtraError

EXPERIMENT = {
    "data": {"name": "generated", "subjects": 9, "images_per_subject": 14, "size": 32},
    "split": {"folds": 3, "use": [0], "validation": 0.4},
    "training": {"epochs": 2, "batch_size": 16},
    "methods": [{"name": "erm"}],
    "scores": {"metrics": ["classification"]},
    "report": {"tensorboard": True},
}


def test_scalars_are_the_history(tmp_path):
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    sweep = fer_bench.run(EXPERIMENT, tmp_path / "with", quiet=True)
    (record,) = sweep.records()
    events = accumulator.EventAccumulator(str(tmp_path / "with" / "tensorboard" / record.spec.id))
    events.Reload()
    written = {
        (tag, event.step): event.value
        for tag in events.Tags()["scalars"]
        for event in events.Scalars(tag)
    }
    history = {
        (f"{line.stage}/{line.player}.{line.term}.{line.split}", line.epoch): line.value
        for line in record.history.itertuples()
    }
    assert written == pytest.approx(history, rel=1e-6)
    assert {step for _, step in written} == {1, 2}

    without = {**EXPERIMENT, "report": {}}
    (plain,) = fer_bench.run(without, tmp_path / "without", quiet=True).records()
    assert plain.spec.id == record.spec.id  # looking at a run does not make it another one
    assert not (tmp_path / "without" / "tensorboard").exists()


def test_without_tensorboard_nothing_is_trained(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorboard", None)
    with pytest.raises(MissingExtraError, match=r"fer-bench\[tensorboard\]"):
        fer_bench.run(EXPERIMENT, tmp_path / "out", quiet=True)
    assert not (tmp_path / "out").exists()
