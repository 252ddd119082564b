"""A metric of somebody else's package: found by its entry point, scored like ours."""

import json
from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import calinski_harabasz_score

import fer_bench
from fer_bench.errors import UnknownNameError
from fer_bench.runs.store import RunStore
from fer_bench.sweep.sweep import score_store

EXAMPLE = Path(__file__).parents[2] / "examples" / "own_metric"


def test_it_is_short():
    assert len((EXAMPLE / "own_metric.py").read_text().splitlines()) < 40


@pytest.mark.slow
def test_it_is_scored_where_missing_and_stands_in_table_page_and_list(installed, tmp_path):
    commands = installed(EXAMPLE)
    experiment = {
        "data": {"name": "generated", "subjects": 9, "images_per_subject": 14, "size": 32},
        "split": {"folds": 3, "use": [0, 1]},
        "training": {"epochs": 1},
        "methods": [{"name": "pixels"}],
        "scores": {"metrics": ["classification"]},
    }
    results, page = tmp_path / "results", tmp_path / "page.html"
    records = fer_bench.run(experiment, results, quiet=True).records()

    files = [record.folder / "scores.json" for record in records]

    def scored():
        return [json.loads(file.read_text())["fisher"] for file in files]

    score = ["score", results, "--metrics", "fisher", "--workers", 1]
    shown = commands(
        score,
        ["table", results, "--format", "markdown"],
        ["table", results, "--format", "latex"],
        ["report", results, "--maps", "none", "--out", page],
        ["list", "metrics"],
        score,
    )
    assert shown.returncode == 0, shown.stderr
    assert "2 runs scored" in shown.stdout
    assert shown.stderr.count("scored") == 2 + 2  # progress, a line a run
    assert shown.stderr.count("scored already") == 2
    assert all(file.stat().st_mtime_ns < page.stat().st_mtime_ns for file in files)
    for record, value in zip(records, scored(), strict=True):
        test = record.arrays.test
        classes, n = len(np.unique(test.y)), len(test)
        f = calinski_harabasz_score(test.expression.astype(float), test.y)
        expected = f * (classes - 1) / (n - classes)
        assert value["scores"]["E.ratio"]["value"] == pytest.approx(expected)
    assert shown.stdout.count("Fisher ratio") == 3  # both tables and the list
    assert "Fisher ratio" in page.read_text(encoding="utf-8")
    site = tmp_path / "site"
    code = (site / "own_metric.py").read_text()
    (site / "own_metric.py").write_text(code.replace('"fisher", ', '"fisher", version=2, '))
    commands(score)
    assert [value["version"] for value in scored()] == [2, 2]
    with pytest.raises(UnknownNameError, match="there is no metric 'fisher'"):
        score_store(RunStore(results), metrics=["fisher"], quiet=True)  # not installed here
