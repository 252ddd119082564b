"""Rendered 3-D faces: the ICT-FaceKit morphable model with exact factors.

The model (Li et al., "Learning formation of physically-based face attributes", CVPR 2020; MIT
licence) is a head of 26,719 vertices with 100 linear modes of identity, whose coefficients are
standard normal, and FACS-like expression shapes with weights in [0, 1]. Expressions are made of the
action units of the flat generated faces (`factors`), by recipes of their own, translated into its
shapes.

How a recogniser of photographs reads them (mini-XCEPTION, trained on FER2013; 24 people of seed
777, 48 renders of each expression, cropped by a tenth on every side, 48 pixels), looked at once,
after levels and shapes had been chosen with its larger relative on other people (seed 501):
neutral 90 %, surprise 79, happiness 60, sadness 50, fear 31, disgust 15 (44 as anger), anger 10
(35 as neutral). Before these recipes it was 92, 62, 58, 44, 35, 10 and 0. It reads surprise on all
light and medium faces but on 38 % of dark ones: contrast matters beside action units. A label of
a render is what was put in, not what everybody would see.

It carries geometry alone. Colours are painted on the vertices: skin, lips, brows, cropped hair,
stubble, irises, and the furrows that the action units draw, which are finer than the mesh.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fer_bench.data.synthetic.factors import (
    ACTION_UNITS,
    EXPRESSIONS,
    NUISANCE_FACTORS,
    RECIPES,
    SKINS,
    Recipes,
    animate,
    check_integer,
    check_range,
    uniforms,
)
from fer_bench.data.synthetic.generated import dependence_by_part, fingerprint, with_splits
from fer_bench.data.synthetic.rasteriser import rasterise
from fer_bench.data.synthetic.renderer import (
    BACKGROUND_COLORS,
    EYE_COLORS,
    HAIR_COLORS,
    SKIN_COLORS,
    bump,
    clip01,
    cores,
    develop,
    palette,
)
from fer_bench.errors import DataError

Array = NDArray[Any]

_VERSION = 2  # raise it when the same parameters give other pixels or labels
_SAMPLES = 2  # samples per pixel and direction

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
_EXPRESSION_SHAPES = 57

# Action units of each expression, 1 being level E of FACS: the prototypes and major variants of the
# FACS Investigator's Guide (Ekman, Friesen and Hager 2002): anger 4+5+7+10+17+23, 4+5+7+10+23+25,
# disgust 9+10+15+17, 9+10+16+25 (with the brow and lids that a wrinkled nose draws along), fear
# 1+2+4+5+20+25+26, sadness 1+4+15+17, surprise 1+2+5+26, happiness 6+12. The levels are ours.
RECIPES_3D: Recipes = {
    "neutral": ({}, {}),
    "happiness": RECIPES["happiness"],
    "sadness": (
        {"au1": 1.0, "au4": 0.7, "au15": 1.0, "au17": 0.4, "au43": 0.15},
        {"au1": 0.9, "au4": 0.7, "au15": 0.8, "au17": 0.8, "au43": 0.2},
    ),
    "surprise": (
        {"au1": 1.0, "au2": 1.0, "au5": 0.8, "au25": 0.8, "au26": 1.0},
        {"au1": 0.9, "au2": 1.0, "au5": 0.7, "au25": 0.6, "au26": 0.7},
    ),
    "fear": (
        {"au1": 1.0, "au2": 0.6, "au4": 0.7, "au5": 1.0, "au20": 1.0, "au25": 0.8},
        {"au1": 1.0, "au2": 0.6, "au4": 0.7, "au5": 1.0, "au20": 0.8, "au25": 0.8, "au26": 0.4},
    ),
    "disgust": (
        {"au9": 1.0, "au10": 0.8, "au15": 0.5, "au17": 0.8, "au4": 0.6, "au7": 0.8, "au6": 0.4},
        {"au9": 0.8, "au10": 1.0, "au16": 0.4, "au25": 0.4, "au4": 0.6, "au7": 0.8, "au6": 0.4},
    ),
    "anger": (
        {"au4": 1.0, "au5": 0.7, "au7": 0.8, "au17": 1.0, "au23": 0.4, "au10": 0.4},
        {"au4": 1.0, "au5": 0.7, "au7": 0.8, "au10": 0.8, "au23": 0.3, "au25": 0.6},
    ),
}

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
HAIR_STYLES = ("bald", "cropped")
BEARDS = ("none", "stubble")
ATTRIBUTES = {"skin": SKINS, "hair": HAIRS, "hair_style": HAIR_STYLES, "beard": BEARDS}
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
_PEOPLE, _CAMERA = 10, 11  # purposes of the random streams, next to those in `factors`


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
    missing = [n for n in _weights_of_shapes() if n not in names]
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


def _weights_of_shapes() -> dict[str, dict[str, float]]:
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


def sample_people(
    subjects: int, *, modes: int = 100, first: int = 0, seed: int = 0
) -> pd.DataFrame:
    """Draw people for the 3-D model: attributes, colours and identity coefficients.

    Coefficients are about standard normal (the sum of twelve uniforms less six: exact arithmetic).
    The model names no age or gender for its modes, so neither does the table.

    >>> people = sample_people(3, modes=2, seed=1)
    >>> list(people.columns[-2:]), people.index.tolist()
    (['factor_identity_000', 'factor_identity_001'], ['M000', 'M001', 'M002'])
    """
    numbers = range(first, first + subjects)
    width = len(SUBJECT_FACTORS)
    u = np.stack([uniforms(width + 4, seed=seed, key=(_PEOPLE, i)) for i in numbers])
    columns: dict[str, Any] = {}
    # Every three subjects have the three skins, in an order of their own.
    skin = [
        int(np.argsort(uniforms(3, seed=seed, key=(_PEOPLE, i // 3, 1)), kind="stable")[i % 3])
        for i in numbers
    ]
    coded = {
        "skin": np.array(skin),
        "hair": np.searchsorted((0.3, 0.62, 0.72, 0.9), u[:, width], side="right"),
        "hair_style": (u[:, width + 1] < 0.8).astype(np.int64),
        "beard": (u[:, width + 2] < 0.3).astype(np.int64),
    }
    for name, levels in ATTRIBUTES.items():
        columns[name] = pd.Categorical.from_codes(coded[name].tolist(), pd.Index(levels))
    for k, name in enumerate(SUBJECT_FACTORS):
        columns[f"factor_{name}"] = 2 * u[:, k] - 1
    for k in range(modes):
        draws = np.stack([uniforms(12, seed=seed, key=(_PEOPLE, i, 2, k)) for i in numbers])
        total = draws[:, 0]
        for j in range(1, 12):
            total = total + draws[:, j]
        columns[f"factor_identity_{k:03d}"] = total - 6
    return pd.DataFrame(columns, index=pd.Index([f"M{i:03d}" for i in numbers], name="subject"))


def render_morphable(
    factors: pd.DataFrame,
    model: MorphableModel,
    *,
    size: int = 128,
    color: bool = True,
    threads: int | None = None,
) -> NDArray[np.uint8]:
    """Render one head per row of a table of factors: uint8 [N, size, size, 3 or 1].

    A pure function of each row, whatever the order, the threads and the other rows. The heads are
    framed like aligned faces: eyes and mouth where the flat generated faces have them.
    """
    check_integer("size", size, 16)
    if size > 1024:
        raise DataError(f"size = {size} is above 1024: render smaller faces.")
    if threads is not None:
        check_integer("threads", threads, 1)
    numbers = _numbers(factors, model)
    subjects = _heads(factors, model)
    images = np.empty((len(factors), size, size, 3 if color else 1), dtype=np.uint8)
    weights = _weights(numbers, model)

    def shoot(i: int) -> None:
        row = {name: values[i] for name, values in numbers.items()}
        vertices, colors = subjects[i]
        canvas = _shoot(row, model, vertices, colors, weights[i], size)
        one = {name: values[i : i + 1] for name, values in numbers.items()}
        images[i] = develop([c[None] for c in canvas], one, color=color)[0]

    with ThreadPoolExecutor(min(threads or cores(), max(1, len(images)))) as pool:
        list(pool.map(shoot, range(len(images))))
    return images


_NUMBERS = (*ACTION_UNITS, *NUISANCE_FACTORS, "noise", "noise_seed", "camera")


def _numbers(factors: pd.DataFrame, model: MorphableModel) -> dict[str, NDArray[np.float64]]:
    identity = [f"identity_{k:03d}" for k in range(len(model.identity))]
    known = [name for name in identity if f"factor_{name}" in factors]
    out = {}
    for name in (*_NUMBERS, *SUBJECT_FACTORS, *known):
        if f"factor_{name}" not in factors:
            raise DataError(f"The table of factors has no column 'factor_{name}'.")
        out[name] = factors[f"factor_{name}"].to_numpy(dtype=np.float64)
        bad = np.flatnonzero(~np.isfinite(out[name]))
        if len(bad):
            raise DataError(f"Column 'factor_{name}', row {bad[0]}: no finite number.")
        if name != "noise_seed" and name not in known:
            out[name] = np.clip(out[name], -1, 1)
    for name, levels in ATTRIBUTES.items():
        if name not in factors:
            raise DataError(f"The table of factors has no column {name!r}.")
        bad = np.flatnonzero(~factors[name].isin(levels).to_numpy())
        if len(bad):
            raise DataError(
                f"Column {name!r}, row {bad[0]}: {factors[name].iloc[bad[0]]!r} is none of "
                f"{', '.join(levels)}."
            )
    return out


def _heads(factors: pd.DataFrame, model: MorphableModel) -> list[tuple[Array, Array]]:
    """Neutral vertices and colours of each row's person, computed once per person."""
    identity = [str(c) for c in factors if str(c).startswith("factor_identity_")]
    names = [*identity, *(f"factor_{n}" for n in SUBJECT_FACTORS), *ATTRIBUTES]
    heads: dict[tuple[Any, ...], tuple[Array, Array]] = {}
    out = []
    for key in factors[names].itertuples(index=False, name=None):
        if key not in heads:
            vertices = model.vertices.copy()
            for k, value in enumerate(key[: len(identity)]):
                vertices += np.float32(value) * model.identity[int(identity[k][-3:])]
            person = pd.Series(dict(zip(names, key, strict=True)))
            heads[key] = vertices, model.canvas.paint(person)
        out.append(heads[key])
    return out


def _weights(numbers: dict[str, NDArray[np.float64]], model: MorphableModel) -> Array:
    """Action units and gaze as weights of the model's shapes: float32 [N, E] in [0, 2.2].

    The shapes are meant for [0, 1]; a little more is a stronger person, not a broken mesh.
    """
    out = np.zeros((len(numbers["yaw"]), len(model.expression)))
    column = {name: i for i, name in enumerate(model.expression_names)}
    # Together with au1, au4 draws the brows together instead of lowering them.
    units_shown = {unit: numbers[unit] for unit in ACTION_UNITS}
    units_shown["au4"] = numbers["au4"] * (1 - 0.75 * numbers["au1"])
    for shape, units in _weights_of_shapes().items():
        for unit, weight in units.items():
            out[:, column[shape]] += weight * units_shown[unit]
    right, down = 0.5 * numbers["gaze_x"], 0.4 * numbers["gaze_y"]
    for side, sign in (("L", 1), ("R", -1)):  # the face's own left is at +x, right in the image
        out[:, column[f"eyeLookOut_{side}"]] += np.maximum(sign * right, 0)
        out[:, column[f"eyeLookIn_{side}"]] += np.maximum(-sign * right, 0)
        out[:, column[f"eyeLookDown_{side}"]] += np.maximum(down, 0)
        out[:, column[f"eyeLookUp_{side}"]] += np.maximum(-down, 0)
    return np.clip(out, 0, 2.2).astype(np.float32)


def _turn(half_tangent: float) -> tuple[np.float32, np.float32]:
    """Cosine and sine of an angle from the tangent of its half: exact arithmetic."""
    t = half_tangent * half_tangent
    return np.float32((1 - t) / (1 + t)), np.float32(2 * half_tangent / (1 + t))


def _shoot(
    row: dict[str, float],
    model: MorphableModel,
    head: Array,
    colors: Array,
    weights: Array,
    size: int,
) -> Array:
    """One photograph, before it is developed: float32 [3, size, size]."""
    vertices = head.copy()
    for k in np.flatnonzero(weights):
        moved, by = model.spans[k]
        vertices[:, moved] += weights[k] * by
    clear = np.ones_like(head[0])
    for unit, mask in model.canvas.furrows.items():
        if row[unit]:
            clear -= np.float32(row[unit]) * mask
    x, y, z = vertices[0], vertices[1] - 1, vertices[2] - 1
    cos, sin = _turn(0.20 * row["yaw"])  # up to 23 degrees
    x, z = cos * x + sin * z, cos * z - sin * x
    cos, sin = _turn(-0.13 * row["pitch"])  # up to 15 degrees
    y, z = cos * y + sin * z, cos * z - sin * y
    cos, sin = _turn(0.09 * row["roll"])  # up to 10 degrees
    x, y = cos * x + sin * y, cos * y - sin * x
    turned = np.stack([x, y, z])
    normals = model.normals(turned)

    # A camera at 45 to 135 cm; its focal length keeps the face as large.
    distance = np.float32(90 + 45 * row["camera"])
    focal = (distance - 8) / np.float32(11.4) * np.float32(1 + 0.09 * row["scale"])
    grid = size * _SAMPLES
    zoom = focal / (distance - z) * (grid / 2)
    screen = np.empty_like(turned)
    screen[0] = x * zoom + np.float32((1 + 0.07 * row["shift_x"]) * grid / 2)
    screen[1] = np.float32((1 + 0.07 * row["shift_y"] + 0.08) * grid / 2) - y * zoom
    screen[2] = z
    seen = rasterise(screen, model.triangles, grid)

    canvas = _background(row, size)
    level = _light(row, normals, model)
    painted = seen.interpolate(colors * clear * level, model.triangles)
    cover = np.zeros(grid * grid, dtype=np.float32)
    cover[seen.sample] = 1
    cover = _shrink(cover, size)
    for plane, paint in zip(canvas, painted, strict=True):
        layer = np.zeros(grid * grid, dtype=np.float32)
        layer[seen.sample] = paint
        plane *= 1 - cover
        plane += _shrink(layer, size)
    return canvas


def _shrink(samples: Array, size: int) -> Array:
    """Average the samples of each pixel."""
    grid = samples.reshape(size, _SAMPLES, size, _SAMPLES)
    return (grid[:, 0, :, 0] + grid[:, 0, :, 1] + grid[:, 1, :, 0] + grid[:, 1, :, 1]) / 4


def _light(row: dict[str, float], normals: Array, model: MorphableModel) -> Array:
    """How bright each vertex is, float32 [3, V]: a sky, one lamp, and a gloss."""
    nx, ny, nz = normals
    lx, ly = np.float32(0.75 * row["light_x"]), np.float32(0.4 - 0.4 * row["light_y"])
    norm = np.sqrt(lx * lx + ly * ly + 1)
    lx, ly, lz = lx / norm, ly / norm, 1 / norm
    direct = np.float32(0.55 + 0.25 * row["light_strength"])
    facing = np.maximum(nx * lx + ny * ly + nz * lz, 0)
    level = (1 - direct) * (0.85 + 0.15 * ny) + direct * 1.25 * facing
    # Half-way vector to a viewer straight ahead, to the 16th power.
    hx, hy, hz = lx, ly, lz + 1
    norm = np.sqrt(hx * hx + hy * hy + hz * hz)
    gloss = np.maximum((nx * hx + ny * hy + nz * hz) / norm, 0)
    for _ in range(4):
        gloss = gloss * gloss
    canvas = model.canvas
    shine = np.float32(0.10 + 0.06 * row["gloss"]) * canvas.skin + 0.3 * (
        canvas.parts["left_eye"] + canvas.parts["right_eye"]
    )
    level = level * (1 - 0.5 * canvas.parts["mouth"] - 0.25 * canvas.parts["teeth"])
    # Skin in the shade is not gray: red light comes back out of it.
    gloss = direct * shine * gloss
    return np.stack([level + np.float32(w) * (1 - level) + gloss for w in (0.10, 0.0, -0.05)])


def _background(row: dict[str, float], size: int) -> Array:
    steps = (np.arange(size, dtype=np.float32) + 0.5) * np.float32(2 / size) - 1
    x, y = steps[None, :], steps[:, None]
    base = palette(BACKGROUND_COLORS, np.array([0.5 + 0.5 * row["background_hue"]]))[:, 0]
    tone = np.float32(0.8 + 0.35 * row["background"]) * (
        0.88
        + np.float32(0.14 * row["light_x"]) * x
        - 0.10 * y
        + 0.18 * bump((x * x + y * y) * np.float32(0.4))
    )
    return base * tone[None]


def generate_morphable(
    model: str | Path | MorphableModel,
    *,
    subjects: int = 60,
    images_per_subject: int = 28,
    size: int = 128,
    color: bool = True,
    modes: int = 100,
    classes: Sequence[str] = EXPRESSIONS,
    rho: float = 0.0,
    reverse: bool = False,
    group: str = "skin",
    test_subjects: int = 0,
    test_rho: float = 0.0,
    test_reverse: bool = False,
    intensity: tuple[float, float] = (0.5, 1.0),
    style: float = 1.0,
    nuisance: float = 0.4,
    noise: float = 0.02,
    seed: int = 0,
    threads: int | None = None,
) -> tuple[NDArray[np.uint8], pd.DataFrame, dict[str, Any]]:
    """Render 3-D faces with exactly known factors; the counterpart of `generate`.

    Parameters
    ----------
    model
        A loaded model, or the path of the `.npz` or of the official folder (see `load_model`).
    modes
        How many modes of identity vary, the strongest first.
    group
        The attribute tied to the expression by `rho`: `skin`, `hair`, `hair_style`, `beard` or
        `subject`.
    subjects, images_per_subject, size, color, classes, rho, reverse, test_subjects, test_rho, \
test_reverse, intensity, style, nuisance, noise, seed, threads
        See `generate` and `sample_factors`.

    Returns
    -------
    images
        uint8 [N, size, size, 3 or 1].
    table
        As from `generate`, with subjects `M000`, …, the attributes `skin`, `hair`, `hair_style`
        and `beard`, and the coefficients `factor_identity_000`, ….
    info
        As from `generate`.

    Raises
    ------
    DataError
        If the model cannot be read or a parameter is outside its range.
    """
    parameters = {k: v for k, v in locals().items() if k not in ("threads", "model")}
    parameters |= {"classes": list(classes), "intensity": list(intensity)}
    check_integer("subjects", subjects, 1)
    check_integer("images_per_subject", images_per_subject, 1)
    check_integer("test_subjects", test_subjects, 0)
    check_integer("seed", seed, 0)
    check_integer("modes", modes, 0)
    check_range("test_rho", test_rho, 0, 1)
    if not isinstance(model, MorphableModel):
        model = load_model(model)
    if modes > len(model.identity):
        raise DataError(f"modes = {modes}: the model has {len(model.identity)} modes of identity.")

    def part(count: int, first: int, rho: float, reverse: bool) -> pd.DataFrame:
        people = sample_people(count, modes=modes, first=first, seed=seed)
        table = animate(
            people,
            count * images_per_subject,
            first_subject=first,
            classes=classes,
            rho=rho,
            reverse=reverse,
            group=group,
            intensity=intensity,
            style=style,
            nuisance=nuisance,
            noise=noise,
            seed=seed,
            recipes=RECIPES_3D,
        )
        camera = [
            uniforms(images_per_subject, seed=seed, key=(_CAMERA, first + i)) for i in range(count)
        ]
        table["factor_camera"] = nuisance * (2 * np.concatenate(camera) - 1)
        return table

    table = part(subjects, 0, rho, reverse)
    test = part(test_subjects, subjects, test_rho, test_reverse) if test_subjects else None
    table = with_splits(table, test)
    info = {
        "name": "morphable",
        "license": "rendered from ICT-FaceKit (MIT, USC Institute for Creative Technologies); "
        "no real person is shown",
        "parameters": parameters,
        "fingerprint": fingerprint({"version": _VERSION, "model": model.fingerprint, **parameters}),
        "dependence": dependence_by_part(table),
    }
    images = render_morphable(table, model, size=size, color=color, threads=threads)
    return images, table, info
