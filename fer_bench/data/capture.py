"""Recording labelled faces from a webcam, or from anything OpenCV can read as one.

The result is a folder `<expression>/<subject>/<unique>.png` with a manifest and the consent of
every person; the readers `manifest` and `folder` open it, and `fer-bench data prepare` cuts
aligned faces out of it.
"""

from __future__ import annotations

import json
import time
import uuid
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from PIL import Image

from fer_bench.atomic import atomic_path
from fer_bench.data.labels import canonical
from fer_bench.errors import DataError, MissingExtraError

KEYS = {
    "n": "neutral",
    "h": "happiness",
    "s": "sadness",
    "p": "surprise",
    "u": "surprise",
    "f": "fear",
    "d": "disgust",
    "a": "anger",
}
"""What a key stores; p is the key of the webcam report."""
UNDO, QUIT = ("z", "\b"), ("q", "\x1b")

CONSENT = """Pictures of your face will be taken when a key is pressed, and stored on this computer
in {folder}, together with the name you give below and the expression you show. They are used to
train and test programs that recognise facial expressions. You may stop at any time, take back a
picture with z, and have all your pictures deleted by deleting the folders that carry your name.
Take part only if you agree to this."""


class View(Protocol):
    """Shows a frame (RGB) and answers the key that was pressed, or "" for none."""

    def __call__(self, frame: NDArray[np.uint8]) -> str: ...


@dataclass
class Recorder:
    """Writes pictures of one subject and keeps the manifest.

    Args:
        folder: where to write; made if it is not there, continued if it is.
        subject: name of the person; becomes a folder.
        side: of the central square that is cut from every frame, in pixels.
    """

    folder: Path
    subject: str
    side: int = 250
    saved: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.folder = Path(self.folder)
        self.subject = checked_name(self.subject)
        self.session = f"{self.subject}-{time.strftime('%Y%m%d-%H%M%S')}"
        self._manifest = self.folder / "manifest.csv"
        self._rows = self._read()

    def counts(self) -> Counter[str]:
        """Pictures of this subject so far, by expression."""
        return Counter(r["expression"] for r in self._rows if r["subject"] == self.subject)

    def save(self, expression: str, face: NDArray[np.uint8]) -> str:
        """Store one face [side, side, 3] and return its path in the folder."""
        path = f"{expression}/{self.subject}/{uuid.uuid4().hex}.png"
        file = self.folder / path
        with atomic_path(file) as aside:
            Image.fromarray(face).save(aside, "PNG")
        self._rows.append(
            {
                "path": path,
                "expression": expression,
                "subject": self.subject,
                "sequence": self.session,
            }
        )
        self.saved.append(path)
        self._write()
        return path

    def undo(self) -> str | None:
        """Delete the last picture of this session; None if there is none."""
        if not self.saved:
            return None
        path = self.saved.pop()
        self._rows = [row for row in self._rows if row["path"] != path]
        self._write()
        (self.folder / path).unlink(missing_ok=True)
        return path

    def consent(self, text: str) -> None:
        """Record that the subject agreed, when, and to what."""
        self.folder.mkdir(parents=True, exist_ok=True)
        record = {"subject": self.subject, "time": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
                  "text": text}  # fmt: skip
        with (self.folder / "consent.jsonl").open("a", encoding="utf-8") as file:
            file.write(json.dumps(record) + "\n")

    def _read(self) -> list[dict[str, Any]]:
        if not self._manifest.is_file():
            return []
        table = pd.read_csv(self._manifest, dtype=str, keep_default_na=False)
        if not {"path", "expression", "subject"} <= set(table):
            raise DataError(f"{self._manifest} was not written by a recording: use another folder.")
        return table.to_dict("records")

    def _write(self) -> None:
        table = pd.DataFrame(self._rows, columns=["path", "expression", "subject", "sequence"])
        with atomic_path(self._manifest) as aside:
            table.to_csv(aside, index=False, lineterminator="\n")


def parsed_keys(text: str) -> dict[str, str]:
    """A map of keys from words such as "n=neutral,p=surprise".

    Raises:
        DataError: a word that is no KEY=EXPRESSION, an unknown expression, or a key that is taken.

    >>> parsed_keys("n=neutral, P=surprised")
    {'n': 'neutral', 'p': 'surprise'}
    """
    keys: dict[str, str] = {}
    for word in text.replace(",", " ").split():
        key, equals, name = word.partition("=")
        key = key.lower()
        if not equals or len(key) != 1 or not name:
            raise DataError(f"--keys {word!r}: write KEY=EXPRESSION, such as p=surprise.")
        if key in (*UNDO, *QUIT):
            raise DataError(f"--keys {word!r}: the key {key} takes a picture back or stops.")
        if key in keys:
            raise DataError(f"--keys: the key {key} is given twice.")
        keys[key] = canonical(name)
    if not keys:
        raise DataError("--keys names no key: write KEY=EXPRESSION, such as p=surprise.")
    return keys


def record(
    recorder: Recorder,
    frames: Iterator[NDArray[np.uint8]],
    view: View,
    *,
    keys: Mapping[str, str] = KEYS,
    mirror: bool = True,
) -> Counter[str]:
    """Show frames and store a face whenever the key of an expression is pressed.

    Args:
        recorder: where faces go.
        frames: RGB frames; recording ends with them.
        view: shows each frame and answers a key: z to undo, q to stop, or one of `keys`.
        keys: key -> expression.
        mirror: show the picture as in a mirror (what is stored is never mirrored).

    Returns:
        The subject's pictures by expression.
    """
    message = "Look into the camera and press a key."
    for frame in frames:
        face = central_square(frame, recorder.side)
        shown = face[:, ::-1] if mirror else face
        key = view(annotated(shown, recorder, keys, message)).lower()
        if key in QUIT:
            break
        if key in UNDO:
            path = recorder.undo()
            message = f"Took back {path.split('/')[0]}." if path else "Nothing to take back."
        elif key in keys:
            recorder.save(keys[key], face)
            message = f"Stored {keys[key]}."
        elif key:
            message = f"{key if key.isprintable() and key.strip() else 'That key'} stores nothing."
    return recorder.counts()


def central_square(frame: NDArray[np.uint8], side: int) -> NDArray[np.uint8]:
    """Cut the square in the middle of a frame [H, W, 3].

    Raises:
        DataError: the frame is smaller than that.
    """
    height, width = frame.shape[:2]
    if side > min(height, width):
        raise DataError(
            f"the camera gives {width}x{height} pixels, too few for a square of {side}: "
            f"use --crop {min(height, width)} or less."
        )
    top, left = (height - side) // 2, (width - side) // 2
    return np.ascontiguousarray(frame[top : top + side, left : left + side])


def annotated(
    face: NDArray[np.uint8], recorder: Recorder, keys: Mapping[str, str], message: str
) -> NDArray[np.uint8]:
    """What the window shows: the face beside the keys, live counts and the last message."""
    from PIL import ImageDraw, ImageFont

    side, counts = 400, recorder.counts()
    canvas = Image.new("RGB", (side + 260, side), (24, 26, 31))
    canvas.paste(Image.fromarray(np.ascontiguousarray(face)).resize((side, side)), (0, 0))
    draw, font = ImageDraw.Draw(canvas), ImageFont.load_default(16)
    lines = [f"Subject: {recorder.subject}", ""]
    for name in dict.fromkeys(keys.values()):
        pressed = " ".join(key for key, stored in keys.items() if stored == name)
        lines.append(f"{pressed}   {name}   {counts[name]}")
    lines += ["", "z   take back", "q   stop", "", message]
    for i, line in enumerate(lines):
        draw.text((side + 16, 14 + 24 * i), line, fill="white", font=font)
    return np.asarray(canvas)


def camera_frames(camera: int | str | Path) -> Iterator[NDArray[np.uint8]]:
    """RGB frames of a camera (by number) or of a video file, until they end.

    Raises:
        DataError: it cannot be opened, or gives no picture.
        MissingExtraError: OpenCV is not installed.
    """
    cv2 = opencv()
    source = int(str(camera)) if str(camera).isdigit() else str(camera)
    video = cv2.VideoCapture(source)
    try:
        count = 0
        while video.isOpened():
            good, frame = video.read()
            if not good:
                break
            count += 1
            yield np.ascontiguousarray(frame[:, :, ::-1])
        if not count:
            raise DataError(f"camera {camera!r} gives no picture: is it connected and free?")
    finally:
        video.release()


class Window:
    """A window of OpenCV; closing it means q."""

    TITLE = "fer-bench data capture"

    def __init__(self, *, wait: int = 15) -> None:
        self._cv2 = opencv()
        self._wait = wait
        try:
            self._cv2.namedWindow(self.TITLE, self._cv2.WINDOW_AUTOSIZE)
        except self._cv2.error as error:
            raise DataError(
                "no window can be opened: a display is needed, and the package 'opencv-python' "
                "rather than 'opencv-python-headless'."
            ) from error

    def __call__(self, frame: NDArray[np.uint8]) -> str:
        self._cv2.imshow(self.TITLE, frame[:, :, ::-1])
        key = self._cv2.waitKey(self._wait)
        if self._cv2.getWindowProperty(self.TITLE, self._cv2.WND_PROP_VISIBLE) < 1:
            return "q"
        return chr(key & 0xFF) if key >= 0 else ""

    def close(self) -> None:
        """Close the window."""
        self._cv2.destroyAllWindows()


def checked_name(subject: str) -> str:
    """A subject's name that can be a folder.

    Raises:
        DataError: it is empty, or holds what a folder name must not.
    """
    name = subject.strip()
    if not name or name.startswith(".") or any(c in name for c in '/\\:*?"<>|\n\t\0'):
        raise DataError(f"the subject {subject!r} cannot name a folder: use letters and digits.")
    return name


def opencv(what: str = "recording") -> Any:
    """The package cv2.

    Raises:
        MissingExtraError: it is not installed; the message says what needs it.
    """
    try:
        import cv2
    except ImportError:
        raise MissingExtraError("opencv-python", "capture", what) from None
    return cv2
