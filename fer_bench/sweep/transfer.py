"""Train on A, test on B without adaptation: a matrix over result folders, from their checkpoints.

Nothing is trained. Every finished run of a folder embeds and predicts the faces of the other
folders, which it has never seen, and the `transfer` metric scores them on the classes that both
data sets have.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from fer_bench import statistics
from fer_bench.errors import RunError
from fer_bench.experiment import DataSpec
from fer_bench.runs.store import RunRecord, RunStore, write_part
from fer_bench.sweep.plan import load_faces
from fer_bench.sweep.progress import Progress
from fer_bench.sweep.worker import load_method, score_record
from fer_bench.training.extract import extract
from fer_bench.training.feed import Feed

MEASURES = ("accuracy", "balanced_accuracy", "macro_f1")


def transfer_matrix(
    roots: Sequence[str | Path], *, measure: str = "accuracy", quiet: bool = False
) -> pd.DataFrame:
    """Test the runs of every result folder on the faces of every other one.

    What was embedded already (part "test:<data set>" of a run) is kept, so that a killed call
    goes on where it was, and the reports of the folders show the new numbers too.

    Args:
        roots: result folders of two or more data sets.
        measure: "accuracy", "balanced_accuracy" or "macro_f1".
        quiet: no progress.

    Returns:
        One row a (method, train set, test set): "method", "train", "test", "mean", "low",
        "high" (95 %, over subjects, seeds and folds), "runs", "faces" and "classes" (those
        that both sets have). Where train and test are one set, the runs' own test people.

    Raises:
        RunError: a folder has no finished run, holds several data sets, or two folders one.
    """
    if measure not in MEASURES:
        raise RunError(f"there is no measure {measure!r}: choose one of {', '.join(MEASURES)}.")
    folders = {name: store for store in map(RunStore, roots) for name in [_data_name(store)]}
    if len(folders) < max(2, len(roots)):
        raise RunError(
            f"transfer needs the results of at least two data sets, one folder each, and these "
            f"folders are of {', '.join(folders)}."
        )
    records = [(name, r) for name, s in folders.items() for r in _concerned(s)]
    lines = []
    with Progress(len(records), quiet=quiet) as progress:
        for home, record in records:
            _embed_others(record, {n: s for n, s in folders.items() if n != home})
            lines += _lines(RunRecord(record.folder), home, list(folders), measure)
            progress.finished(record.spec, "done", "embedded")
    return _means(pd.DataFrame(lines))


def _data_name(store: RunStore) -> str:
    names = {record.spec.data.name for record in store.records()}
    if not names:
        raise RunError(f"there is no finished run in {str(store.root)!r}: is it a result folder?")
    if len(names) > 1:
        raise RunError(f"{str(store.root)!r} holds runs of several data sets: {sorted(names)}.")
    return names.pop()


def _concerned(store: RunStore) -> list[RunRecord]:
    """The newest run of each row, seed and fold.

    Oracles are left out: they are shown the labels, so testing them elsewhere says nothing.
    """
    able = [r for r in store.records() if r.environment["method"]["role"] != "oracle"]
    able.sort(key=lambda r: (r.folder / "done.json").stat().st_mtime)
    return list({(r.spec.label, r.spec.place): r for r in able}.values())


def _embed_others(record: RunRecord, others: dict[str, RunStore]) -> None:
    """Add the parts "test:<data set>" that a run lacks, and score them."""
    have = {path.stem for path in (record.folder / "parts").glob("*.safetensors")}
    todo = {name: store for name, store in others.items() if f"test--{name}" not in have}
    if todo:
        method, _, _ = load_method(record)
        for name, store in todo.items():
            faces = load_faces(_as_seen_by(record, store.records()[0].spec.data))
            feed = Feed(faces, method.task, record.spec.training, torch.device("cpu"))
            part = extract(method, feed, np.arange(len(faces)), name=f"test:{name}")
            write_part(record.folder / "parts", part)
    scored = record.outcomes().get("transfer")
    known = {key.partition(".")[0] for key in scored.scores} if scored else set()
    if todo or not set(others) <= known:
        score_record(RunRecord(record.folder), metrics=("transfer",), again=True)


def _as_seen_by(record: RunRecord, data: DataSpec) -> DataSpec:
    """Another data set at the size and colour that a method was trained for."""
    own = record.spec.data
    return data.model_copy(update={"size": own.size, "color": own.color})


def _lines(
    record: RunRecord, home: str, names: Sequence[str], measure: str
) -> list[dict[str, object]]:
    outcomes, tie = record.outcomes(), record.spec.tie
    out: list[dict[str, object]] = []
    for name in names:
        if name == home:
            scores = outcomes["classification"].scores if "classification" in outcomes else {}
            score = scores.get(f"test.{measure}")
            classes = len(record.arrays.classes)
        else:
            scores = outcomes["transfer"].scores
            score = scores.get(f"{name}.{measure}")
            drop = scores.get(f"{name}.drop")
            classes = len(drop.details["classes"]) if drop else 0
        if score is None:
            continue
        out.append(
            {
                "method": record.spec.label + (f", rho {tie.rho:g}" if tie else ""),
                "metric": f"{home}\x1f{name}",
                "seed": record.spec.seed,
                "fold": record.spec.fold,
                "value": score.value,
                "low": score.low,
                "high": score.high,
                "faces": score.n,
                "classes": classes,
            }
        )
    return out


def _means(frame: pd.DataFrame) -> pd.DataFrame:
    found = statistics.summarise(frame)
    about = frame.groupby(["method", "metric"])[["faces", "classes"]].max().reset_index()
    found = found.merge(about, on=["method", "metric"])
    found[["low", "high"]] = found[["low", "high"]].clip(0, 1)  # few runs: t leaves the range
    found[["train", "test"]] = found["metric"].str.split("\x1f", expand=True)
    columns = ["method", "train", "test", "mean", "low", "high", "runs", "faces", "classes"]
    return found[columns]


def to_text(matrix: pd.DataFrame) -> str:
    """The matrix as Markdown tables, one a method: rows train, columns test, in percent."""
    lines: list[str] = []
    sets = list(dict.fromkeys([*matrix["train"], *matrix["test"]]))
    for method, rows in matrix.groupby("method", sort=False):
        lines += ["", f"**{method}**", ""]
        lines.append("| train \\ test | " + " | ".join(sets) + " |")
        lines.append("|---" * (len(sets) + 1) + "|")
        cells = {(r.train, r.test): _cell(r) for r in rows.itertuples()}
        lines += [
            f"| {a} | " + " | ".join(cells.get((a, b), "–") for b in sets) + " |" for a in sets
        ]
    return "\n".join(lines[1:]) + "\n"


def _cell(row: object) -> str:
    mean, low, high = (100 * float(getattr(row, name)) for name in ("mean", "low", "high"))
    text = f"{mean:.1f}"
    if np.isfinite(low):
        text += f" [{low:.1f}, {high:.1f}]"
    return f"{text} ({row.classes} classes)"  # type: ignore[attr-defined]
