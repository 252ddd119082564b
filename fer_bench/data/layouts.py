"""Which registered reader understands a folder, and what it lists there."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd
from PIL import Image

from fer_bench.data.faces import DataInfo
from fer_bench.data.loading import read_listing
from fer_bench.data.reader import Listing, Reader, Reject
from fer_bench.errors import DataError
from fer_bench.registry import datasets

LEAST_READ = 0.9  # of the images: a reader that rejects more has not understood the folder
_TABLES = (".csv", ".tsv", ".parquet")
_LOOKED_AT = 50  # pictures whose size is read


@dataclass(frozen=True)
class Layout:
    """What one reader lists below a folder.

    Attributes:
        name: the registered data set.
        root: the folder, or the file of a manifest.
        info: facts about the set.
        table: [N] usable images, with the columns of `FaceData.table`.
        options: of the reader, and of `load_dataset`.
        rejects: images that cannot be used, and why.
        side: median side of the pictures in pixels, the shorter one; None where they are no files.
    """

    name: str
    root: Path
    info: DataInfo
    table: pd.DataFrame
    options: Mapping[str, Any] = field(default_factory=dict)
    rejects: tuple[Reject, ...] = ()
    side: int | None = None

    @property
    def classes(self) -> dict[str, int]:
        """Images of every expression, the most frequent first."""
        return {str(k): int(n) for k, n in self.table["expression"].value_counts().items()}

    @property
    def people(self) -> int:
        """How many people are named."""
        return int(self.table["subject"].nunique())

    @property
    def official(self) -> bool:
        """Whether the rows are divided into a training and a test part."""
        return {"train", "test"} <= set(self.table["split"].dropna())

    @property
    def read(self) -> float:
        """Share of the images that can be used."""
        return len(self.table) / max(len(self.table) + len(self.rejects), 1)

    @property
    def as_published(self) -> bool:
        """Whether there are as many images as the published set has."""
        return self.info.expected.get("images") == len(self.table)


def recognise(root: str | Path, *, labels: Mapping[str, str] | None = None) -> Layout:
    """Ask every registered reader for its listing of a folder, and return the best.

    Best is the reader that can use most of the images, then one that knows the people, then a
    published set of which all images are there, then the general readers (`folder`, `manifest`).

    Args:
        root: a folder of images in any layout that a reader knows, or the file of a manifest.
        labels: what the folder's own words for expressions mean, such as `{"smile": "happiness"}`.

    Raises:
        DataError: there is no such folder, or no reader can use nine tenths of its images; the
            sentence says why the nearest reader could not.
    """
    root = Path(root).expanduser()
    if not root.exists():
        raise DataError(f"there is no folder {root}.")
    layouts = [*_layouts(root, labels or {})]
    if not layouts:
        raise DataError(
            f"{root}: no images were recognised: expected {root}/<expression>/<person>/image, "
            "a manifest.csv with columns path, expression and subject, or a published data set "
            "as it is unpacked."
        )
    best = max(layouts, key=_worth)
    if best.read < LEAST_READ:
        raise DataError(
            f"{root}: {len(best.rejects)} of {len(best.rejects) + len(best.table)} images cannot "
            f"be used as {best.info.title.lower()}; the first is {best.rejects[0].path}: "
            f"{best.rejects[0].reason.rstrip('.')} (`fer-bench init --label WORD=EXPRESSION`)."
        )
    return best


def _worth(layout: Layout) -> tuple[Any, ...]:
    labelled = int(layout.table.notna().any().sum())
    return (
        round(layout.read, 2), layout.people > 1, layout.as_published, layout.info.own,
        len(layout.table), labelled,
    )  # fmt: skip


def _layouts(root: Path, labels: Mapping[str, str]) -> Iterator[Layout]:
    """The listing of every reader that lists any image."""
    for name, options in _candidates(root):
        try:
            reader = datasets.get(name)
            if not isinstance(reader, Reader):
                continue
            given = {**options, **({"labels": dict(labels)} if labels else {})}
            given = {key: value for key, value in given.items() if key in reader.options()}
            listing = _with_files(read_listing(reader, root, **given), root)
        except Exception:  # it is not in this reader's layout; how that shows is its own affair
            continue
        if len(listing.table) or listing.rejects:
            info = listing.info or reader.info
            options = {**given, **({"bad_images": "set-aside"} if listing.rejects else {})}
            side = None if listing.pixels is not None else _side(listing.table["path"], root)
            yield Layout(name, root, info, listing.table, options, tuple(listing.rejects), side)


def _candidates(root: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    for name in datasets.names():
        yield name, {}
    yield "folder", {"people_first": True}
    if root.is_dir():
        tables = (p for p in sorted(root.iterdir()) if p.suffix.casefold() in _TABLES)
        yield from (("manifest", {"file": table.name}) for table in tables)


def _with_files(listing: Listing, root: Path) -> Listing:
    """The listing, with rows whose file is missing among the rejects."""
    if listing.pixels is not None:
        return listing
    base = root if root.is_dir() else root.parent
    there = listing.table["path"].map(lambda path: (base / path).is_file()).to_numpy(dtype=bool)
    missing = [Reject(p, p, "there is no such file") for p in listing.table["path"][~there]]
    listing.table = listing.table[there].reset_index(drop=True)
    listing.rejects = [*listing.rejects, *missing]
    return listing


def _side(paths: pd.Series, root: Path) -> int | None:
    base = root if root.is_dir() else root.parent
    sides = []
    for path in paths.iloc[:: max(len(paths) // _LOOKED_AT, 1)]:
        try:
            with Image.open(base / path) as picture:
                sides.append(min(picture.size))
        except OSError:  # it is named when the faces are read
            continue
    return int(pd.Series(sides).median()) if sides else None
