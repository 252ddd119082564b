"""FER2013 (pixels in a CSV, JPGs in a zip, or class folders) and its better labels, FERPlus."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fer_bench.data.faces import DataInfo
from fer_bench.data.labels import expression_reader
from fer_bench.data.reader import Listing, Reader, Reject, first_of, one_of, require, translated
from fer_bench.data.readers.fer2013_archive import ARCHIVE, archived
from fer_bench.data.readers.folder import Folder
from fer_bench.data.tables import need_columns, read_table, with_meanings
from fer_bench.errors import DataError

SIDE = 48
CODES = {
    "0": "anger",
    "1": "disgust",
    "2": "fear",
    "3": "happiness",
    "4": "sadness",
    "5": "surprise",
    "6": "neutral",
}
VOTES = (
    "neutral",
    "happiness",
    "surprise",
    "sadness",
    "anger",
    "disgust",
    "fear",
    "contempt",
    "unknown",
    "NF",
)
TARGETS = ("majority", "distribution")
MEANINGS = {"emotion": ("expression", "label"), "pixels": (), "Usage": ("split",)}


class Fer2013(Reader):
    """35,887 gray faces of 48x48 from the web; labels are noisy, some images repeat over parts."""

    folder = "fer2013"
    info = DataInfo(
        name="fer2013",
        title="FER2013",
        terms="Released for a competition (ICML 2013 workshop); rights stay with the image owners.",
        citation="Goodfellow et al., Challenges in representation learning: a report on three "
        "machine learning contests, ICONIP 2013.",
        protocol="Training, PublicTest (validation) and PrivateTest (test)",
        expected={"train": 28709, "validation": 3589, "test": 3589},
    )

    def read(
        self,
        root: Path,
        *,
        labels: Mapping[str, str] | str | None = None,
        copies: str | None = None,
    ) -> Listing:
        """List `fer2013.csv`, else `icml_face_data.csv`, else `fer2013_jpg.zip` with its
        `manifest.csv`, else `train.csv` and `test.csv`, else the class folders `train/` and
        `test/`.

        Args:
            labels: own labels -> expressions, where they are not the official 0 to 6; with the
                zip, "original" (the default) or "ferplus", the most frequent of ten votes.
            copies: with the zip, "drop" (the default) leaves out faces whose copy stands in a
                later part of the official split, "keep" leaves all.
        """
        for name in ("fer2013.csv", "icml_face_data.csv"):
            if (root / name).is_file():
                return _pixel_rows([(root / name, None)], _own(root, labels, copies))
        if (root / ARCHIVE).is_file():
            if labels is not None and not isinstance(labels, str):
                raise DataError(f"labels is {labels!r}: {ARCHIVE} knows 'original' and 'ferplus'.")
            return archived(root, labels or "original", copies or "drop")
        labels = _own(root, labels, copies)
        parts: list[tuple[Path, str | None]] = [
            (root / f"{split}.csv", split) for split in ("train", "test")
        ]
        present = [part for part in parts if part[0].is_file()]
        if present:
            return _pixel_rows(present, labels)
        first_of(root, "train", "Training", needs="fer2013.csv, train.csv, or the folder train/")
        return Folder().read(root, labels=labels)


def _own(
    root: Path, labels: Mapping[str, str] | str | None, copies: str | None
) -> Mapping[str, str] | None:
    """Own meanings of labels; the options that only the zip has are refused."""
    if isinstance(labels, str) or copies is not None:
        given = "copies" if copies is not None else f"labels = {labels!r}"
        raise DataError(
            f"{root} has no {ARCHIVE} with copies and FER+ labels, which {given} needs; for "
            "fer2013new.csv take the data set 'ferplus'."
        )
    return labels


def _pixel_rows(files: list[tuple[Path, str | None]], labels: Mapping[str, str] | None) -> Listing:
    tables = []
    notes = []
    for file, split in files:
        table = pixel_csv(file)
        if "Usage" not in table and split is not None:
            table["Usage"] = split
        if "emotion" not in table and split == "test":  # of the competition, without answers
            table["emotion"] = None
            notes.append(f"the {len(table):,} faces of {file.name} have no label")
        need_columns(table, file, "emotion", "Usage")
        tables.append(table)
    table = pd.concat(tables, ignore_index=True)
    expressions, wrong = translated(table["emotion"], expression_reader(labels, CODES))
    rejects = [
        Reject(table["path"][row], table["where"][row], reason) for row, reason in wrong.items()
    ]
    keep = ~table.index.isin(list(wrong))
    good = table[keep].reset_index(drop=True)
    columns = {
        "path": good["path"],
        "expression": expressions[keep].tolist(),
        "split": good["Usage"],
    }
    return Listing(
        pd.DataFrame(columns),
        where=good["where"].tolist(),
        rejects=rejects,
        pixels=pixel_parser(good["pixels"]),
        sources=tuple(file for file, _ in files),
        notes=tuple(notes),
    )


def pixel_csv(file: Path) -> pd.DataFrame:
    """A CSV with a column of pixels, as text, with the columns path and where."""
    table, lines = read_table(file)
    table = with_meanings(table, file, MEANINGS)
    need_columns(table, file, "pixels")
    table["path"] = [f"{file.name}#{row}" for row in range(len(table))]
    table["where"] = [f"{file.name} line {line}" for line in lines]
    return table


def pixel_parser(pixels: pd.Series) -> Callable[[int], NDArray[np.uint8]]:
    """Row -> uint8 [48, 48] from its text of 2304 numbers."""
    texts = pixels.tolist()

    def parse(row: int) -> NDArray[np.uint8]:
        try:
            values = np.array(str(texts[row]).split(), dtype=np.int64)
        except ValueError as error:
            raise DataError(f"its pixels are no numbers ({error})") from error
        if len(values) != SIDE * SIDE:
            raise DataError(f"has {len(values)} pixels instead of {SIDE * SIDE}")
        if values.min() < 0 or values.max() > 255:
            raise DataError("has pixels outside 0 to 255")
        return values.astype(np.uint8).reshape(SIDE, SIDE)

    return parse


class FerPlus(Reader):
    """FER2013 labelled again by ten people an image; knows contempt and non-faces."""

    folder = "ferplus"
    info = DataInfo(
        name="ferplus",
        title="FERPlus",
        terms="Labels: MIT licence (Microsoft). Images: those of FER2013.",
        citation="Barsoum, Zhang, Canton Ferrer and Zhang, Training deep networks for facial "
        "expression recognition with crowd-sourced label distribution, ICMI 2016.",
        protocol="Training, PublicTest (validation) and PrivateTest (test)",
    )

    def read(self, root: Path, *, target: str = "majority") -> Listing:
        """Join `fer2013new.csv` to `fer2013.csv`, row by row.

        Single votes are dropped as slips of the hand. What most people call unknown or no face
        carries no expression and is left out. The shares of the votes are the columns `vote_*`.

        Args:
            target: "majority" keeps faces for which more than half of the votes agree;
                "distribution" keeps every face whose most frequent vote is one expression.
        """
        one_of("target", target, TARGETS)
        pixels, votes, places = _joined(root)
        counts = votes[list(VOTES)].apply(pd.to_numeric, errors="coerce").to_numpy(np.float64)
        broken = ~np.isfinite(counts).all(axis=1) | (counts < 0).any(axis=1)
        counts = np.where(counts > 1, counts, 0.0)
        total = np.maximum(counts.sum(axis=1), 1)
        winner, most = counts.argmax(axis=1), counts.max(axis=1)
        tied = (counts == most[:, None]).sum(axis=1) > 1
        named = (winner < VOTES.index("unknown")) & (most > 0) & ~tied
        agreed = named & ((most > total / 2) | (target == "distribution")) & ~broken
        table = pd.DataFrame(
            {
                "path": pixels["path"],
                "expression": [VOTES[w] for w in winner],
                "split": votes["Usage"],
                **{f"vote_{name}": counts[:, i] / total for i, name in enumerate(VOTES[:8])},
            }
        )
        keep = np.flatnonzero(agreed)
        left_out = int((~agreed & ~broken).sum())
        return Listing(
            table.iloc[keep].reset_index(drop=True),
            where=[places[i] for i in keep],
            rejects=[
                Reject(pixels["path"][i], places[i], "its votes are no counts")
                for i in np.flatnonzero(broken)
            ],
            pixels=pixel_parser(pixels["pixels"].iloc[keep]),
            sources=(root / "fer2013.csv",),
            notes=(f"{left_out:,} images without an agreed expression are left out",)
            if left_out
            else (),
        )


def _joined(root: Path) -> tuple[pd.DataFrame, pd.DataFrame, list[str]]:
    """Pixels, votes, and the place of each vote: two files that are joined row by row."""
    pixels = pixel_csv(require(root / "fer2013.csv", "the pixels of FER2013"))
    file = require(root / "fer2013new.csv", "the votes of FERPlus")
    votes, lines = read_table(file)
    votes = with_meanings(votes, file, dict.fromkeys(("Usage", *VOTES), ()))
    need_columns(votes, file, "Usage", *VOTES)
    need_columns(pixels, root / "fer2013.csv", "Usage")
    if len(votes) != len(pixels):
        raise DataError(
            f"{file} has {len(votes)} rows but fer2013.csv has {len(pixels)}: they are joined "
            "row by row and must match."
        )
    apart = np.flatnonzero(votes["Usage"].str.strip() != pixels["Usage"].str.strip())
    if len(apart):
        raise DataError(
            f"{file} line {lines[apart[0]]} says {votes['Usage'][apart[0]]!r} but fer2013.csv "
            f"says {pixels['Usage'][apart[0]]!r}: the rows are out of step."
        )
    return pixels, votes, [f"{file.name} line {line}" for line in lines]


fer2013 = Fer2013()
ferplus = FerPlus()
