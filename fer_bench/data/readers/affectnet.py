"""AffectNet: the full set with its CSV lists, and the eight-class release."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from fer_bench.data.faces import DataInfo
from fer_bench.data.labels import code_word, expression_reader
from fer_bench.data.reader import (
    Listing,
    Reader,
    Reject,
    first_of,
    image_files,
    listing,
    relative,
    require,
    translated,
)
from fer_bench.data.tables import need_columns, read_table, with_meanings
from fer_bench.errors import DataError

CODES = {
    "0": "neutral",
    "1": "happiness",
    "2": "sadness",
    "3": "surprise",
    "4": "fear",
    "5": "disgust",
    "6": "anger",
    "7": "contempt",
}
NO_EXPRESSION = {"8": "none", "9": "uncertain", "10": "no face"}
NOT_ANNOTATED = -2.0
COLUMNS = [
    "subDirectory_filePath",
    "face_x",
    "face_y",
    "face_width",
    "face_height",
    "facial_landmarks",
    "expression",
    "valence",
    "arousal",
]
TERMS = "Non-commercial research only, by agreement with the authors; no redistribution."
CITATION = (
    "Mollahosseini, Hasani and Mahoor, AffectNet: a database for facial expression, valence, and "
    "arousal computing in the wild, IEEE Transactions on Affective Computing, 2019."
)


class AffectNet(Reader):
    """About 290,000 faces from the web with expression and valence-arousal; no subjects.

    The official validation part is everybody's test part: carve a development part from train
    (`make_folds(data, official=True)` does).
    """

    folder = "affectnet"
    info = DataInfo(
        name="affectnet",
        title="AffectNet",
        terms=TERMS,
        citation=CITATION,
        valence_arousal=True,
        protocol="official training part; the validation part is the test part",
        expected={"train": 287651, "validation": 4000},
    )

    def read(
        self, root: Path, *, crop: bool = True, labels: Mapping[str, str] | None = None
    ) -> Listing:
        """List the manually annotated images.

        Rows of the codes 8 to 10 (none, uncertain, no face) carry no expression and are left out;
        a note says how many.

        Args:
            crop: use the annotated face boxes.
            labels: own codes -> expressions, where they are not the official 0 to 7.
        """
        own = {code_word(label) for label in labels or ()}
        lists = require(root / "Manually_Annotated_file_lists", "training.csv and validation.csv")
        images = first_of(
            root,
            "Manually_Annotated_Images",
            "Manually_Annotated/Manually_Annotated_Images",
            needs="the folder Manually_Annotated_Images",
        )
        tables = []
        for file, split in (("training.csv", "train"), ("validation.csv", "validation")):
            if (lists / file).is_file():
                tables.append(_csv(lists / file).assign(split=split))
        if not tables:
            raise DataError(f"{lists} holds neither training.csv nor validation.csv.")
        table = pd.concat(tables, ignore_index=True)
        words = table["expression"].map(code_word)
        outside = (words.isin(list(NO_EXPRESSION)) & ~words.isin(own)).to_numpy()
        expressions, wrong = translated(words.mask(outside), expression_reader(labels, CODES))
        empty = expressions.isna().to_numpy() & ~outside
        for row in np.flatnonzero(empty):
            wrong.setdefault(int(row), "there is no expression")
        known = expressions.notna().to_numpy()
        paths = relative(images, root) + "/" + table["subDirectory_filePath"]
        rejects = [Reject(paths[i], table["where"][i], why) for i, why in sorted(wrong.items())]
        rows = pd.DataFrame(
            {
                "path": paths,
                "expression": expressions,
                "valence": _annotated(table["valence"]),
                "arousal": _annotated(table["arousal"]),
                "split": table["split"],
            }
        )
        box = table[["face_x", "face_y", "face_width", "face_height"]]
        boxes = box.apply(pd.to_numeric, errors="coerce").to_numpy(np.float64)
        notes = {
            "rows without an expression (none, uncertain, no face)": outside.sum(),
            "faces without a box, used uncropped": crop * np.isnan(boxes[known]).all(axis=1).sum(),
        }
        return Listing(
            rows[known].reset_index(drop=True),
            where=table["where"][known].tolist(),
            rejects=rejects,
            boxes=boxes[known] if crop else None,
            notes=tuple(f"{count:,} {what}" for what, count in notes.items() if count),
        )


def _csv(file: Path) -> pd.DataFrame:
    """One list as text; some copies lack the header."""
    table, lines = read_table(file, names=COLUMNS)
    table = with_meanings(table, file, dict.fromkeys(COLUMNS, ()))
    need_columns(table, file, *COLUMNS)
    table["where"] = [f"{file.name} line {line}" for line in lines]
    return table


def _annotated(column: pd.Series) -> pd.Series:
    values = pd.to_numeric(column, errors="coerce")
    return values.mask(values == NOT_ANNOTATED)


class AffectNet8(Reader):
    """The eight-class release: one small array file for every label of every image."""

    folder = "affectnet8"
    info = DataInfo(
        name="affectnet-8",
        title="AffectNet-8",
        terms=TERMS,
        citation=CITATION,
        valence_arousal=True,
        protocol="official train part; the validation part is the test part",
        expected={"train": 287651, "validation": 3999},
    )

    def read(self, root: Path, *, labels: Mapping[str, str] | None = None) -> Listing:
        """List the images of `{train_set,val_set}/images`.

        Args:
            labels: own codes -> expressions, where they are not the official 0 to 7.
        """
        expression_of = expression_reader(labels, CODES)
        rows: list[dict[str, Any]] = []
        rejects: list[Reject] = []
        for folder, split in (("train_set", "train"), ("val_set", "validation")):
            if not (root / folder).is_dir():
                continue
            notes = require(root / folder / "annotations", "<n>_exp.npy, <n>_val.npy, <n>_aro.npy")
            for file in image_files(require(root / folder / "images", "<n>.jpg")):
                path = relative(file, root)
                try:
                    words = [_word(notes / f"{file.stem}_{k}.npy") for k in ("exp", "val", "aro")]
                    valence, arousal = float(words[1]), float(words[2])
                except (OSError, ValueError) as error:
                    rejects.append(Reject(path, path, f"its labels cannot be read ({error})"))
                    continue
                try:
                    expression = expression_of(words[0])
                except DataError as error:
                    rejects.append(Reject(path, f"{file.stem}_exp.npy", str(error)))
                    continue
                rows.append(
                    {
                        "path": path,
                        "expression": expression,
                        "valence": np.nan if valence == NOT_ANNOTATED else valence,
                        "arousal": np.nan if arousal == NOT_ANNOTATED else arousal,
                        "split": split,
                    }
                )
        if not rows and not rejects:
            raise DataError(
                f"{root} holds neither train_set/images nor val_set/images: class folders are "
                "read by the data set 'folder' with labels={'0': 'neutral', ...}."
            )
        return listing(rows, rejects=rejects)


def _word(file: Path) -> str:
    """The single text or number of an array file, whatever its shape."""
    if not file.is_file():
        raise ValueError(f"there is no {file.name}")
    try:
        values = np.load(file, allow_pickle=False)
    except ValueError as error:
        raise ValueError(f"{file.name}: {error}: save it as a number or text") from error
    if values.size != 1:
        raise ValueError(f"{file.name} holds {values.size} values instead of one")
    word = values.reshape(())[()]
    return word.decode() if isinstance(word, bytes) else str(word)


full = AffectNet()
release = AffectNet8()
