"""Speed of the estimators. Run with `pytest tests/benchmarks/test_information_speed.py
--benchmark-only`; against other packages: `python tests/benchmarks/peers/compare_information.py`.
"""

import numpy as np
import pytest

from fer_bench.information import estimate_mi, tasks
from fer_bench.information.estimator import Problem
from fer_bench.information.inputs import clean_pair
from fer_bench.information.neural import MINE, InfoNCE


@pytest.mark.parametrize("d", [1, 5, 25])
def test_ksg_at_ten_thousand_rows(benchmark, d):
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(2, 10_000, d))
    options = {"estimator": "ksg", "k": 3, "null": 0}
    estimate_mi(x[:100], y[:100], **options)  # compile
    benchmark.pedantic(estimate_mi, (x, y), options, rounds=3)


@pytest.mark.parametrize("count", [1, 8])
@pytest.mark.parametrize("kind", [MINE, InfoNCE])
def test_problems_trained_together(benchmark, kind, count):
    sample = clean_pair(*tasks.sparse(5).sample(10_000, 0))
    tool = kind(steps=200, patience=10**6)
    problems = [Problem(sample, seed) for seed in range(count)]
    benchmark.pedantic(tool.estimate_many, (problems,), rounds=3, warmup_rounds=1)


@pytest.mark.parametrize("n", [300, 1000, 5000])
@pytest.mark.parametrize("estimator", ["mine", "infonce", "copula", "classifier"])
def test_embeddings_of_64_dimensions(benchmark, estimator, n):
    name = "relu64-clusters-7-8-1" if estimator == "classifier" else "relu64-same-class-7-6-1.2"
    x, y = tasks.get(name).sample(n, 0)
    benchmark.pedantic(estimate_mi, (x, y), {"estimator": estimator}, rounds=2, warmup_rounds=1)
