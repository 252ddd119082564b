"""Results as MLflow runs: one each, with parameters, metrics and the report as an artifact."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from fer_bench.errors import MissingExtraError
from fer_bench.reports.scores import scores_frame
from fer_bench.reports.summary import summarise
from fer_bench.runs.store import RunRecord, RunStore

_LONGEST_PARAMETER = 500
_OURS = "fer_bench.run"


def log_to_mlflow(
    root: str | Path, *, tracking_uri: str | None = None, experiment: str | None = None
) -> int:
    """Log every run of a result folder that the MLflow experiment does not have yet.

    Args:
        root: result folder.
        tracking_uri: an MLflow server or store; MLflow's own setting by default.
        experiment: its name there; the title of the results by default.

    Returns:
        How many runs were added.

    Raises:
        MissingExtraError: MLflow is not installed.
    """
    try:
        from mlflow import MlflowClient
    except ImportError:
        raise MissingExtraError("mlflow", "mlflow", "logging to MLflow") from None
    store = RunStore(root)
    summary = summarise(store)
    client = MlflowClient(tracking_uri=tracking_uri)
    name = experiment or summary.title
    there = client.get_experiment_by_name(name)
    place = client.create_experiment(name) if there is None else there.experiment_id
    known = {
        run.data.tags[_OURS]
        for run in client.search_runs([place], max_results=50_000)
        if _OURS in run.data.tags
    }
    report = store.root / "report.html"
    added = 0
    for record in store.records():
        if record.folder.name in known:
            continue
        _log(client, place, record, report)
        added += 1
    return added


def _log(client: Any, place: str, record: RunRecord, report: Path) -> None:
    from mlflow.entities import Metric, Param, RunTag

    spec = record.spec
    tags = {
        _OURS: record.folder.name,
        "mlflow.runName": f"{spec.label}, seed {spec.seed}, fold {spec.fold}",
        "method": spec.method,
        "label": spec.label,
        "role": record.environment["method"]["role"],
        "data": spec.data.name,
    }
    run = client.create_run(place, tags=tags)
    parameters = {
        "seed": spec.seed,
        "fold": spec.fold,
        **{f"parameters.{k}": v for k, v in spec.parameters.items()},
        **{f"training.{k}": v for k, v in spec.training.model_dump(mode="json").items()},
    }
    moment = int((record.folder / "done.json").stat().st_mtime * 1000)
    scores = scores_frame([record])
    metrics = [
        Metric(_key(key), float(value), moment, 0)
        for key, value in zip(scores["key"], scores["value"], strict=True)
        if value == value
    ]
    for i in range(0, len(metrics), 900):  # MLflow takes a thousand at a time
        client.log_batch(run.info.run_id, metrics=metrics[i : i + 900])
    client.log_batch(
        run.info.run_id,
        params=[Param(_key(k), str(v)[:_LONGEST_PARAMETER]) for k, v in parameters.items()],
        tags=[RunTag("device", str(record.environment.get("device", "")))],
    )
    if report.is_file():
        client.log_artifact(run.info.run_id, str(report))
    client.set_terminated(run.info.run_id)


def _key(name: str) -> str:
    """A name with the characters MLflow allows."""
    allowed = "".join(c if c.isascii() and (c.isalnum() or c in "_-. /") else "_" for c in name)
    return allowed[:240]
