"""How costs grow with runs, faces and width: exponents of CPU seconds, by least squares on logs.

Run with `pytest tests/benchmarks/test_growth.py --benchmark-only -s`. An exponent of 1 is linear;
it is fitted to the sizes above the first, where what does not grow is small. FER_BENCH_LARGEST
leaves out larger sizes.
"""

import os
import shutil
import time

import numpy as np
import pandas as pd
import pytest
import torch

import fer_bench
from fer_bench.arrays import PartArrays, RunArrays
from fer_bench.data.faces import FaceData
from fer_bench.experiment import TrainingSpec
from fer_bench.metrics.metric import load_metrics, score_run
from fer_bench.runs.status import status_of
from fer_bench.runs.store import RunStore, seal
from fer_bench.training.batches import Batcher, EpochPlan, make_task

pytestmark = pytest.mark.timeout(7_200)
LARGEST = int(os.environ.get("FER_BENCH_LARGEST", "1000000"))
RUNS = (10, 100, 1_000, 5_000)
FACES = (1_000, 10_000, 100_000, 300_000)
FEWER_FACES = (1_000, 3_000, 10_000)  # of a metric that has rows enough at 50,000
WIDTHS = (64, 256, 1_024, 2_048)
CLASSES = ("neutral", "happiness", "sadness", "surprise", "fear", "disgust", "anger")


def grown(benchmark, name, sizes, measure):
    """Measure each size once; print and keep the seconds and the exponent."""
    seconds = []
    sizes = [size for size in sizes if size <= LARGEST]

    def work():
        for size in sizes:
            job = measure(size)
            started = time.process_time()
            job()
            seconds.append(time.process_time() - started)
            print(f"{name}: {size:,}: {seconds[-1]:.2f} s", flush=True)

    benchmark.pedantic(work, rounds=1)
    exponent = np.polyfit(np.log(sizes[1:]), np.log(seconds[1:]), 1)[0]
    benchmark.extra_info.update(seconds=dict(zip(sizes, seconds, strict=True)), exponent=exponent)
    print(f"{name}: exponent {exponent:.2f}")
    assert exponent < 1.5


@pytest.fixture
def store(tmp_path):
    content = {
        "data": {"name": "generated", "subjects": 9, "images_per_subject": 7, "size": 16},
        "split": {"folds": 3, "use": [0], "validation": 0.4},
        "methods": [{"name": "oracle-label"}],
        "scores": {"metrics": ["classification"]},
    }
    fer_bench.run(content, tmp_path, quiet=True)
    return RunStore(tmp_path)


@pytest.mark.parametrize("what", ["status", "read and check all"])
def test_runs(benchmark, store, what):
    (first,) = store.records()

    def measure(size):
        for i in range(len(store.run_ids()), size):
            twin = store.runs / f"twin-{i:05d}"
            shutil.copytree(first.folder, twin, copy_function=os.link)
            (twin / "done.json").unlink()
            seal(twin, twin.name)
        return (lambda: status_of(store)) if what == "status" else store.records

    grown(benchmark, f"runs, {what}", RUNS, measure)


def labels(n, rng):
    return pd.DataFrame(
        {
            "expression": rng.choice(CLASSES, n),
            "subject": np.char.add("s", rng.integers(0, max(10, n // 100), n).astype(str)),
        }
    )


@pytest.mark.parametrize("batch", ["images", "pairs"])
def test_faces_of_an_epoch(benchmark, batch):
    """All batches of one epoch, planned, gathered and normalised."""

    def measure(size):
        rng = np.random.default_rng(0)
        data = FaceData(rng.integers(0, 255, (size, 16, 16, 1), np.uint8), labels(size, rng))
        rows, training = np.arange(size), TrainingSpec(device="cpu")

        def job():
            batcher = Batcher(data, make_task(data, rows), training, torch.device("cpu"))
            plan = EpochPlan(
                data, rows, batch_size=64, pairs=batch == "pairs", balanced=False, seed=(0, 0)
            )
            for some, partners in plan.epoch(0):
                batcher.batch(some, partners=partners)

        return job

    grown(benchmark, f"faces, an epoch of {batch}", FACES, measure)


def arrays(n, width, seed=0):
    rng = np.random.default_rng(seed)
    parts = {}
    for name, size in {"train": n, "test": n}.items():
        table = labels(size, rng)
        if name == "test":
            table["subject"] = "t" + table["subject"]
        code = pd.Categorical(table["expression"], CLASSES).codes
        axes = np.random.default_rng(7).normal(size=(len(CLASSES), width))
        e = (axes[code] + 3 * rng.normal(size=(size, width))).astype(np.float32)
        i = rng.normal(size=(size, width)).astype(np.float32)
        logits = (np.eye(len(CLASSES))[code] + rng.normal(size=(size, 7))).astype(np.float32)
        parts[name] = PartArrays(name, e, i, logits, None, table, CLASSES)
    return RunArrays(parts=parts, classes=CLASSES)


@pytest.mark.parametrize(("metric", "sizes"), [("classification", FACES), ("leakage", FEWER_FACES)])
def test_faces_of_a_score(benchmark, metric, sizes):
    def measure(size):
        run = arrays(size, 64)
        return lambda: score_run(run, load_metrics([metric]))

    grown(benchmark, f"faces, {metric}", sizes, measure)


@pytest.mark.parametrize("metric", ["leakage", "mig"])
def test_width_of_a_score(benchmark, metric):
    def measure(size):
        run = arrays(1_000, size)
        return lambda: score_run(run, load_metrics([metric]))

    grown(benchmark, f"width, {metric}", WIDTHS, measure)
