"""The contract of a reader: from a folder in its official layout to one table.

A reader finds files and labels; it never decodes an image, never chooses rows, and never
guesses. What it cannot understand goes into `Listing.rejects`, and `load_dataset` decides
whether that is an error or a list. Readers register in the entry-point group
`fer_bench.datasets`.
"""

from __future__ import annotations

import inspect
import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from PIL import Image

from fer_bench.data.cache import source_hash
from fer_bench.data.decode import picture_kind
from fer_bench.data.faces import DataInfo
from fer_bench.data.tables import read_text
from fer_bench.errors import DataError, did_you_mean

MISSING = frozenset({"", "nan", "NaN"})
"""Words of an empty cell."""
MISSING_VALUE = MISSING | {"NA", "N/A", "NULL", "null"}
"""Words of a missing label or number; a person may well be called NA."""
OTHER_PICTURES = frozenset(
    {".avif", ".heic", ".heif", ".hif", ".jxl", ".jp2", ".webp", ".svg", ".exr", ".xcf", ".psb"}
    | {".arw", ".cr2", ".cr3", ".dng", ".nef", ".orf", ".raf", ".rw2"}  # cameras' own
)
"""Endings of pictures that Pillow may be unable to read: they are listed, and refused by name."""
NO_PICTURES = frozenset({"BUFR", "GRIB", "HDF5", "MPEG"})
"""What Pillow recognises beside pictures."""


@cache
def image_suffixes() -> frozenset[str]:
    """Endings of picture files: all that Pillow reads, and those that it may be unable to."""
    Image.init()
    known = Image.registered_extensions().items()
    read = {end for end, kind in known if kind in Image.OPEN and kind not in NO_PICTURES}
    return OTHER_PICTURES | read


class Reject(NamedTuple):
    """One image or row that cannot be used: its path, where it is listed, and why."""

    path: str
    where: str
    reason: str


@dataclass
class Listing:
    """What a reader found.

    Attributes:
        table: one row per image; `path` is relative to the root, with forward slashes, or names
            the row where the set has no files ("fer2013.csv#17").
        where: [N] where each row is listed, for messages ("manifest.csv line 17").
        rejects: rows that could not be understood.
        boxes: [N, 4] left, top, width, height of the face in pixels; NaN for the whole image.
        pixels: for sets without image files: row -> uint8 [H, W, C] or [H, W], or the bytes of an
            image file.
        sequential: `pixels` is fast only when rows are asked for in order (videos).
        sources: files that the pixels come from, where that is not `path`.
        made: how `pixels` are made of them, in words that differ where the pixels do.
        notes: for `DataInfo.notes`.
        info: facts that replace the reader's own (a manifest with a licence beside it).
    """

    table: pd.DataFrame
    where: list[str] | None = None
    rejects: list[Reject] = field(default_factory=list)
    boxes: NDArray[np.float64] | None = None
    pixels: Callable[[int], NDArray[np.uint8] | bytes] | None = None
    sequential: bool = False
    sources: tuple[Path, ...] = ()
    made: str = ""
    notes: tuple[str, ...] = ()
    info: DataInfo | None = None


class Reader(ABC):
    """Reads one data set from a folder (or file) in its official layout.

    Class attributes:
        info: facts that are known before anything is read.
        folder: name of the set's folder under $FER_BENCH_DATA, the default root.
    """

    info: ClassVar[DataInfo]
    folder: ClassVar[str] = ""

    @abstractmethod
    def read(self, root: Path, *_: Any, **options: Any) -> Listing:
        """List the images under `root` with their labels.

        Raises:
            DataError: the folder is not in the set's layout.
        """

    def options(self) -> tuple[str, ...]:
        """Names of the options of `read`."""
        return keyword_options(self.read)


class Renderer(ABC):
    """Makes faces instead of reading them.

    Class attributes:
        info: facts that are known before anything is made.
        folder: name of the folder of its materials under $FER_BENCH_DATA, if it needs any.
    """

    info: ClassVar[DataInfo]
    folder: ClassVar[str] = ""

    @abstractmethod
    def maker(self) -> Callable[..., Any]:
        """The function that makes faces; its keyword arguments are the options.

        It is told `size` and `color` and, if it takes that, `progress`.
        """

    def render(
        self, root: Path | None, *, size: int, color: bool, **options: Any
    ) -> tuple[NDArray[np.uint8], pd.DataFrame, Mapping[str, Any]]:
        """Make faces: uint8 [N, size, size, 3 or 1], their table, and what was achieved."""
        return self.maker()(size=size, color=color, **options)

    def version(self) -> str:
        """Changes with the code beside the maker, as the pixels of the same options may."""
        return source_hash(Path(inspect.getfile(inspect.unwrap(self.maker()))).parent)

    def options(self) -> tuple[str, ...]:
        """Names of the options of the maker, beside those that every data set has."""
        common = ("size", "color", "progress")
        return tuple(o for o in keyword_options(self.maker()) if o not in common)


def keyword_options(function: Callable[..., Any]) -> tuple[str, ...]:
    """Names of the keyword-only parameters of a function."""
    parameters = inspect.signature(function).parameters.values()
    return tuple(p.name for p in parameters if p.kind is p.KEYWORD_ONLY)


def require(path: Path, what: str) -> Path:
    """Return a path that must exist.

    Raises:
        DataError: it does not; the message says what was expected there.
    """
    if not path.exists():
        raise DataError(f"{path} is missing: expected {what}.")
    return path


def first_of(root: Path, *names: str, needs: str = "") -> Path:
    """The first subfolder that exists.

    Raises:
        DataError: none does; the message says what is needed.
    """
    for name in names:
        if (root / name).is_dir():
            return root / name
    raise DataError(f"{root} is not in the set's layout: expected {needs or names[0]}.")


def one_of(option: str, value: str, known: Sequence[str]) -> None:
    """Check an option.

    Raises:
        DataError: the value is none of those known.
    """
    if value not in known:
        raise DataError(f"{option} is {value!r}: {did_you_mean(str(value), known)}")


def text_lines(file: Path, what: str, *, header: bool = False) -> list[tuple[int, str]]:
    """Line numbers (from 1) and stripped lines of a text file; empty lines are left out."""
    lines = enumerate(read_text(require(file, what)).splitlines(), start=1)
    return [(i, line.strip()) for i, line in lines if line.strip() and not (header and i == 1)]


def integer_code(text: str) -> int:
    """A code, which annotation files may write as a float ("3.0000000e+00").

    Raises:
        ValueError: it is no whole number; 3.7 is not taken for 3.
    """
    value = float(text)
    if not value.is_integer():
        raise ValueError(f"{text.strip()!r} is no whole number")
    return int(value)


def translated(column: pd.Series, read: Callable[[str], str]) -> tuple[pd.Series, dict[int, str]]:
    """What the words of a column mean (NaN where empty), and why some mean nothing, by row.

    Args:
        column: text; its index counts from 0.
        read: as `expression_reader` returns it, or `part_of_split`.
    """
    words = column.astype("str").str.strip()
    words = words.mask(words.isin(MISSING_VALUE))
    known: dict[str, str] = {}
    wrong: dict[str, str] = {}
    for word in words.dropna().unique():
        try:
            known[word] = read(word)
        except DataError as error:
            wrong[word] = str(error)
    bad = {int(row): wrong[words[row]] for row in np.flatnonzero(words.isin(list(wrong)))}
    return words.map(known).astype("str"), bad


def choose_frames(frames: Sequence[Path], protocol: str) -> list[tuple[Path, bool]]:
    """Frames of a sequence from neutral to peak, and whether each stands for neutral.

    Protocols: "last", "last3", and "last3+first", whose first frame is neutral.
    """
    chosen = [(frame, False) for frame in frames[-1 if protocol == "last" else -3 :]]
    if protocol == "last3+first" and len(frames) > len(chosen):
        return [(frames[0], True), *chosen]
    return chosen


def layout(folder: Path) -> str:
    """The reader for a folder of one's own: `manifest` where it has a manifest, else `folder`."""
    return "manifest" if folder.is_file() or (folder / "manifest.csv").is_file() else "folder"


def image_files(folder: Path) -> list[Path]:
    """All picture files below a folder, sorted: by their ending, or else by their first bytes.

    What can be read is not asked here: a picture that cannot is refused by name when it is
    decoded. Hidden files and folders are left out.
    """
    files = (p for p in folder.rglob("*") if not _hidden(p, folder) and _is_picture(p))
    return sorted(p for p in files if not p.is_dir())


def _hidden(path: Path, folder: Path) -> bool:
    return any(part.startswith(".") for part in path.relative_to(folder).parts)


def _is_picture(path: Path) -> bool:
    if path.suffix.lower() in image_suffixes():
        return True
    if not path.is_file():
        return False
    with path.open("rb") as stream:
        return picture_kind(stream.read(32)) is not None


def misnamed(
    files: Sequence[Path], root: Path, name: re.Pattern[str], example: str
) -> list[Reject]:
    """Rejects of the pictures whose name (without its ending) does not follow the set's rule."""
    paths = [relative(file, root) for file in files if not name.fullmatch(file.stem)]
    return [Reject(path, path, f"is not named like {example}") for path in paths]


def relative(path: Path, root: Path) -> str:
    """A path as it stands in the table: relative to the root, with forward slashes."""
    return path.relative_to(root).as_posix()


def listing(
    rows: list[dict[str, Any]],
    *,
    where: list[str] | None = None,
    rejects: list[Reject] | None = None,
    **rest: Any,
) -> Listing:
    """A `Listing` from one dictionary per row."""
    table = pd.DataFrame(rows) if rows else pd.DataFrame({"path": []})
    return Listing(table, where=where, rejects=rejects or [], **rest)


def listing_by_name(
    root: Path,
    name: re.Pattern[str],
    example: str,
    labels: Callable[[re.Match[str]], dict[str, Any]],
) -> Listing:
    """All pictures below a folder, whose names (without their ending) say their labels."""
    files = image_files(root)
    matches = [(file, name.fullmatch(file.stem)) for file in files]
    rows = [{"path": relative(f, root), **labels(match)} for f, match in matches if match]
    return listing(rows, rejects=misnamed(files, root, name, example))
