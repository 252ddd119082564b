"""Whether two processes train to the metrics of one, at the same global batch.

FER_BENCH_SEEDS sets how many seeds are compared. Run with `pytest --benchmark-only
-o addopts= --import-mode=importlib -s tests/benchmarks/test_devices_speed.py`.
"""

import os

import numpy as np
import pytest
from scipy import stats

import fer_bench

SEEDS = int(os.environ.get("FER_BENCH_SEEDS", "6"))
BACKBONE = {"name": "conv4", "width": 8}
SCORES = ("test.accuracy", "test.balanced_accuracy")


def accuracies(method, devices, out):
    """Scores [seeds, 2] of runs that are trained by so many processes."""
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
            "devices": devices,
        },
        "methods": [{"name": method, "parameters": {"dim": 16, "backbone": BACKBONE}}],
        "scores": {"metrics": ["classification"]},
    }
    sweep = fer_bench.run(content, out / str(devices), executor="serial", quiet=True)
    assert sweep.failed == {}
    records = sorted(sweep.records(), key=lambda record: record.spec.seed)
    scores = [record.outcomes()["classification"].scores for record in records]
    return np.array([[row[name].value for name in SCORES] for row in scores])


@pytest.mark.timeout(7_200)
@pytest.mark.parametrize("method", ["erm", "dice-fer"])
def test_two_processes_give_the_metrics_of_one(benchmark, tmp_path, method):
    """The mean difference over paired seeds cannot be told from 0 (t-test at 5 %).

    That steps are the same is tested (tests/sweep/test_several_devices.py); over hundreds of them
    rounding grows, and this is what it comes to.
    """
    both = lambda: [accuracies(method, devices, tmp_path) for devices in (1, 2)]  # noqa: E731
    one, two = benchmark.pedantic(both, rounds=1)
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
