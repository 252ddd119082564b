"""What the same seed gives on two threads instead of one, and what another seed gives.

`pytest tests/benchmarks/test_retraining.py --benchmark-only -s -o addopts=` prints the numbers of
docs/verify.md: ERM on generated faces, six epochs.
"""

from __future__ import annotations

import torch

import fer_bench
from fer_bench.runs.store import RunStore
from fer_bench.sharing.verify import distance, retrain

EXPERIMENT = {
    "seeds": [0, 1],
    "data": {"name": "generated", "subjects": 30, "images_per_subject": 14, "size": 32},
    "split": {"folds": 5, "use": [0]},
    "training": {"epochs": 6, "batch_size": 16},
    "methods": [{"name": "erm"}],
    "scores": {"metrics": ["classification"]},
}


def test_same_seed_on_two_threads_and_another_seed(benchmark, tmp_path):
    fer_bench.run(EXPERIMENT, tmp_path, threads=1)
    first, second = sorted(RunStore(tmp_path).records(), key=lambda record: record.spec.seed)
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        threads = benchmark.pedantic(retrain, args=(first,), rounds=1)
    finally:
        torch.set_num_threads(before)
    seeds = distance(first.arrays.test, second.arrays.test)
    print(f"\ntwo threads: {threads}\nanother seed: {seeds}")
    benchmark.extra_info.update(threads=threads, seeds=seeds)
