"""Faces on the page: one sprite sheet for all of them, shown, blurred, or left out.

A face is about a person. Whether faces may be shown is a property of the data set; blurring
keeps the pose and the light, and takes away what a person could be known by.
"""

from __future__ import annotations

import base64
import io
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

Faces = Literal["show", "blur", "none"]
_COLUMNS = 50
_LARGEST_SHEET = 16_000  # WebP ends at 16,383 pixels


@dataclass(frozen=True)
class Sprite:
    """A sheet of square faces.

    Attributes:
        uri: the sheet as a data URI, or "" where faces are left out.
        position: row of the data set -> position on the sheet.
        tile: side of a face in pixels.
        columns, rows: faces across and down.
    """

    uri: str
    position: dict[int, int]
    tile: int
    columns: int
    rows: int

    def of(self, row: int) -> int:
        """Position of a row of the data set; -1 where it has no face."""
        return self.position.get(int(row), -1)


def sprite_of(
    thumbnails: NDArray[np.uint8] | None, rows: NDArray[np.int64], *, mode: Faces, quality: int = 62
) -> Sprite:
    """Put the faces of some rows of a data set on one sheet.

    Args:
        thumbnails: uint8 [n, side, side, C] of the whole data set, or None where not kept.
        rows: which of them the page shows; repeated ones are put once.
        mode: "show", "blur" or "none".
        quality: of the WebP compression.
    """
    wanted = np.unique(rows[rows >= 0])
    if mode == "none" or thumbnails is None or not len(wanted):
        return Sprite("", {}, 0, 1, 1)
    wanted = wanted[wanted < len(thumbnails)]
    tile = 48 if len(wanted) <= 4000 else 32
    down = -(-len(wanted) // _COLUMNS)
    if down * tile > _LARGEST_SHEET:
        wanted = wanted[: _COLUMNS * (_LARGEST_SHEET // tile)]
        down = -(-len(wanted) // _COLUMNS)
    sheet = Image.new("RGB", (_COLUMNS * tile, down * tile))
    for i, row in enumerate(wanted):
        face = as_image(thumbnails[row]).resize((tile, tile), Image.Resampling.LANCZOS)
        if mode == "blur":
            face = blurred(face)
        sheet.paste(face, (i % _COLUMNS * tile, i // _COLUMNS * tile))
    data = io.BytesIO()
    sheet.save(data, "WEBP", quality=quality, method=4)
    uri = "data:image/webp;base64," + base64.b64encode(data.getvalue()).decode()
    return Sprite(uri, {int(r): i for i, r in enumerate(wanted)}, tile, _COLUMNS, down)


def as_image(face: NDArray[np.uint8]) -> Image.Image:
    """A face uint8 [height, width, 1 or 3] as a picture in colour."""
    if face.ndim == 3 and face.shape[2] == 1:
        face = face[:, :, 0]
    return Image.fromarray(np.ascontiguousarray(face)).convert("RGB")


def blurred(face: Image.Image) -> Image.Image:
    """Six by six averages, smoothed: too little is left for a person to be known by."""
    coarse = face.resize((6, 6), Image.Resampling.BOX)
    return coarse.resize(face.size, Image.Resampling.BICUBIC).filter(
        ImageFilter.GaussianBlur(face.size[0] / 16)
    )
