"""Whatever a method does, it is recorded, and no other run's bytes change."""

import importlib.util
import json
import os
import sys
from pathlib import Path

import psutil
import pytest

import fer_bench
from fer_bench import registry
from fer_bench.runs.store import RunStore


def _hostile():
    name = "fer_bench_hostile_methods"
    spec = importlib.util.spec_from_file_location(name, Path(__file__).with_name("hostile.py"))
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


hostile = _hostile()
OTHERS = sorted(hostile.METHODS.keys() - hostile.HANGING)
SMALL = {"backbone": {"width": 4}, "dim": 8}
HONEST = [{"name": "erm", "parameters": SMALL}, {"name": "oracle-label"}]


def experiment(names, honest=HONEST):
    methods = [{"name": name, "parameters": SMALL} for name in names]
    return {
        "data": {"name": "generated", "subjects": 9, "images_per_subject": 7, "size": 16},
        "split": {"folds": 3, "use": [0], "validation": 0.4},
        "training": {"epochs": 1, "batch_size": 16},
        "methods": honest[:1] + methods + honest[1:],
        "scores": {"metrics": ["classification"]},
    }


@pytest.fixture(scope="module", autouse=True)
def _registered():
    with pytest.MonkeyPatch.context() as patch:
        for name, method in hostile.METHODS.items():
            patch.setitem(registry.methods._local, name, method)
        yield


@pytest.fixture(scope="module")
def swept(tmp_path_factory):
    """All of them in one sweep, between two honest methods, and the honest ones alone."""
    folder = tmp_path_factory.mktemp("hostile")
    (folder / "work").mkdir()
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder / "work")
        alone = fer_bench.run(experiment([]), folder / "alone", quiet=True)
        among = fer_bench.run(
            experiment(OTHERS), folder / "among", quiet=True, memory_limit=3 << 29
        )
    return alone, among


def contents(sweep, method):
    """Checksums of what a run left, but for its times."""
    (record,) = [r for r in sweep.records() if r.spec.method == method]
    sums = json.loads((record.folder / "done.json").read_text())["sha256"]
    del sums["environment.json"]
    return sums


FAILS = {
    "calls-exit": "it called sys.exit(0)",
    "leaves-at-once": "ended without a result (exit status 0)",
    "kills-itself": "was ended by SIGKILL",
    "crashes-in-c": "was ended by SIGSEGV",
    "eats-memory": "more than the limit of 1.5 GiB",
    "raises-no-exception": "Rude: out",
    "interrupts": "KeyboardInterrupt",
}


@pytest.mark.parametrize("name", OTHERS)
def test_it_is_recorded(swept, name):
    _, sweep = swept
    records = {record.spec.method for record in sweep.records()}
    reasons = {f["method"]: f["reason"] for f in sweep.store.failures().values()}
    assert (name in records) != (name in reasons)
    if name in FAILS:
        assert FAILS[name] in reasons[name]


@pytest.mark.parametrize("name", ["erm", "oracle-label"])
def test_no_other_run_changes(swept, name):
    alone, among = swept
    assert contents(alone, name) == contents(among, name)


def test_what_killed_a_process_is_traced_to_its_line(swept):
    _, sweep = swept
    for name, line in {
        "crashes-in-c": "ctypes",
        "raises-no-exception": "Rude",
        "eats-memory": "eats_memory",
    }.items():
        (run_id,) = [i for i, f in sweep.store.failures().items() if f["method"] == name]
        trace = sweep.root / "failures" / f"{run_id}.traceback.txt"
        assert line in trace.read_text()


def test_no_process_is_left(swept):
    left = [
        p.pid
        for p in psutil.process_iter(["cmdline"])
        if "left-behind" in (p.info["cmdline"] or ())
    ]
    assert not left


def test_what_hangs_is_ended_at_the_time_limit(tmp_path):
    sweep = fer_bench.run(
        experiment(sorted(hostile.HANGING), []),
        tmp_path,
        quiet=True,
        executor="pool",
        workers=2,
        time_limit=10,
    )
    assert len(sweep.failed) == 2
    for reason in sweep.failed.values():
        assert reason == "it took longer than the time limit of 10 s."
    traces = "".join(p.read_text() for p in tmp_path.glob("failures/*.traceback.txt"))
    assert "in sleeps_for_ever" in traces


def test_what_always_dies_is_not_tried_for_ever(tmp_path):
    """Three deaths, one of them a retry; then it takes a request."""
    content = experiment(["leaves-at-once"], [])
    log = None

    def starts():
        return sum(event["event"] == "start" for event in log.read())

    from fer_bench.runs.log import RunLog

    for options, expected in [({"retry": 1}, 2), ({}, 3), ({}, 3), ({"retry": 1}, 5)]:
        sweep = fer_bench.run(content, tmp_path, quiet=True, **options)
        (run_id,) = sweep.failed
        log = RunLog(RunStore(tmp_path).log(run_id))
        assert starts() == expected
    assert "only `--retry` starts it again" in sweep.failed[run_id]


def test_other_runs_are_where_they_would_be_without_a_working_folder(tmp_path, monkeypatch):
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    os.rmdir(tmp_path / "gone")
    sweep = fer_bench.run(experiment([], HONEST[1:]), tmp_path / "out", quiet=True)
    assert (sweep.done, sweep.failed) == (1, {})
