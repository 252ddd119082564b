"""Train on A, test on B without adaptation: a matrix over result folders, from their checkpoints.

Nothing is trained. Every finished run of a folder embeds and predicts the faces of the other
folders, which it has never seen, and the `transfer` metric scores them on the classes that both
data sets have.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from fer_bench import statistics
from fer_bench.data.duplicates import copies_between
from fer_bench.data.progress import quietly
from fer_bench.errors import RunError
from fer_bench.experiment import DataSpec
from fer_bench.runs.store import RunRecord, RunStore, faces_of_part
from fer_bench.sweep.plan import load_faces
from fer_bench.sweep.progress import Progress
from fer_bench.sweep.worker import load_session, score_record

MEASURES = ("accuracy", "balanced_accuracy", "macro_f1")


def transfer_matrix(
    roots: Sequence[str | Path], *, measure: str = "accuracy", quiet: bool = False
) -> pd.DataFrame:
    """Test the runs of every result folder on the faces of every other one.

    What was embedded already (part "test:<data set>" of a run) is kept while those faces are the
    same, so that a killed call goes on where it was, and the reports of the folders show the new
    numbers too. A set is called by its reader, or, where several folders share one, by reader and
    result folder ("folder-web").

    Args:
        roots: result folders of two or more data sets.
        measure: "accuracy", "balanced_accuracy" or "macro_f1".
        quiet: no progress.

    Returns:
        One row a (method, train set, test set): "method", "train", "test", "mean", "low",
        "high" (95 %, over subjects, seeds and folds), "runs", "faces", "classes" (those that
        both sets have) and "copies" (pictures of the test set that are also in the train set).
        Where train and test are one set, the runs' own test people.

    Raises:
        RunError: a folder has no finished run, holds several data sets, or two folders one.
    """
    if measure not in MEASURES:
        raise RunError(f"there is no measure {measure!r}: choose one of {', '.join(MEASURES)}.")
    folders = _named([RunStore(root) for root in roots])
    records = [(name, r) for name, s in folders.items() for r in _concerned(s)]
    lines = []
    with quietly(quiet), Progress(len(records), quiet=quiet) as progress:
        for home, record in records:
            others = {n: store for n, store in folders.items() if n != home}
            copies = _embed_others(record, others)
            lines += _lines(RunRecord(record.folder), home, list(folders), measure, copies)
            progress.finished(record.spec, "done", "embedded")
    return _means(pd.DataFrame(lines))


def _named(stores: Sequence[RunStore]) -> dict[str, RunStore]:
    """Result folders by the name of their data set."""
    if len(stores) < 2:
        raise RunError("transfer needs the results of at least two data sets, one folder each.")
    specs = [_data_of(store) for store in stores]
    readers = [data.name for data, _ in specs]
    out: dict[str, RunStore] = {}
    faces: dict[str, RunStore] = {}
    for store, (data, fingerprint) in zip(stores, specs, strict=True):
        if fingerprint in faces:
            raise RunError(
                f"{str(store.root)!r} and {str(faces[fingerprint].root)!r} are of the same faces "
                f"({data.name}): transfer needs at least two data sets, one folder each."
            )
        name = data.name
        if readers.count(name) > 1:
            name += "-" + re.sub(r"[^A-Za-z0-9_.-]+", "_", store.root.resolve().name)
        if name in out:
            raise RunError(
                f"{str(store.root)!r} and {str(out[name].root)!r} would both be called {name!r}: "
                "rename one of the folders."
            )
        faces[fingerprint] = out[name] = store
    return out


def _data_of(store: RunStore) -> tuple[DataSpec, str]:
    """The data set of a result folder and its fingerprint, as its newest run has it."""
    records = _concerned(store) or store.records()
    names = sorted({record.spec.data.name for record in records})
    if not names:
        raise RunError(f"there is no finished run in {str(store.root)!r}: is it a result folder?")
    if len(names) > 1:
        raise RunError(f"{str(store.root)!r} holds runs of several data sets: {names}.")
    newest = records[-1].spec
    return newest.data, newest.fingerprint


def _concerned(store: RunStore) -> list[RunRecord]:
    """The newest run of each row, seed and fold, the oldest of them first.

    Oracles are left out: they are shown the labels, so testing them elsewhere says nothing.
    """
    able = [r for r in store.records() if r.environment["method"]["role"] != "oracle"]
    able.sort(key=lambda r: (r.folder / "done.json").stat().st_mtime)
    return list({(r.spec.label, r.spec.place): r for r in able}.values())


def _embed_others(record: RunRecord, others: dict[str, RunStore]) -> dict[str, int]:
    """Add the parts "test:<data set>" that a run lacks or that are of other faces; score them.

    Returns:
        By data set, how many of its pictures are also in the run's own.
    """
    parts = record.folder / "parts"
    faces = {n: load_faces(_as_seen_by(record, _data_of(s)[0])) for n, s in others.items()}
    todo = {
        name: data
        for name, data in faces.items()
        if faces_of_part(parts, f"test:{name}") != data.fingerprint
    }
    if todo:
        session = load_session(record)
        for name, data in todo.items():
            part = session.extract(np.arange(len(data)), name=f"test:{name}", data=data)
            record.add_part(part, faces=data.fingerprint)
    scored = record.outcomes().get("transfer")
    known = {key.partition(".")[0] for key in scored.scores} if scored else set()
    if todo or not set(others) <= known:
        score_record(RunRecord(record.folder), metrics=("transfer",), again=True)
    own = load_faces(record.spec.data)
    return {
        name: sum(len(rows) for _, rows in copies_between(own, data))
        for name, data in faces.items()
    }


def _as_seen_by(record: RunRecord, data: DataSpec) -> DataSpec:
    """Another data set at the size and colour that a method was trained for."""
    own = record.spec.data
    return data.model_copy(update={"size": own.size, "color": own.color})


def _lines(
    record: RunRecord, home: str, names: Sequence[str], measure: str, copies: dict[str, int]
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
                "copies": copies.get(name, 0),
            }
        )
    return out


def _means(frame: pd.DataFrame) -> pd.DataFrame:
    means = statistics.summarise(frame)
    facts = ["faces", "classes", "copies"]
    about = frame.groupby(["method", "metric"])[facts].max().reset_index()
    means = means.merge(about, on=["method", "metric"])
    means[["low", "high"]] = means[["low", "high"]].clip(0, 1)  # few runs: t leaves the range
    means[["train", "test"]] = means["metric"].str.split("\x1f", expand=True)
    columns = ["method", "train", "test", "mean", "low", "high", "runs", *facts]
    return means[columns]


def to_text(matrix: pd.DataFrame) -> str:
    """The matrix as Markdown tables, one a method: rows train, columns test, in percent."""
    lines: list[str] = []
    sets = sets_of(matrix)
    for method, rows in matrix.groupby("method", sort=False):
        lines += ["", f"**{method}**", ""]
        lines.append("| train \\ test | " + " | ".join(sets) + " |")
        lines.append("|---" * (len(sets) + 1) + "|")
        cells = {(r.train, r.test): _cell(r) for r in rows.itertuples()}
        lines += [
            f"| {a} | " + " | ".join(cells.get((a, b), "–") for b in sets) + " |" for a in sets
        ]
    lines += [f"\n{sentence}" for sentence in copies_said(matrix)]
    return "\n".join(lines[1:]) + "\n"


def sets_of(matrix: pd.DataFrame) -> list[str]:
    """The data sets of a matrix, in the order of the folders."""
    return list(dict.fromkeys([*matrix["train"], *matrix["test"]]))


def copies_said(matrix: pd.DataFrame) -> list[str]:
    """A sentence for every pair of sets that share pictures: those cells are no fair test."""
    shared = matrix[matrix["copies"] > 0].groupby(["train", "test"], sort=False)["copies"].max()
    return [
        f"Warning: {count} pictures of {test} are also in {train}: what was trained on {train} may "
        "have learned from them."
        for (train, test), count in shared.items()
    ]


def _cell(row: object) -> str:
    mean, low, high = (100 * float(getattr(row, name)) for name in ("mean", "low", "high"))
    text = f"{mean:.1f}"
    if np.isfinite(low):
        text += f" [{low:.1f}, {high:.1f}]"
    return f"{text} ({row.classes} classes)"  # type: ignore[attr-defined]
