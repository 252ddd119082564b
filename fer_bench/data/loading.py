"""`load_dataset`: one call from a name and a folder to faces."""

from __future__ import annotations

import hashlib
import inspect
import json
import os
import posixpath
import re
import shutil
import unicodedata
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from PIL import Image

from fer_bench.data import decisions as decided
from fer_bench.data.cache import cache_folder, entry, source_hash, tree_stamp
from fer_bench.data.decode import FITS, Fit, decode, inside, to_square
from fer_bench.data.faces import (
    DataInfo,
    FaceData,
    combine_hashes,
    hash_pixels,
    hash_table,
    is_categorical,
    standard_table,
)
from fer_bench.data.labels import EXPRESSIONS, part_of_split, plain
from fer_bench.data.progress import progress_bar
from fer_bench.data.reader import Listing, Reader, Reject, Renderer, keyword_options, translated
from fer_bench.errors import DataError, did_you_mean
from fer_bench.registry import datasets

Pixels = Callable[[int], NDArray[np.uint8] | bytes]
FORMAT = "5"
"""Part of every cache key; changes whenever decoding changes."""


def load_dataset(
    name: str,
    root: str | Path | None = None,
    *,
    size: int = 64,
    color: bool = True,
    cache: str | Path | None = None,
    bad_images: Literal["error", "set-aside"] = "error",
    fit: Fit = "crop",
    split: str | Sequence[str] | None = None,
    classes: Sequence[str] | None = None,
    where: Mapping[str, Any] | None = None,
    decisions: str | Path | None = None,
    progress: bool | None = None,
    **options: Any,
) -> FaceData:
    """Read (or make) a data set; decoded once, memory-mapped ever after.

    Args:
        name: a registered data set (`fer-bench list datasets`).
        root: its folder in the official layout; by default `$FER_BENCH_DATA/<its folder>`.
        size: side of the square faces in pixels.
        color: RGB, or gray.
        cache: where decoded faces are kept; by default `$FER_BENCH_CACHE`, else the user's
            cache folder.
        bad_images: "error" stops at what cannot be read; "set-aside" leaves it out and lists it
            in `FaceData.rejects` and `info.notes`.
        fit: how an image that is not square becomes so: "crop", "pad" or "stretch".
        split, classes, where: keep only the rows of a split, of some expressions, or with given
            attribute values, such as `where={"pose": "forward"}`.
        decisions: a file of decisions from `fer-bench data audit`, which are followed.
        progress: show how far it is; by default as a bar on a terminal, else in lines.
        options: those of the data set itself.

    Raises:
        UnknownNameError: there is no such data set.
        DataError: an unknown option, or data that are not as described.

    >>> faces = load_dataset("generated", subjects=4, images_per_subject=7)  # doctest: +SKIP
    """
    reader: Reader | Renderer = datasets.get(name)
    _check_options(name, options, reader.options())
    if fit not in FITS:
        raise DataError(f"fit is {fit!r}: {did_you_mean(str(fit), FITS)}")
    if bad_images not in ("error", "set-aside"):
        raise DataError(f"bad_images is {bad_images!r}: known: 'error', 'set-aside'.")
    if not isinstance(size, int) or not 8 <= size <= 4096:
        raise DataError(f"size is {size!r}: give a whole number of pixels from 8 to 4096.")
    place = _root(reader, root)
    store = cache_folder(cache)
    if isinstance(reader, Renderer):
        data = _rendered(reader, place, store, options, progress, size=size, color=color)
    else:
        if place is None:
            hint = f"$FER_BENCH_DATA/{reader.folder}" if reader.folder else "its folder"
            raise DataError(f"data set {name!r} needs a root: pass root=, or provide {hint}.")
        if not place.exists():
            raise DataError(f"data set {name!r}: there is no {place}: pass root=.")
        set_aside = bad_images == "set-aside"
        data = _read(_Wanted(reader, place, store, size, color, fit, set_aside, progress, options))
    if decisions is not None:
        data = decided.apply(data, decisions)
    return data.select(split=split, classes=classes, where=where)


def _check_options(name: str, given: Iterable[str], own: Sequence[str]) -> None:
    common = tuple(option for option in keyword_options(load_dataset) if option != "options")
    for option in given:
        if option not in own:
            raise DataError(
                f"data set {name!r} has no option {option!r}: "
                + did_you_mean(option, [*own, *common])
            )


def _root(reader: Reader | Renderer, root: str | Path | None) -> Path | None:
    if root is not None:
        return Path(root).expanduser()
    pack = os.environ.get("FER_BENCH_DATA")
    if pack and reader.folder and (Path(pack) / reader.folder).exists():
        return Path(pack) / reader.folder
    return None


# ---------------------------------------------------------------------- made faces


def _rendered(
    reader: Renderer,
    root: Path | None,
    store: Path,
    options: Mapping[str, Any],
    progress: bool | None,
    *,
    size: int,
    color: bool,
) -> FaceData:
    def make(folder: Path) -> None:
        told = {"progress": progress} if "progress" in keyword_options(reader.maker()) else {}
        images, table, achieved = reader.render(root, size=size, color=color, **told, **options)
        info = reader.info.with_notes(*(f"{key}: {value}" for key, value in achieved.items()))
        FaceData(images, table, info=info).save(folder)

    about = [FORMAT, reader.version(), size, color, str(root), sorted(options.items())]
    key = combine_hashes(json.dumps(about, default=str))
    return FaceData.open(entry(store, reader.info.name, key, make))


# ---------------------------------------------------------------------- read faces


@dataclass(frozen=True)
class _Wanted:
    """The faces of a set as they are asked for: the arguments of `load_dataset`.

    Attributes:
        store: folder of the cache.
        set_aside: whether what cannot be read is left out.
    """

    reader: Reader
    root: Path
    store: Path
    size: int
    color: bool
    fit: Fit
    set_aside: bool
    progress: bool | None
    options: Mapping[str, Any]

    @property
    def base(self) -> Path:
        """The folder that paths are relative to."""
        return self.root if self.root.is_dir() else self.root.parent

    def picture(self, source: Path | bytes | NDArray[np.uint8], box: Any) -> NDArray[np.uint8]:
        """One face [size, size, C]."""
        how: dict[str, Any] = {"size": self.size, "color": self.color, "fit": self.fit, "box": box}
        if isinstance(source, np.ndarray):
            return to_square(Image.fromarray(source), **how)
        return decode(source, **how)


def _read(wanted: _Wanted) -> FaceData:
    """Read a set through two entries of the cache: the table, and the pixels it points to.

    While no file below the root changes, the table is opened as it was read. When only labels
    change, it is read again, but the pixels stay.
    """
    reader, store = wanted.reader, wanted.store
    code = source_hash(Path(inspect.getfile(type(reader))).parent)
    stamp = tree_stamp(wanted.base, without=store)
    how = [wanted.size, wanted.color, wanted.fit, wanted.set_aside, sorted(wanted.options.items())]
    about = [FORMAT, code, str(wanted.root.resolve()), stamp, *how]
    key = combine_hashes(json.dumps(about, default=str))

    def make(folder: Path) -> None:
        data, pixels = _listed(wanted)
        data.save_labels(folder, pixels=pixels)

    def opened() -> FaceData:
        folder = entry(store, f"{reader.info.name}-labels", key, make)
        pixels = json.loads((folder / "info.json").read_text(encoding="utf-8"))["pixels"]
        images = store / reader.info.name / pixels / "images.npy"
        if not images.is_file():  # somebody cleaned up
            shutil.rmtree(folder)
            return opened()
        return FaceData.open(folder, images=images)

    return opened()


def _listed(wanted: _Wanted) -> tuple[FaceData, str]:
    """Read the table, decode what is not decoded yet; the faces and the key of their pixels."""
    base = wanted.base
    listing = read_listing(wanted.reader, wanted.root, **wanted.options)
    info = listing.info or wanted.reader.info
    if not wanted.set_aside:
        _raise_first(info.name, listing.rejects)
    if not len(listing.table):
        aside = len(listing.rejects)
        hint = f" ({aside} set aside)." if aside else ": check the layout."
        raise DataError(f"{info.name}: no usable image under {wanted.root}{hint}")

    def make(folder: Path) -> None:
        _decode_all(folder, listing, info.name, wanted)

    how = [wanted.size, wanted.color, wanted.fit, wanted.set_aside, str(base.resolve())]
    key = _key(listing, base, info.name, how)
    return _faces(listing, info, entry(wanted.store, wanted.reader.info.name, key, make)), key


def _faces(listing: Listing, info: DataInfo, folder: Path) -> FaceData:
    """The faces of a listing, whose pixels are decoded in a folder."""
    about = json.loads((folder / "pixels.json").read_text(encoding="utf-8"))
    kept = np.load(folder / "kept.npy", allow_pickle=False)
    images = np.load(folder / "images.npy", mmap_mode="r", allow_pickle=False)
    table = listing.table if len(kept) == len(listing.table) else listing.table.iloc[kept]
    rejects = [*listing.rejects, *(Reject(*r) for r in about["rejects"])]
    notes = [*listing.notes, *_alike_names(table)]
    if rejects:
        notes.append(f"{len(rejects)} images or rows were set aside")
    data = FaceData(
        images,
        table,
        info=info.with_notes(*notes),
        fingerprint=combine_hashes(about["hash"], hash_table(table)),
        rejects=pd.DataFrame(rejects, columns=list(Reject._fields), dtype="str"),
    )
    info = replace(
        data.info,
        subjects="real" if info.subjects == "none" and data.has_subjects else info.subjects,
        expressions=bool(data.classes),
        valence_arousal=data.has_valence_arousal,
        attributes=data.attributes,
    )
    return data.with_info(info.with_notes(*_unexpected(data)))


def read_listing(reader: Reader, root: Path, **options: Any) -> Listing:
    """What a reader lists below a folder (or file), with names as on disk; nothing is decoded."""
    base = root if root.is_dir() else root.parent
    return checked_listing(_named_as_on_disk(reader.read(root, **options), base))


def checked_listing(listing: Listing) -> Listing:
    """Move rows whose standard columns cannot be right into the rejects."""
    table = standard_table(listing.table)
    where = listing.where or [str(p) for p in table["path"]]
    reasons: dict[int, str] = {}

    def blame(rows: NDArray[np.bool_], why: Callable[[int], str]) -> None:
        for row in np.flatnonzero(rows):
            reasons.setdefault(int(row), why(int(row)))

    paths, labels = table["path"], table["expression"]
    blame(paths.isna().to_numpy(), lambda _: "there is no path")
    blame(
        (labels.notna() & ~labels.isin(EXPRESSIONS)).to_numpy(),
        lambda r: f"unknown expression {labels[r]!r}: {did_you_mean(labels[r], EXPRESSIONS)}",
    )
    table["split"], unknown = translated(table["split"], part_of_split)
    for place, reason in unknown.items():
        reasons.setdefault(place, reason)
    for column in ("valence", "arousal"):
        values = table[column]
        for row in np.flatnonzero(values.abs() > 1):
            why = f"{column} {values[row]:g} is not in [-1, 1]: scale it, or leave it empty"
            reasons.setdefault(int(row), why)
    again = paths.map(posixpath.normpath, na_action="ignore").duplicated() & paths.notna()
    blame(again.to_numpy(), lambda r: f"the path {paths[r]!r} is listed twice")
    if not reasons:
        return replace(listing, table=table, where=where)
    good = np.setdiff1d(np.arange(len(table)), list(reasons))
    bad = [
        Reject("" if pd.isna(paths[row]) else paths[row], where[row], why)
        for row, why in sorted(reasons.items())
    ]
    return replace(
        listing,
        table=table.iloc[good].reset_index(drop=True),
        where=[where[i] for i in good],
        boxes=None if listing.boxes is None else listing.boxes[good],
        pixels=None if listing.pixels is None else _shifted(listing.pixels, good),
        rejects=[*listing.rejects, *bad],
    )


def _named_as_on_disk(listing: Listing, base: Path) -> Listing:
    """Paths that only spaces, backslashes or the form of accents keep from their file lead to it.

    A path under which there is a file is never changed.
    """
    if listing.pixels is not None or "path" not in listing.table:
        return listing
    paths = listing.table["path"].astype(object).copy()
    for row, path in paths.dropna().items():
        if path.isascii() and path == path.strip() and "\\" not in path:
            continue
        slashed = path.replace("\\", "/")
        forms = (path, plain(path), slashed, plain(slashed))
        written = [*forms, *(unicodedata.normalize("NFD", form) for form in forms)]
        paths.at[row] = next((form for form in written if os.path.exists(base / form)), path)
    return replace(listing, table=listing.table.assign(path=paths))


def _alike_names(table: pd.DataFrame) -> list[str]:
    """Notes on names that differ in case, spacing or leading zeros only: p1 and P01."""
    notes = []
    for column in table.columns.drop(["path", "expression", "split"]):
        if not is_categorical(table[column]):
            continue
        kin: dict[str, list[str]] = {}
        for name in sorted(table[column].dropna().astype("str").unique()):
            kin.setdefault(_sound(name), []).append(name)
        alike = [names for names in kin.values() if len(names) > 1]
        if alike:
            what, taken = (
                ("subjects", "people") if column == "subject" else (f"names in {column}", "ones")
            )
            notes.append(
                f"{len(alike)} {what} are spelt in several ways ({', '.join(alike[0])}) and are "
                f"taken for different {taken}: give each one name"
            )
    return notes


def _sound(name: str) -> str:
    """A name without case, width, spacing and leading zeros, and "1.0" as "1"."""
    name = "".join(unicodedata.normalize("NFKC", name).casefold().split())
    return re.sub(r"(?<![\d.])0+(?=\d)", "", re.sub(r"(?<=\d)\.0+$", "", name))


def _shifted(pixels: Pixels, rows: NDArray[np.int64]) -> Pixels:
    return lambda row: pixels(int(rows[row]))


def _raise_first(name: str, rejects: Sequence[Reject]) -> None:
    if not rejects:
        return
    first = rejects[0]
    more = f" ({len(rejects)} such problems in all)" if len(rejects) > 1 else ""
    place = first.where
    if first.path and first.path not in place:
        place = f"{place}, {first.path}" if place else first.path
    problem = first.reason.rstrip(".") + more
    raise DataError(
        f"{name}: {place}: {problem}{'' if problem.endswith('?') else '.'} "
        "Mend it, or pass bad_images='set-aside' to go on without."
    )


def _key(listing: Listing, base: Path, name: str, options: list[Any]) -> str:
    """Hash of what decides the pixels: names, sizes and times of files, boxes, options."""
    digest = hashlib.blake2b(json.dumps([FORMAT, name, options]).encode(), digest_size=16)
    paths = listing.table["path"].tolist()
    digest.update("\x1f".join(paths).encode("utf-8", "surrogateescape"))
    if listing.pixels is not None:
        digest.update(b"\x1fpixels" + listing.made.encode())
    if listing.boxes is not None:
        digest.update(np.ascontiguousarray(listing.boxes, np.float64).tobytes())
    files = [str(s) for s in listing.sources]
    if listing.pixels is None:
        files += [f"{base}/{path}" for path in paths]
    stamps = np.full((len(files), 2), -1, dtype=np.int64)
    for i, file in enumerate(files):
        try:
            state = os.stat(file)
        except (OSError, ValueError):
            continue
        stamps[i] = state.st_size, state.st_mtime_ns
    digest.update(stamps.tobytes())
    return digest.hexdigest()


def _decode_all(folder: Path, listing: Listing, name: str, wanted: _Wanted) -> None:
    """Decode every row into images.npy, in parallel, with memory that does not grow."""
    n = len(listing.table)
    paths, where = listing.table["path"].tolist(), listing.where or []
    shape = (n, wanted.size, wanted.size, 3 if wanted.color else 1)
    images = np.lib.format.open_memmap(folder / "images.npy", "w+", np.uint8, shape)
    rejects: dict[int, Reject] = {}

    def one(row: int) -> None:
        box = None if listing.boxes is None else tuple(listing.boxes[row])
        try:
            own = listing.pixels
            source = inside(wanted.base, paths[row]) if own is None else own(row)
            images[row] = wanted.picture(source, box)
        except DataError as error:
            rejects[row] = Reject(paths[row], where[row], str(error))

    block = 1024
    workers = 1 if listing.sequential else os.cpu_count() or 1
    with (
        ThreadPoolExecutor(workers) as pool,
        progress_bar(f"decoding {name}", n, wanted.progress) as advance,
    ):
        for start in range(0, n, block):
            rows = range(start, min(n, start + block))
            list(pool.map(one, rows, chunksize=16))
            advance(len(rows))
            if rejects and not wanted.set_aside:
                _raise_first(name, [rejects[row] for row in sorted(rejects)])
    bad = sorted(rejects)
    kept = np.setdiff1d(np.arange(n, dtype=np.int64), bad)
    if not len(kept):
        raise DataError(f"{name}: none of {n} images can be read; the first: {rejects[0].reason}.")
    images.flush()
    pixels = _compact(folder, images, kept) if bad else images
    np.save(folder / "kept.npy", kept, allow_pickle=False)
    about = {"hash": hash_pixels(pixels), "rejects": [list(rejects[row]) for row in bad]}
    (folder / "pixels.json").write_text(json.dumps(about), encoding="utf-8")


def _compact(folder: Path, images: NDArray[np.uint8], kept: NDArray[np.int64]) -> NDArray[np.uint8]:
    """Rewrite images.npy without the rows that were set aside."""
    whole = folder / "images.npy"
    shape = (len(kept), *images.shape[1:])
    slim = np.lib.format.open_memmap(folder / "slim.npy", "w+", np.uint8, shape)
    for start in range(0, len(kept), 1024):
        slim[start : start + 1024] = images[kept[start : start + 1024]]
    slim.flush()
    (folder / "slim.npy").replace(whole)
    return slim


def _unexpected(data: FaceData) -> list[str]:
    """Where counts differ from the published ones."""
    measured: dict[str, int] = {"images": len(data), "subjects": len(data.subjects)}
    measured |= {str(k): int(v) for k, v in data.table["split"].value_counts().items()}
    measured |= {str(k): int(v) for k, v in data.table["expression"].value_counts().items()}
    measured |= {"sequences": int(data.table["sequence"].nunique())}
    return [
        f"{what}: {measured.get(what, 0):,} instead of the published {count:,}"
        for what, count in data.info.expected.items()
        if measured.get(what, 0) != count
    ]
