"""Sweeps on a Ray cluster that is started here."""

import os
import signal
import time

import psutil
import pytest

import fer_bench
from fer_bench import registry
from fer_bench.baselines.erm.adapter import ERM
from fer_bench.errors import ExperimentError, MissingExtraError
from fer_bench.method import MethodInfo
from fer_bench.runs.store import RunStore
from fer_bench.sweep import ray_cluster

ray = pytest.importorskip("ray")


class Fails(ERM):
    """An adapter whose author made a mistake."""

    info = MethodInfo(name="fails", title="Fails")

    def loss(self, batch):
        raise ZeroDivisionError("the author's mistake")


def experiment(methods=("erm", "oracle-label"), **changes):
    small = {"backbone": {"width": 4}, "dim": 8}
    return {
        "data": {"name": "generated", "subjects": 9, "images_per_subject": 7, "size": 16},
        "split": {"folds": 3, "use": [0], "validation": 0.4},
        "training": {"epochs": 1, "batch_size": 16},
        "methods": [
            {"name": name, "parameters": small if name in ("erm", "fails") else {}}
            for name in methods
        ],
        "scores": {"metrics": ["classification"]},
    } | changes


@pytest.fixture(scope="module")
def cluster():
    """One for all of these tests: starting it takes seconds."""
    ray.init(
        address="local",
        num_cpus=2,
        include_dashboard=False,
        log_to_driver=False,
        logging_level="ERROR",
    )
    yield
    ray.shutdown()


def sums(sweep):
    return {
        record.folder.name: {k: v for k, v in record.checksums.items() if k != "environment.json"}
        for record in sweep.records()
    }


def test_the_same_bytes_on_every_executor_and_on_another_one(cluster, tmp_path, monkeypatch):
    """A failure is recorded by the worker with its traceback; it knows methods made here."""
    monkeypatch.setitem(registry.methods._local, "fails", Fails)
    content = experiment(["erm", "fails", "oracle-label"])
    serial = fer_bench.run(content, tmp_path / "serial", quiet=True)
    first = experiment(["erm"], seeds=[0])
    fer_bench.run(first, tmp_path / "ray", executor="pool", workers=2, quiet=True)
    on_ray = fer_bench.run(content, tmp_path / "ray", executor="ray", workers=2, quiet=True)
    assert (on_ray.done, on_ray.kept) == (1, 1)
    assert sums(serial) == sums(on_ray)
    assert serial.failed == on_ray.failed
    assert "ZeroDivisionError: the author's mistake" in next(iter(on_ray.failed.values()))
    (trace,) = (tmp_path / "ray" / "failures").glob("*.traceback.txt")
    assert "test_ray_cluster" in trace.read_text()


def test_a_run_goes_on_when_its_worker_is_killed(cluster, tmp_path, monkeypatch):
    killed = []
    honest = ray_cluster.Ray.submit

    def submit(self, spec):
        honest(self, spec)
        waiting = self.ray.wait

        def wait(references, **options):
            if not killed:
                log = RunStore(tmp_path).log(spec.id)
                while not log.exists() or '"start"' not in log.read_text():
                    time.sleep(0.05)
                killed.extend(kill_workers())
            return waiting(references, **options)

        monkeypatch.setattr(self.ray, "wait", wait)

    monkeypatch.setattr(ray_cluster.Ray, "submit", submit)
    content = experiment(["erm"], training={"epochs": 200, "batch_size": 16})
    sweep = fer_bench.run(content, tmp_path, executor="ray", workers=1, quiet=True)
    assert (sweep.done, sweep.failed, len(killed)) == (1, {}, 1)
    assert [record.verify() for record in sweep.records()] == [[]]


def kill_workers():
    """Kill the processes of our actors, as a machine that is lost would."""
    victims = [
        process.pid
        for process in psutil.Process().children(recursive=True)
        if process.cmdline()[:1] == ["ray::Worker.execute"]
    ]
    for pid in victims:
        os.kill(pid, signal.SIGKILL)
    return victims


def test_what_cannot_be_done_is_one_sentence(cluster, tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        hidden = type("Hidden", (ERM,), {"info": Fails.info, "__module__": "__main__"})
        patch.setitem(registry.methods._local, "fails", hidden)
        with pytest.raises(ExperimentError, match="put it into a module"):
            fer_bench.run(experiment(["fails"]), tmp_path, executor="ray", quiet=True)
    monkeypatch.setitem(__import__("sys").modules, "ray", None)
    with pytest.raises(MissingExtraError, match=r"fer-bench\[ray\]"):
        fer_bench.run(experiment(), tmp_path, executor="ray", quiet=True)
