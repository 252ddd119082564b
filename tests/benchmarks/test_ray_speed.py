"""What a run costs on a local Ray cluster, and whether kills leave a complete store.

FER_BENCH_KILLS sets how many workers and drivers are killed. Run with
`pytest --benchmark-only -o addopts= --import-mode=importlib -s tests/benchmarks/test_ray_speed.py`.
"""

import json
import os
import random
import subprocess
import sys
import threading
import time

import psutil
import pytest

import fer_bench
from fer_bench.experiment import parse_experiment
from fer_bench.runs.store import RunStore

ray = pytest.importorskip("ray")

pytestmark = pytest.mark.timeout(7_200)
KILLS = int(os.environ.get("FER_BENCH_KILLS", "40"))
COMMAND = [sys.executable, "-c", "from fer_bench.cli import main; main()", "run"]


@pytest.fixture(scope="module")
def cluster():
    """The address of a cluster on this machine."""
    forwarded = {key: value for key, value in os.environ.items() if key.startswith("FER_BENCH_")}
    ray.init(
        num_cpus=2,
        include_dashboard=False,
        log_to_driver=False,
        runtime_env={"env_vars": forwarded} if forwarded else None,
    )
    yield ray.get_runtime_context().gcs_address
    ray.shutdown()


def sums(record):
    return {name: sha for name, sha in record.checksums.items() if name != "environment.json"}


def actors():
    """Processes of Ray's workers that execute a run for us, not those that are ending."""
    ours = []
    for process in psutil.Process().children(recursive=True):
        try:
            if "ray::Worker.execute" in " ".join(process.cmdline()):
                ours.append(process)
        except psutil.Error:
            continue
    return ours


def kill_soon(delay, stop):
    """Kill the first worker that appears, some time later; true in the list once it is done."""
    done = []

    def work():
        while not stop.is_set():
            if alive := actors():
                if not stop.wait(delay) and alive[0].is_running():
                    alive[0].kill()
                    done.append(True)
                return
            time.sleep(0.05)

    thread = threading.Thread(target=work)
    thread.start()
    return thread, done


def finished(content, out):
    """The store once another executor has come to the end of what the first has left."""
    while (sweep := fer_bench.run(content, out, quiet=True)).busy:
        time.sleep(0.5)
    assert sweep.failed == {}
    store = RunStore(out)
    assert store.damaged() == {}
    assert all(record.verify() == [] for record in store.records())
    assert not list(store.runs.glob(".*.partial"))
    return {record.folder.name: sums(record) for record in store.records()}


def test_kills_leave_a_complete_store(benchmark, experiment, cluster, tmp_path):
    """A worker or the driver is killed at a random moment; the same bytes are there in the end."""
    content = experiment(1, ["erm", "oracle-label"], epochs=3)
    expected = finished(content, tmp_path / "straight")
    file = tmp_path / "sweep.json"
    file.write_text(parse_experiment(content).model_dump_json())
    on_ray = ["--executor", "ray", "--workers", "1", "--address", cluster, "--no-report", "-q"]
    for name in ("cold", "warm"):  # the first also starts Ray's workers: most kills came too late
        started = time.perf_counter()
        fer_bench.run(content, tmp_path / name, executor="ray", workers=1, quiet=True)
        window = time.perf_counter() - started

    def kill_worker(out, delay):
        stop = threading.Event()
        thread, done = kill_soon(delay, stop)
        sweep = fer_bench.run(content, out, executor="ray", workers=1, quiet=True)
        stop.set()
        thread.join()
        assert sweep.failed == {}
        return bool(done)

    def kill_driver(out, delay):
        process = subprocess.Popen(
            [*COMMAND, str(file), *on_ray, "--out", str(out)], stderr=subprocess.DEVNULL
        )
        while process.poll() is None and not (out / "plan.json").exists():
            time.sleep(0.02)
        time.sleep(delay)
        killed = process.poll() is None
        process.kill()
        process.wait()
        return killed

    def work():
        counts = {kill_worker: 0, kill_driver: 0}
        for seed in range(4 * KILLS):
            kill = min(counts, key=counts.get)
            out = tmp_path / f"{kill.__name__}-{seed}"
            hit = kill(out, random.Random(seed).uniform(0, window))
            assert finished(content, out) == expected
            counts[kill] += hit
            print(f"seed {seed}: {kill.__name__}: {'killed' if hit else 'too late'}", flush=True)
            if sum(counts.values()) == KILLS:
                break
        benchmark.extra_info.update({kill.__name__: n for kill, n in counts.items()})

    benchmark.pedantic(work, rounds=1)


def test_overhead_of_a_run(benchmark, experiment, cluster, tmp_path):
    """CPU that the worker, its server and the run's process take besides training, once warm."""
    count = 20

    def spent():
        total = 0.0
        for actor in actors():
            for process in (actor, *actor.children(recursive=True)):
                times = process.cpu_times()
                total += times.user + times.system + times.children_user + times.children_system
        return total

    marks = []

    def look(out):
        """CPU after the first run, when worker and server are warm, and after the last."""
        while not marks or marks[-1][0] < count + 1:
            done = len(list((out / "runs").glob("*/done.json"))) if out.exists() else 0
            if done and (not marks or done > marks[-1][0]):
                marks.append((done, spent()))
            time.sleep(0.05)

    def work():
        out = tmp_path / "out"
        thread = threading.Thread(target=look, args=(out,), daemon=True)
        thread.start()
        content = experiment(count + 1) | {"scores": {"metrics": []}}
        sweep = fer_bench.run(content, out, executor="ray", workers=1, quiet=True)
        assert sweep.done == count + 1
        thread.join(10)
        return sweep

    sweep = benchmark.pedantic(work, rounds=1)
    (first, before), (last, after) = marks[0], marks[-1]
    training = sum(r.environment["training_s"] for r in sweep.records()) / len(sweep.records())
    milliseconds = 1000 * ((after - before) / (last - first) - training)
    benchmark.extra_info["cpu_ms"] = milliseconds
    print(f"{last - first} runs: {milliseconds:.0f} ms CPU a run besides training")
    assert milliseconds < 500


def test_two_drivers_at_one_folder(benchmark, experiment, cluster, tmp_path):
    """One on Ray, one in a pool, at once: every run is done once, with the bytes of `serial`."""
    content = experiment(3, ["erm", "oracle-label"], epochs=3)
    expected = finished(content, tmp_path / "straight")
    file = tmp_path / "sweep.json"
    file.write_text(parse_experiment(content).model_dump_json())
    out = tmp_path / "both"

    def work():
        where = (["ray", "--address", cluster], ["pool"])
        common = [str(file), "--no-report", "-q", "--workers", "1", "--out", str(out)]
        drivers = [
            subprocess.Popen([*COMMAND, *common, "--executor", *options]) for options in where
        ]
        assert [driver.wait() for driver in drivers] == [0, 0]

    benchmark.pedantic(work, rounds=1)
    assert {r.folder.name: sums(r) for r in RunStore(out).records()} == expected
    starts = [
        sum(json.loads(line)["event"] == "trained" for line in log.read_text().splitlines())
        for log in (out / "logs").glob("*.jsonl")
    ]
    assert starts == [1] * len(expected)
