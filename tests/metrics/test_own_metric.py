"""A metric of somebody else's package: found by its entry point, scored like ours."""

import json
import os
import subprocess
import sys

import pytest

import fer_bench
from fer_bench.errors import UnknownNameError
from fer_bench.runs.store import RunStore
from fer_bench.sweep.sweep import score_store

CODE = """
import numpy as np
from fer_bench.metrics.metric import metric
from fer_bench.score import Score

@metric("spread", version={version})
def spread(run, *, seed=0):
    '''Mean standard deviation of E on the test part.'''
    return {{"E": Score(float(run.test.expression.std(axis=0).mean()), n=len(run.test))}}
"""


@pytest.fixture
def site(tmp_path):
    """A folder with an installed package `own-metric`."""
    folder = tmp_path / "site"
    about = folder / "own_metric-0.1.dist-info"
    about.mkdir(parents=True)
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: own-metric\nVersion: 0.1\n")
    (about / "entry_points.txt").write_text("[fer_bench.metrics]\nspread = own_metric:spread\n")
    (folder / "own_metric.py").write_text(CODE.format(version=1))
    return folder


def command(site, *arguments):
    code = "from fer_bench.cli import main; main()"
    return subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments)],
        env=os.environ | {"PYTHONPATH": str(site)},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.slow
def test_it_is_scored_in_parallel_and_only_where_missing(site, tmp_path):
    experiment = {
        "data": {"name": "generated", "subjects": 9, "images_per_subject": 14, "size": 32},
        "split": {"folds": 3, "use": [0, 1]},
        "training": {"epochs": 1},
        "methods": [{"name": "oracle-label"}],
        "scores": {"metrics": ["classification"]},
    }
    results = tmp_path / "results"
    records = fer_bench.run(experiment, results, quiet=True).records()

    def scored():
        files = [record.folder / "scores.json" for record in records]
        return [json.loads(f.read_text())["spread"] for f in files], [f.stat() for f in files]

    first = command(site, "score", results, "--metrics", "spread", "--workers", 2)
    assert first.returncode == 0, first.stderr
    assert "2 runs scored" in first.stdout
    assert first.stderr.count("scored") == 2  # progress, a line a run
    values, before = scored()
    for record, value in zip(records, values, strict=True):
        expected = record.arrays.test.expression.std(axis=0).mean()
        assert value["scores"]["E"]["value"] == pytest.approx(float(expected), rel=1e-5)
    again = command(site, "score", results, "--metrics", "spread")
    assert "scored already" in again.stderr
    assert [s.st_mtime_ns for s in scored()[1]] == [s.st_mtime_ns for s in before]
    (site / "own_metric.py").write_text(CODE.format(version=2))
    command(site, "score", results, "--metrics", "spread", "--workers", 1)
    assert [value["version"] for value in scored()[0]] == [2, 2]
    with pytest.raises(UnknownNameError, match="there is no metric 'spread'"):
        score_store(RunStore(results), metrics=["spread"], quiet=True)  # not installed here
