"""Who has which GPU: no machine of the tests needs one."""

import os
from collections import Counter
from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch

from fer_bench.experiment import TrainingSpec
from fer_bench.sweep.executors import Options, Request
from fer_bench.sweep.gpus import Gpus, runs_on_one, visible_gpus
from fer_bench.sweep.job import Job
from fer_bench.sweep.local import Local
from fer_bench.sweep.processes import Processes


@pytest.fixture
def four(monkeypatch):
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 4)


def test_what_the_driver_may_use(four, monkeypatch):
    assert visible_gpus() == ("0", "1", "2", "3")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "GPU-aa, 3")
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert visible_gpus() == ("GPU-aa", "3")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    assert visible_gpus() == ()


def test_each_worker_has_one_of_its_own():
    jobs = {i: Job(os.getenv, {"key": "CUDA_VISIBLE_DEVICES"}, threads=1, fresh=True) for i in "ab"}
    with Processes(2, gpus=("0", "GPU-b")) as pool:
        for key, job in jobs.items():
            pool.submit(key, job)
        seen = {key: end.value for key, end in pool.ends()}
    assert sorted(seen.values()) == ["0", "GPU-b"]


@pytest.mark.parametrize(
    ("workers", "gpus", "each"), [(4, 2, 1), (3, 2, 1), (2, 2, 1), (5, 1, 1), (2, 4, 2), (3, 4, 2)]
)
def test_the_least_used_ones_are_next(workers, gpus, each):
    names = tuple(map(str, range(gpus)))
    pool = Processes(workers, gpus=names)
    for number in range(workers):
        job = Job(os.getpid, {}, threads=1, fresh=True, devices=each)
        pool.submit(number, job)
        mine = pool._free_gpus(each)
        running = type("Running", (), {"job": replace(job, gpus=mine)})
        pool._running[number] = running
        assert len(set(mine.names)) == each
        assert mine.share == 1 / runs_on_one(workers, names, each)
    counts = Counter(name for r in pool._running.values() for name in r.job.gpus.names)
    assert max(counts.values()) == runs_on_one(workers, names, each)
    assert len(counts) == gpus


def test_processes_that_a_run_starts_have_its_gpus(monkeypatch):
    monkeypatch.setattr(os, "environ", dict(os.environ))
    assert Gpus.here() is None
    Gpus(("1", "GPU-b"), 0.5).hide_others()
    assert os.environ["CUDA_VISIBLE_DEVICES"] == "1,GPU-b"
    assert Gpus.here() == Gpus(("1", "GPU-b"), 0.5)


def test_a_share_of_the_memory_is_all_a_run_gets(monkeypatch):
    limits = []
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(
        torch.cuda, "set_per_process_memory_fraction", lambda *limit: limits.append(limit)
    )
    Gpus(("0", "3"), 0.25).limit_memory()
    Gpus(("0",)).limit_memory()
    assert limits == [(0.25, 0), (0.25, 1)]


def test_sharing_is_said_once(four, monkeypatch):
    said = []
    submitted = []
    monkeypatch.setattr("fer_bench.sweep.local.needs_fresh_process", lambda spec: True)
    progress = type("Progress", (), {"say": lambda self, text: said.append(text)})()
    local = Local(Request("/nowhere", None, 0, Options("pool", 8)), progress)
    monkeypatch.setattr(local._processes, "submit", lambda *arguments: submitted.append(arguments))
    for name in "ab":
        local.submit(SimpleNamespace(id=name, training=TrainingSpec()))
    assert said == ["8 runs at once on 4 GPUs: up to 2 share one, each with 1/2 of its memory"]
    assert len(submitted) == 2
