"""Coloured digits: the smallest data set with a known answer to what should be told apart."""

from __future__ import annotations

import colorsys
from itertools import product
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from PIL import Image

from fer_bench.data.synthetic.factors import check_integer
from fer_bench.errors import DataError

DIGITS = tuple(f"digit-{n}" for n in range(10))
HUES = (
    "red", "orange", "yellow", "lime", "green", "mint", "cyan", "azure", "blue", "violet",
    "magenta", "rose",
)  # fmt: skip
"""Twelve hues, 30 degrees apart."""
NEAREST = 2  # hues between ink and paper, so that every digit can be read
MOST_SUBJECTS = len(HUES) * (len(HUES) - 2 * NEAREST + 1)


def coloured_digits(
    *, subjects: int = 60, size: int = 64, color: bool = True, seed: int = 0
) -> tuple[NDArray[np.uint8], pd.DataFrame, dict[str, Any]]:
    """Handwritten digits in pairs of colours: the digit is the expression, the colours the person.

    After Sanchez, Serrurier and Ortner (ECCV 2020), whose pairs of images share the digit and
    differ in colours out of twelve. Here ink and paper are both coloured, and one pair of colours
    is one subject. Every one of scikit-learn's 1,797 digits is used once, so that no handwriting
    is trained on in one colour and tested in another.

    Args:
        subjects: pairs of colours, at most 108; the digits are dealt out evenly among them.
        size: side in pixels; the digits are 8 x 8 and are enlarged smoothly.
        color: must be true, because a gray digit shows no subject.
        seed: of the choice of pairs and of who gets which digit.

    Returns:
        uint8 [1797, size, size, 3]; the table, with `expression` ("digit-0" to "digit-9"),
        `subject` ("red on cyan") and the attributes `ink` and `paper`; the parameters.

    Raises:
        DataError: a parameter is outside its range.

    >>> images, table, _ = coloured_digits(subjects=12, size=16)
    >>> images.shape, table["subject"].nunique(), table["expression"].nunique()
    ((1797, 16, 16, 3), 12, 10)
    """
    from sklearn.datasets import load_digits

    check_integer("subjects", subjects, 2)
    if subjects > MOST_SUBJECTS:
        raise DataError(f"subjects is {subjects}: there are {MOST_SUBJECTS} pairs of colours.")
    if not color:
        raise DataError("coloured digits have no subject in gray: set color to true.")
    digits = load_digits()
    rng = np.random.default_rng(seed)
    ink, paper = _colour_pairs(subjects, rng)
    person = _dealt(digits.target, subjects, rng)
    palette = np.array([colorsys.hsv_to_rgb(i / len(HUES), 1, 1) for i in range(len(HUES))]) * 255
    images = _painted(digits.images / 16, palette[ink[person]], palette[paper[person]], size)
    names = np.array(HUES)
    table = pd.DataFrame(
        {
            "path": [f"load_digits#{i}" for i in range(len(images))],
            "expression": np.array(DIGITS)[digits.target],
            "subject": [f"{HUES[ink[p]]} on {HUES[paper[p]]}" for p in person],
            "ink": names[ink[person]],
            "paper": names[paper[person]],
        }
    )
    return images, table, {"subjects": subjects, "seed": seed}


def _colour_pairs(
    count: int, rng: np.random.Generator
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """[count] hues of the ink and of the paper; all pairs differ."""
    n = len(HUES)
    readable = range(NEAREST, n - NEAREST + 1)
    pairs = [(a, b) for a, b in product(range(n), repeat=2) if (a - b) % n in readable]
    chosen = np.array(pairs)[rng.permutation(len(pairs))[:count]]
    return chosen[:, 0], chosen[:, 1]


def _dealt(labels: NDArray[np.int64], subjects: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """[N] subject of every digit: shuffled within each class, then dealt out in turn."""
    shuffled = rng.permutation(len(labels))
    order = shuffled[np.argsort(labels[shuffled], kind="stable")]
    person = np.empty(len(labels), dtype=np.int64)
    person[order] = np.arange(len(labels)) % subjects
    return person


def _painted(
    shapes: NDArray[np.float64],
    ink: NDArray[np.float64],
    paper: NDArray[np.float64],
    size: int,
) -> NDArray[np.uint8]:
    """[N, 8, 8] coverage in 0..1, [N, 3] colours -> uint8 [N, size, size, 3]."""
    large = np.stack(
        [
            np.asarray(
                Image.fromarray(shape.astype(np.float32)).resize(
                    (size, size), Image.Resampling.BILINEAR
                )
            )
            for shape in shapes
        ]
    )[..., None]
    blended = paper[:, None, None] + large * (ink - paper)[:, None, None]
    return blended.round().clip(0, 255).astype(np.uint8)
