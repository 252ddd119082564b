"""The files of the morphable model, and the masks that colour its vertices."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fer_bench.data.synthetic.factors import SKINS
from fer_bench.data.synthetic.shapes import (
    EYE_COLORS,
    HAIR_COLORS,
    SKIN_COLORS,
    bump,
    clip01,
    palette,
)
from fer_bench.errors import DataError

Array = NDArray[Any]

# Parts of the mesh, as ranges of vertices. What follows the eyeballs (tear fluid, blend meshes,
# lashes) is made for translucent shading and left out; so is the cornea around each eyeball.
_PARTS = {
    "head": (0, 11248),
    "mouth": (11248, 13294),
    "sockets": (13294, 14062),
    "gums": (14062, 17039),
    "teeth": (17039, 21451),
    "left_eye": (22221, 23021),
    "right_eye": (23821, 24591),
}


_VERTICES = 24591


# What each action unit does to the shapes; `+` stands for the left and the right one.
_SHAPES: dict[str, dict[str, float]] = {
    "au1": {"browInnerUp+": 1.8},
    "au2": {"browOuterUp+": 1.5},
    "au4": {"browDown+": 2.2},
    "au5": {"eyeWide+": 1.7},
    "au6": {"cheekSquint+": 0.8, "cheekRaiser+": 0.6, "eyeSquint+": 0.3},
    "au7": {"eyeSquint+": 1.2},
    "au9": {"noseSneer+": 1.6, "browDown+": 0.6},
    "au10": {"mouthUpperUp+": 0.9},
    "au12": {"mouthSmile+": 1.2},
    "au15": {"mouthFrown+": 1.4},
    "au16": {"mouthLowerDown+": 0.9},
    "au17": {"mouthShrugLower": 1.2, "mouthShrugUpper": 0.7},
    "au20": {"mouthStretch+": 0.9},
    "au23": {"mouthPress+": 0.6, "mouthRollLower": 0.35, "mouthRollUpper": 0.35},
    "au25": {"mouthLowerDown+": 0.4, "mouthUpperUp+": 0.3, "jawOpen": 0.06},
    "au26": {"jawOpen": 0.9},
    "au43": {"eyeBlink+": 1.0},
}


HAIRS = ("black", "brown", "red", "blond", "gray")


SUBJECT_FACTORS = (
    "skin_tone",
    "skin_hue",
    "hair_shade",
    "hairline",
    "brow_thickness",
    "brow_arch",
    "eye_color",
    "lip_color",
    "gloss",
)


@dataclass(frozen=True)
class MorphableModel:
    """A mean face with linear modes.

    Only what a camera in front of the face can see is kept. Arrays are planes of coordinates,
    x, y and z one after the other: what is computed on all vertices at once runs faster on them.

    Attributes
    ----------
    vertices
        Mean face, float32 [3, V], centimetres; +z faces the camera, +y is up.
    triangles
        int32 [3, T], counter-clockwise from outside.
    identity
        Modes of identity, float32 [K, 3, V].
    expression, expression_names
        Shapes of expression, float32 [E, 3, V], and their names.
    part
        Index of each vertex's part of the mesh (head, mouth, …), int8 [V].
    """

    vertices: Array
    triangles: Array
    identity: Array
    expression: Array
    expression_names: tuple[str, ...]
    part: Array

    @cached_property
    def spans(self) -> tuple[tuple[Array, Array], ...]:
        """Each expression shape, as the vertices it moves and by how much."""
        out = []
        for shape in self.expression:
            moved = np.flatnonzero(np.abs(shape).max(axis=0) > 1e-4)
            out.append((moved, shape[:, moved]))
        return tuple(out)

    @cached_property
    def incident(self) -> Array:
        """The triangles around each vertex, int [8, V]; T stands for none."""
        count, corner = self.triangles.shape[1], self.triangles.ravel()
        order = np.argsort(corner, kind="stable")
        start = np.searchsorted(corner[order], np.arange(self.vertices.shape[1] + 1))
        table = np.full((8, self.vertices.shape[1]), count)
        for k in range(8):
            at = start[:-1] + k
            filled = at < start[1:]
            table[k, filled] = order[at[filled]] % count
        return table

    @cached_property
    def canvas(self) -> Canvas:
        """Where things are painted on it."""
        return Canvas(self)

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 of the arrays."""
        h = hashlib.sha256("\n".join(self.expression_names).encode())
        for array in (self.vertices, self.triangles, self.identity, self.expression):
            h.update(np.ascontiguousarray(array).view(np.uint8).data)
        return h.hexdigest()

    def normals(self, vertices: Array) -> Array:
        """Unit normals at the vertices, float32 [3, V]."""
        p, q, r = (vertices[:, corner] for corner in self.triangles)
        a, b = q - p, r - p
        out = np.empty_like(vertices)
        for k, (i, j) in enumerate(((1, 2), (2, 0), (0, 1))):
            face = np.append(a[i] * b[j] - a[j] * b[i], np.float32(0))
            out[k] = face[self.incident[0]]
            for row in self.incident[1:]:
                out[k] += face[row]
        return out / np.sqrt(out[0] ** 2 + out[1] ** 2 + out[2] ** 2 + np.float32(1e-12))


def load_model(path: str | Path) -> MorphableModel:
    """Read ICT-FaceKit: the light `.npz`, or the official folder `FaceXModel` of OBJ files.

    The `.npz` holds `v0`, `tri`, `identity`, `expression` and `expression_names`; the folder holds
    `generic_neutral_mesh.obj`, `identity000.obj`, … and one OBJ per expression shape.

    Raises
    ------
    DataError
        If a file or an array is missing, or its shape does not fit.
    """
    path = Path(path)
    if path.is_dir():
        if (path / "ict_face_light.npz").is_file():
            return load_model(path / "ict_face_light.npz")
        return _from_folder(path)
    if not path.is_file():
        raise DataError(f"{path}: no such file; give ict_face_light.npz or the folder FaceXModel.")
    try:
        with np.load(path, allow_pickle=False) as data:
            arrays = {name: data[name] for name in data.files}
    except (OSError, ValueError) as error:
        raise DataError(f"{path} is no readable .npz file: {error}") from error
    needed = ("v0", "tri", "identity", "expression", "expression_names")
    missing = [name for name in needed if name not in arrays]
    if missing:
        raise DataError(f"{path} has no array {missing[0]!r}: it is no ICT-FaceKit model.")
    names = tuple(str(name) for name in arrays["expression_names"])
    mean, triangles, identity, expression = (arrays[name] for name in needed[:-1])
    return _assemble(path, mean, triangles, identity, expression, names)


def _from_folder(folder: Path) -> MorphableModel:
    mean, triangles = _read_obj(folder / "generic_neutral_mesh.obj")
    identities = sorted(folder.glob("identity*.obj"))
    shapes = sorted(
        f for f in folder.glob("*.obj") if f not in identities and f.stem != "generic_neutral_mesh"
    )
    if not identities or not shapes:
        raise DataError(f"{folder} has no identity*.obj or no expression shapes: is it FaceXModel?")

    def modes(files: Sequence[Path]) -> Array:
        out = np.empty((len(files), *mean.shape), dtype=np.float32)
        for k, file in enumerate(files):
            vertices, _ = _read_obj(file, faces=False)
            if vertices.shape != mean.shape:
                raise DataError(f"{file} has {len(vertices)} vertices, the mean face {len(mean)}.")
            out[k] = vertices - mean
        return out

    names = tuple(f.stem for f in shapes)
    return _assemble(folder, mean, triangles, modes(identities), modes(shapes), names)


def _read_obj(file: Path, *, faces: bool = True) -> tuple[Array, Array]:
    """Read vertices and triangles of a Wavefront OBJ; polygons are cut into fans."""
    try:
        lines = file.read_text().splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{file} cannot be read: {error}") from error
    try:
        text = " ".join(line[2:] for line in lines if line.startswith("v "))
        vertices = np.array(text.split(), dtype=np.float32).reshape(-1, 3)
        triangles = []
        for line in lines if faces else ():
            if line.startswith("f "):
                corner = [int(word.split("/")[0]) - 1 for word in line.split()[1:]]
                triangles += [(corner[0], a, b) for a, b in pairwise(corner[1:])]
    except ValueError as error:
        raise DataError(f"{file} is no OBJ file with 'v x y z' lines: {error}") from error
    return vertices, np.array(triangles, dtype=np.int32).reshape(-1, 3)


def _assemble(
    path: Path,
    mean: Array,
    triangles: Array,
    identity: Array,
    expression: Array,
    names: Sequence[str],
) -> MorphableModel:
    v = len(mean)
    fits = (
        mean.ndim == 2
        and mean.shape[1] == 3
        and triangles.ndim == 2
        and triangles.shape[1] == 3
        and identity.shape[1:] == mean.shape
        and expression.shape == (len(names), *mean.shape)
    )
    if not fits or v < _VERTICES:
        raise DataError(
            f"{path}: arrays v0 {mean.shape}, tri {triangles.shape}, identity {identity.shape}, "
            f"expression {expression.shape} do not fit the ICT-FaceKit mesh of 26719 vertices."
        )
    missing = [n for n in weights_of_shapes() if n not in names]
    if missing:
        raise DataError(f"{path} has no expression shape {missing[0]!r}.")
    part = np.full(v, -1, dtype=np.int8)
    for k, (low, high) in enumerate(_PARTS.values()):
        part[low:high] = k
    triangles = triangles[(part[triangles] >= 0).all(axis=1)]
    triangles = triangles[_ever_seen(mean.astype(np.float32), triangles)]
    used = np.unique(triangles)
    number = np.full(v, -1, dtype=np.int32)
    number[used] = np.arange(len(used))

    def planes(array: Array) -> Array:
        return np.ascontiguousarray(np.moveaxis(array[..., used, :], -1, -2), dtype=np.float32)

    return MorphableModel(
        planes(mean),
        np.ascontiguousarray(number[triangles].T),
        planes(identity),
        planes(expression),
        tuple(names),
        part[used],
    )


def _ever_seen(mean: Array, triangles: Array) -> NDArray[np.bool_]:
    """Leave out what no camera in front of the face sees: the back of things, the lower neck."""
    a, b, c = (mean[triangles[:, k]] for k in range(3))
    normal = np.cross(b - a, c - a)
    away = normal[:, 2] < -0.6 * np.sqrt((normal**2).sum(axis=1))
    return ~away & ((a + b + c)[:, 1] / 3 > -16)


def weights_of_shapes() -> dict[str, dict[str, float]]:
    """{shape: {action unit: weight}}, left and right spelled out."""
    out: dict[str, dict[str, float]] = {}
    for unit, shapes in _SHAPES.items():
        for name, weight in shapes.items():
            sides = [name[:-1] + "_L", name[:-1] + "_R"] if name.endswith("+") else [name]
            for side in sides:
                out.setdefault(side, {})[unit] = weight
    for name in ("eyeLookIn", "eyeLookOut", "eyeLookUp", "eyeLookDown"):
        out |= {f"{name}_L": {}, f"{name}_R": {}}
    return out


class Canvas:
    """Where on the mean face things are painted: soft masks, float32 [V] in [0, 1]."""

    def __init__(self, model: MorphableModel) -> None:
        x, self.y, self.z = model.vertices
        self.side = np.abs(x)
        self.parts = {name: (model.part == k).astype(np.float32) for k, name in enumerate(_PARTS)}
        y, z, side = self.y, self.z, self.side
        self.skin = self.parts["head"] + self.parts["sockets"]
        self.front = front = self.parts["head"] * clip01((z - 2) / 3)
        # On the mean face the lips meet at y = -3.4 and their corners lie at |x| = 2.55.
        arch = 1 - (side / 2.55) ** 2
        bow = 0.20 * bump((side / 0.7) ** 2)
        upper, lower = -3.4 + 1.05 * arch - bow, -3.45 - 1.05 * arch
        self.lips = front * clip01(np.minimum(upper - y, y - lower) / 0.2 + 0.5)
        lid = _distance(model.vertices, model.vertices[:, self.parts["sockets"] > 0])
        self.lash = front * clip01((0.30 - lid) / 0.2) * clip01((y - 3.3) * 3)
        self.ears = clip01((side - 7.6) * 4) * clip01((6.9 - y) * 3)
        jaw = clip01((-2.6 - y + 0.8 * (side - 3.5)) / 1.2) * clip01((side - 2.6) * 1.5)
        chin = np.maximum(jaw, clip01((-4.9 - y) / 0.6))
        chin = np.maximum(chin, _line(y + 1.85, 0.9, side / 3.4))
        self.beard = front * (1 - self.lips) * chin * clip01((y + 9.5) / 2) * (1 - self.ears)
        # One furrow per action unit; the mesh is too coarse to fold there.
        self.furrows = {
            "au4": 0.70 * front * _line(side - 0.75, 0.35, (y - 5.5) / 1.3),
            "au1": 0.28 * front * sum(_line(y - at, 0.35, side / 4.5) for at in (7.6, 8.6, 9.6)),
            "au9": 0.55
            * front
            * sum(_line(y - at + 0.4 * side, 0.28, side / 1.5) for at in (3.0, 3.9, 4.8)),
            "au10": 0.30 * front * _line(side - 2.3 + 0.28 * (y + 1), 0.4, (y + 1.6) / 2.2),
            "au12": 0.30 * front * _line(side - 2.3 + 0.28 * (y + 1), 0.4, (y + 1.6) / 2.2),
            "au15": 0.18 * front * _line(side - 3.1 + 0.15 * (y + 4), 0.35, (y + 5.2) / 1.4),
            "au6": 0.25
            * front
            * sum(
                _line(y - 3.4 - slope * (side - 5), 0.3, (side - 6.1) / 0.9)
                for slope in (-0.5, 0.1, 0.7)
            ),
        }

    def brows(self, thickness: float, arch: float) -> Array:
        """Mask of both eyebrows, float32 [V] in [0, 1]."""
        t = (self.side - 1.1) / 4.2
        line = 5.35 + (2.6 + 0.5 * arch) * t - (2.8 + 0.4 * arch) * t * t
        half = (0.42 + 0.16 * thickness) * (0.85 + 0.35 * t - 0.85 * t * t)
        inside = clip01((half - np.abs(self.y - line)) / 0.2 + 0.5)
        return self.front * inside * clip01(np.minimum(t, 1 - t) * 6 + 0.5)

    def hair(self, hairline: float) -> Array:
        """Mask of the hair, float32 [V] in [0, 1]."""
        top = self.y - 9.2 - 0.8 * hairline + 0.03 * self.side**2 - 0.0035 * self.side**3
        back = np.minimum(4.6 - self.z - 0.4 * hairline, self.y - 1.5)
        return self.parts["head"] * clip01(np.maximum(top, back) * 1.6) * (1 - self.ears)

    def paint(self, person: pd.Series) -> Array:
        """The colours of one person: float32 [3, V] in [0, 1]."""

        def one(anchors: Sequence[tuple[float, float, float]], t: float) -> Array:
            return palette(anchors, np.array([t]))[:, 0, 0, 0]

        f = {name: np.float32(person[f"factor_{name}"]) for name in SUBJECT_FACTORS}
        tone = (SKINS.index(person["skin"]) + 0.5 + 0.45 * float(f["skin_tone"])) / 3
        hue = np.float32(0.03) * f["skin_hue"]
        skin = one(SKIN_COLORS, tone) * np.stack([1 + hue, 1 + 0 * hue, 1 - hue])
        hair = one(HAIR_COLORS[HAIRS.index(person["hair"])], 0.5 + 0.5 * float(f["hair_shade"]))
        rouge = np.float32(0.45) + np.float32(0.25) * f["lip_color"]
        blood = np.array([0.80, 0.36, 0.36], dtype=np.float32)
        brow = 0.6 * hair + 0.4 * skin * np.array([0.30, 0.20, 0.15], dtype=np.float32)
        iris = one(EYE_COLORS, 0.5 + 0.5 * float(f["eye_color"]))

        colors = np.repeat(skin[:, None], len(self.y), axis=1)

        def lay(mask: Array, color: Array | Sequence[float], strength: float = 1.0) -> None:
            alpha = mask * np.float32(strength)
            for plane, value in zip(colors, color, strict=True):
                plane += alpha * (np.float32(value) - plane)

        lay(self.lips, skin * (1 + rouge * (blood - 1)))
        if person["beard"] == "stubble":
            lay(self.beard, hair * np.float32(0.7), 0.26)
        lay(self.brows(float(f["brow_thickness"]), float(f["brow_arch"])), brow, 0.9)
        lay(self.lash, (0.10, 0.07, 0.06), 0.75)
        if person["hair_style"] == "cropped":
            lay(self.hair(float(f["hairline"])), hair, 0.9)
        lay(self.parts["mouth"], (0.26, 0.09, 0.09))
        lay(self.parts["gums"], (0.42, 0.17, 0.17))
        lay(self.parts["teeth"], (0.88, 0.85, 0.78))
        lay(self.parts["sockets"], skin * np.float32(0.55))
        for name in ("left_eye", "right_eye"):
            lay(self.parts[name], (0.90, 0.88, 0.86))
            eye = self.parts[name] > 0
            centre_x = (self.side[eye].min() + self.side[eye].max()) / 2
            centre_y = (self.y[eye].min() + self.y[eye].max()) / 2
            r = np.sqrt((self.side - centre_x) ** 2 + (self.y - centre_y) ** 2)
            ahead = self.parts[name] * clip01((self.z - 8.2) * 4)
            lay(ahead * clip01((0.78 - r) * 8), iris * np.float32(0.4))
            lay(ahead * clip01((0.66 - r) * 8), iris)
            lay(ahead * clip01((0.34 - r) * 8), (0.02, 0.02, 0.02))
        return colors


def _line(distance: Array, width: float, end: Array) -> Array:
    """A soft line, strongest on it, fading over `width` and where `end` exceeds 1."""
    r = distance / width
    return bump(r * r) * np.maximum(1 - end * end, 0)


def _distance(points: Array, to: Array) -> Array:
    """Distance of each point [3, V] to the nearest of a set [3, M]."""
    nearest = np.full(points.shape[1], np.inf, dtype=np.float32)
    for x, y, z in to.T:
        d = (points[0] - x) ** 2 + (points[1] - y) ** 2 + (points[2] - z) ** 2
        nearest = np.minimum(nearest, d)
    return np.sqrt(nearest)
