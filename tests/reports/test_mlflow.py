"""MLflow: every run once, with its numbers."""

from __future__ import annotations

import pytest

from fer_bench.errors import MissingExtraError
from fer_bench.reports.mlflow import log_to_mlflow
from fer_bench.runs.store import RunStore


def test_runs_are_logged_once_with_their_numbers(build, two_methods, tmp_path, monkeypatch):
    mlflow = pytest.importorskip("mlflow", reason="no mlflow")
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    root = build(tmp_path / "r", methods=two_methods, seeds=1, folds=2, n_subjects=6, per_subject=6)
    (root / "report.html").write_text("the page", "utf-8")
    uri = (tmp_path / "mlruns").as_uri()
    assert log_to_mlflow(root, tracking_uri=uri) == 4
    assert log_to_mlflow(root, tracking_uri=uri) == 0
    client = mlflow.MlflowClient(tracking_uri=uri)
    place = client.get_experiment_by_name("simulated")
    runs = client.search_runs([place.experiment_id])
    by_id = {run.data.tags["fer_bench.run"]: run for run in runs}
    for record in RunStore(root).records():
        run = by_id[record.folder.name]
        accuracy = record.outcomes()["classification"].scores["test.accuracy"].value
        assert run.data.metrics["classification/test.accuracy"] == accuracy
        assert run.data.params["training.epochs"] == "6"
        assert run.data.params["fold"] == str(record.spec.fold)
        assert [a.path for a in client.list_artifacts(run.info.run_id)] == ["report.html"]


def test_without_mlflow_the_fix_is_named(results, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "mlflow", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'fer-bench\[mlflow\]'"):
        log_to_mlflow(results)
