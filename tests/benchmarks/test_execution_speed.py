"""What execution costs, and whether kills at any moment leave a complete store.

FER_BENCH_RUNS (tiny runs of the comparison) and FER_BENCH_KILLS set how long this takes.
"""

import itertools
import json
import os
import random
import shutil
import signal
import statistics
import subprocess
import sys
import threading
import time
from contextlib import suppress

import psutil
import pytest

import fer_bench
from fer_bench.experiment import parse_experiment
from fer_bench.runs.store import RunStore, seal
from fer_bench.sweep import processes
from fer_bench.sweep.job import Job
from fer_bench.sweep.processes import Processes
from fer_bench.threads import RUN_THREADS, cores

pytestmark = pytest.mark.timeout(7_200)
RUNS = int(os.environ.get("FER_BENCH_RUNS", "200"))
KILLS = int(os.environ.get("FER_BENCH_KILLS", "100"))


@pytest.fixture
def warm():
    """An idle server, and the CPU seconds that it and its children have taken."""
    with Processes(1) as jobs:
        jobs.submit("warm", Job(os.getpid, {}, threads=1))
        assert all(end.error is None for _, end in jobs.ends())
    server = psutil.Process(processes._Server.idle[-1].process.pid)

    def spent():
        times = server.cpu_times()
        return times.user + times.system + times.children_user + times.children_system

    before = None
    while before != (before := spent()):  # until it has imported what it imports while idle
        time.sleep(1)
    return spent


@pytest.mark.parametrize("what", ["a bare process", "a run without training"])
def test_overhead_of_a_run(benchmark, experiment, warm, tmp_path, what):
    count = 20
    before = warm()

    def work():
        if what == "a bare process":
            with Processes(1) as jobs:
                for i in range(count):
                    jobs.submit(i, Job(os.getpid, {}, threads=1))
                assert all(end.error is None for _, end in jobs.ends())
            return 0.0
        content = experiment(count) | {"scores": {"metrics": []}}
        sweep = fer_bench.run(content, tmp_path / "out", quiet=True)
        assert sweep.done == count
        return statistics.mean(r.environment["training_s"] for r in sweep.records())

    training = benchmark.pedantic(work, rounds=1)
    benchmark.extra_info["cpu_ms"] = 1000 * ((warm() - before) / count - training)
    print(f"{what}: {benchmark.extra_info['cpu_ms']:.0f} ms CPU")


def test_two_workers_against_one(benchmark, experiment, warm, tmp_path):
    def run(executor, workers):
        started = time.perf_counter()
        out = tmp_path / executor
        content = experiment(RUNS, ["erm"])
        sweep = fer_bench.run(content, out, executor=executor, workers=workers, quiet=True)
        assert sweep.done == RUNS
        return time.perf_counter() - started

    pool = run("pool", 2)
    serial = benchmark.pedantic(run, args=("serial", 1), rounds=1)
    for a, b in zip(*(RunStore(tmp_path / n).records() for n in ("serial", "pool")), strict=True):
        assert sums(a) == sums(b)
    benchmark.extra_info["ratio"] = serial / pool
    print(f"{RUNS} runs: serial {serial:.1f} s, pool {pool:.1f} s, {serial / pool:.2f} times")


def sums(record):
    content = json.loads((record.folder / "done.json").read_text())["sha256"]
    del content["environment.json"]  # it holds times
    return content


@pytest.mark.parametrize("threads", [1, 2])
def test_small_runs_beside_busy_neighbours(benchmark, experiment, warm, tmp_path, threads):
    """CPU seconds of the same runs, alone and with another process on every core.

    With one thread they cost the same; two threads wait for each other, and for the scheduler.
    """
    content = experiment(4, ["erm"], epochs=20)

    def spent(out):
        before = warm()
        sweep = fer_bench.run(content, tmp_path / out, threads=threads, quiet=True)
        assert sweep.done == 4
        return warm() - before

    alone = spent("alone")
    spin = [sys.executable, "-c", "while True: pass"]
    neighbours = [subprocess.Popen(spin) for _ in range(cores())]
    try:
        beside = benchmark.pedantic(spent, args=("beside",), rounds=1)
    finally:
        for neighbour in neighbours:
            neighbour.kill()
            neighbour.wait()
    benchmark.extra_info["ratio"] = beside / alone
    print(f"{threads} threads: {alone:.1f} s CPU alone, {beside:.1f} s beside neighbours")
    if threads == RUN_THREADS:
        assert beside < 1.5 * alone


def test_a_store_of_ten_thousand_runs(benchmark, experiment, tmp_path):
    fer_bench.run(experiment(1), tmp_path, quiet=True)
    store = RunStore(tmp_path)
    (first,) = store.records()
    for i in range(9_999):
        twin = store.runs / f"twin-{i:05d}"
        shutil.copytree(first.folder, twin, copy_function=os.link)
        (twin / "done.json").unlink()
        (twin / "scores.json").unlink()
        seal(twin, twin.name)
    code = (
        "import psutil, sys, time; from fer_bench.runs.store import RunStore;"
        "from fer_bench.runs.status import status_of; start = time.process_time();"
        "n = status_of(RunStore(sys.argv[1])).done; spent = time.process_time() - start;"
        "print(n, spent, psutil.Process().memory_info().rss / 2**20)"
    )

    def listed():
        command = [sys.executable, "-c", code, str(tmp_path)]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()

    count, seconds, memory = map(float, benchmark.pedantic(listed, rounds=1))
    assert count == 10_000
    started = time.process_time()
    assert len(store.records()) == 10_000
    checked = time.process_time() - started
    print(f"listed: {seconds:.2f} s CPU, {memory:.0f} MiB; all read and checked: {checked:.1f} s")


TARGETS = ("driver", "server", "worker")


@pytest.mark.parametrize("target", TARGETS)
def test_kills_leave_a_complete_store(benchmark, experiment, tmp_path, target):
    """Killed at a random moment, the same command makes the same bytes.

    A kill that comes too late, when all is done, does not count.
    """
    kills = (KILLS + TARGETS.index(target)) // len(TARGETS)
    methods = ["erm", "oracle-label"]
    content = experiment(2, methods, epochs=3)
    fer_bench.run(content, tmp_path / "warm", quiet=True)
    started = time.perf_counter()
    fer_bench.run(content, tmp_path / "straight", quiet=True)
    window = time.perf_counter() - started
    expected = {r.folder.name: sums(r) for r in RunStore(tmp_path / "straight").records()}
    file = tmp_path / "sweep.json"
    file.write_text(parse_experiment(content).model_dump_json())
    command = [sys.executable, "-c", "from fer_bench.cli import main; main()", "run", str(file)]
    command += ["--no-report", "--executor", "serial", "--out"]

    def trial(seed):
        out, chance = tmp_path / f"{target}-{seed}", random.Random(f"{target} {seed}")
        if target == "driver":
            process = subprocess.Popen([*command, str(out)], stderr=subprocess.DEVNULL)
            while process.poll() is None and not (out / "plan.json").exists():
                time.sleep(0.02)
            time.sleep(chance.uniform(0, window))
            process.kill()
            hit = process.wait() == -signal.SIGKILL
        else:
            killed = []
            delay = chance.uniform(0, window)
            timer = threading.Timer(delay, lambda: killed.append(kill_one(target)))
            timer.start()
            fer_bench.run(content, out, quiet=True)
            timer.cancel()
            timer.join()
            hit = any(killed)
        sweep = fer_bench.run(content, out, quiet=True)
        assert sweep.failed == {}
        store = RunStore(out)
        assert {r.folder.name: sums(r) for r in store.records()} == expected
        assert store.damaged() == {}
        assert all(record.verify() == [] for record in store.records())
        assert not list(store.runs.glob(".*.partial"))
        print(f"{target}, seed {seed}: {'killed' if hit else 'too late'}", flush=True)
        return hit

    def work():
        seeds = itertools.count()
        while sum(hits) < kills:
            hits.append(trial(next(seeds)))

    hits = []
    benchmark.pedantic(work, rounds=1)
    benchmark.extra_info.update(kills=sum(hits), too_late=len(hits) - sum(hits))


def kill_one(target):
    """Kill the server of this process or one of its workers; whether there was one."""
    for process in psutil.Process().children():
        if "fer_bench.sweep" in " ".join(process.cmdline()):
            victims = [process] if target == "server" else process.children()
            for victim in victims[:1]:
                with suppress(psutil.NoSuchProcess):
                    victim.kill()
                    return True
    return False


def test_stopping(benchmark, experiment, tmp_path):
    """Seconds from the signal to the end of everything."""
    file = tmp_path / "sweep.json"
    content = experiment(4, ["erm"], epochs=100_000)
    file.write_text(parse_experiment(content).model_dump_json())
    command = [sys.executable, "-c", "from fer_bench.cli import main; main()", "run", str(file)]
    process = subprocess.Popen([*command, "--out", str(tmp_path / "out"), "--quiet"])
    logs = tmp_path / "out" / "logs"
    while not any('"epoch"' in p.read_text() for p in logs.glob("*.jsonl")):
        time.sleep(0.05)
    started = psutil.Process(process.pid).children(recursive=True)

    def stop():
        process.terminate()
        assert process.wait() == 143
        assert not psutil.wait_procs(started, timeout=30)[1]

    benchmark.pedantic(stop, rounds=1)
