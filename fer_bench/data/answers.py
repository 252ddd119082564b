"""What a model answers about faces, in per cent, and whether the data's own columns agree.

An attribute reader is a function from faces to `Answers`, registered under the entry-point group
`fer_bench.attribute_readers`, such as "clip" (figure 5 of the EIF paper).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fer_bench.data.faces import FaceData
from fer_bench.labels import label_codes

SAME: dict[str, frozenset[str]] = {
    "man": frozenset({"man", "male", "m"}),
    "woman": frozenset({"woman", "female", "f", "w"}),
    "white": frozenset({"white", "light", "caucasian"}),
    "black": frozenset({"black", "dark", "african", "african-american"}),
    "yellow": frozenset({"yellow", "asian", "east asian"}),
}
"""Words of a column that mean an answer; every answer also means itself."""
COLUMNS: dict[str, tuple[str, ...]] = {
    "gender": ("gender", "sex"),
    "skin": ("skin", "race", "ethnicity"),
    "age": ("age",),
}
"""Columns that hold an attribute; every attribute also has the column of its own name."""


@dataclass(frozen=True)
class Answers:
    """Answers to one question each.

    Attributes:
        levels: attribute -> the words it is asked with.
        shares: attribute -> [N, levels], rows sum to 1.
    """

    levels: Mapping[str, tuple[str, ...]]
    shares: Mapping[str, NDArray[np.float64]]

    def best(self, attribute: str) -> NDArray[np.str_]:
        """[N] the word with the largest share."""
        return np.asarray(self.levels[attribute])[self.shares[attribute].argmax(axis=1)]

    def percent(self, attribute: str) -> NDArray[np.float64]:
        """[N] the largest share in per cent."""
        return 100 * np.asarray(self.shares[attribute]).max(axis=1)


@dataclass(frozen=True)
class Agreement:
    """How often answers name what a column says.

    Attributes:
        attribute, column: that were compared.
        faces: whose column holds one of the answers.
        right: share of them that are answered so.
        kappa: Cohen's, 0 where the agreement is chance.
        recalls: answer -> share of its faces that are answered so.
    """

    attribute: str
    column: str
    faces: int
    right: float
    kappa: float
    recalls: Mapping[str, float]

    def __str__(self) -> str:
        each = ", ".join(f"{word} {100 * share:.0f}" for word, share in self.recalls.items())
        return (
            f"{self.attribute}: {100 * self.right:.1f} % of {self.faces:,} faces as the column "
            f"{self.column!r} says (kappa {self.kappa:.2f}); {each}"
        )


def agreement(data: FaceData, answers: Answers) -> list[Agreement]:
    """Compare answers with the columns that hold the same attributes.

    Args:
        data: the faces that were asked about.
        answers: to the questions.

    >>> faces = FaceData(
    ...     np.zeros((4, 8, 8, 1), np.uint8), pd.DataFrame({"sex": ["male", "m", "female", None]})
    ... )
    >>> shares = np.array([[0.9, 0.1], [0.2, 0.8], [0.4, 0.6], [0.5, 0.5]])
    >>> [gender] = agreement(faces, Answers({"gender": ("man", "woman")}, {"gender": shares}))
    >>> gender.column, gender.faces, round(gender.right, 3), gender.recalls
    ('sex', 3, 0.667, {'man': 0.5, 'woman': 1.0})
    """
    agreements = []
    for attribute, words in answers.levels.items():
        column = column_of(data, attribute, words)
        if column is None:
            continue
        truth = meant(data.table[column], words)
        known = truth >= 0
        said = np.asarray(answers.shares[attribute]).argmax(axis=1)
        counts = np.zeros((len(words), len(words)))
        np.add.at(counts, (truth[known], said[known]), 1)
        recalls = {
            word: float(counts[k, k] / counts[k].sum())
            for k, word in enumerate(words)
            if counts[k].any()
        }
        right = float(counts.trace() / counts.sum())
        chance = float((counts.sum(0) * counts.sum(1)).sum() / counts.sum() ** 2)
        kappa = (right - chance) / (1 - chance) if chance < 1 else float("nan")
        agreements.append(Agreement(attribute, column, int(known.sum()), right, kappa, recalls))
    return agreements


def column_of(data: FaceData, attribute: str, words: tuple[str, ...]) -> str | None:
    """The column that holds an attribute, if any of its cells is one of the words."""
    for column in dict.fromkeys((attribute, *COLUMNS.get(attribute, ()))):
        if column in data.attributes and (meant(data.table[column], words) >= 0).any():
            return column
    return None


def meant(column: pd.Series[Any], words: tuple[str, ...]) -> NDArray[np.int64]:
    """[N] positions in `words` that the cells of a column mean, -1 for none of them."""
    meaning = {w: word for word in words for w in (SAME.get(word, frozenset()) | {word})}
    text = column.astype("object").where(column.notna(), "").astype(str).str.casefold()
    return label_codes([meaning.get(word) for word in text], words)
