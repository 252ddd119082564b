"""A table of images: CSV (any delimiter) or Parquet."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd

from fer_bench.data.faces import COLUMNS, DataInfo
from fer_bench.data.labels import canonical
from fer_bench.data.reader import Listing, Reader, Reject
from fer_bench.errors import DataError

ALIASES = {"file": "path", "label": "expression", "emotion": "expression"}
MISSING = frozenset({"", "nan", "NaN"})
MISSING_VALUE = MISSING | {"NA", "N/A", "NULL", "null"}  # a subject may well be called NA
NUMBER = re.compile(r"[+-]?(0|[1-9]\d*)?(\.\d*)?([eE][+-]?\d+)?")


class Manifest(Reader):
    """A file `manifest.csv` (or any CSV or Parquet) with a row an image."""

    info = DataInfo(
        name="manifest",
        title="Manifest",
        terms="The terms of your own images.",
        own=True,
        protocol="the column split, where there is one",
    )

    def read(
        self,
        root: Path,
        *,
        file: str = "manifest.csv",
        images: str = ".",
        labels: Mapping[str, str] | None = None,
    ) -> Listing:
        """List the images of a manifest.

        Args:
            file: the manifest, relative to the root (or the root is itself the file).
            images: folder that paths start from, relative to the root.
            labels: the manifest's own labels -> expressions.

        Raises:
            DataError: no such file, no header, or no column `path` (or `file`).
        """
        source = root if root.is_file() else root / file
        table, lines = read_table(source)
        table = table.rename(columns=ALIASES)
        if "path" not in table:
            raise DataError(
                f"{source}: the header has no column 'path' (it reads: "
                f"{', '.join(map(str, table.columns))}): the first line must name the columns."
            )
        where = [f"{source.name} line {line}" for line in lines]
        rejects: list[Reject] = []
        keep = np.ones(len(table), dtype=bool)
        paths = table["path"].tolist()

        def blame(row: int, reason: str) -> None:
            keep[row] = False
            rejects.append(Reject(str(paths[row]), where[row], reason))

        if "expression" in table:
            table["expression"], bad = _expressions(table["expression"], labels)
            for row, reason in bad.items():
                blame(row, reason)
        for column in ("valence", "arousal"):
            if column in table:
                table[column], wrong = _numbers(table[column])
                for row, word in wrong.items():
                    if keep[row]:
                        blame(row, f"{column} {word!r} is no number")
        for column in table.columns:
            if column not in COLUMNS:
                table[column] = _typed(table[column])
            elif column not in ("valence", "arousal", "expression"):
                table[column] = _text(table[column])
        if images != ".":
            table["path"] = images.rstrip("/") + "/" + table["path"]
        return Listing(
            table[keep].reset_index(drop=True),
            where=[w for w, good in zip(where, keep, strict=True) if good],
            rejects=rejects,
            info=_info_beside(source, self.info),
        )


def read_table(source: Path) -> tuple[pd.DataFrame, list[int]]:
    """Read a CSV or Parquet file as text, and the line each row starts on.

    Byte-order marks, CRLF, quotes with new lines, and the delimiters , ; tab | are understood.

    Raises:
        DataError: the file is missing, empty, not UTF-8, or a row is too long or too short.
    """
    if not source.is_file():
        raise DataError(f"there is no manifest {source}.")
    if source.suffix.lower() in (".parquet", ".pq"):
        try:
            table = pd.read_parquet(source)
        except (OSError, ValueError) as error:
            raise DataError(f"{source} cannot be read as Parquet: {error}.") from error
        return table, list(range(1, len(table) + 1))
    try:
        text = source.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(f"{source} is not UTF-8 (byte {error.start}): save it as UTF-8.") from error
    if not text.strip():
        raise DataError(f"{source} is empty.")
    head = text.splitlines()[0]
    delimiter = max(",;\t|", key=head.count)
    rows = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
    header = [name.strip() for name in next(rows)]
    values: list[list[str]] = []
    lines: list[int] = []
    start = rows.line_num + 1
    for row in rows:
        if row:  # blank lines are no rows
            if len(row) != len(header):
                raise DataError(
                    f"{source} line {start}: {len(row)} values for {len(header)} columns "
                    f"({', '.join(header)})."
                )
            values.append(row)
            lines.append(start)
        start = rows.line_num + 1
    return pd.DataFrame(values, columns=header, dtype="str"), lines


def _text(column: pd.Series, missing: frozenset[str] = MISSING) -> pd.Series:
    words = column.astype("str")
    return words.mask(words.str.strip().isin(missing))


def _expressions(
    column: pd.Series, labels: Mapping[str, str] | None
) -> tuple[pd.Series, dict[int, str]]:
    """Canonical names, and the reasons of rows that have none."""
    words = _text(column, MISSING_VALUE)
    known: dict[str, str] = {}
    wrong: dict[str, str] = {}
    for word in words.dropna().unique():
        try:
            known[word] = canonical((labels or {}).get(word.strip(), word))
        except DataError as error:
            wrong[word] = str(error)
    bad = {int(row): wrong[words[row]] for row in np.flatnonzero(words.isin(list(wrong)))}
    return words.map(known), bad


def _numbers(column: pd.Series) -> tuple[pd.Series, dict[int, str]]:
    """Floats, and the words of rows that are none."""
    words = _text(column, MISSING_VALUE)
    values = pd.to_numeric(words, errors="coerce")
    bad = np.flatnonzero(words.notna() & values.isna())
    return values.astype("float64"), {int(row): words[row] for row in bad}


def _typed(column: pd.Series) -> pd.Series:
    """Numbers where every word is one as people write numbers ("007" is a name), else text."""
    if pd.api.types.is_numeric_dtype(column) or pd.api.types.is_bool_dtype(column):
        return column
    words = _text(column, MISSING_VALUE)
    present = words.dropna()
    if len(present) and present.map(lambda w: bool(NUMBER.fullmatch(w.strip()))).all():
        return pd.to_numeric(words, errors="coerce").astype("float64")
    return words


def _info_beside(source: Path, info: DataInfo) -> DataInfo | None:
    """Facts from `info.json` beside the manifest (as `fer-bench data prepare` writes them)."""
    file = source.with_name("info.json")
    if not file.is_file():
        return None
    try:
        return DataInfo.from_json(
            {**info.to_json(), "own": False, **json.loads(file.read_text("utf-8"))}
        )
    except (ValueError, TypeError) as error:
        raise DataError(f"{file} does not describe a data set: {error}.") from error


reader = Manifest()
