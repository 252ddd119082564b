"""Whether the way faces were photographed tells the expression or the person.

Where smiling people stand lower in the picture, or angry ones before a darker wall, a network
learns the picture and not the face. Each property of the framing is tested alone: how well it
tells each expression from the others, and pairs of pictures of one person from pairs of two.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from PIL import Image
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import GroupKFold

from fer_bench.data.cross_validation import held_out_probabilities
from fer_bench.data.detect import Detector, Mtcnn
from fer_bench.data.duplicates import LUMA, shrunk
from fer_bench.data.faces import FaceData
from fer_bench.errors import MissingExtraError

MAX_FACES = 1500
DETECTED_SIDE = 128  # faces are enlarged to this before eyes are looked for
BORDER = 4  # width of the background's ring, in pixels of 32
EYE_COLUMNS = (
    ("left_eye_x", "left_eye_y", "right_eye_x", "right_eye_y"),
    ("eye_left_x", "eye_left_y", "eye_right_x", "eye_right_y"),
)
MIN_AUC = 0.65
MIN_Z = 4.0

Floats = NDArray[np.float64]


def framing(
    data: FaceData,
    *,
    seed: int = 0,
    detector: Detector | None = None,
    eyes: Floats | None = None,
) -> dict[str, dict[str, Any]]:
    """Test geometry, brightness and background against expression and person.

    Eye positions are those of the table where it has them, else detected ones (extra `detect`);
    without either the geometry is left out. At most 1,500 faces are used, chosen at random.

    Args:
        data: the faces.
        seed: of that choice.
        detector: finds the eyes; MTCNN by default.
        eyes: those of `detected_eyes`, so that they are not looked for again.

    Returns:
        For each of "eye height", "eye distance", "horizontal position", "brightness", "contrast"
        and "background" (the outer ring above the chin): `class_auc` of the expression it tells
        best, that `class`, its `class_z` (Mann-Whitney: deviations from .5), `person_auc` (same
        person or not, from how near two pictures are), and `faces`. All AUC are .5 by chance.
    """
    view = data.subset(_rows(data, seed))
    images = view.gather(np.arange(len(view)))
    if eyes is None:
        eyes = _known_eyes(view.table)
    if eyes is None:
        eyes = _detected_eyes(images, detector)
    measures = {**_geometry(eyes), **_light(images)}
    tests = {name: _tested(values[:, None], values, view) for name, values in measures.items()}
    ring = _background(images)
    tests["background"] = _tested(ring, None, view)
    return {name: values for name, values in tests.items() if len(values) > 1}


def _rows(data: FaceData, seed: int) -> NDArray[np.int64]:
    return np.sort(np.random.default_rng(seed).permutation(len(data))[:MAX_FACES])


def detected_eyes(
    data: FaceData, *, seed: int = 0, detector: Detector | None = None
) -> tuple[NDArray[np.int64], Floats | None]:
    """Eyes that a detector finds in the faces that `framing` looks at.

    Returns:
        The rows [n], and their eyes [n, 2, 2] as shares of the side, NaN where no face was found;
        None where the table names the eyes, or without a detector (extra `detect`).
    """
    rows = _rows(data, seed)
    if _known_eyes(data.table) is not None:
        return rows, None
    return rows, _detected_eyes(data.gather(rows), detector)


def tells_class(values: dict[str, Any]) -> bool:
    """Whether a property tells an expression by more than chance and by enough to matter."""
    return values.get("class_auc", 0.5) >= MIN_AUC and values["class_z"] >= MIN_Z


# ---------------------------------------------------------------------- properties


def _geometry(eyes: Floats | None) -> dict[str, Floats]:
    """[N] a property, NaN where no eyes are known."""
    if eyes is None:
        return {}
    return {
        "eye height": eyes[:, :, 1].mean(axis=1),
        "eye distance": np.hypot(*(eyes[:, 1] - eyes[:, 0]).T),
        "horizontal position": eyes[:, :, 0].mean(axis=1),
    }


def _known_eyes(table: pd.DataFrame) -> Floats | None:
    """[N, 2, 2] eyes that the table names."""
    for columns in EYE_COLUMNS:
        names = list(columns)
        if set(names) <= set(table) and all(pd.api.types.is_numeric_dtype(table[c]) for c in names):
            return table[names].to_numpy(np.float64).reshape(-1, 2, 2)
    return None


def _detected_eyes(images: NDArray[np.uint8], detector: Detector | None) -> Floats | None:
    """[N, 2, 2] eyes of the largest faces, as shares of the side; NaN where there is no face."""
    eyes = np.full((len(images), 2, 2), np.nan)
    side = max(DETECTED_SIDE, images.shape[1])
    try:
        detector = detector or Mtcnn()
        for row, image in enumerate(images):
            face = Image.fromarray(image[:, :, 0] if image.shape[2] == 1 else image).convert("RGB")
            faces = detector(face.resize((side, side), Image.Resampling.BICUBIC))
            if faces:
                eyes[row] = faces[0].eyes / side
    except MissingExtraError:
        return None
    return eyes


def _light(images: NDArray[np.uint8]) -> dict[str, Floats]:
    gray = images @ np.array(LUMA) if images.shape[3] == 3 else images[..., 0].astype(np.float64)
    return {"brightness": gray.mean(axis=(1, 2)), "contrast": gray.std(axis=(1, 2))}


def _background(images: NDArray[np.uint8]) -> Floats:
    """[N, D] gray values of the outer ring, without the lowest quarter (neck and clothes)."""
    ring = np.ones((32, 32), dtype=bool)
    ring[BORDER:, BORDER:-BORDER] = False
    ring[24:] = False
    return shrunk(images, 32)[:, ring].astype(np.float64)


# ---------------------------------------------------------------------- tests


def _tested(features: Floats, score: Floats | None, data: FaceData) -> dict[str, Any]:
    """How well a property tells expression and person.

    Args:
        features: [N, D]; rows with NaN are left out.
        score: [N] the property itself; None to predict the expression from the features.
    """
    known = np.isfinite(features).all(axis=1)
    result: dict[str, Any] = {"faces": int(known.sum())}
    labelled = np.flatnonzero(known & (data.expression >= 0))
    y = data.expression[labelled]
    counts = np.bincount(y, minlength=len(data.classes))
    if len(labelled) >= 20 and (counts > 0).sum() > 1:
        best = _best_class(features[labelled], score, labelled, y, data)
        if best is not None:
            result |= best
    person = np.flatnonzero(known & (data.subject >= 0))
    a, b = np.triu_indices(len(person), 1)
    same = data.subject[person[a]] == data.subject[person[b]]
    if same.any() and not same.all():
        flat = features[person] / np.maximum(features[person].std(axis=0), 1e-9)
        squares = (flat**2).sum(axis=1)
        apart = squares[a] + squares[b] - 2 * (flat @ flat.T)[a, b]
        result["person_auc"] = float(roc_auc_score(same, -apart))
    return result


def _best_class(
    features: Floats,
    score: Floats | None,
    rows: NDArray[np.int64],
    y: NDArray[np.int64],
    data: FaceData,
) -> dict[str, Any] | None:
    """The expression that is told with most certainty from all others."""
    classes = np.unique(y)
    if score is None:
        scores = _predicted(features, y, data.subject[rows])
        if scores is None:
            return None
    else:
        scores = np.repeat(score[rows][:, None], len(classes), axis=1)
    best: dict[str, Any] | None = None
    for column, code in enumerate(classes):
        n = int((y == code).sum())
        area = float(roc_auc_score(y == code, scores[:, column]))
        if score is not None:  # a property may be smaller for the class as well as larger
            area = max(area, 1 - area)
        deviation = np.sqrt((len(y) + 1) / (12 * n * (len(y) - n)))
        z = (area - 0.5) / deviation
        if best is None or z > best["class_z"]:
            best = {"class_auc": area, "class": data.classes[code], "class_z": float(z)}
    return best


def _predicted(features: Floats, y: NDArray[np.int64], subject: NDArray[np.int64]) -> Floats | None:
    """[N, classes] cross-validated over people (over faces where none are known)."""
    unknown = subject < 0
    groups = np.where(unknown, subject.max(initial=0) + 1 + np.arange(len(y)), subject)
    if len(np.unique(groups)) < 5:
        return None
    folds = list(GroupKFold(5).split(features, y, groups))
    if any(len(np.unique(y[fit])) < 2 for fit, _ in folds):
        return None
    classes, codes = np.unique(y, return_inverse=True)
    return held_out_probabilities(
        features, codes, folds,
        classes=len(classes), components=20, rows_per_component=4, strength=0.1,
    )  # fmt: skip
