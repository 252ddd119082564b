"""AffectNet: the full set with its CSV lists, and the eight-class release."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from fer_bench.data.faces import DataInfo
from fer_bench.data.reader import (
    Listing,
    Reader,
    Reject,
    first_of,
    image_files,
    listing,
    relative,
    require,
)
from fer_bench.errors import DataError

CODES = {
    0: "neutral",
    1: "happiness",
    2: "sadness",
    3: "surprise",
    4: "fear",
    5: "disgust",
    6: "anger",
    7: "contempt",
}
NO_EXPRESSION = {8: "none", 9: "uncertain", 10: "no face"}
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

    def read(self, root: Path, *, crop: bool = True) -> Listing:
        """List the manually annotated images.

        Rows of the codes 8 to 10 (none, uncertain, no face) carry no expression and are left out;
        a note says how many.

        Args:
            crop: use the annotated face boxes.
        """
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
        code = pd.to_numeric(table["expression"], errors="coerce")
        outside = code.isin(list(NO_EXPRESSION)).to_numpy()
        known = code.isin(list(CODES)).to_numpy()
        paths = relative(images, root) + "/" + table["subDirectory_filePath"]
        rejects = [
            Reject(paths[i], table["where"][i], f"unknown code {table['expression'][i]!r}")
            for i in np.flatnonzero(~known & ~outside)
        ]
        found = pd.DataFrame(
            {
                "path": paths,
                "expression": code.map(CODES),
                "valence": _annotated(table["valence"]),
                "arousal": _annotated(table["arousal"]),
                "split": table["split"],
            }
        )
        box = table[["face_x", "face_y", "face_width", "face_height"]]
        boxes = box.apply(pd.to_numeric, errors="coerce").to_numpy(np.float64)
        return Listing(
            found[known].reset_index(drop=True),
            where=table["where"][known].tolist(),
            rejects=rejects,
            boxes=boxes[known] if crop else None,
            notes=(f"{outside.sum():,} rows without an expression (none, uncertain, no face)",)
            if outside.any()
            else (),
        )


def _csv(file: Path) -> pd.DataFrame:
    """One list as text; some copies lack the header."""
    head = file.open(encoding="utf-8-sig").readline()
    has_header = head.split(",")[0].strip() == COLUMNS[0]
    try:
        table = pd.read_csv(
            file, dtype=str, encoding="utf-8-sig", names=None if has_header else COLUMNS
        )
    except ValueError as error:
        raise DataError(f"{file} cannot be read: {error}.") from error
    table.columns = [str(c).strip() for c in table.columns]
    missing = [column for column in COLUMNS if column not in table]
    if missing:
        raise DataError(f"{file}: there is no column {missing[0]!r}.")
    first = 2 if has_header else 1
    table["where"] = [f"{file.name} line {i + first}" for i in range(len(table))]
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

    def read(self, root: Path) -> Listing:
        """List the images of `{train_set,val_set}/images`."""
        rows: list[dict[str, Any]] = []
        rejects: list[Reject] = []
        for folder, split in (("train_set", "train"), ("val_set", "validation")):
            if not (root / folder).is_dir():
                continue
            labels = require(root / folder / "annotations", "<n>_exp.npy, <n>_val.npy, <n>_aro.npy")
            for file in image_files(require(root / folder / "images", "<n>.jpg")):
                path = relative(file, root)
                try:
                    words = [_word(labels / f"{file.stem}_{k}.npy") for k in ("exp", "val", "aro")]
                    code, valence, arousal = int(float(words[0])), float(words[1]), float(words[2])
                except (OSError, ValueError) as error:
                    rejects.append(Reject(path, path, f"its labels cannot be read ({error})"))
                    continue
                if code not in CODES:
                    rejects.append(Reject(path, f"{file.stem}_exp.npy", f"unknown code {code}"))
                    continue
                rows.append(
                    {
                        "path": path,
                        "expression": CODES[code],
                        "valence": np.nan if valence == NOT_ANNOTATED else valence,
                        "arousal": np.nan if arousal == NOT_ANNOTATED else arousal,
                        "split": split,
                    }
                )
        if not rows and not rejects:
            raise DataError(f"{root} holds neither train_set/images nor val_set/images.")
        return listing(rows, rejects=rejects)


def _word(file: Path) -> str:
    return str(np.load(file, allow_pickle=False))


full = AffectNet()
release = AffectNet8()
