"""Whether two processes train to the metrics of one, at the same global batch.

FER_BENCH_SEEDS sets how many seeds are compared. Run with `pytest --benchmark-only
-o addopts= --import-mode=importlib -s tests/benchmarks/test_devices_speed.py`.
"""

import os

import numpy as np
import pytest
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


@pytest.mark.timeout(7_200)
@pytest.mark.parametrize("method", ["erm", "dice-fer"])
def test_two_processes_give_the_metrics_of_one(benchmark, tmp_path, method):
    """The mean difference over paired seeds cannot be told from 0 (t-test at 5 %).

    Both methods have batch normalisation, whose statistics are of a device's own part of a batch.
    """
    content = {
        "seeds": list(range(SEEDS)),
        "data": {"name": "generated", "subjects": 30, "images_per_subject": 14, "size": 16},
        "split": {"folds": 3, "use": [0], "validation": 0.2},
        "training": {
            "epochs": 30,
            "batch_size": 32,
            "augment": "none",
            "selection": "last",
            "device": "cpu",
        },
        "methods": [entry(method, devices) for devices in (1, 2)],
        "scores": {"metrics": ["classification"]},
    }
    out = tmp_path / "out"
    run = lambda: fer_bench.run(content, out, executor="serial", quiet=True)  # noqa: E731
    sweep = benchmark.pedantic(run, rounds=1)
    assert sweep.failed == {}
    values = {1: {}, 2: {}}
    for record in sweep.records():
        scores = record.outcomes()["classification"].scores
        row = [scores[name].value for name in SCORES]
        values[record.spec.training.devices][record.spec.seed] = row
    one, two = (np.array([of[seed] for seed in range(SEEDS)]) for of in values.values())
    for i, name in enumerate(SCORES):
        difference = two[:, i] - one[:, i]
        mean, error = difference.mean(), difference.std(ddof=1) / np.sqrt(SEEDS)
        least = stats.t.ppf(0.975, SEEDS - 1) * error
        print(
            f"{method} {name}: one {one[:, i].mean():.3f}, two {two[:, i].mean():.3f}, difference "
            f"{mean:+.3f} [{mean - least:+.3f}, {mean + least:+.3f}]; seeds differ by "
            f"{one[:, i].std(ddof=1):.3f} (one) and {two[:, i].std(ddof=1):.3f} (two)"
        )
        benchmark.extra_info[name] = difference.tolist()
        assert abs(mean) <= least
