"""A full disk, and processes that are killed at any moment: the same command makes the same bytes.

Longer series of kills, of the driver as well, are in `tests/benchmarks/test_execution_speed.py`;
a killed driver is in `test_sweep.py`.
"""

import os
import random
import signal
import subprocess
import sys
import threading
import time

import psutil
import pytest

import fer_bench
from fer_bench import registry
from fer_bench.baselines.erm.adapter import ERM
from fer_bench.errors import RunError
from fer_bench.experiment import parse_experiment
from fer_bench.method import MethodInfo
from fer_bench.runs.store import RunStore

SMALL = {"backbone": {"width": 4}, "dim": 8}


class Writes(ERM):
    """Writes while it learns, to a disk that is full as long as FER_BENCH_TEST_DISK says so."""

    info = MethodInfo(name="writes", title="Writes")

    def loss(self, batch):
        with open(os.environ["FER_BENCH_TEST_DISK"], "w") as file:
            file.write("x")
        return super().loss(batch)


def experiment(*names, **training):
    return {
        "data": {"name": "generated", "subjects": 9, "images_per_subject": 7, "size": 16},
        "split": {"folds": 3, "use": [0], "validation": 0.4},
        "training": {"epochs": 1, "batch_size": 16} | training,
        "methods": [
            {"name": name, "parameters": {} if name.startswith("oracle") else SMALL}
            for name in names
        ],
        "scores": {"metrics": ["classification"]},
    }


def sums(sweep):
    """Checksums of all files but those that hold times."""
    return {
        record.folder.name: {k: v for k, v in record.checksums.items() if k != "environment.json"}
        for record in sweep.records()
    }


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs a disk that is always full")
def test_a_full_disk_costs_no_finished_run_and_no_record(tmp_path, monkeypatch):
    monkeypatch.setitem(registry.methods._local, "writes", Writes)
    monkeypatch.setenv("FER_BENCH_TEST_DISK", "/dev/full")
    content = experiment("oracle-label", "writes")
    with pytest.raises(RunError, match=r"no space is left in .* for 1 more runs: .*are free of"):
        fer_bench.run(content, tmp_path / "out", quiet=True)
    store = RunStore(tmp_path / "out")
    (finished,) = store.records()
    before = (finished.folder / "done.json").stat()
    assert store.failures() == {}, "it is no fault of the run"
    monkeypatch.setenv("FER_BENCH_TEST_DISK", str(tmp_path / "file"))
    sweep = fer_bench.run(content, tmp_path / "out", quiet=True)
    assert (sweep.done, sweep.kept, sweep.failed) == (1, 1, {})
    assert (finished.folder / "done.json").stat() == before
    assert all(record.verify() == [] for record in sweep.records())


@pytest.fixture(scope="module")
def straight(tmp_path_factory):
    content = experiment("erm", "oracle-label", epochs=10)
    return content, sums(fer_bench.run(content, tmp_path_factory.mktemp("straight"), quiet=True))


@pytest.mark.parametrize(("target", "seed"), [("worker", 0), ("server", 0)])
def test_a_kill_at_any_moment(straight, tmp_path, target, seed):
    content, expected = straight
    chance = random.Random(f"{target} {seed}")
    killed = threading.Thread(target=kill_one, args=(target, tmp_path, chance.uniform(0, 0.3)))
    killed.start()
    fer_bench.run(content, tmp_path, quiet=True)
    killed.join()
    sweep = fer_bench.run(content, tmp_path, quiet=True)
    assert sweep.failed == {}
    assert sums(sweep) == expected
    assert sweep.store.damaged() == {}
    assert all(record.verify() == [] for record in sweep.records())
    assert not list(sweep.store.runs.glob(".*"))


def test_a_driver_that_is_killed(straight, tmp_path):
    """By `kill -9`, of the driver alone, while its only worker trains."""
    content, expected = straight
    file, out = tmp_path / "sweep.json", tmp_path / "out"
    file.write_text(parse_experiment(content).model_dump_json())
    command = [sys.executable, "-c", "from fer_bench.cli import main; main()", "run", str(file)]
    command += ["--out", str(out), "--no-report", "--executor", "serial"]
    process = subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.DEVNULL)
    while process.poll() is None and not list(out.glob("logs/*.jsonl")):
        time.sleep(0.01)
    time.sleep(random.Random(0).uniform(0, 0.3))
    started = psutil.Process(process.pid).children(recursive=True)
    process.kill()
    process.wait()
    assert not psutil.wait_procs(started, timeout=30)[1]
    sweep = fer_bench.run(content, out, quiet=True)
    assert sweep.failed == {}
    assert sums(sweep) == expected
    assert not list(sweep.store.runs.glob(".*"))


def kill_one(target, root, delay):
    """Kill the process of a run, or the one that starts runs, some time after a run has begun."""
    while not list(root.glob("logs/*.jsonl")):
        time.sleep(0.01)
    time.sleep(delay)
    for process in psutil.Process().children():
        if "fer_bench.sweep" in " ".join(process.cmdline()):
            victims = [process] if target == "server" else process.children()
            for victim in victims[:1]:
                os.kill(victim.pid, signal.SIGKILL)
