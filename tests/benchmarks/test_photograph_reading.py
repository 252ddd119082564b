"""How methods trained on FER2013 read its PrivateTest faces, beside a network of other people.

`pytest tests/benchmarks/test_photograph_reading.py --benchmark-only -s -o addopts=
--import-mode=importlib`; with FER_BENCH_RESULTS, the folder that
`fer-bench run examples/fer2013.toml` wrote, its runs are compared with the network face by face.

The network (mini-XCEPTION of the data pack) was trained on all Training faces and selected on the
faces read here: those with a copy in another part are left out, and its figure is optimistic.
"""

from __future__ import annotations

import os

import numpy as np
import pandas as pd
import pytest
import torch
from scipy.stats import bootstrap
from torch.nn import functional

import fer_bench
from fer_bench.runs.store import RunStore


@pytest.fixture(scope="module")
def fresh_faces(data_pack):
    """PrivateTest without faces that have a copy in another part: data set, rows and paths."""
    data = fer_bench.load_dataset(
        "fer2013", data_pack / "fer2013", size=48, color=False, copies="keep"
    )
    listed = pd.read_csv(data_pack / "fer2013" / "manifest.csv").set_index("image")
    parts = listed.groupby("leak_group")["split"].nunique()
    paths = data.table["path"].to_numpy()
    here = listed.loc[paths]
    fresh = (here["split"] == "PrivateTest") & (parts[here["leak_group"]].to_numpy() == 1)
    return data, np.flatnonzero(fresh), paths[fresh]


def test_an_outside_network_and_runs(fresh_faces, outside_network, benchmark):
    data, rows, paths = fresh_faces

    def read():
        faces = torch.from_numpy(data.gather(rows)).float()[..., 0][:, None]
        seen = functional.interpolate(faces, (64, 64), mode="bilinear") / 255 * 2 - 1
        return np.concatenate([outside_network(batch) for batch in seen.split(500)])

    shown = data.table["expression"].to_numpy()[rows]
    correct = (benchmark.pedantic(read, rounds=1) == shown).astype(float)
    benchmark.extra_info["network"] = correct.mean()
    print(f"\n{len(rows):,} faces; mini-XCEPTION {_interval(correct)}")
    folder = os.environ.get("FER_BENCH_RESULTS")
    for record in RunStore(folder).records() if folder else []:
        part = record.arrays.test
        right = np.asarray(part.classes)[part.logits.argmax(1)] == part.labels["expression"]
        right = right.set_axis(part.labels["path"])[paths].to_numpy(float)
        print(f"{record.spec.label}: {_interval(right)}, behind by {_interval(correct - right)}")
    assert correct.mean() > 0.5


def _interval(values) -> str:
    values = 100 * values
    spread = bootstrap((values,), np.mean, method="basic", n_resamples=2000, rng=0)
    low, high = spread.confidence_interval
    return f"{values.mean():.1f} % [{low:.1f}, {high:.1f}]"
