"""A table of images: CSV (any delimiter) or Parquet."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd

from fer_bench.data.faces import COLUMNS, DataInfo
from fer_bench.data.labels import expression_reader
from fer_bench.data.reader import MISSING, MISSING_VALUE, Listing, Reader, Reject, translated
from fer_bench.data.tables import need_columns, read_table, with_meanings
from fer_bench.errors import DataError

MEANINGS = {
    **dict.fromkeys(COLUMNS, ()),
    "path": ("file", "filename", "filepath", "image", "image path", "image file", "img"),
    "expression": ("label", "emotion"),
}
"""Names that columns go by; case, spaces, hyphens and underscores do not matter."""
NUMBER = re.compile(r"[+-]?(0|[1-9]\d*)?(\.\d*)?([eE][+-]?\d+)?")


class Manifest(Reader):
    """A file `manifest.csv` (or any CSV or Parquet) with a row per image."""

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
            DataError: no such file, no header, no column `path` (or another of `MEANINGS`), or
                two columns of one meaning.
        """
        source = root if root.is_file() else root / file
        if not source.is_file():
            raise DataError(f"there is no manifest {source}.")
        table, lines = read_table(source)
        table = with_meanings(table, source, MEANINGS)
        need_columns(table, source, "path")
        if table["path"].map(lambda cell: isinstance(cell, (bytes, Mapping))).any():
            raise DataError(
                f"{source}: the column of paths holds pictures: save them as files and name those, "
                "or read a saved dataset with the data set 'huggingface'."
            )
        where = [f"{source.name} line {line}" for line in lines]
        rejects: list[Reject] = []
        keep = np.ones(len(table), dtype=bool)
        paths = table["path"].tolist()

        def blame(row: int, reason: str) -> None:
            keep[row] = False
            rejects.append(Reject(str(paths[row]), where[row], reason))

        if "expression" in table:
            table["expression"], bad = translated(table["expression"], expression_reader(labels))
            for row, reason in bad.items():
                blame(row, reason)
        for column in ("valence", "arousal"):
            if column in table:
                table[column], wrong = _numbers(table[column])
                for row, word in wrong.items():
                    if keep[row]:
                        blame(row, f"{column} {word!r} is no number: write it like 0.5")
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


def _text(column: pd.Series, missing: frozenset[str] = MISSING) -> pd.Series:
    words = column.astype("str")
    return words.mask(words.str.strip().isin(missing))


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
