"""How long a summary, a page and a table take (48 runs of 8 rows, 336 faces)."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import pytest

from fer_bench.reports.maps import project
from fer_bench.reports.page import write_report
from fer_bench.reports.summary import summarise
from fer_bench.runs.store import RunStore


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = Path(__file__).parents[1] / "reports" / "conftest.py"
    spec = importlib.util.spec_from_file_location("simulated_results", path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # its dataclasses look themselves up here
    spec.loader.exec_module(module)
    return module.build_results(tmp_path_factory.mktemp("results"))


def test_summarise(benchmark, folder):
    summary = benchmark.pedantic(summarise, (RunStore(folder),), rounds=3)
    assert len(summary.rows) == 8


def test_page_without_maps(benchmark, folder):
    path = benchmark.pedantic(write_report, (folder,), {"maps": "none"}, rounds=2)
    assert path.stat().st_size < 5e6


@pytest.mark.parametrize("kind", ["tsne", "umap"])
def test_map_of_a_thousand_faces(benchmark, kind):
    import numpy as np

    x = np.random.default_rng(0).normal(size=(1000, 32))
    project(x[:50], kind=kind)  # what compiles, compiles before the clock runs
    points = benchmark.pedantic(project, (x,), {"kind": kind}, rounds=2)
    assert points.shape == (1000, 2)
