"""Seconds of `fer-bench run` to its first training step, and how many of them are torch's own.

FER_BENCH_PYTHON names the interpreter of a plain installation, since packages that only the tests
install (torchmetrics) are imported by others where they are found. FER_BENCH_BEFORE names a folder
with another version to measure in turns with this one, FER_BENCH_ROUNDS how often.
"""

import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

TREES = {"now": str(Path(__file__).parents[2]), "before": os.environ.get("FER_BENCH_BEFORE")}
PYTHON = os.environ.get("FER_BENCH_PYTHON", sys.executable)
ROUNDS = int(os.environ.get("FER_BENCH_ROUNDS", "3"))

# Whoever takes the first step says so and waits, wherever in the tree of processes it is.
HOOK = """
import importlib.util, os, sys, time

def stop(*_):
    open(os.environ["FIRST_STEP"], "x").close()
    time.sleep(600)

class Watch:
    def find_spec(self, name, path=None, target=None):
        if name != "torch.optim.optimizer":
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(name)
        execute = spec.loader.exec_module
        def exec_module(module):
            execute(module)
            module.register_optimizer_step_pre_hook(stop)
        spec.loader.exec_module = exec_module
        return spec

sys.meta_path.insert(0, Watch())
"""
TORCH = (
    "import torch; p = torch.nn.Parameter(torch.zeros(2)); o = torch.optim.AdamW([p]);"
    "p.sum().backward(); o.step()"
)
RUN = "from fer_bench.cli import main; main()"


def first_step(folder, tree, code, *arguments):
    """Seconds to the first step: of the clock, and of the CPU in all processes together."""
    folder.mkdir()
    (folder / "sitecustomize.py").write_text(HOOK)
    mark = folder / "step"
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "FIRST_STEP": str(mark)}
    environment["PYTHONPATH"] = os.pathsep.join([str(folder), *([tree] if tree else [])])
    started = time.perf_counter()
    process = psutil.Popen(
        [PYTHON, "-c", code, *arguments], env=environment, stderr=subprocess.DEVNULL
    )
    try:
        while not mark.exists():
            assert process.poll() is None
            time.sleep(0.005)
        clock = time.perf_counter() - started
        times = [one.cpu_times() for one in (process, *process.children(recursive=True))]
    finally:
        for one in (*process.children(recursive=True), process):
            one.kill()
        process.wait()
    return clock, sum(t.user + t.system + t.children_user + t.children_system for t in times)


@pytest.mark.timeout(1200)
@pytest.mark.parametrize("executor", ["serial", "pool"])
def test_first_step(benchmark, tmp_path, executor):
    """Run twice: the first one renders the faces, which later ones read."""

    def measured():
        spent = {}
        for i in range(ROUNDS):
            alone = first_step(tmp_path / f"torch{i}", None, TORCH)
            spent.setdefault("torch", []).append(alone)
            for name, tree in TREES.items():
                if tree is None:
                    continue
                out = ["run", "--out", str(tmp_path / f"{name}{i}-out"), "--no-report", "--quiet"]
                took = first_step(tmp_path / f"{name}{i}", tree, RUN, *out, "--executor", executor)
                spent.setdefault(name, []).append(took)
        return {
            name: [statistics.median(values) for values in zip(*pairs, strict=True)]
            for name, pairs in spent.items()
        }

    medians = benchmark.pedantic(measured, rounds=1)
    torch_clock, torch_cpu = medians["torch"]
    for name, (clock, cpu) in medians.items():
        print(f"{executor}, {name}: {clock:.2f} s, {cpu:.2f} s of CPU; without torch ", end="")
        print(f"{clock - torch_clock:.2f} s, {cpu - torch_cpu:.2f} s of CPU")
        benchmark.extra_info[name] = {"clock": clock, "cpu": cpu}
