"""How long a summary, a page and a table take: 48 runs of 8 rows, 336 faces; and 1,000 runs."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
from itertools import count
from pathlib import Path

import pytest

from fer_bench.reports.maps import project
from fer_bench.reports.page import write_report
from fer_bench.reports.summary import summarise
from fer_bench.runs.store import RunStore, seal, write_json


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


@pytest.fixture(scope="module")
def thousand(folder, tmp_path_factory):
    """The runs of `folder` again with other seeds, until there are a thousand."""
    root = tmp_path_factory.mktemp("thousand") / "results"
    shutil.copytree(folder, root)
    store, copies = RunStore(root), count(2, 2)
    records = store.records()
    while len(list(store.runs.iterdir())) < 1000:
        further = next(copies)
        for record in records:
            spec = record.spec.model_copy(update={"seed": record.spec.seed + further})
            twin = store.runs / spec.id
            shutil.copytree(record.folder, twin, copy_function=os.link)
            for name in ("spec.json", "done.json"):
                (twin / name).unlink()
            write_json(twin / "spec.json", spec.model_dump(mode="json"))
            seal(twin, spec.id)
    return root


@pytest.mark.parametrize(
    "call",
    [
        "from fer_bench.reports.tables import write_table; write_table(sys.argv[1])",
        "from fer_bench.reports.page import write_report; write_report(sys.argv[1], maps='none')",
    ],
    ids=["table", "page"],
)
def test_a_thousand_runs(benchmark, thousand, call):
    code = (
        "import resource, sys, time; start = time.process_time(); "
        f"{call}; spent = time.process_time() - start; "
        "print(spent, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)"
    )

    def made():
        command = [sys.executable, "-c", code, str(thousand)]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()

    seconds, memory = map(float, benchmark.pedantic(made, rounds=1))
    print(f"{seconds:.1f} s CPU, {memory:.0f} MiB")


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
