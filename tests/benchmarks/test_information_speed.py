"""Speed of the estimators. Run with `pytest tests/benchmarks/test_information_speed.py
--benchmark-only`; against other packages: `python tests/benchmarks/peers/compare_information.py`.
"""

import time

import numpy as np
import pytest

from fer_bench.information import estimate_mi, tasks
from fer_bench.information.estimator import Problem
from fer_bench.information.estimators.neural import MINE, InfoNCE
from fer_bench.information.inputs import clean_pair


@pytest.mark.parametrize("d", [1, 5, 25])
def test_ksg_at_ten_thousand_rows(benchmark, d):
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(2, 10_000, d))
    options = {"estimator": "ksg", "k": 3, "null": 0}
    estimate_mi(x[:100], y[:100], **options)  # compile
    benchmark.pedantic(estimate_mi, (x, y), options, rounds=3)


@pytest.mark.parametrize("kind", [MINE, InfoNCE])
def test_eight_problems_trained_together(benchmark, kind):
    """CPU time, so that neither a second core nor a busy machine counts; one and eight in turn."""
    sample = clean_pair(*tasks.sparse(5).sample(10_000, 0))
    tool = kind(steps=200, patience=10**6)
    seconds: dict[int, list[float]] = {1: [], 8: []}

    def run() -> None:
        for count, spent in seconds.items():
            start = time.process_time()
            tool.estimate_many([Problem(sample, seed) for seed in range(count)])
            spent.append(time.process_time() - start)

    benchmark.pedantic(run, rounds=5, warmup_rounds=1)
    one, eight = (min(spent[1:]) for spent in seconds.values())
    benchmark.extra_info |= {"one": round(one, 3), "eight": round(eight, 3)}
    benchmark.extra_info["times one"] = round(eight / one, 2)


@pytest.mark.parametrize("n", [300, 1000, 5000])
@pytest.mark.parametrize("estimator", ["mine", "infonce", "copula", "classifier"])
def test_embeddings_of_64_dimensions(benchmark, estimator, n):
    name = "relu64-clusters-7-8-1" if estimator == "classifier" else "relu64-same-class-7-6-1.2"
    x, y = tasks.get(name).sample(n, 0)
    benchmark.pedantic(estimate_mi, (x, y), {"estimator": estimator}, rounds=2, warmup_rounds=1)
