"""FER2013 as JPGs in one zip, with a manifest that knows its copies and its FER+ labels."""

from __future__ import annotations

import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fer_bench.data.labels import PARTS, expression_reader, part_of_split
from fer_bench.data.reader import Listing, Reject, one_of, require, translated
from fer_bench.data.splits import COPIES
from fer_bench.data.tables import need_columns, read_table, with_meanings
from fer_bench.errors import DataError

ARCHIVE = "fer2013_jpg.zip"
MEANINGS = {"path": ("image", "file"), "expression": (), "split": (), COPIES: ()}
LABELS = {"original": "expression", "ferplus": "ferplus_label"}
UNDECIDED = ("", "tie", "unknown", "NF")
CHOICES = ("drop", "keep")


def archived(root: Path, labels: str, copies: str) -> Listing:
    """List the images of `fer2013_jpg.zip` by the `manifest.csv` beside it.

    Args:
        root: the folder of both.
        labels: "original", or "ferplus" for the most frequent of ten votes; faces without one
            (tied, unknown, no face) are left out.
        copies: "drop" leaves out a face whose (near-)copy stands in a later part of the official
            split (train, validation, test), so that nothing is tested that was learned; "keep"
            leaves all. Copies within a part stay and are never torn apart by folds.

    Raises:
        DataError: a file is missing or damaged, or an option is unknown.
    """
    one_of("labels", labels, tuple(LABELS))
    one_of("copies", copies, CHOICES)
    archive = require(root / ARCHIVE, "the images of FER2013")
    file = require(root / "manifest.csv", "the list of its images")
    table, lines = read_table(file)
    table = with_meanings(table, file, MEANINGS)
    need_columns(table, file, "path", "split", COPIES, LABELS[labels])
    where = np.array([f"{file.name} line {line}" for line in lines])
    inside = _names(archive)
    words = table[LABELS[labels]].str.strip()
    undecided = words.isin(UNDECIDED) if labels == "ferplus" else np.zeros(len(table), bool)
    expressions, wrong = translated(words.mask(undecided), expression_reader())
    for row in np.flatnonzero(~table["path"].isin(inside)):
        wrong.setdefault(int(row), f"is not in {archive.name}")
    groups, no_group = _groups(table[COPIES])
    wrong = {**no_group, **wrong}
    copied = _copied(table["split"], groups) if copies == "drop" else np.zeros(len(table), bool)
    undecided = np.asarray(undecided) & ~copied
    left_out = undecided | copied
    notes = {
        "with a copy in a later part": copied.sum(),
        "without an agreed expression": undecided.sum(),
    }
    keep = ~left_out & ~table.index.isin(list(wrong))
    chosen = table[keep].reset_index(drop=True)
    columns = {
        "path": chosen["path"],
        "expression": expressions[keep].tolist(),
        "split": chosen["split"],
        COPIES: groups[keep],
    }
    return Listing(
        pd.DataFrame(columns),
        where=where[keep].tolist(),
        rejects=[
            Reject(table["path"][row], where[row], why)
            for row, why in sorted(wrong.items())
            if not left_out[row]
        ],
        pixels=_reader(archive, chosen["path"].tolist()),
        sources=(archive,),
        notes=tuple(f"{n:,} faces {what} are left out" for what, n in notes.items() if n),
    )


def _names(archive: Path) -> set[str]:
    try:
        with zipfile.ZipFile(archive) as content:
            return set(content.namelist())
    except (zipfile.BadZipFile, OSError) as error:
        raise DataError(f"{archive} cannot be read ({error}): fetch it again.") from error


def _groups(column: pd.Series) -> tuple[NDArray[np.float64], dict[int, str]]:
    """[N] numbers of the groups of copies, and why a row has none."""
    values = pd.to_numeric(column, errors="coerce").to_numpy(np.float64)
    wrong = np.flatnonzero(~np.isfinite(values))
    return values, {int(row): f"{COPIES} {column[row]!r} is no number" for row in wrong}


def _copied(split: pd.Series, groups: NDArray[np.float64]) -> NDArray[np.bool_]:
    """[N] whether a copy stands in a later part; words that name no part are told elsewhere."""

    def order(word: str) -> int:
        try:
            return PARTS.index(part_of_split(word))
        except DataError:
            return -1

    part = split.map({word: order(word) for word in split.unique()})
    return (part < part.groupby(groups).transform("max")).to_numpy()


def _reader(archive: Path, paths: list[str]) -> Callable[[int], bytes]:
    """Row -> bytes of its JPG; the archive is opened once, and may be read by several threads."""
    content = zipfile.ZipFile(archive)
    return lambda row: content.read(paths[row])
