"""One run trained by two processes, as on two devices."""

import csv
import importlib.util
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

import fer_bench
from fer_bench import registry
from fer_bench.errors import ExperimentError, FerBenchError, MethodError
from fer_bench.experiment import TrainingSpec, parse_experiment
from fer_bench.runs.log import RunLog
from fer_bench.runs.store import RunStore
from fer_bench.sweep import worker
from fer_bench.sweep.plan import folds_of, load_faces, plan
from fer_bench.training import loop
from fer_bench.training.devices import check_devices


@pytest.fixture(scope="module")
def linear():
    name = "fer_bench_several_devices"
    spec = importlib.util.spec_from_file_location(name, Path(__file__).with_name(f"{name[10:]}.py"))
    sys.modules[name] = module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(registry.methods._local, "linear", module.Linear)
        yield module


def experiment(*methods):
    return {
        "data": {"name": "generated", "subjects": 9, "images_per_subject": 7, "size": 16},
        "split": {"folds": 3, "use": [0], "validation": 0.4},
        "training": {"epochs": 2, "batch_size": 8, "augment": "none", "device": "cpu"},
        "methods": methods,
        "scores": {"metrics": ["classification"]},
    }


def entry(label, name="linear", count=2, **parameters):
    return {"name": name, "label": label, "parameters": parameters, "training": {"devices": count}}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "parameters", "devices"),
    [("erm", {}, 3), ("dice-fer", {"bound": "dv", "critic_hidden": 64}, 2)],
)
def test_ten_steps_are_those_of_one_process(linear, monkeypatch, name, parameters, devices):
    """With batch normalisation, augmentation, negatives, moving averages, and unequal parts."""
    backbone = {"name": "conv4", "width": 8}
    content = experiment({"name": name, "parameters": {"backbone": backbone, **parameters}})
    content["training"] |= {"steps": 10, "batch_size": 10, "lr": 0.05, "augment": "affine"}
    [spec] = plan(parse_experiment(content)).runs
    folds = folds_of(load_faces(spec.data), spec.split)
    monkeypatch.setattr(loop, "make_optimizer", linear.gradient_descent)
    monkeypatch.setattr(worker, "_train_rank", linear.descend)
    one, several = (
        worker.train(spec.model_copy(update={"training": training}), folds)
        for training in (spec.training, spec.training.model_copy(update={"devices": devices}))
    )
    for (*what, a), (*same, b) in zip(one.position.history, several.position.history, strict=True):
        assert what == same
        assert a == pytest.approx(b, abs=1e-4)
    assert one.position.images_seen == several.position.images_seen
    weights = several.session.method.state_dict()
    for key, value in one.session.method.state_dict().items():
        torch.testing.assert_close(weights[key], value, rtol=1e-4, atol=1e-5)


def test_rows_that_differ_in_devices_alone_are_one_run(linear):
    with pytest.raises(ExperimentError, match="'one' and 'two' are the same run"):
        plan(parse_experiment(experiment(entry("one", count=1), entry("two"))))


def history(record):
    with (record.folder / "history.csv").open() as file:
        return [(row["stage"], row["split"], float(row["value"])) for row in csv.DictReader(file)]


@pytest.mark.slow
def test_two_processes_train_as_one_does(linear, tmp_path):
    """Equal up to the order of sums, though a rank dies on the way; no row counts twice."""
    content = experiment(entry("one", count=1), entry("two", fatal=str(tmp_path / "fatal")))
    sweep = fer_bench.run(content, tmp_path / "out", quiet=True, retry=1)
    assert sweep.failed == {}
    assert (tmp_path / "fatal").exists()
    one, two = sorted(sweep.records(), key=lambda record: record.spec.label)
    log = RunLog(RunStore(tmp_path / "out").log(two.spec.id)).read()
    [died] = [line for line in log if line["event"] == "failed"]
    assert died["reason"].startswith("device ")  # the first may miss the second before it is known
    weights = [load_file(record.folder / "model.safetensors") for record in (one, two)]
    for key, value in weights[0].items():
        torch.testing.assert_close(weights[1][key], value, rtol=1e-4, atol=1e-5)
    for a, b in zip(history(one), history(two), strict=True):
        assert a[:2] == b[:2]
        assert a[2] == pytest.approx(b[2], rel=1e-4, abs=1e-5)
    assert one.environment["images_seen"] == two.environment["images_seen"]
    for name, part in one.arrays.parts.items():
        assert two.arrays.parts[name].labels.equals(part.labels)


def test_others_refuse_before_anything_is_trained():
    content = experiment(entry("EIF", "eif"), {"name": "erm"})
    with pytest.raises(ExperimentError, match=r"methods\[0\]: 'eif' trains on one device.*set it"):
        plan(parse_experiment(content))
    with pytest.raises(FerBenchError, match="a recognizer trains on one device"):
        fer_bench.Recognizer("erm", devices=2)


def test_fewer_gpus_than_asked_for(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    with pytest.raises(MethodError, match="training.devices is 2, and the GPUs .* are 1: set it"):
        check_devices(TrainingSpec(devices=2))
