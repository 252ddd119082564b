"""Whether two processes train to the metrics of one, at the same global batch.

FER_BENCH_SEEDS sets how many seeds are compared. Run with `pytest --benchmark-only
-o addopts= --import-mode=importlib -s tests/benchmarks/test_devices_speed.py`.
"""

import os

import numpy as np
from scipy import stats

import fer_bench

SEEDS = int(os.environ.get("FER_BENCH_SEEDS", "12"))
SCORES = ("test.accuracy", "test.balanced_accuracy")


def entry(method, devices):
    return {
        "name": method,
        "label": f"{method} {devices}",
        "parameters": {"dim": 16, "backbone": {"name": "conv4", "width": 8}},
        "training": {"devices": devices},
    }


def test_two_processes_give_the_metrics_of_one(benchmark, tmp_path):
    """The mean difference over paired seeds cannot be told from 0 (t-test at 5 %).

    Both methods have batch normalisation, whose statistics are of a device's own part of a batch.
    """
    methods = ("erm", "dice-fer")
    content = {
        "seeds": list(range(SEEDS)),
        "data": {"name": "generated", "subjects": 30, "images_per_subject": 14, "size": 16},
        "split": {"folds": 3, "use": [0], "validation": 0.2},
        "training": {
            "epochs": 10,
            "batch_size": 32,
            "augment": "none",
            "selection": "last",
            "device": "cpu",
        },
        "methods": [entry(method, devices) for method in methods for devices in (1, 2)],
        "scores": {"metrics": ["classification"]},
    }
    out = tmp_path / "out"
    run = lambda: fer_bench.run(content, out, executor="serial", quiet=False)  # noqa: E731
    sweep = benchmark.pedantic(run, rounds=1)
    assert sweep.failed == {}
    values = {}
    for record in sweep.records():
        scores = record.outcomes()["classification"].scores
        row = [scores[name].value for name in SCORES] + [record.environment["training_s"]]
        values.setdefault(record.spec.label, {})[record.spec.seed] = row
    for method in methods:
        one, two = (
            np.array([values[f"{method} {devices}"][seed] for seed in range(SEEDS)])
            for devices in (1, 2)
        )
        for i, name in enumerate(SCORES):
            difference = two[:, i] - one[:, i]
            error = difference.std(ddof=1) / np.sqrt(SEEDS)
            least = stats.t.ppf(0.975, SEEDS - 1) * error
            print(
                f"{method} {name}: one {one[:, i].mean():.3f}, two {two[:, i].mean():.3f}, "
                f"difference {difference.mean():+.3f} [{difference.mean() - least:+.3f}, "
                f"{difference.mean() + least:+.3f}], seeds of one differ by "
                f"{one[:, i].std(ddof=1):.3f}, of two by {two[:, i].std(ddof=1):.3f}"
            )
            benchmark.extra_info[f"{method} {name}"] = difference.tolist()
            assert abs(difference.mean()) <= least
