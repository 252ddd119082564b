"""Aff-Wild (videos) and Aff-Wild2 as used by the ABAW competitions (cropped frames)."""

from __future__ import annotations

import re
import threading
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fer_bench.data.capture import opencv
from fer_bench.data.faces import DataInfo
from fer_bench.data.reader import (
    Listing,
    Reader,
    Reject,
    first_of,
    image_files,
    integer_code,
    listing,
    misnamed,
    one_of,
    relative,
    require,
    text_lines,
)
from fer_bench.errors import DataError

VIDEOS = (".mp4", ".avi")
EXPRESSIONS = {
    0: "neutral",
    1: "anger",
    2: "disgust",
    3: "fear",
    4: "happiness",
    5: "sadness",
    6: "surprise",
}
OTHER = 7
FRAME = re.compile(r"[0-9]+")
FACELESS = "labels of frames without a face"
INVALID = "frames without a valid label"
UNNAMED = "frames labelled other"
TERMS = "Non-commercial research only, by agreement with the authors; no redistribution."


class AffWild(Reader):
    """Reactions filmed in the wild, valence and arousal a frame; a video stands for a person."""

    folder = "aff_wild"
    info = DataInfo(
        name="aff-wild",
        title="Aff-Wild",
        terms=TERMS,
        citation="Kollias et al., Deep affect prediction in-the-wild: Aff-Wild database and "
        "challenge, deep architectures, and beyond, IJCV 2019.",
        subjects="proxy",
        expressions=False,
        valence_arousal=True,
        protocol="folds by video (a proxy of the person)",
    )

    def read(self, root: Path, *, every: int = 10) -> Listing:
        """List frames of `videos/train`, joined to the annotations by frame number.

        Args:
            every: keep one frame in so many.
        """
        videos = require(root / "videos" / "train", "the videos")
        labels = require(root / "annotations" / "train", "valence/ and arousal/")
        rows: list[dict[str, Any]] = []
        where: list[str] = []
        rejects: list[Reject] = []
        frames: list[tuple[Path, int]] = []
        files = sorted(p for p in videos.iterdir() if p.suffix.lower() in VIDEOS)
        for file in files:
            path = relative(file, root)
            try:
                valence, arousal = (
                    [float(line) for _, line in text_lines(labels / k / f"{file.stem}.txt", k)]
                    for k in ("valence", "arousal")
                )
            except (DataError, ValueError) as error:
                rejects.append(Reject(path, path, f"its annotation cannot be read ({error})"))
                continue
            if len(valence) != len(arousal):
                why = f"has {len(valence)} valence but {len(arousal)} arousal values"
                rejects.append(Reject(path, path, why))
                continue
            count = count_frames(file)
            if count != len(valence):
                why = f"has {count} frames but {len(valence)} labels: the surplus is left out"
                rejects.append(Reject(path, path, why))
            for number in range(0, min(count, len(valence)), every):
                rows.append(
                    {
                        "path": f"{path}#{number}",
                        "valence": valence[number],
                        "arousal": arousal[number],
                        "subject": file.stem,
                        "sequence": file.stem,
                    }
                )
                where.append(f"{file.stem}.txt line {number + 1}")
                frames.append((file, number))
        return listing(
            rows,
            where=where,
            rejects=rejects,
            pixels=VideoFrames(frames),
            sequential=True,
            sources=tuple(files),
        )


class VideoFrames:
    """Row -> RGB frame of a video; fast when rows ascend, because videos are read onwards."""

    def __init__(self, frames: list[tuple[Path, int]]) -> None:
        self._frames = frames
        self._lock = threading.Lock()
        self._open: tuple[Path, Any] | None = None
        self._next = 0

    def __call__(self, row: int) -> NDArray[np.uint8]:
        file, number = self._frames[row]
        with self._lock:
            if self._open is None or self._open[0] != file or number < self._next:
                self._open, self._next = (file, capture(file)), 0
            video = self._open[1]
            while self._next < number and video.grab():
                self._next += 1
            good, frame = video.read()
            self._next += 1
        if not good:
            raise DataError(f"frame {number} of {file.name} cannot be decoded")
        return frame[:, :, ::-1]


def capture(file: Path) -> Any:
    """Open a video with OpenCV."""
    video = opencv("reading videos").VideoCapture(str(file))
    if not video.isOpened():
        raise DataError(f"the video {file} cannot be opened.")
    return video


def count_frames(file: Path) -> int:
    """Number of frames, as the container states it."""
    return int(capture(file).get(opencv().CAP_PROP_FRAME_COUNT))


class AffWild2(Reader):
    """Aff-Wild2: cropped and aligned frames with expressions or valence-arousal a frame."""

    folder = "aff_wild2"
    info = DataInfo(
        name="aff-wild2",
        title="Aff-Wild2 (ABAW)",
        terms=TERMS,
        citation="Kollias and Zafeiriou, Aff-Wild2: extending the Aff-Wild database for affect "
        "recognition, 2018; Kollias, ABAW competitions, CVPR Workshops 2022 to 2025.",
        subjects="proxy",
        valence_arousal=True,
        protocol="official training part; the validation part is the test part",
    )
    challenges = {
        "expr": ("EXPR_Recognition_Challenge", "EXPR_Classification_Challenge"),
        "va": ("VA_Estimation_Challenge",),
    }

    def read(self, root: Path, *, task: str = "expr", every: int = 1) -> Listing:
        """List frames that have both a face image and a valid label.

        A label belongs to the frame of its number: line 2 of a file (after the header) is frame
        00001. Frames without a face have no image and are skipped; invalid labels (codes outside
        0 to 6, values outside [-1, 1]) are skipped; notes say how many.

        Args:
            task: "expr" or "va".
            every: keep one frame in so many.
        """
        one_of("task", task, tuple(self.challenges))
        names = [f"{base}{c}" for c in self.challenges[task] for base in ("", "annotations/")]
        folder = first_of(root, *names, needs=f"the folder {names[0]}")
        images = require(root / "cropped_aligned", "<video>/00001.jpg")
        rows: list[dict[str, Any]] = []
        where: list[str] = []
        rejects: list[Reject] = []
        left_out = dict.fromkeys((FACELESS, INVALID, UNNAMED), 0)
        for part, split in (("Train_Set", "train"), ("Validation_Set", "validation")):
            for file in sorted((folder / part).glob("[!.]*.txt")):
                lines = dict(text_lines(file, "one label per frame", header=True))
                files = image_files(images / file.stem)
                rejects += misnamed(files, root, FRAME, "00001.jpg")
                named = [picture for picture in files if FRAME.fullmatch(picture.stem)]
                pictures = {int(picture.stem): relative(picture, root) for picture in named}
                rejects += [
                    Reject(pictures[number], file.name, f"there is no label of frame {number}")
                    for number in sorted(pictures)
                    if number >= max(lines, default=1)
                ]
                about = {"subject": file.stem, "sequence": file.stem, "split": split}
                for line in sorted(lines)[::every]:
                    path, place = pictures.get(line - 1), f"{file.name} line {line}"
                    if path is None:
                        left_out[FACELESS] += 1
                        continue
                    try:
                        label = _label(lines[line], task)
                    except ValueError as error:
                        rejects.append(Reject(path, place, str(error)))
                        continue
                    if isinstance(label, str):
                        left_out[label] += 1
                    else:
                        rows.append({"path": path, **label, **about})
                        where.append(place)
        notes = tuple(f"{count:,} {what} are left out" for what, count in left_out.items() if count)
        return listing(rows, where=where, rejects=rejects, notes=notes)


def _label(line: str, task: str) -> dict[str, Any] | str:
    """One label line, or why its frame is left out."""
    if task == "expr":
        code = integer_code(line)
        if code < 0:
            return INVALID
        if code == OTHER:
            return UNNAMED
        if code not in EXPRESSIONS:
            raise ValueError(f"unknown code {line!r}: known: 0 to 7")
        return {"expression": EXPRESSIONS[code]}
    words = line.split(",")
    if len(words) != 2:
        raise ValueError(f"{line!r} is no pair of valence and arousal")
    valence, arousal = map(float, words)
    if not (abs(valence) <= 1 and abs(arousal) <= 1):
        return INVALID
    return {"valence": valence, "arousal": arousal}


first = AffWild()
second = AffWild2()
