"""Rows of several files brought together by their ids, never by their position by luck."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fer_bench.cautions import Caution
from fer_bench.errors import DataError
from fer_bench.evaluation import contradictions
from fer_bench.evaluation.classes import (
    Names,
    class_order,
    expression_names,
    in_order,
    logits_of_predictions,
)
from fer_bench.evaluation.meanings import ARRAYS, COLUMNS, Contents
from fer_bench.labels import label_codes

Rows = NDArray[np.int64]
_TEXT = ("subject", "split", "sequence")
_OF_A_MODEL = ("prediction", "valence_prediction", "arousal_prediction")


@dataclass
class Model:
    """One model's arrays, row for row of the table.

    Attributes:
        name: shown in tables; files of one name are seeds of one model.
        seed: which of them it is.
        arrays: "E", "I", "logits", "valence_arousal": [n, d] float32.
        cautions: what a reader of its numbers must know.
        file: where it came from.
    """

    name: str
    seed: int
    arrays: dict[str, NDArray[np.float32]]
    cautions: list[Caution] = field(default_factory=list)
    file: Path = Path()


@dataclass
class Gathered:
    """What was read, matched and checked.

    Attributes:
        table: one row per image: `path` (its id), `expression`, `subject`, `split`, `sequence`,
            `frame`, `valence`, `arousal`, attributes.
        classes: expression names in the order of the logits.
        models: with their arrays in the order of the table.
        faces: uint8 [n, h, w, c], or None.
        said: what was understood and left out, in words, for the terminal.
        cautions: for every model.
    """

    table: pd.DataFrame
    classes: Names
    models: tuple[Model, ...]
    faces: NDArray[np.uint8] | None
    said: list[str]
    cautions: list[Caution] = field(default_factory=list)

    def select(self, rows: Rows) -> Gathered:
        """The same with some rows only."""
        models = tuple(
            Model(m.name, m.seed, {k: a[rows] for k, a in m.arrays.items()}, m.cautions, m.file)
            for m in self.models
        )
        faces = None if self.faces is None else self.faces[rows]
        table = self.table.iloc[rows].reset_index(drop=True)
        return Gathered(table, self.classes, models, faces, self.said, self.cautions)


def gather(
    files: Sequence[tuple[str, Contents]],
    labels: Contents | None = None,
    *,
    classes: Names | None = None,
    by_position: bool = False,
) -> Gathered:
    """Bring the files of one or several models and their labels together.

    Args:
        files: (name of the model, what its file holds), one or more.
        labels: one table for all; without it the first file's own columns.
        classes: expression names in the order of codes and class scores.
        by_position: rows without ids are those of the labels, in their order.

    Raises:
        DataError: rows cannot be matched, ids are twice there, or the files contradict each other.
    """
    base = labels if labels is not None else files[0][1]
    ids = _ids(base)
    said = [f"{base.file.name}: {len(base)} rows; " + "; ".join(base.said)]
    positions: list[Rows] = []
    for _, contents in files:
        if contents is not base:
            said.append(f"{contents.file.name}: {len(contents)} rows; " + "; ".join(contents.said))
        positions.append(_positions(contents, base, ids, by_position, said))
    kept = _common(positions, base, said)
    own = [c for _, c in files if c.classes]
    order = classes or (own[0].classes if own else None)
    table = _table(base, files, positions, order)
    _agree(table, files, positions, order)
    class_names = class_order(table["expression"], order)
    for _, contents in files:
        class_names = (*class_names, *(c for c in contents.classes or () if c not in class_names))
    numbered: dict[str, int] = {}
    models = []
    for (name, contents), rows in zip(files, positions, strict=True):
        seed = numbered.setdefault(name, 0)
        numbered[name] += 1
        models.append(_model(name, seed, contents, rows, kept, table, class_names, classes, said))
    faces = next(
        (
            c.faces[_inverse(p, len(base))[kept]]
            for (_, c), p in zip(files, positions, strict=True)
            if c.faces is not None
        ),
        None,
    )
    if labels is not None and labels.faces is not None:
        faces = labels.faces[kept]
    selected = table.iloc[kept].reset_index(drop=True)
    gathered = Gathered(selected, class_names, tuple(models), faces, said)
    _require_labels(gathered, base.file)
    return gathered


def _ids(contents: Contents) -> NDArray[Any] | None:
    """Ids as text, each once; None where the file has none."""
    if "id" not in contents.columns:
        return None
    column = contents.columns["id"]
    missing = np.flatnonzero(column.isna())
    if len(missing):
        raise DataError(f"{contents.file}: row {missing[0] + 1} has no id.")
    if pd.api.types.is_float_dtype(column) and (column == column.round()).all():
        column = column.astype(np.int64)
    ids = column.astype(str).to_numpy(dtype=object)
    twice = np.flatnonzero(pd.Series(ids).duplicated(keep=False))
    if len(twice):
        where = [int(i) + 1 for i in twice if ids[i] == ids[twice[0]]]
        raise DataError(
            f"{contents.file}: the id {ids[twice[0]]!r} is there {len(where)} times (rows "
            f"{', '.join(map(str, where[:3]))}), {len(twice)} rows share an id: give every row an "
            "id of its own, or say --map id=COLUMN (if it names people: --map subject=COLUMN)."
        )
    return ids


def _positions(
    contents: Contents,
    base: Contents,
    base_ids: NDArray[Any] | None,
    by_position: bool,
    said: list[str],
) -> Rows:
    """[rows of the file] position of each row in the base; -1 where the base lacks it."""
    if contents is base:
        return np.arange(len(base))
    ids = _ids(contents)
    if ids is None or base_ids is None:
        lacking = contents.file if ids is None else base.file
        if not by_position:
            raise DataError(
                f"{lacking} names no rows (no column id, path or file): add ids, or say "
                "--by-position if its rows are in the same order."
            )
        if len(contents) != len(base):
            raise DataError(
                f"{contents.file} has {len(contents)} rows and {base.file} {len(base)}: they "
                "cannot be matched by position."
            )
        said.append(f"{contents.file.name}: matched by position with {base.file.name}")
        return np.arange(len(base))
    rows, rule = _match(ids, base_ids)
    unmatched = np.flatnonzero(rows < 0)
    if len(unmatched) == len(ids):
        raise DataError(
            f"no id of {contents.file} (such as {ids[0]!r}) is in {base.file} (such as "
            f"{base_ids[0]!r})."
        )
    text = f"{contents.file.name}: {len(ids) - len(unmatched)} of {len(ids)} rows matched by id"
    text += f" ({rule})" if rule else ""
    if len(unmatched):
        names = ", ".join(repr(str(ids[i])) for i in unmatched[:3])
        text += f"; {len(unmatched)} have no labels and are left out: {names}"
    said.append(text)
    return rows


_RULES: tuple[tuple[str, Callable[[str], str]], ...] = (
    ("", lambda name: name),
    ("with / for \\, without ./", lambda name: name.replace("\\", "/").removeprefix("./")),
    ("by file name without its folder", lambda name: PurePosixPath(name.replace("\\", "/")).name),
    (
        "by file name without folder and ending",
        lambda name: PurePosixPath(name.replace("\\", "/")).stem,
    ),
)


def _match(ids: NDArray[Any], base: NDArray[Any]) -> tuple[Rows, str]:
    """Positions in the base by the strictest rule that matches all, else the most, ids."""
    best, best_rule = np.full(len(ids), -1, dtype=np.int64), ""
    for rule, change in _RULES:
        theirs, ours = [change(str(i)) for i in ids], [change(str(i)) for i in base]
        if len(set(theirs)) < len(theirs) or len(set(ours)) < len(ours):
            break  # what is looser is ambiguous, too
        rows = pd.Index(ours).get_indexer(pd.Index(theirs)).astype(np.int64)
        if (rows >= 0).sum() > (best >= 0).sum():
            best, best_rule = rows, rule
        if (best >= 0).all():
            break
    return best, best_rule


def _inverse(positions: Rows, n: int) -> Rows:
    """[n] row of the file for every row of the base, -1 where the file lacks it."""
    out = np.full(n, -1, dtype=np.int64)
    known = np.flatnonzero(positions >= 0)
    out[positions[known]] = known
    return out


def _common(positions: Sequence[Rows], base: Contents, said: list[str]) -> Rows:
    """Rows of the base that every model has."""
    counts = np.zeros(len(base), dtype=np.int64)
    for rows in positions:
        counts[rows[rows >= 0]] += 1
    kept = np.flatnonzero(counts == len(positions))
    if not len(kept):
        raise DataError("the files have no row in common: give models of the same images.")
    partly = int(((counts > 0) & (counts < len(positions))).sum())
    if partly:
        said.append(f"{partly} rows are not in every file and are left out")
    unused = int((counts == 0).sum())
    if unused:
        said.append(f"{unused} of {len(base)} rows of {base.file.name} have no embedding")
    return kept


def _table(
    base: Contents,
    files: Sequence[tuple[str, Contents]],
    positions: Sequence[Rows],
    order: Names | None,
) -> pd.DataFrame:
    """The labels of every row of the base; columns that it lacks come from the models' files."""
    ids = _ids(base)
    names = np.array([f"row {i}" for i in range(len(base))], dtype=object) if ids is None else ids
    columns: dict[str, Any] = {"path": names}
    sources = [
        (base, np.arange(len(base))),
        *((c, p) for (_, c), p in zip(files, positions, strict=True)),
    ]
    for contents, rows in sources:
        inverse = _inverse(rows, len(base))
        for name in contents.columns:
            if name in columns or name in ("id", *_OF_A_MODEL):
                continue
            column = contents.columns[name].reset_index(drop=True).reindex(inverse)
            columns[str(name)] = column.reset_index(drop=True)
    table = pd.DataFrame(columns)
    for name in ("expression", *_TEXT):
        if name not in table:
            table[name] = pd.Series(pd.NA, index=table.index, dtype="string")
    table["expression"] = expression_names(table["expression"], order, where=str(base.file))
    for name in _TEXT:
        table[name] = _as_names(table[name])
    for name in ("valence", "arousal"):
        values = table.get(name, pd.Series(np.nan, index=table.index))
        numbers = pd.to_numeric(values, errors="coerce").astype(np.float64)
        _refuse_range(base.file, name, numbers, table["path"])
        table[name] = numbers
    return table


def _as_names(column: pd.Series) -> pd.Series:
    """Text; whole numbers without ".0"; -1 and empty cells are missing."""
    if pd.api.types.is_numeric_dtype(column) and not pd.api.types.is_bool_dtype(column):
        known = column.where(column >= 0)
        numbers = known.dropna()
        if (numbers == numbers.round()).all():
            return known.astype("Int64").astype("string")
    text = column.astype("string").str.strip()
    return text.mask(text == "")


def _refuse_range(file: Path, name: str, values: pd.Series, ids: pd.Series) -> None:
    outside = np.flatnonzero(values.abs() > 1.0 + 1e-6)
    if len(outside):
        row = int(outside[0])
        raise DataError(
            f"{file}: {name} of {ids[row]!r} is {values[row]:g}: valence and arousal lie in "
            "[-1, 1]."
        )


def _agree(
    table: pd.DataFrame,
    files: Sequence[tuple[str, Contents]],
    positions: Sequence[Rows],
    order: Names | None,
) -> None:
    """A file's own labels must be those of the table."""
    for (_, contents), rows in zip(files, positions, strict=True):
        known = rows >= 0
        for name in ("expression", *_TEXT):
            if name not in contents.columns:
                continue
            own = contents.columns[name][known].reset_index(drop=True)
            given = table[name].iloc[rows[known]].reset_index(drop=True)
            names = (
                expression_names(own, order, where=str(contents.file))
                if name == "expression"
                else _as_names(own)
            )
            ids = table["path"].iloc[rows[known]].reset_index(drop=True)
            contradictions.refuse_other_labels(contents.file, name, names, given, ids)


def _model(
    name: str,
    seed: int,
    contents: Contents,
    rows: Rows,
    kept: Rows,
    table: pd.DataFrame,
    classes: Names,
    given: Names | None,
    said: list[str],
) -> Model:
    """One model's arrays in the order of the kept rows, checked against the labels."""
    inverse = _inverse(rows, len(table))[kept]
    model = Model(name, seed, {}, file=contents.file)
    for key in ("E", "I", "valence_arousal"):
        if key in contents.arrays:
            model.arrays[key] = contents.arrays[key][inverse]
    if {"valence_prediction", "arousal_prediction"} <= set(contents.columns):
        pair = contents.columns[["valence_prediction", "arousal_prediction"]]
        model.arrays["valence_arousal"] = pair.to_numpy(np.float32)[inverse]
    truth = table["expression"]
    logits = _logits(contents, truth, classes, given, said)
    predicted = _predicted(contents, truth, classes, given, said)
    if logits is not None and predicted is not None:
        contradictions.refuse_other_predictions(contents.file, logits.argmax(axis=1), predicted)
    if logits is None and predicted is not None:
        logits = logits_of_predictions(predicted, len(classes))
        model.cautions.append(Caution("hard-predictions"))
    if logits is not None:
        y, guessed = label_codes(truth, classes), logits.argmax(axis=1)
        in_file = np.flatnonzero(rows >= 0)
        in_table = in_file[np.argsort(rows[in_file])]
        # Either may be off by a row; in another order than its own that would not show.
        for place, order in (("", in_file), (", in the order of the labels", in_table)):
            cautions = contradictions.labels_against_predictions(
                f"{contents.file}{place}", guessed[order], y[rows[order]]
            )
        model.cautions += cautions
        model.arrays["logits"] = logits[inverse]
    if "E" not in model.arrays and "I" not in model.arrays:
        raise DataError(
            f"{contents.file} holds no embedding: an array [n, d] such as 'embedding', or say "
            "--map E=NAME."
        )
    ids = table["path"].iloc[kept].reset_index(drop=True)
    for key, values in model.arrays.items():
        contradictions.refuse_bad_rows(contents.file, key, values, ids)
    return model


def _logits(
    contents: Contents, truth: pd.Series, classes: Names, given: Names | None, said: list[str]
) -> NDArray[np.float32] | None:
    logits = contents.arrays.get("logits")
    if logits is None:
        return None
    own = contents.classes or given or _coded(truth, logits.shape[1])
    if own is None:
        said.append(
            f"{contents.file.name}: the class scores are left out: say in which order their "
            f"{logits.shape[1]} columns are with --classes "
            f"(known classes: {', '.join(classes) or 'none'})"
        )
        return None
    if len(own) != logits.shape[1]:
        raise DataError(
            f"{contents.file}: {logits.shape[1]} class scores a row, and {len(own)} classes "
            f"({', '.join(own)}): give --classes in the order of the columns."
        )
    return in_order(logits, own, (*classes, *(c for c in own if c not in classes)))


def _coded(truth: pd.Series, columns: int) -> Names | None:
    """The names of class scores where expressions are themselves codes."""
    present = truth.dropna().unique()
    if len(present) and all(str(name).isdigit() and int(name) < columns for name in present):
        return tuple(map(str, range(columns)))
    return None


def _predicted(
    contents: Contents, truth: pd.Series, classes: Names, given: Names | None, said: list[str]
) -> NDArray[np.int64] | None:
    """Codes [rows of the file] of the predicted classes, or None where they have no names."""
    if "prediction" not in contents.columns:
        return None
    values = contents.columns["prediction"]
    order = contents.classes or given
    if order is None and pd.api.types.is_numeric_dtype(values) and _coded(truth, 10_000) is None:
        said.append(
            f"{contents.file.name}: the predicted codes are left out: say what they mean with "
            "--classes"
        )
        return None
    names = expression_names(values, order, where=f"{contents.file}: prediction")
    codes = label_codes(names, classes)
    unknown = np.flatnonzero((codes < 0) & names.notna().to_numpy())
    if len(unknown):
        raise DataError(
            f"{contents.file}: the prediction {names[unknown[0]]!r} of row {unknown[0] + 1} is "
            f"none of the classes ({', '.join(classes)})."
        )
    return codes


def _require_labels(gathered: Gathered, file: Path) -> None:
    """Either expressions or people must be known."""
    table = gathered.table
    known = table["expression"].notna().any() or table["valence"].notna().any()
    if not known and table["subject"].isna().all() and table["sequence"].isna().all():
        there = ", ".join(map(str, table.columns.drop(["split"], errors="ignore")))
        raise DataError(
            f"{file} names neither expressions nor people (columns: {there}): give --labels "
            "TABLE, or say which column it is with --map expression=NAME."
        )


__all__ = ["ARRAYS", "COLUMNS", "Gathered", "Model", "gather"]
