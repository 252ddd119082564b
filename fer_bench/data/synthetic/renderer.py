"""Draw faces from factors: a vectorised painter of anti-aliased shapes.

`render` is a pure function of the table, row by row. A face is painted in layers, back to front,
for a chunk of images at once. Every layer is a signed distance or a soft bump over the pixels it
can touch; coverage grows linearly over one pixel, so edges are smooth at any size.

The head is an ellipsoid: pixels are carried back through its rotation to a flat *face chart*
(`u` to the right, `v` down), in which the features are drawn. Pose therefore moves, foreshortens
and hides them as on a head, with one warp per image. Features are painted as bare colours; one
shading map, from the ellipsoid's normals and the creases of the expression, lights them at the end.

Only `+ - * /`, square roots, comparisons and integer hashes touch a pixel: operations with one
correct result under IEEE 754. The same table thus gives the same bytes on any machine, for any
number of threads and any chunking.

Coordinates are in half image widths, from the image's centre.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fer_bench.data.progress import in_parts
from fer_bench.data.synthetic.development import develop
from fer_bench.data.synthetic.factors import (
    ACTION_UNITS,
    ATTRIBUTES,
    NUISANCE_FACTORS,
    SUBJECT_FACTORS,
    check_picture,
    read_factors,
)
from fer_bench.data.synthetic.shapes import (
    BACKGROUND_COLORS,
    CLOTHES,
    EYE_COLORS,
    HAIR_COLORS,
    SKIN_COLORS,
    box,
    bump,
    clip01,
    ellipse,
    hashed,
    palette,
    union,
    wave,
)

Array = NDArray[Any]  # float32, unless said otherwise
Region = tuple[slice, slice]

_CHUNK_PIXELS = 1 << 17  # 32 images of 64x64: a layer then stays in the processor's cache
_COLUMNS = (*SUBJECT_FACTORS, *ACTION_UNITS, *NUISANCE_FACTORS, "clothes", "noise", "noise_seed")


def render(
    factors: pd.DataFrame,
    *,
    size: int = 64,
    color: bool = True,
    threads: int | None = None,
    progress: bool | None = False,
) -> NDArray[np.uint8]:
    """Draw one face per row of a table of factors.

    Parameters
    ----------
    factors
        What `sample_factors` returns; any subset of its rows, in any order.
    size
        Width and height in pixels, 16 to 1024.
    color
        Three channels (RGB) or one (luma, ITU-R BT.601).
    threads
        How many threads work on it (default: all cores). The pixels do not depend on it.
    progress
        Show how far it is (default: no); None: a bar on a terminal, else lines.

    Returns
    -------
    uint8 array [N, size, size, 3 or 1].

    Raises
    ------
    DataError
        If a column is missing or holds something that is no number, or a size is out of range.

    >>> from fer_bench.data.synthetic.factors import sample_factors
    >>> faces = render(sample_factors(14, subjects=2, seed=1), size=32)
    >>> faces.shape, faces.dtype
    ((14, 32, 32, 3), dtype('uint8'))
    """
    check_picture(size, threads)
    numbers, codes = read_factors(factors, _COLUMNS, ATTRIBUTES)
    images = np.empty((len(factors), size, size, 3 if color else 1), dtype=np.uint8)

    def paint(rows: slice) -> None:
        scene = Scene(
            {name: values[rows] for name, values in numbers.items()},
            {name: values[rows] for name, values in codes.items()},
            size,
        )
        images[rows] = scene.draw(color=color)

    in_parts(
        paint,
        len(images),
        max(1, _CHUNK_PIXELS // size**2),
        what="rendering faces",
        threads=threads,
        progress=progress,
    )
    return images


class Mouth(NamedTuple):
    """Where the lips of some faces lie on the face chart: [B, 1, 1], and [B, h, w] in `at`.

    Attributes:
        at, u, v: the region of the mouth, and the coordinates of its pixels.
        corner: how far the corners are from the middle; `t2` is (u / corner)^2, `inside` falls
            from 1 in the middle to 0 at the corners.
        up, down: how far the lips are parted; `bend`: how far the corners hang.
        middle, line: height of the seam in the middle, and everywhere; `slope`: its steepness.
        top_out, top_in, bottom_in, bottom_out: heights of the edges of both lips.
        ends: distance beyond the corners.
        lower_thick: of the lower lip.
    """

    at: Region
    u: Array
    v: Array
    corner: Array
    t2: Array
    inside: Array
    up: Array
    down: Array
    bend: Array
    middle: Array
    line: Array
    slope: Array
    ends: Array
    top_out: Array
    top_in: Array
    bottom_in: Array
    bottom_out: Array
    lower_thick: Array


class Scene:
    """One chunk of faces being painted: parameters, pixel grids, canvas and shading.

    Arrays of parameters are [B, 1, 1], of pixels [B, H, W]; a colour is [3, B, 1, 1] or
    [3, B, H, W].
    """

    def __init__(
        self,
        numbers: dict[str, NDArray[np.float64]],
        codes: dict[str, NDArray[np.int64]],
        size: int,
    ) -> None:
        self.numbers, self.codes, self.size = numbers, codes, size
        self._lay_out()
        self._aim()

    def __getitem__(self, name: str) -> Array:
        """A factor as [B, 1, 1]."""
        return self.numbers[name][:, None, None].astype(np.float32)

    def one(self, name: str, *levels: str) -> Array:
        """1 where an attribute has one of these levels, else 0: [B, 1, 1]."""
        wanted = np.array([level in levels for level in ATTRIBUTES[name]], dtype=np.float32)
        return wanted[self.codes[name]][:, None, None]

    # --- geometry ---

    def _lay_out(self) -> None:
        """Turn morphology and action units into lengths and positions on the face chart."""
        man = self["masculinity"]
        self.age = self.codes["age"][:, None, None].astype(np.float32) / 2
        self.wrinkles = clip01(self.age * (0.75 + 0.35 * self["wrinkles"]))
        self.width = 0.70 + 0.055 * self["face_width"] + 0.012 * man
        self.jaw_width = 0.52 + 0.055 * self["jaw_width"] + 0.045 * man
        self.jaw_drop = 0.13 * self["au26"]
        self.chin_y = 0.93 + 0.06 * self["face_length"] + 0.02 * man + self.jaw_drop
        self.eye_x = 0.30 + 0.03 * self["eye_spacing"]
        self.eye_y = -0.13 + 0.035 * self["eye_height"]
        self.eye_w = 0.150 + 0.018 * self["eye_size"] - 0.006 * man
        self.nose_y = 0.235 + 0.05 * self["nose_length"] - 0.035 * self["au9"]
        self.nose_w = 0.125 + 0.03 * self["nose_width"] + 0.01 * man + 0.025 * self["au9"]
        self.mouth_y = 0.535 + 0.03 * self["mouth_height"] + 0.02 * self["nose_length"]
        self.mouth_y = self.mouth_y - 0.02 * self["au17"] + 0.02 * self["au26"]

    def _aim(self) -> None:
        """Lay the pixel grids: image plane -> head plane (x, y) -> face chart (u, v)."""
        n = self.size
        steps = (np.arange(n, dtype=np.float32) + 0.5) * np.float32(2 / n) - 1
        t = 0.09 * self["roll"]  # tan of half the angle: up to 10 degrees
        cos, sin = (1 - t * t) / (1 + t * t), 2 * t / (1 + t * t)
        zoom = 1 / (1.0 + 0.09 * self["scale"])
        px = (steps[None, None, :] - 0.07 * self["shift_x"]) * zoom
        py = (steps[None, :, None] - 0.07 * self["shift_y"] - 0.01) * zoom
        self.x, self.y = cos * px + sin * py, cos * py - sin * px
        self.pixel = zoom * np.float32(2 / n)

        self.rx, self.ry = np.float32(0.92), np.float32(1.28)
        x, y = self.x / self.rx, self.y / self.ry
        z = np.sqrt(np.maximum(1 - x * x - y * y, 0))
        self.normal = (x, y, np.sqrt(np.maximum(1 - 0.9 * (x * x + y * y), 0.1)))
        t = 0.16 * self["yaw"]  # up to 18 degrees
        cos, sin = (1 - t * t) / (1 + t * t), 2 * t / (1 + t * t)
        x, z = cos * x - sin * z, sin * x + cos * z
        t = 0.10 * self["pitch"]  # up to 11 degrees
        cos, sin = (1 - t * t) / (1 + t * t), 2 * t / (1 + t * t)
        y = cos * y - sin * z
        self.u, self.v = self.rx * x, self.ry * y
        # Which part of the image a feature can touch is decided on these, chunk by chunk; where
        # exactly the cut falls changes no pixel, because coverage is 0 outside the feature.
        self._left, self._right = self.u.min(axis=(0, 1)), self.u.max(axis=(0, 1))
        self._top, self._bottom = self.v.min(axis=(0, 2)), self.v.max(axis=(0, 2))

    def region(self, left: float, right: float, top: float, bottom: float) -> Region:
        """The rows and columns in which any face shows this rectangle of the face chart."""
        soft = 4 / self.size  # two pixels more, for the soft edges
        columns = np.flatnonzero((self._right >= left - soft) & (self._left <= right + soft))
        rows = np.flatnonzero((self._bottom >= top - soft) & (self._top <= bottom + soft))
        if not len(columns) or not len(rows):
            return slice(0, 0), slice(0, 0)
        return slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)

    def chart(
        self, left: float, right: float, top: float, bottom: float
    ) -> tuple[Region, Array, Array]:
        """The region of a rectangle of the face chart, and u and v [B, h, w] of its pixels."""
        at = self.region(left, right, top, bottom)
        return at, self.u[:, at[0], at[1]], self.v[:, at[0], at[1]]

    # --- painting ---

    def cover(self, distance: Array, soft: float = 1.0) -> Array:
        """Coverage of a shape: 1 inside, 0 outside, over `soft` pixels."""
        return clip01(0.5 - distance / (self.pixel * soft))

    def paint(
        self, alpha: Array, color: Array | Sequence[float], at: Region = (slice(None),) * 2
    ) -> None:
        """Lay a colour over the canvas."""
        for canvas, value in zip(self.canvas, color, strict=True):
            part = canvas[:, at[0], at[1]]
            part += alpha * (value - part)

    def shadow(self, amount: Array, at: Region = (slice(None),) * 2) -> None:
        """Darken (or, below zero, lighten) the shading by a fraction."""
        part = self.shade[:, at[0], at[1]]
        part *= 1 - amount

    def draw(self, *, color: bool) -> NDArray[np.uint8]:
        """Paint everything and return uint8 [B, H, W, 3 or 1]."""
        shape = (len(self.u), self.size, self.size)
        self.canvas = [np.empty(shape, dtype=np.float32) for _ in range(3)]
        self.shade = np.ones(shape, dtype=np.float32)
        self._colors()
        self._background()
        self._hair_behind()
        self._neck()
        self._head()
        self._skin_marks()
        self._creases()
        self._nose()
        self._beard()
        self._mouth()
        self._eyes()
        self._brows()
        self._light()
        self._hair_front()
        self._glasses()
        self._occluder()
        return develop(self.canvas, self.numbers, color=color)

    def _colors(self) -> None:
        skin = (self.codes["skin"] + 0.5 + 0.45 * self.numbers["skin_tone"]) / 3
        hue = 0.03 * self["skin_hue"]
        self.skin = palette(SKIN_COLORS, skin) * np.stack([1 + hue, 1 + 0 * hue, 1 - hue])
        blood = np.array([0.86, 0.46, 0.44], dtype=np.float32)[:, None, None, None]
        rouge = (0.45 - 0.15 * self["masculinity"]) * (0.75 + 0.35 * self["lip_color"])
        self.lip = self.skin * (1 + rouge * (blood - 1))
        shade = (0.5 + 0.5 * self.numbers["hair_shade"])[:, None]
        ends = np.array(HAIR_COLORS)[self.codes["hair"]]
        hair = ends[:, 0] + shade * (ends[:, 1] - ends[:, 0])
        self.hair = hair.T[:, :, None, None].astype(np.float32)
        dark = np.array([0.30, 0.20, 0.15], dtype=np.float32)[:, None, None, None]
        self.brow = 0.62 * self.hair + 0.38 * dark * self.skin
        self.iris = palette(EYE_COLORS, 0.5 + 0.5 * self.numbers["eye_color"])

    def _background(self) -> None:
        base = palette(BACKGROUND_COLORS, 0.5 + 0.5 * self.numbers["background_hue"])
        level = 0.8 + 0.35 * self["background"]
        slope = 0.14 * self["light_x"] * self.x - 0.10 * self.y
        spot = bump((self.x * self.x + self.y * self.y) * np.float32(0.4))
        tone = level * (0.88 + slope + 0.18 * spot)
        for canvas, value in zip(self.canvas, base, strict=True):
            canvas[...] = value * tone

    def _neck(self) -> None:
        x, y = self.x, self.y
        neck = box(x, y - 1.1, 0.36 + 0.05 * self["masculinity"], 0.5, 0.1)
        self.paint(self.cover(neck), self.skin * 0.70)
        shoulders = ellipse(x, y - 1.62, 1.25, 0.52)
        collar = ellipse(x, y - 1.0, 0.42, 0.22)
        self.paint(
            self.cover(np.maximum(shoulders, -collar)),
            palette(CLOTHES, self.numbers["clothes"]),
        )

    def _head(self) -> None:
        x, y = self.x - 0.05 * self["yaw"], self.y
        ear = 0.10 + 0.02 * self["ears"]
        for side in (-1, 1):
            turned = side * self["yaw"]  # the far ear disappears behind the head
            cx = side * (self.width + 0.015 - 0.05 * np.maximum(turned, 0))
            ears = ellipse(x - cx, y - 0.02, ear * 0.62, ear * 1.35)
            seen = 1 - self.one("hair_style", "long")
            self.paint(self.cover(ears) * seen, self.skin * np.float32(0.84))
        skull = ellipse(x, y + 0.22, self.width, 0.84)
        cheeks = ellipse(x, y - 0.16, self.width * (0.955 + 0.02 * self["cheeks"]), 0.62)
        tall = (self.chin_y - 0.10) * 0.5
        jaw = ellipse(x, y - self.chin_y + tall, self.jaw_width, tall)
        wide = 0.20 + 0.05 * self["chin"] + 0.05 * self["masculinity"]
        chin = ellipse(x, y - self.chin_y + 0.16, wide, 0.17)
        head = union(union(skull, cheeks, 0.1), union(jaw, chin, 0.16), 0.22)
        self.outline = head
        self.face = self.cover(head)
        self.paint(self.face, self.skin)

    def _skin_marks(self) -> None:
        u, v = self.u, self.v
        cheeks = sum(
            bump(((u - s * 0.40) ** 2 + (v - 0.22) ** 2) * np.float32(1 / 0.3**2)) for s in (-1, 1)
        )
        blush = 0.10 + 0.06 * self["lip_color"] - 0.04 * self["masculinity"]
        self.paint(self.face * cheeks * blush, (0.86, 0.40, 0.36))
        spotted = clip01(2.2 * self["freckles"] - 1.1)
        if spotted.any():
            cell_u, cell_v = np.floor(u * 17).astype(np.int32), np.floor(v * 17).astype(np.int32)
            seed = (self["skin_hue"] * 1000).astype(np.int32).astype(np.uint32)
            h = hashed(cell_u.astype(np.uint32) * np.uint32(7919) ^ cell_v.astype(np.uint32) ^ seed)
            near = cheeks + bump((u * u + (v - 0.1) ** 2) * 6)
            spots = (h & np.uint32(7) == 0) * bump(
                ((u * 17 % 1 - 0.5) ** 2 + (v * 17 % 1 - 0.5) ** 2) * 5
            )
            self.paint(self.face * spotted * clip01(2 * near) * spots * 0.55, self.skin * 0.55)

    def _stroke(self, distance: Array, width: float, end: Array) -> Array:
        """A soft line: strongest on it, fading over `width` and where `end` exceeds 1."""
        r = distance / width
        return bump(r * r) * np.maximum(1 - end * end, 0)

    def _creases(self) -> None:
        """Folds and furrows: what age and the action units write on the skin."""
        self._forehead()
        self._frown()
        for side in (-1, 1):
            self._cheek(side)
        self._chin()

    def _forehead(self) -> None:
        old, au = self.wrinkles, self
        lift = 0.06 * au["au1"] + 0.05 * au["au2"]
        at, u, v = self.chart(-0.6, 0.6, -0.95, -0.25)
        deep = clip01(0.30 * old + 0.55 * au["au1"] * (0.45 + 0.55 * old) + 0.2 * au["au2"])
        for k in range(3):
            line = -0.44 - 0.095 * k - lift - 0.06 * au["au1"] * bump(u * u * 9) + 0.08 * u * u
            self.shadow(0.26 * deep * self._stroke(v - line, 0.028, u / (0.46 - 0.05 * k)), at)

    def _frown(self) -> None:
        """Furrows between the brows, and across the root of a wrinkled nose."""
        old, au = self.wrinkles, self
        at, u, v = self.chart(-0.25, 0.25, -0.62, 0.2)
        frown = clip01(0.2 * old + 0.95 * au["au4"])
        y = v - self.eye_y + 0.17
        for s in (-1, 1):
            line = u - s * (0.055 - 0.012 * au["au4"] + 0.10 * y * y)
            self.shadow(0.42 * frown * self._stroke(line, 0.026, y / 0.13), at)
        for k in range(3):
            line = v - self.eye_y - 0.015 - 0.055 * k + 0.35 * np.abs(u)
            self.shadow(0.42 * au["au9"] * self._stroke(line, 0.024, u / 0.13), at)
        # Lowered brows put the root of the nose in the shade.
        self.shadow(0.18 * au["au4"] * bump((u * u) * 40 + y * y * 30), at)

    def _cheek(self, s: int) -> None:
        """Lines of one side: -1 is the left of the picture, 1 the right."""
        old, au = self.wrinkles, self
        left, right = sorted((s * 0.02, s * 0.76))
        at = self.region(left, right, -0.4, 1.0)
        u, v = s * self.u[:, at[0], at[1]], self.v[:, at[0], at[1]]
        # Crow's feet.
        feet = clip01(0.35 * old + 0.9 * au["au6"] * (0.6 + 0.4 * old))
        out = u - self.eye_x - self.eye_w
        for slope in (-0.45, 0.05, 0.5):
            line = v - self.eye_y - 0.01 - slope * out
            self.shadow(0.28 * feet * self._stroke(line, 0.02, (out - 0.09) / 0.08), at)
        # Bags under the eyes, and the cheek pushed up against them.
        around = (u - self.eye_x) / (self.eye_w * 1.05)
        line = v - self.eye_y - 0.125 + 0.03 * au["au6"] + 0.05 * around * around
        bags = clip01(0.45 * old + 0.6 * au["au6"] + 0.35 * au["au7"] + 0.3 * au["au9"])
        self.shadow(0.26 * bags * self._stroke(line, 0.035, around), at)
        cheek = bump(((u - 0.40) ** 2) * 20 + (v - 0.17 + 0.05 * au["au6"]) ** 2 * 34)
        self.shadow(-(0.07 + 0.13 * au["au6"] + 0.04 * au["cheeks"]) * cheek, at)
        # The fold from the wing of the nose to the corner of the mouth.
        fold = 0.10 + 0.45 * old + 0.55 * au["au12"] + 0.7 * au["au10"] + 0.7 * au["au9"]
        fold = clip01(fold + 0.25 * au["au20"] + 0.15 * au["au15"])
        y = (v - self.nose_y + 0.02) / (self.mouth_y - self.nose_y + 0.08)
        bow = 0.10 + 0.09 * au["au12"] + 0.05 * au["au20"] + 0.04 * au["au10"]
        line = u - self.nose_w - 0.035 - bow * y * (1.5 - 0.5 * y)
        self.shadow(0.34 * fold * self._stroke(line, 0.035, 2 * y - 1), at)
        # Lines from pulled-down corners.
        y = (v - self.mouth_y - 0.06) / 0.18
        line = u - self.corner_x() - 0.03 - 0.04 * y
        self.shadow(
            0.34 * clip01(0.25 * old + au["au15"]) * self._stroke(line, 0.03, 2 * y - 1), at
        )

    def _chin(self) -> None:
        """The chin, bunched up."""
        at, u, v = self.chart(-0.3, 0.3, 0.4, 1.25)
        y = v - self.chin_y + 0.20
        knot = bump(u * u * 22 + y * y * 60)
        self.shadow(0.26 * self["au17"] * knot * (0.7 + 0.3 * wave(u * 9 + 0.25)), at)
        self.shadow(-0.08 * bump(u * u * 22 + (y - 0.06) ** 2 * 60), at)

    def _nose(self) -> None:
        at, u, v = self.chart(-0.36, 0.36, -0.4, 0.55)
        u = u - 0.06 * self["yaw"] * bump((v - self.nose_y) ** 2 * 6)  # it sticks out
        tip = v - self.nose_y
        along = (v - self.eye_y) / (self.nose_y - self.eye_y)  # 0 at the root, 1 at the tip
        inside = clip01(4 * along) * clip01(6 * (1.12 - along))
        half = 0.05 + 0.35 * self.nose_w * along * along
        for s in (-1, 1):
            side = bump(((s * u - half) / 0.07) ** 2) * inside
            self.shadow((0.13 - 0.10 * s * self["light_x"]) * side, at)
        self.shadow(-0.13 * bump((u / 0.05) ** 2) * inside, at)
        self.shadow(-0.10 * bump((u * u + (tip + 0.02) ** 2) * 130), at)
        wing = self.nose_w * 0.98
        for s in (-1, 1):
            x = s * u
            arc = np.sqrt((x - wing + 0.05) ** 2 + (tip - 0.005) ** 2) - 0.06
            outer = clip01((x - wing + 0.05) * 16)
            self.shadow(
                (0.30 + 0.25 * self["au9"]) * self._stroke(arc, 0.026, tip / 0.075) * outer, at
            )
            hole = ellipse(
                x - wing * 0.52, tip - 0.045, 0.038 + 0.14 * (self.nose_w - 0.125), 0.019
            )
            self.paint(self.cover(hole, 1.5) * 0.75, self.skin * 0.32, at)
        self.shadow(0.20 * bump((u / self.nose_w) ** 2 * 0.9 + ((tip - 0.075) / 0.05) ** 2), at)

    def corner_x(self) -> Array:
        """How far the corners of the mouth are from the middle."""
        au = self
        wide = 0.245 + 0.028 * au["mouth_width"]
        return wide * (
            1 + 0.30 * au["au12"] + 0.30 * au["au20"] - 0.14 * au["au23"]
            - 0.24 * au["au26"] * (1 - 0.5 * au["au20"]) - 0.06 * au["au17"] + 0.04 * au["au10"]
        )  # fmt: skip

    def _mouth_shape(self) -> Mouth:
        """Turn action units into the lines of the lips."""
        au = self
        at, u, v = self.chart(-0.62, 0.62, 0.1, 1.3)
        corner = self.corner_x()
        t = u / corner
        t2 = np.minimum(t * t, 1.5)
        inside = np.maximum(1 - t2, 0)
        square = 0.35 * au["au20"] + 0.3 * au["au10"] + 0.3 * au["au16"]
        arch = inside * (1 + square * t2)  # a parabola, squarer when the lips are pulled apart

        parted = (
            0.030 * au["au25"] + 0.050 * au["au12"] * au["au25"] + 0.03 * au["au20"] * au["au25"]
        )
        raised = 0.075 * au["au10"] + 0.02 * au["au9"]
        up = parted * 0.6 + raised * clip01(0.25 + 1.5 * au["au25"]) + 0.06 * au["au26"]
        down = parted + 0.23 * au["au26"] * (0.6 + 0.4 * au["au25"]) + 0.075 * au["au16"]
        down = down * (1 - 0.5 * au["au23"])
        press = au["au23"]
        thick = (0.058 + 0.020 * au["lip_thickness"] - 0.008 * au["masculinity"]) * (
            1 - 0.55 * press
        )
        upper_thick = 0.80 * thick * (1 - 0.25 * au["au12"] - 0.2 * au["au20"])
        lower_thick = 1.15 * thick * (1 - 0.2 * au["au20"] + 0.25 * au["au17"])

        # The corners move, the middle stays; au17 pushes the middle up.
        bend = -0.135 * au["au12"] + 0.115 * au["au15"] + 0.03 * au["au20"] + 0.055 * au["au17"]
        bend = bend + 0.025 * au["au10"] + 0.02 * au["au16"] + 0.085 * au["au26"]
        middle = self.mouth_y - 0.3 * bend - 0.045 * au["au17"] - raised * 0.7
        line = middle + bend * t2
        bow = 0.22 * bump(t2 * 12)  # Cupid's bow
        top_in, bottom_in = line - up * arch, line + down * arch
        top_out = top_in - upper_thick * (inside * (1.15 - bow) + 0.02)
        bottom_out = bottom_in + lower_thick * (arch + 0.02)
        slope = np.sqrt(1 + (2 * bend * t / corner) ** 2)
        return Mouth(
            at=at, u=u, v=v, corner=corner, t2=t2, inside=inside, up=up, down=down,
            ends=(np.abs(u) - corner) * 0.9, slope=slope, bend=bend, middle=middle, line=line,
            top_in=top_in, bottom_in=bottom_in, top_out=top_out, bottom_out=bottom_out,
            lower_thick=lower_thick,
        )  # fmt: skip

    def _mouth(self) -> None:
        m = self._mouth_shape()
        self._lips(m)
        self._open_mouth(m)
        self._around_mouth(m)

    def _lips(self, m: Mouth) -> None:
        lips = np.maximum(np.maximum(m.top_out - m.v, m.v - m.bottom_out) / m.slope, m.ends)
        alpha = self.cover(lips, 1.3)
        light = np.where(m.v < m.line, 0.86, 1.03).astype(np.float32)
        self.paint(alpha * 0.92, self.lip * light, m.at)
        self.shadow(
            -0.10 * alpha * bump(((m.v - m.bottom_in) / (m.lower_thick + 0.01) - 0.5) ** 2 * 5),
            m.at,
        )

    def _open_mouth(self, m: Mouth) -> None:
        """What is seen between parted lips: the dark, the tongue, the teeth."""
        au = self
        hole = np.maximum(np.maximum(m.top_in - m.v, m.v - m.bottom_in) / m.slope, m.ends + 0.01)
        opening = self.cover(hole) * clip01((m.up + m.down) * 60)
        self.paint(opening, (0.20, 0.06, 0.07), m.at)
        tongue = ellipse(m.u, m.v - m.bottom_in - 0.03, m.corner * 0.62, 0.035 + 0.4 * m.down)
        self.paint(
            opening * self.cover(tongue, 3) * 0.85 * clip01(m.down * 12), (0.62, 0.26, 0.27), m.at
        )
        shown = (0.028 + 0.6 * m.up + 0.016 * au["au12"]) * (1 - 0.5 * au["au26"])
        teeth = np.maximum(m.v - m.top_in - shown * (1 - 0.5 * m.t2), hole)
        self.paint(opening * self.cover(teeth), (0.95, 0.93, 0.88), m.at)
        low = np.maximum(m.bottom_in - m.v - 0.04 * (1 - 0.4 * m.t2), hole)
        bared = clip01(1.6 * au["au16"] + 0.4 * au["au20"])
        self.paint(opening * self.cover(low) * bared, (0.88, 0.85, 0.79), m.at)

    def _around_mouth(self, m: Mouth) -> None:
        """The line between closed lips, and the shade of the corners and below the lip."""
        au = self
        seam = np.maximum(
            np.abs(m.v - m.line) / m.slope - 0.013 - 0.004 * self["au23"],
            np.abs(m.u) - m.corner - 0.012,
        )
        shut = 1 - clip01((m.up + m.down) * 40) * clip01(m.inside * 6)
        self.paint(self.cover(seam, 1.2) * shut * 0.85, self.lip * 0.30, m.at)
        under = bump((m.u / (m.corner * 0.7)) ** 2 + ((m.v - m.bottom_out - 0.045) / 0.055) ** 2)
        self.shadow((0.16 + 0.15 * au["au23"]) * under, m.at)
        for s in (-1, 1):
            dimple = bump(
                (s * m.u - m.corner - 0.02) ** 2 * 400 + (m.v - m.middle - m.bend) ** 2 * 300
            )
            self.shadow(0.25 * clip01(0.3 + au["au12"] + au["au15"] + au["au20"]) * dimple, m.at)

    def _eyes(self) -> None:
        au = self
        for s in (-1, 1):
            left, right = sorted((-s * 0.04, s * 0.68))
            at = self.region(left, right, -0.46, 0.2)
            x, y = s * self.u[:, at[0], at[1]] - self.eye_x, self.v[:, at[0], at[1]] - self.eye_y
            # Sorrow lets the outer side of the lids hang.
            hang = 0.10 * au["au1"] * (1 - au["au2"]) * (1 - 0.5 * au["au5"])
            tilt = 0.10 * au["eye_tilt"] - hang
            y = y + tilt * x
            t = x / self.eye_w
            t2 = np.minimum(t * t, 1.4)
            round_ = np.maximum(1 - t2, 0) * (1 + 0.35 * t2)
            tall = 0.072 + 0.010 * au["eye_size"] - 0.004 * au["masculinity"]
            shut = (1 - 0.93 * au["au43"]) * (1 - 0.28 * au["au7"]) * (1 - 0.22 * au["au6"])
            top = tall * (1 + 0.75 * au["au5"] - 0.15 * au["au4"] * (1 - au["au5"])) * shut
            top = top * (1 - 0.2 * au["au9"])
            low = 0.052 * (
                1 - 0.45 * au["au7"] - 0.50 * au["au6"] - 0.3 * au["au9"] + 0.2 * au["au5"]
            )
            low = low * (1 - 0.5 * au["au43"])
            lid, floor = -top * round_, low * round_
            open_ = np.maximum(np.maximum(lid - y, y - floor), np.abs(x) - self.eye_w)
            alpha = self.cover(open_)

            socket = bump((x / 0.26) ** 2 + ((y + 0.03) / 0.17) ** 2)
            self.shadow((0.13 + 0.05 * au["masculinity"] + 0.08 * au["au4"]) * socket, at)
            self.paint(alpha, (0.93, 0.92, 0.91), at)
            gx, gy = s * 0.035 * au["gaze_x"], 0.02 * au["gaze_y"]
            r = np.sqrt((x - gx) ** 2 + (y + 0.012 - gy) ** 2)
            self.paint(alpha * self.cover(r - 0.072), self.iris * 0.55, at)
            self.paint(alpha * self.cover(r - 0.060), self.iris * (0.85 + 3 * (y - gy)), at)
            self.paint(alpha * self.cover(r - 0.030), (0.03, 0.03, 0.03), at)
            spark = np.sqrt((x - gx + s * 0.022) ** 2 + (y + 0.036 - gy) ** 2)
            self.paint(alpha * self.cover(spark - 0.013) * 0.9, (1, 1, 1), at)
            self.paint(alpha * clip01(1 - (y - lid) / 0.04) * 0.35, (0.15, 0.10, 0.10), at)
            # Lashes, crease and lower lid.
            inside = np.abs(x) - self.eye_w * 1.02
            lash = 0.013 - 0.005 * au["masculinity"] + 0.006 * clip01(t)
            line = np.maximum(np.abs(y - lid) - lash, inside)
            self.paint(self.cover(line) * 0.9, (0.10, 0.07, 0.06), at)
            rim = np.maximum(np.abs(y - floor) - 0.006, inside)
            self.paint(self.cover(rim, 1.5) * 0.45, self.skin * 0.45, at)
            crease = y - lid + 0.042 + 0.015 * au["au5"]
            self.shadow(0.34 * self._stroke(crease, 0.025, t * 0.92), at)
            self.shadow(0.22 * au["au7"] * self._stroke(y - floor - 0.03, 0.022, t), at)

    def _brows(self) -> None:
        au = self
        height = 0.205 + 0.022 * au["brow_height"] - 0.018 * au["masculinity"] + 0.015 * au["au5"]
        thick = 0.030 + 0.010 * au["brow_thickness"] + 0.007 * au["masculinity"]
        lowered = 0.045 * au["au4"]
        down = 0.085 * au["au4"] * (1 - 0.65 * au["au1"]) + 0.02 * au["au9"] + 0.02 * au["au6"]
        inner = height + 0.125 * au["au1"] - 1.15 * down - 0.02 * au["au9"]
        outer = (
            height - 0.035 + 0.105 * au["au2"] - 0.35 * down - 0.035 * au["au1"] * (1 - au["au2"])
        )
        middle = (
            height
            + 0.032
            + 0.014 * au["brow_arch"]
            + 0.06 * au["au1"]
            + 0.085 * au["au2"]
            - 0.95 * down
        )
        # A quadratic through the three heights, at t = 0 (inner), 1/2 and 1 (outer).
        b, a = 4 * middle - 3 * inner - outer, 2 * inner + 2 * outer - 4 * middle
        start = self.eye_x - 0.195 - lowered
        length = 0.40 + 0.02 * au["eye_size"]
        for s in (-1, 1):
            left, right = sorted((s * 0.01, s * 0.74))
            at = self.region(left, right, -0.75, 0.1)
            x, y = s * self.u[:, at[0], at[1]], self.v[:, at[0], at[1]] - self.eye_y
            t = (x - start) / length
            line = -(inner + t * (b + t * a))
            slope = (b + 2 * t * a) / length
            half = thick * (0.80 + 0.5 * t - 1.05 * t * t)
            d = np.abs(y - line) / np.sqrt(1 + slope * slope) - np.maximum(half, 0)
            d = np.maximum(d, (np.abs(t - 0.5) - 0.5) * length)
            hairs = 0.92 + 0.08 * wave(x * 26 + y * 9)
            self.paint(self.cover(d, 1.4) * 0.9 * hairs, self.brow, at)

    def _beard(self) -> None:
        full, stubble = self.one("beard", "beard"), self.one("beard", "stubble")
        if not (full + stubble).any():
            return
        at, u, v = self.chart(-1.5, 1.5, 0.05, 1.5)
        face = self.face[:, at[0], at[1]]
        x = u / self.jaw_width
        edge = 0.30 + 0.05 * self["jaw_width"] + 0.42 * (1 - np.minimum(x * x, 1.3))
        cheek = clip01((v - edge) * 5)
        lip = np.abs(v - self.mouth_y + 0.095 - 0.10 * (u / 0.3) ** 2) - 0.045
        lip = clip01(-lip * 22) * clip01((self.corner_x() + 0.09 - np.abs(u)) * 12)
        chin = clip01((v - self.mouth_y - 0.12) * 8) * clip01((0.45 - np.abs(u)) * 4)
        grain = 0.94 + 0.06 * wave(u * 8 + 2 * v * v)
        where = face * np.maximum(np.maximum(cheek, chin), lip) * grain
        color = self.hair * 0.9 + 0.1 * self.skin * np.float32(0.5)
        self.paint(where * (0.88 * full + 0.24 * stubble), color, at)

    def _light(self) -> None:
        """Multiply skin by the light that falls on the head, then lay shade over everything."""
        nx, ny, nz = self.normal
        lx, ly = 0.75 * self["light_x"], -0.35 + 0.4 * self["light_y"]
        norm = np.sqrt(lx * lx + ly * ly + 1)
        facing = np.maximum((nx * lx + ny * ly + nz) / norm, 0)
        direct = 0.42 + 0.22 * self["light_strength"]
        level = (1 - direct) + direct * 1.22 * facing
        rim = clip01(1 + self.outline / 0.22)  # the head turns away from the viewer at its edge
        level = level * (1 - 0.16 * rim * rim)
        lit = self.face * (level * self.shade - 1) + 1
        self.level = level
        for channel, warm in zip(self.canvas, (0.10, 0.0, -0.05), strict=True):
            # Shaded skin is not gray: red light comes back out of it.
            channel *= lit + warm * (1 - lit)

    def _hair_shape(self) -> tuple[Array, Array, Array]:
        volume = 0.06 + 0.035 * self["hair_volume"] + 0.07 * self.one("hair_style", "curly")
        volume = (
            volume + 0.03 * self.one("hair_style", "long") - 0.02 * self.one("hair_style", "short")
        )
        x, y = self.x - 0.05 * self["yaw"], self.y
        return x, y, volume

    def _strands(self, x: Array, y: Array) -> Array:
        curly = self.one("hair_style", "curly")
        straight = wave(x * 7 + 0.8 * x * y + 0.3 * wave(y * 1.3)) * 0.5 + 0.5 * wave(
            x * 17 + 2 * y
        )
        curls = wave(x * 6 + 0.5 * wave(y * 4)) * wave(y * 6 + 0.5 * wave(x * 4))
        shine = bump(((x - 0.2 * self["light_x"]) / 0.7) ** 2 + ((y + 0.75) / 0.22) ** 2)
        tone = 1 + 0.16 * (straight + curly * (1.6 * curls - straight)) + 0.35 * shine
        return tone * (0.90 + 0.12 * self["light_x"] * x)

    def _hair_behind(self) -> None:
        long = self.one("hair_style", "long")
        curly = self.one("hair_style", "curly")
        if not (long + curly).any():
            return
        x, y, volume = self._hair_shape()
        drop = box(x, y - 0.35, self.width + volume + 0.03, 1.05, 0.45)
        puff = ellipse(x, y + 0.12, self.width + volume + 0.05, 0.86 + volume) + 0.025 * wave(
            x * 3.1
        ) * wave(y * 3.1)
        tone = self._strands(x, y) * 0.72
        self.paint(self.cover(drop) * long, self.hair * tone)
        self.paint(self.cover(puff) * curly, self.hair * tone)

    def _hair_front(self) -> None:
        haired = 1 - self.one("hair_style", "bald")
        x, y, volume = self._hair_shape()
        curly = self.one("hair_style", "curly")
        cap = ellipse(x, y + 0.20, self.width + 0.6 * volume, 0.86 + 1.2 * volume)
        cap = cap + curly * 0.03 * wave(x * 3.3) * wave(y * 3.3 + 0.2)
        u, v = self.u, self.v
        # The hairline, low in the middle for a fringe, high on one side of a parting.
        line = -0.60 + 0.06 * self["hairline"] + 0.14 * self.age * self["masculinity"] * -1.0
        line = line + 0.26 * self.one("hair_style", "fringe")
        side = self.one("hair_style", "side-parted")
        line = line + side * (0.20 * u - 0.03) + curly * 0.03 * wave(u * 3.3)
        line = line + 0.04 * self.one("hair_style", "short") * wave(u * 1.2 + 0.25)
        temple = self.width * (0.92 - 0.10 * self.one("hair_style", "long"))
        steep = np.maximum(np.abs(u) - temple * 0.72, 0)
        opening = np.maximum(line - v + 6 * steep * steep * (1 - 0.6 * side), np.abs(x) - temple)
        sideburn = 0.02 + 0.10 * self["hair_volume"] + 1.2 * self.one("hair_style", "long")
        hair = np.maximum(np.maximum(cap, -opening), y - sideburn)
        alpha = self.cover(hair, 1.4) * haired
        edge = clip01(1 + hair / 0.12)
        self.paint(alpha, self.hair * (self._strands(u, v) * (1 - 0.22 * edge)))
        # It throws a little shade on the forehead.
        below = clip01(1 - np.maximum(hair, 0) / 0.06) * (1 - alpha) * self.face * haired
        self.paint(below * 0.22, self.skin * 0.35)

    def _glasses(self) -> None:
        round_, square = self.one("glasses", "round"), self.one("glasses", "square")
        worn = round_ + square
        if not worn.any():
            return
        at, u, v = self.chart(-0.95, 0.95, -0.5, 0.3)
        v = v - self.eye_y - 0.015
        frame = palette(
            ((0.08, 0.07, 0.08), (0.25, 0.14, 0.08), (0.55, 0.45, 0.25)),
            1 - self.numbers["clothes"],
        )
        corner = 0.06 + 0.10 * round_
        for s in (-1, 1):
            lens = box(
                s * u - self.eye_x - 0.01, v, 0.215 - 0.02 * round_, 0.165 + 0.01 * round_, corner
            )
            self.paint(self.cover(lens) * worn * 0.10, (0.85, 0.92, 1.0), at)
            glare = bump((s * u - self.eye_x + 0.08) ** 2 * 60 + (v + 0.08) ** 2 * 200)
            self.paint(self.cover(lens) * worn * glare * 0.25, (1, 1, 1), at)
            self.paint(self.cover(np.abs(lens) - 0.012 - 0.006 * square) * worn * 0.92, frame, at)
            arm = np.maximum(np.abs(v + 0.05) - 0.014, 0.5 - s * u) + 0 * lens
            reach = np.maximum(arm, np.abs(self.x[:, at[0], at[1]]) - self.width - 0.02)
            self.paint(self.cover(reach) * worn * 0.85, frame, at)
        gap = self.eye_x - 0.20
        bridge = np.maximum(np.abs(v + 0.04 - 0.5 * u * u) - 0.013, np.abs(u) - gap)
        self.paint(self.cover(bridge) * worn * 0.9, frame, at)

    def _occluder(self) -> None:
        """A hand's breadth of something in front of the face."""
        present = self["occlusion"]
        if not present.any():
            return
        x = self.x - 0.62 * self["occlusion_x"]
        y = self.y - 0.15 - 0.55 * self["occlusion_y"]
        d = box(x + 0.3 * y, y - 0.3 * x, 0.17, 0.24, 0.09)
        tone = 0.9 + 0.25 * x - 0.2 * y
        self.paint(self.cover(d) * present, palette(CLOTHES, 1 - self.numbers["clothes"]) * tone)
