"""Decisions about single faces, taken while looking through an audit, and followed by readers.

A decisions file is a CSV with one row per face::

    path,decision,expression
    train/00017.jpg,drop,
    train/00018.jpg,relabel,fear
    train/00019.jpg,keep,
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from fer_bench.data.faces import FaceData
from fer_bench.data.labels import canonical
from fer_bench.errors import DataError, did_you_mean

DECISIONS = ("keep", "drop", "relabel")


@dataclass(frozen=True)
class Decision:
    """What to do with the face of one path."""

    path: str
    decision: str
    expression: str | None = None


def read(file: str | Path) -> dict[str, Decision]:
    """Read a decisions file; the last row about a path counts.

    Raises:
        DataError: a column is missing, or a row cannot be understood.
    """
    file = Path(file)
    try:
        table = pd.read_csv(file, dtype=str, keep_default_na=False, encoding="utf-8-sig")
    except (OSError, ValueError) as error:
        raise DataError(f"the decisions file {file} cannot be read: {error}.") from error
    for column in ("path", "decision"):
        if column not in table:
            raise DataError(f"{file}: there is no column {column!r}.")
    decisions: dict[str, Decision] = {}
    for i, row in enumerate(table.to_dict("records")):
        where, decision = f"{file} row {i + 1}", row["decision"].strip().lower()
        if not decision:
            continue
        if decision not in DECISIONS:
            raise DataError(
                f"{where}: unknown decision {decision!r}: {did_you_mean(decision, DECISIONS)}"
            )
        expression = None
        if decision == "relabel":
            try:
                expression = canonical(row.get("expression", ""))
            except DataError as error:
                raise DataError(f"{where}: {error}") from error
        decisions[row["path"]] = Decision(row["path"], decision, expression)
    return decisions


def apply(data: FaceData, file: str | Path) -> FaceData:
    """Return the faces with a decisions file followed, and a note that says what it did.

    Raises:
        DataError: a path of the file is not among the faces, or the file is not understood.
    """
    decisions = read(file)
    row_of = {key: row for row, key in enumerate(data.keys)}
    drop = np.zeros(len(data), dtype=bool)
    relabelled: dict[int, str] = {}
    for path, decision in decisions.items():
        if path not in row_of:
            raise DataError(f"{file}: {path!r} is not among the faces of {data.info.name}.")
        if decision.decision == "drop":
            drop[row_of[path]] = True
        elif decision.expression is not None:
            relabelled[row_of[path]] = decision.expression
    table = data.table.copy()
    for row, expression in relabelled.items():
        table.loc[row, "expression"] = expression
    note = f"decisions of {Path(file).name}: {drop.sum()} dropped, {len(relabelled)} relabelled"
    return data.with_table(table, info=data.info.with_notes(note)).select_rows(~drop)
