"""Faces: one uint8 array beside one table, and nothing else."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from fer_bench.data.labels import EXPRESSIONS, in_canonical_order, plain
from fer_bench.errors import DataError, did_you_mean
from fer_bench.labels import label_codes, read_label_table
from fer_bench.reading import as_array

NUMBER_COLUMNS = ("valence", "arousal")
COLUMNS = ("path", "expression", "subject", "valence", "arousal", "split", "sequence")


@dataclass(frozen=True)
class DataInfo:
    """What a reader of a report must know about a data set.

    Attributes:
        name, title: registered name, and the name in tables.
        terms: the licence or the terms of use, in one sentence.
        citation: whom to cite.
        subjects: "real" people, a "proxy" (the video stands for the person), "none" known, or
            "generated" ones.
        expressions, valence_arousal, attributes: which labels the set carries.
        publish_faces: whether its faces may be shown in a report.
        own: photographs of the user's own, under no publisher's terms.
        protocol: the standard split or protocol, in words.
        expected: published counts, such as {"images": 213, "subjects": 10}.
        notes: what came out while reading: images set aside, achieved dependence, ...
    """

    name: str
    title: str = ""
    terms: str = ""
    citation: str = ""
    subjects: Literal["real", "proxy", "none", "generated"] = "none"
    expressions: bool = True
    valence_arousal: bool = False
    attributes: tuple[str, ...] = ()
    publish_faces: bool = False
    own: bool = False
    protocol: str = ""
    expected: Mapping[str, int] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    def with_notes(self, *notes: str) -> DataInfo:
        """Return a copy that carries further notes (each at most once)."""
        return replace(self, notes=self.notes + tuple(n for n in notes if n not in self.notes))

    def to_json(self) -> dict[str, Any]:
        """Plain JSON types."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> DataInfo:
        """Inverse of `to_json`."""
        lists = {key: tuple(data[key]) for key in ("attributes", "notes") if key in data}
        return cls(**{**data, **lists})


class FaceData:
    """N faces with their labels.

    Args:
        images: uint8 [N, H, W, C], C 1 (gray) or 3 (RGB); usually a read-only memory map.
        table: one row per image, in the order of the images. Columns that are absent are added
            as missing; further columns are kept: text and booleans are categorical attributes,
            numbers are not, and `factor_*` are exact factors of generated faces.
        info: facts about the set.
        fingerprint: content hash, when it is already known.
        rejects: images that were set aside: columns path, where, reason.
        standard: the table is one that `standard_table` made, and is taken as it is.

    A missing label is NaN in the table and in `valence_arousal`, and -1 in the codes.

    >>> import numpy as np, pandas as pd
    >>> faces = FaceData(
    ...     np.zeros((3, 8, 8, 1), np.uint8),
    ...     pd.DataFrame({"expression": ["anger", "neutral", None], "subject": ["a", "b", "a"]}),
    ... )
    >>> faces.classes, faces.expression.tolist(), faces.subject.tolist()
    (('neutral', 'anger'), [1, 0, -1], [0, 1, 0])
    >>> faces.subset([2, 0]).gather([1]).shape
    (1, 8, 8, 1)
    """

    def __init__(
        self,
        images: NDArray[np.uint8],
        table: pd.DataFrame,
        *,
        info: DataInfo | None = None,
        fingerprint: str | None = None,
        rejects: pd.DataFrame | None = None,
        standard: bool = False,
    ) -> None:
        if type(images) not in (np.ndarray, np.memmap):
            images = as_array(images, "images")
        if not isinstance(table, pd.DataFrame):
            raise DataError(f"the table is one {type(table).__name__}: give a data frame.")
        if images.dtype != np.uint8 or images.ndim != 4 or images.shape[3] not in (1, 3):
            raise DataError(
                f"images must be uint8 [N, H, W, 1 or 3], not {images.dtype} {images.shape}."
            )
        if len(images) != len(table):
            raise DataError(
                f"{len(images)} images but {len(table)} table rows: give one row per image."
            )
        self._pixels = images
        self._rows: NDArray[np.int64] | None = None
        self.table = table if standard else standard_table(table)
        self.info = info or DataInfo("unnamed")
        self.rejects = rejects if rejects is not None else no_rejects()
        self.classes = in_canonical_order(self.table["expression"].dropna().unique())
        self.subjects = tuple(sorted(self.table["subject"].dropna().unique()))
        self._fingerprint = fingerprint
        self._parent: FaceData | None = None

    # ------------------------------------------------------------------ pixels

    def __len__(self) -> int:
        return len(self.table)

    @property
    def shape(self) -> tuple[int, int, int]:
        """(C, H, W) of one face."""
        _, height, width, channels = self._pixels.shape
        return channels, height, width

    @property
    def images(self) -> NDArray[np.uint8]:
        """[N, H, W, C]: the memory map itself, or a copy of the chosen rows of a subset."""
        return self._pixels if self._rows is None else self.gather(np.arange(len(self)))

    def gather(self, index: ArrayLike) -> NDArray[np.uint8]:
        """Copy the faces of some rows: uint8 [B, H, W, C], contiguous.

        Raises:
            IndexError: a row is out of range.
        """
        rows = np.asarray(index, dtype=np.int64)
        if self._rows is not None:
            rows = self._rows[rows]
        return np.take(self._pixels, rows, axis=0)

    # ------------------------------------------------------------------ labels

    @cached_property
    def expression(self) -> NDArray[np.int64]:
        """[N] codes into `classes`, -1 where missing."""
        return label_codes(self.table["expression"], self.classes)

    @cached_property
    def subject(self) -> NDArray[np.int64]:
        """[N] codes into `subjects`, -1 where missing."""
        return label_codes(self.table["subject"], self.subjects)

    @cached_property
    def valence_arousal(self) -> NDArray[np.float32]:
        """[N, 2] valence and arousal in [-1, 1], NaN where missing."""
        return self.table[["valence", "arousal"]].to_numpy(np.float32)

    @cached_property
    def attributes(self) -> tuple[str, ...]:
        """Names of the categorical attribute columns."""
        extra = [
            str(c) for c in self.table if c not in COLUMNS and not str(c).startswith("factor_")
        ]
        return tuple(c for c in extra if is_categorical(self.table[c]))

    @property
    def has_subjects(self) -> bool:
        """Whether any face has a known subject."""
        return bool((self.subject >= 0).any())

    @property
    def has_valence_arousal(self) -> bool:
        """Whether any face has both valence and arousal."""
        return bool(np.isfinite(self.valence_arousal).all(axis=1).any())

    @cached_property
    def keys(self) -> tuple[str, ...]:
        """[N] stable, unique names of the rows: the path (numbered where it occurs again)."""
        paths = self.table["path"]
        named = paths.where(paths.notna(), [f"row {i}" for i in range(len(paths))]).astype(str)
        if named.is_unique:
            return tuple(named)
        again = named.groupby(named).cumcount()
        return tuple(named.where(again == 0, named + " #" + (again + 1).astype(str)))

    @property
    def fingerprint(self) -> str:
        """Content hash of pixels and table: the same faces and labels anywhere give the same."""
        if self._fingerprint is None and self._parent is not None and self._rows is not None:
            chosen = hashlib.sha256(self._rows.tobytes()).hexdigest()
            self._fingerprint = combine_hashes(self._parent.fingerprint, chosen)
        elif self._fingerprint is None:
            self._fingerprint = combine_hashes(hash_pixels(self._pixels), hash_table(self.table))
        return self._fingerprint

    # ------------------------------------------------------------------ views

    def subset(self, index: ArrayLike) -> FaceData:
        """A view of some rows (int indices or a boolean mask); no image is copied.

        Label codes keep their meaning: `classes` and `subjects` are those of the whole set.
        """
        chosen = np.asarray(index)
        if chosen.dtype == bool:
            if len(chosen) != len(self):
                raise IndexError(f"a mask of {len(chosen)} rows for {len(self)} faces.")
            chosen = np.flatnonzero(chosen)
        chosen = chosen.astype(np.int64)
        return self._changed(
            _rows=chosen if self._rows is None else self._rows[chosen],
            table=self.table.iloc[chosen].reset_index(drop=True),
            _fingerprint=None,
            _parent=self._parent or self,
        )

    def _changed(self, **changes: Any) -> FaceData:
        """A copy with other parts; what was computed from them is forgotten."""
        hidden = ("_pixels", "_rows", "_fingerprint", "_parent")
        view = object.__new__(FaceData)
        for name in (*hidden, "table", "info", "rejects", "classes", "subjects"):
            setattr(view, name, changes.get(name, getattr(self, name)))
        return view

    def select(
        self,
        *,
        split: str | Sequence[str] | None = None,
        classes: Sequence[str] | None = None,
        where: Mapping[str, Any] | None = None,
    ) -> FaceData:
        """A view of the rows of some splits, classes, or attribute values.

        Unlike in `subset`, `classes` and `subjects` become those that are left.

        Raises:
            DataError: an unknown column or value, or nothing is left.
        """
        conditions: dict[str, Any] = dict(where or {})
        if split is not None:
            conditions["split"] = split
        if classes is not None:
            conditions["expression"] = list(classes)
        if not conditions:
            return self
        keep = np.ones(len(self), dtype=bool)
        for column, wanted in conditions.items():
            if column not in self.table:
                raise DataError(
                    f"{self.info.name} has no column {column!r}: "
                    + did_you_mean(column, map(str, self.table.columns))
                )
            values = wanted if isinstance(wanted, (list, tuple, set)) else [wanted]
            known = self.table[column].dropna().unique()
            for value in values:
                if value not in known and not (column == "expression" and value in EXPRESSIONS):
                    raise DataError(
                        f"no face of {self.info.name} has {column} {value!r}: "
                        + did_you_mean(str(value), map(str, known))
                    )
            keep &= self.table[column].isin(list(values)).to_numpy()
        if not keep.any():
            raise DataError(f"no face of {self.info.name} is left after choosing {conditions}.")
        return self.select_rows(keep)

    def select_rows(self, index: ArrayLike) -> FaceData:
        """Like `subset`, but `classes` and `subjects` become those that are left."""
        return self.subset(index)._renamed()

    def with_table(self, table: pd.DataFrame, *, info: DataInfo | None = None) -> FaceData:
        """The same pixels with another table, row for row."""
        table = standard_table(table)
        fingerprint = combine_hashes(self.fingerprint, hash_table(table))
        changed = self._changed(
            table=table, info=info or self.info, _fingerprint=fingerprint, _parent=None
        )
        return changed._renamed()

    def with_info(self, info: DataInfo) -> FaceData:
        """The same faces with other facts."""
        return self._changed(info=info)

    def _renamed(self) -> FaceData:
        labels, people = self.table["expression"].dropna(), self.table["subject"].dropna()
        return self._changed(
            classes=in_canonical_order(labels.unique()), subjects=tuple(sorted(people.unique()))
        )

    # ------------------------------------------------------------------ on disk

    def save(self, folder: str | Path) -> Path:
        """Write images.npy, table.parquet and info.json into a new folder; `open` reads it."""
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        np.save(folder / "images.npy", self.images, allow_pickle=False)
        self.save_labels(folder)
        return folder

    def save_labels(self, folder: Path, **about: Any) -> None:
        """Write everything but the images (and further JSON facts) into a folder."""
        self.table.to_parquet(folder / "table.parquet", index=False)
        rejects = folder / "rejects.parquet"
        if len(self.rejects):
            self.rejects.to_parquet(rejects, index=False)
        else:
            rejects.unlink(missing_ok=True)  # of faces that were saved here before
        about |= {"info": self.info.to_json(), "fingerprint": self.fingerprint}
        (folder / "info.json").write_text(json.dumps(about, indent=1), encoding="utf-8")

    @classmethod
    def open(cls, folder: str | Path, *, images: Path | None = None) -> FaceData:
        """Open what `save` wrote, memory-mapped.

        Args:
            folder: with the labels.
            images: the array, where it is not in the same folder.

        Raises:
            DataError: the folder is not such a one.
        """
        folder = Path(folder)
        try:
            about = json.loads((folder / "info.json").read_text(encoding="utf-8"))
            table = read_label_table(folder / "table.parquet")
            rejects = folder / "rejects.parquet"
            return cls(
                np.load(images or folder / "images.npy", mmap_mode="r", allow_pickle=False),
                table,
                standard=tuple(table.columns[: len(COLUMNS)]) == COLUMNS,  # as `save` leaves it
                info=DataInfo.from_json(about["info"]),
                fingerprint=about["fingerprint"],
                rejects=read_label_table(rejects) if rejects.exists() else None,
            )
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise DataError(
                f"{folder} holds no saved faces ({error}): delete it and read the set again."
            ) from error

    def __repr__(self) -> str:
        channels, height, width = self.shape
        return (
            f"FaceData({self.info.name}: {len(self)} faces of {height}x{width}x{channels}, "
            f"{len(self.classes)} classes, {len(self.subjects)} subjects)"
        )


def standard_table(table: pd.DataFrame) -> pd.DataFrame:
    """The same rows with every standard column, in standard order and type.

    All text is stripped and in NFC (`fer_bench.data.labels.plain`), an empty cell is missing;
    only paths stay as the files are named.

    Raises:
        DataError: two columns have one name.
    """
    table = table.reset_index(drop=True)
    twins = table.columns[table.columns.astype("str").duplicated()]
    if len(twins):
        raise DataError(f"two columns of the table are named {twins[0]!r}: rename or drop one.")
    columns: dict[str, Any] = {}
    for name in COLUMNS:
        kind = "float64" if name in NUMBER_COLUMNS else "str"
        columns[name] = pd.Series(table.get(name, np.nan), index=table.index, dtype=kind)
    others = {str(name): table[name] for name in table if name not in COLUMNS}
    cells = {
        name: column if name == "path" else _plain_cells(column)
        for name, column in (columns | others).items()
    }
    return pd.DataFrame(cells, index=table.index)


def _plain_cells(column: pd.Series) -> pd.Series:
    """A column with its text in plain form; numbers and booleans as they are."""
    if not is_categorical(column) or pd.api.types.is_bool_dtype(column):
        return column
    words = {word: plain(word) for word in column.dropna().unique() if isinstance(word, str)}
    changed = {word: text or None for word, text in words.items() if text != word or not text}
    return column.replace(changed) if changed else column


def no_rejects() -> pd.DataFrame:
    """An empty list of rejects."""
    return pd.DataFrame({"path": [], "where": [], "reason": []}, dtype="str")


def is_categorical(column: pd.Series) -> bool:
    """Whether a column holds names rather than numbers."""
    return bool(pd.api.types.is_bool_dtype(column) or not pd.api.types.is_numeric_dtype(column))


def hash_pixels(images: NDArray[np.uint8]) -> str:
    """Hash of shape and pixels; reads a memory map in blocks."""
    digest = hashlib.blake2b(repr(images.shape).encode(), digest_size=32)
    block = max(1, (64 << 20) // max(1, images[:1].nbytes))
    for start in range(0, len(images), block):
        digest.update(np.ascontiguousarray(images[start : start + block]).data)
    return digest.hexdigest()


def hash_table(table: pd.DataFrame) -> str:
    """Hash of column names and values; does not depend on versions of pandas."""
    digest = hashlib.blake2b(digest_size=32)
    for name in table.columns:
        column = table[name]
        digest.update(f"\x1d{name}\x1d".encode())
        if is_categorical(column):
            words = column.astype("str").fillna("\x00").tolist()
            digest.update("\x1f".join(words).encode("utf-8", "surrogateescape"))
        else:
            digest.update(column.to_numpy(np.float64, na_value=np.nan).tobytes())
    return digest.hexdigest()


def combine_hashes(*hashes: str) -> str:
    """One short hash (32 hexadecimal digits) of several."""
    return hashlib.sha256("|".join(hashes).encode()).hexdigest()[:32]
