"""From photographs to aligned faces: detect, align by the eyes, crop, resize, check.

The result is a folder with `images/`, a manifest (labels), `preparation.csv` (what was measured
on each face), `rejects.csv` (what was left out, and why) and `info.json` (terms and source). The
readers `manifest` and `folder` open it, and so do `fer-bench data show OUT` and `data audit OUT`.
"""

from __future__ import annotations

import csv
import json
import os
import threading
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field, replace
from itertools import count
from pathlib import Path, PurePosixPath
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

from fer_bench.atomic import atomic_path, write_text
from fer_bench.data import decisions as decided
from fer_bench.data.decode import inside, open_rgb, to_square
from fer_bench.data.detect import Array, Detector, Face, Mtcnn
from fer_bench.data.faces import COLUMNS, DataInfo
from fer_bench.data.labels import is_expression
from fer_bench.data.loading import checked_listing
from fer_bench.data.progress import progress_bar
from fer_bench.data.reader import (
    Listing,
    Reader,
    image_files,
    image_suffixes,
    layout,
    listing,
    relative,
)
from fer_bench.errors import DataError
from fer_bench.registry import datasets

JOURNAL = ".prepare.jsonl"
OWN = DataInfo("photographs", title="Photographs", terms="The terms of your own images.", own=True)
PROVENANCE = (
    "path", "source", "alignment", "eye_left_x", "eye_left_y", "eye_right_x", "eye_right_y",
    "score", "padded", "sharpness", "brightness", "contrast",
)  # fmt: skip
CROPS: dict[str, dict[str, Any]] = {
    "loose": {"eye_distance": 0.30, "eye_height": 0.40},
    "tight": {"eye_distance": 0.42, "eye_height": 0.24},
    "recognition": {"eye_distance": 35.2 / 112, "eye_height": 51.6 / 112},
}
"""Where the eyes go: with forehead and hair around the face, from the brows to the chin, or where
face-recognition networks expect them (at 112 pixels: 38.4 and 73.6 from the left)."""
FACE = {"side": 1.0, "brows": 0.4, "chin": 1.75}
"""Extent of a face from the middle of the eyes, in distances between them."""
MIN_PADDED = 0.005


@dataclass(frozen=True)
class Settings:
    """How faces are cut and what is refused.

    Attributes:
        size: side of the result in pixels.
        color: RGB, or gray.
        eye_distance, eye_height: where the eyes go, as shares of the side: the distance between
            them, and their height from the top. They always lie level, symmetric to the middle.
        min_eyes: smallest distance between the eyes in the photograph, in pixels.
        min_sharpness: smallest variance of the Laplacian, relative to that of the pixels.
        min_brightness, max_brightness: range of the mean gray level (0 to 255).
        min_contrast: smallest deviation of the gray levels.
        max_outside: largest share of the face itself, from the brows to the chin, that lies
            outside the photograph. What else is missing around it is padded with black.
        max_distortion: largest factor by which a face is wider or higher than natural, as far as
            the detector estimates it (to a tenth or a quarter for undistorted faces).
        max_aspect: largest ratio of the sides of a photograph.
        several: "reject" photographs with a second face of comparable size, or take the
            "largest".
        without_eyes: "reject" photographs without a face, or take the "whole-image", not
            aligned; the manifest then has a column `alignment`.
    """

    size: int = 112
    color: bool = True
    eye_distance: float = 0.30
    eye_height: float = 0.40
    min_eyes: float = 12.0
    min_sharpness: float = 0.015
    min_brightness: float = 25.0
    max_brightness: float = 235.0
    min_contrast: float = 8.0
    max_outside: float = 0.25
    max_distortion: float = 1.4
    max_aspect: float = 4.0
    several: Literal["reject", "largest"] = "reject"
    without_eyes: Literal["reject", "whole-image"] = "reject"

    def __post_init__(self) -> None:
        if not 16 <= self.size <= 2048:
            raise DataError(f"size is {self.size}: give a number of pixels from 16 to 2048.")
        if self.several not in ("reject", "largest"):
            raise DataError(f"several is {self.several!r}: known: 'reject', 'largest'.")
        if self.without_eyes not in ("reject", "whole-image"):
            raise DataError(
                f"without_eyes is {self.without_eyes!r}: known: 'reject', 'whole-image'."
            )
        if not (0.05 < self.eye_distance < 0.9 and 0 < self.eye_height < 1):
            raise DataError("eye_distance and eye_height are shares of the side, such as .32, .4.")


@dataclass
class Prepared:
    """What came out.

    Attributes:
        folder: that was written.
        kept, rejected, reused: numbers of faces; the reused ones were prepared by an earlier run.
        whole_images: how many of those kept are whole images, in which no eyes were located.
        padded: how many of those kept reach beyond their photograph and are padded with black.
        reasons: of the rejected ones, with their numbers.
    """

    folder: Path
    kept: int
    rejected: int
    reused: int
    whole_images: int = 0
    padded: int = 0
    reasons: dict[str, int] = field(default_factory=dict)


def prepare(
    raw: str | Path,
    out: str | Path,
    *,
    reader: str = "auto",
    options: Mapping[str, Any] | None = None,
    settings: Settings | None = None,
    decisions: str | Path | None = None,
    detector: Detector | None = None,
    progress: bool | None = None,
) -> Prepared:
    """Cut aligned faces out of the photographs below a folder.

    What was done is kept in a journal, so that a stopped preparation goes on where it was, and
    photographs that came later are added.

    Args:
        raw: folder of photographs.
        out: folder to write; made if it is not there.
        reader: the data set whose layout `raw` has; "auto" reads a manifest if there is one, else
            class folders; "none" takes every image, without labels.
        options: of that reader.
        settings: how faces are cut and what is refused.
        decisions: a file of decisions from the audit: "drop" leaves a photograph out, "keep"
            spares it the quality checks, "relabel" changes its expression.
        detector: finds faces and eyes; MTCNN by default (extra `detect`).

    Raises:
        DataError: nothing to read, or `out` was prepared with other settings.
        MissingExtraError: the detector is not installed.
    """
    raw, out, settings = Path(raw), Path(out), settings or Settings()
    name, listed = _list(raw, reader, dict(options or {}))
    base = raw if raw.is_dir() else raw.parent
    if out.resolve() == base.resolve() or base.resolve().is_relative_to(out.resolve()):
        raise DataError(f"{out} holds the photographs themselves: choose another folder.")
    chosen = decided.read(decisions) if decisions is not None else {}
    unknown = set(chosen) - set(listed.table["path"])
    if unknown:
        raise DataError(f"{decisions}: {min(unknown)!r} is not among the photographs of {raw}.")
    out.mkdir(parents=True, exist_ok=True)
    journal = _Journal(out / JOURNAL, settings)
    detector = detector or Mtcnn()
    records: list[dict[str, Any]] = [{} for _ in range(len(listed.table))]
    paths = listed.table["path"].tolist()
    stamps = [_stamp(listed, base, path, chosen.get(path)) for path in paths]
    todo = []
    for row, (path, stamp) in enumerate(zip(paths, stamps, strict=True)):
        old = journal.find(path, stamp, out)
        if old is None:
            todo.append(row)
        else:
            records[row] = old
    targets = _targets(
        listed.table, todo, chosen, taken={r["path"] for r in records if "path" in r}
    )

    def one(row: int) -> None:
        decision = chosen.get(paths[row])
        record = _one(listed, base, row, out / targets[row], settings, detector, decision)
        if "reason" not in record:
            record["path"] = targets[row]
        records[row] = journal.add(paths[row], stamps[row], record)

    with (
        journal,
        ThreadPoolExecutor(os.cpu_count() or 1) as pool,
        progress_bar(f"preparing {name}", len(todo), progress) as advance,
    ):
        for _ in pool.map(one, todo):
            advance(1)
    return _write(out, name, listed, records, chosen, settings, len(paths) - len(todo))


# ---------------------------------------------------------------------- what to read


def _list(raw: Path, reader: str, options: dict[str, Any]) -> tuple[str, Listing]:
    if not raw.exists():
        raise DataError(f"there is no {raw}.")
    if reader == "none":
        rows = [{"path": relative(file, raw)} for file in image_files(raw)]
        listed = listing(rows, info=OWN)
    else:
        if reader == "auto":
            reader = layout(raw)
        source = datasets.get(reader)
        if not isinstance(source, Reader):
            raise DataError(f"{reader!r} makes its faces: there is nothing to prepare.")
        listed = source.read(raw, **options)
        listed.info = listed.info or source.info
    listed = checked_listing(listed)
    if not len(listed.table):
        raise DataError(f"{raw} holds no image that {reader!r} can list.")
    return (listed.info.name if listed.info else OWN.name), listed


def _targets(
    table: pd.DataFrame, rows: list[int], chosen: Mapping[str, decided.Decision], taken: set[str]
) -> dict[int, str]:
    """Where each row is written: `images/<expression>/<what else its path says>.png`.

    Class folders and a leading `images` of the source are not repeated. Names that would agree
    (photographs of one name and several formats, or a file system that ignores case) are numbered.
    """
    taken = {target.casefold() for target in taken}
    targets = {}
    for row in rows:
        source, expression = table["path"][row], table["expression"][row]
        decision = chosen.get(source)
        if decision is not None and decision.expression is not None:
            expression = decision.expression
        path = PurePosixPath(source)
        parents = [part for part in path.parent.parts if not is_expression(part)]
        if parents[:1] == ["images"]:
            parents = parents[1:]
        name = path.stem if path.suffix.lower() in image_suffixes() else path.name
        label = expression if isinstance(expression, str) else "unlabelled"
        stem = "/".join(["images", label, *parents, name])
        names = (stem if i == 1 else f"{stem}-{i}" for i in count(1))
        target = next(f"{n}.png" for n in names if f"{n}.png".casefold() not in taken)
        taken.add(target.casefold())
        targets[row] = target
    return targets


def _stamp(listed: Listing, base: Path, path: str, chosen: decided.Decision | None) -> str:
    decision = chosen.decision if chosen else ""
    if listed.pixels is not None:
        return decision
    try:
        state = (base / path).stat()
    except (OSError, ValueError):
        return decision
    return f"{state.st_size}:{state.st_mtime_ns}:{decision}"


# ---------------------------------------------------------------------- one photograph


def _one(
    listed: Listing,
    base: Path,
    row: int,
    target: Path,
    settings: Settings,
    detector: Detector,
    decision: decided.Decision | None,
) -> dict[str, Any]:
    """Prepare one photograph: a record of what was measured, or of the reason against it."""
    path = listed.table["path"][row]
    if decision is not None and decision.decision == "drop":
        return {"reason": "dropped by decision"}
    try:
        source = inside(base, path) if listed.pixels is None else listed.pixels(row)
        image = open_rgb(source)
        strict = decision is None or decision.decision != "keep"
        faces = detector(image)
        face = _chosen(faces, image, settings if strict else replace(settings, several="largest"))
        if face is None:
            cut = Image.fromarray(to_square(image, size=settings.size, fit="pad"))
            padded = 1 - min(image.size) / max(image.size)
            quality = measure(np.asarray(cut.convert("L")))
        else:
            cut, inside_it = align(image, face.eyes, settings)
            padded = float(1 - inside_it.mean())
            quality = measure(np.asarray(cut.convert("L")), inside_it)
        if strict:
            _check(image, face, quality, settings)
    except DataError as error:
        return {"reason": str(error)}
    with atomic_path(target) as aside:
        (cut if settings.color else cut.convert("L")).save(aside, "PNG", compress_level=1)
    return {
        "alignment": "eyes" if face else "whole image",
        "eyes": [round(float(v), 2) for v in face.eyes.ravel()] if face else [None] * 4,
        "score": round(face.score, 4) if face else None,
        "padded": round(padded, 4),
        **{key: round(value, 4) for key, value in quality.items()},
    }


def _chosen(faces: list[Face], image: Image.Image, settings: Settings) -> Face | None:
    """The face that is meant: the largest, unless another one is comparable.

    None stands for the whole image, where there is no face and the settings allow it.
    """
    if max(image.size) > settings.max_aspect * min(image.size):
        raise DataError(f"is {image.width}x{image.height}: too long and narrow")
    if not faces:
        if settings.without_eyes == "whole-image":
            return None
        raise DataError("no face was found")
    area = [face.box[2] * face.box[3] for face in faces]
    rivals = sum(a > 0.4 * area[0] for a in area)
    if rivals > 1 and settings.several == "reject":
        raise DataError(f"{rivals} faces of comparable size were found")
    return faces[0]


def align(
    image: Image.Image, eyes: Array, settings: Settings | None = None
) -> tuple[Image.Image, NDArray[np.bool_]]:
    """Turn, scale and cut so that the eyes come to lie where the settings want them.

    Args:
        image: RGB.
        eyes: [2, 2] x and y of the eyes, left one first, in pixels of the image.

    Returns:
        The square face, and which of its pixels [size, size] lie in the image; others are black.
    """
    settings = settings or Settings()
    to_image = alignment(eyes, settings)
    size = settings.size
    # Where several pixels of the photograph make one of the face, shrink first: a bare warp
    # would skip pixels.
    shrink = min(1.0, 1 / float(np.hypot(*to_image[:, 0])))
    if shrink < 0.9:
        corners = to_image @ np.array([[0, size, 0, size], [0, 0, size, size], [1, 1, 1, 1]])
        low = np.maximum(np.floor(corners.min(1)) - 2, 0)
        high = np.minimum(np.ceil(corners.max(1)) + 2, image.size)
        if (high - low < 1).any():
            raise DataError("the face lies outside the image")
        width, height = (int(v) for v in np.maximum(np.round((high - low) * shrink), 1))
        small = (width, height)
        image = image.resize(small, Image.Resampling.BOX, box=(*low, *high))
        factor = np.array(small) / (high - low)
        to_image = np.column_stack(
            [to_image[:, :2] * factor[:, None], (to_image[:, 2] - low) * factor]
        )
    cut = image.transform(
        (size, size),
        Image.Transform.AFFINE,
        tuple(to_image.ravel()),
        Image.Resampling.BICUBIC,
    )
    grid = np.stack([*np.meshgrid(np.arange(size) + 0.5, np.arange(size) + 0.5)], axis=0)
    at = np.einsum("ij,jhw->ihw", to_image[:, :2], grid) + to_image[:, 2, None, None]
    out_of = (at < 0).any(0) | (at[0] > image.width) | (at[1] > image.height)
    return cut, ~out_of


def alignment(eyes: Array, settings: Settings) -> NDArray[np.float64]:
    """[2, 3] similarity from pixels of the aligned face to pixels of the photograph."""
    (left, right), side = np.asarray(eyes, dtype=np.float64), settings.size
    across = (right - left) / (settings.eye_distance * side)
    turn = np.array([[across[0], -across[1]], [across[1], across[0]]])
    middle = np.array([side / 2, settings.eye_height * side])
    return np.column_stack([turn, (left + right) / 2 - turn @ middle])


def outside_photograph(eyes: Array, size: tuple[int, int]) -> float:
    """Share of a face, from the brows to the chin, that lies outside a photograph.

    Args:
        eyes: [2, 2] x and y of the eyes, left one first, in pixels of the photograph.
        size: width and height of the photograph in pixels.
    """
    left, right = np.asarray(eyes, dtype=np.float64)
    across = right - left
    down = np.array([-across[1], across[0]])
    x, y = np.meshgrid(
        np.linspace(-FACE["side"], FACE["side"], 33), np.linspace(-FACE["brows"], FACE["chin"], 33)
    )
    at = (left + right) / 2 + x[..., None] * across + y[..., None] * down
    return float(((at < 0) | (at > size)).any(axis=-1).mean())


def measure(gray: NDArray[np.uint8], inside: NDArray[np.bool_] | None = None) -> dict[str, float]:
    """Sharpness, brightness and contrast of a gray face [H, W].

    Sharpness is the variance of the Laplacian over the variance of the pixels (of the middle of
    the face, where no border of the picture can be), so that it does not depend on light.

    Args:
        inside: [H, W] pixels that count; all by default.
    """
    h, w = gray.shape
    part = np.s_[h // 5 : h - h // 5, w // 5 : w - w // 5]
    middle = gray[part].astype(np.float64)
    known = np.ones(middle.shape, dtype=bool) if inside is None else inside[part]
    inner = middle[1:-1, 1:-1]
    laplacian = (
        middle[:-2, 1:-1] + middle[2:, 1:-1] + middle[1:-1, :-2] + middle[1:-1, 2:] - 4 * inner
    )
    # A step from the photograph to its padding is no detail of the face.
    known = ndimage.binary_erosion(known)[1:-1, 1:-1]
    if not known.any():
        return {"sharpness": 0.0, "brightness": 0.0, "contrast": 0.0}
    inner, laplacian = inner[known], laplacian[known]
    return {
        "sharpness": float(laplacian.var() / max(inner.var(), 1.0)),
        "brightness": float(inner.mean()),
        "contrast": float(inner.std()),
    }


def _check(
    image: Image.Image, face: Face | None, quality: dict[str, float], settings: Settings
) -> None:
    """Raise the first reason for which a face cannot be used."""
    if face is not None:
        distance = float(np.linalg.norm(face.eyes[1] - face.eyes[0]))
        if distance < settings.min_eyes:
            raise DataError(f"the face is too small: {distance:.0f} pixels between the eyes")
        outside = outside_photograph(face.eyes, image.size)
        if outside > settings.max_outside:
            raise DataError(
                f"the face is out of frame: {outside:.0%} of it lie outside the photograph"
            )
        if face.stretch is not None:
            factor = max(face.stretch, 1 / face.stretch)
            if factor > settings.max_distortion:
                side = "wide" if face.stretch > 1 else "high"
                raise DataError(f"the face is distorted: about {factor:.1f} times too {side}")
    if quality["brightness"] < settings.min_brightness:
        raise DataError(f"the face is too dark (mean {quality['brightness']:.0f} of 255)")
    if quality["brightness"] > settings.max_brightness:
        raise DataError(f"the face is too bright (mean {quality['brightness']:.0f} of 255)")
    if quality["contrast"] < settings.min_contrast:
        raise DataError(f"the face has no contrast (deviation {quality['contrast']:.1f})")
    if quality["sharpness"] < settings.min_sharpness:
        raise DataError(f"the face is blurred (sharpness {quality['sharpness']:.4f})")


# ---------------------------------------------------------------------- the folder


class _Journal:
    """What was done already: one JSON line a photograph, below a line with the settings."""

    def __init__(self, file: Path, settings: Settings) -> None:
        self._lock = threading.Lock()
        self._done: dict[str, dict[str, Any]] = {}
        head = json.dumps({"settings": asdict(settings)}, sort_keys=True)
        if file.exists():
            lines = file.read_text(encoding="utf-8").split("\n")
            if lines[0] != head:
                raise DataError(
                    f"{file.parent} was prepared with other settings: choose another folder, or "
                    "delete it."
                )
            for line in lines[1:]:
                try:
                    entry = json.loads(line)
                    self._done[entry["source"]] = entry
                except (ValueError, KeyError):
                    continue  # the line that was being written when the work was stopped
        self._file = file.open("a", encoding="utf-8")
        self._file.write("\n" if self._done else "")
        if not self._done and file.stat().st_size == 0:
            self._file.write(head + "\n")

    def __enter__(self) -> _Journal:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def find(self, source: str, stamp: str, out: Path) -> dict[str, Any] | None:
        entry = self._done.get(source)
        if entry is None or entry["stamp"] != stamp:
            return None
        record = entry["record"]
        return record if "path" not in record or (out / record["path"]).is_file() else None

    def add(self, source: str, stamp: str, record: dict[str, Any]) -> dict[str, Any]:
        line = json.dumps({"source": source, "stamp": stamp, "record": record})
        with self._lock:
            self._file.write(line + "\n")
            self._file.flush()
        return record


def _write(
    out: Path,
    name: str,
    listed: Listing,
    records: list[dict[str, Any]],
    chosen: Mapping[str, decided.Decision],
    settings: Settings,
    reused: int,
) -> Prepared:
    good = [row for row, record in enumerate(records) if "path" in record]
    kept = [records[row] for row in good]
    table = listed.table.iloc[good].reset_index(drop=True)
    measured = _measured(kept, table["path"])
    labels = _labels(table, kept, chosen)
    whole_images = int((measured["alignment"] == "whole image").sum())
    if whole_images:
        labels["alignment"] = measured["alignment"]
    labels = labels[[c for c in labels if c == "path" or labels[c].notna().any()]]
    rejects = _rejects(listed, records)
    _csv(out / "manifest.csv", labels)
    _csv(out / "preparation.csv", measured)
    _csv(out / "rejects.csv", pd.DataFrame(rejects, columns=["path", "where", "reason"]))
    padded = measured["padded"][measured["padded"] > MIN_PADDED]
    info = listed.info.to_json() if listed.info else {}
    info |= {"name": f"{name}-prepared", "expected": {}}
    made = (
        f"prepared: {len(good)} of {len(good) + len(rejects)} photographs, aligned by the eyes "
        f"to {settings.size}x{settings.size}"
    )
    info["notes"] = [*info.get("notes", []), made, *_notes(whole_images, padded)]
    write_text(out / "info.json", json.dumps(info, indent=1))
    kinds = pd.Series([_kind(reason) for _, _, reason in rejects], dtype="str").value_counts()
    return Prepared(
        out,
        kept=len(good),
        rejected=len(rejects),
        reused=reused,
        whole_images=whole_images,
        padded=len(padded),
        reasons={str(k): int(v) for k, v in kinds.items()},
    )


def _measured(kept: list[dict[str, Any]], sources: pd.Series) -> pd.DataFrame:
    """What was measured of every written picture: the table of provenance."""
    names = ("score", "padded", "sharpness", "brightness", "contrast")
    rows = [
        [r["path"], source, r["alignment"], *r["eyes"], *(r[name] for name in names)]
        for r, source in zip(kept, sources, strict=True)
    ]
    return pd.DataFrame(rows, columns=list(PROVENANCE))


def _labels(
    table: pd.DataFrame, kept: list[dict[str, Any]], chosen: Mapping[str, decided.Decision]
) -> pd.DataFrame:
    """Labels of the written pictures, with expressions as decided by a person."""
    decisions = [chosen.get(source) for source in table["path"]]
    for i, decision in enumerate(decisions):
        if decision is not None and decision.expression is not None:
            table.loc[i, "expression"] = decision.expression
    eyes = [c for c in table if "eye" in str(c) and c not in COLUMNS]  # no longer where they were
    table = table.drop(columns=[c for c in eyes if pd.api.types.is_numeric_dtype(table[c])])
    table["path"] = [record["path"] for record in kept]
    return table


def _rejects(listed: Listing, records: list[dict[str, Any]]) -> list[tuple[str, str, str]]:
    """Path, place and reason of everything that was not written."""
    where = listed.where or [""] * len(records)
    return [
        *((r.path, r.where, r.reason) for r in listed.rejects),
        *(
            (listed.table["path"][row], where[row], record["reason"])
            for row, record in enumerate(records)
            if "reason" in record
        ),
    ]


def _notes(whole_images: int, padded: pd.Series) -> list[str]:
    """Sentences for the data card, of pictures that are not plain crops."""
    notes = []
    if whole_images:
        notes.append(f"{whole_images} of them are whole images, in which no eyes were located")
    if len(padded):
        notes.append(
            f"{len(padded)} of them reach beyond the photograph and are padded with black: "
            f"{padded.median():.0%} of the picture at the median, {padded.max():.0%} at most"
        )
    return notes


def _kind(reason: str) -> str:
    """A reason without its figures."""
    return reason.partition(" (")[0].partition(":")[0].lstrip("0123456789 ")


def _csv(file: Path, table: pd.DataFrame) -> None:
    text = table.to_csv(index=False, quoting=csv.QUOTE_MINIMAL, lineterminator="\n")
    write_text(file, text, newline="")
