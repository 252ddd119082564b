"""`fer-bench status` and `fer-bench check`."""

import json

import pytest

from fer_bench.experiment import parse_experiment
from fer_bench.runs.store import RunStore
from fer_bench.sweep.plan import plan
from fer_bench.sweep.sweep import prepare
from fer_bench.sweep.worker import execute

EXPERIMENT = {
    "data": {"name": "generated", "subjects": 6, "images_per_subject": 7, "size": 16},
    "split": {"folds": 3, "validation": 0.4},
    "training": {"epochs": 1},
    "methods": [{"name": "oracle-label"}, {"name": "oracle-subject"}],
    "scores": {"metrics": ["classification"]},
}


@pytest.fixture
def half_done(tmp_path):
    """Six planned runs: two done, one failed, one that a process is at work on."""
    experiment = parse_experiment(EXPERIMENT)
    planned, store = plan(experiment), RunStore(tmp_path)
    prepare(store, experiment, planned)
    first, second, third, fourth, *_ = planned.runs
    for spec in (first, second):
        execute(spec, tmp_path, metrics=("classification",))
    store.save_failure(third, reason="the loss is nan.", kind="failed")
    with store.claim(fourth):
        yield store, planned.runs


def test_status(invoke, half_done):
    store, (first, _, third, fourth, *_) = half_done
    status, out, _ = invoke("status", store.root)
    assert status == 0
    assert out.startswith("2 done, 1 running, 1 failed, 0 skipped, 2 left of 6 planned, about ")
    assert f"running  {fourth.label} {fourth.place}, since now" in out
    assert f"failed   {third.id}: the loss is nan." in out
    status, out, _ = invoke("status", store.root, "--json")
    content = json.loads(out)
    assert (content["planned"], content["done"], content["left"]) == (6, 2, 2)
    assert [run["run"] for run in content["running"]] == [fourth.id]
    assert content["failed"] == {third.id: "the loss is nan."}
    assert content["seconds_left"] >= 0
    events = [json.loads(line) for line in store.log(first.id).read_text().splitlines()]
    assert [event["event"] for event in events] == ["start", "trained", "scored"]
    status, _, err = invoke("status", store.root / "nowhere")
    assert (status, err.count("\n")) == (2, 1)


def test_check(invoke, half_done):
    store, (first, *_) = half_done
    assert invoke("check", store.root) == (0, "2 runs, 0 of them damaged; 0 damages\n", "")
    file = store.runs / first.id / "parts" / "test.safetensors"
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)
    status, out, _ = invoke("check", store.root)
    assert status == 1
    assert f"damaged: {first.id}: {str(file)!r} is missing or not what the run wrote" in out
    assert store.is_done(first.id)
    status, out, _ = invoke("check", store.root, "--set-aside")
    assert status == 1
    assert f"set aside: {store.root / 'damaged' / first.id}" in out
    assert not store.is_done(first.id)
    assert invoke("check", store.root)[0] == 0
    assert execute(first, store.root, metrics=("classification",))[0] == "done"
