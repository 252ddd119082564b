"""The saved arrays of a run: all that a metric may look at."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fer_bench.labels import label_codes

STORED = ("expression", "identity", "logits", "valence_arousal", "drawn")
FURTHER = "further/"
"""Before the names of further embeddings, where arrays are stored."""

FROZEN_ATTACKER = "frozen_attacker"
"""The further embedding of a method that was trained against a fixed recogniser of people: what
that recogniser compares. Such a method's paper measures its leak by this recogniser."""


@dataclass(frozen=True)
class PartArrays:
    """One evaluated part of a run ("train", "validation", "test", or "test:<name>").

    Attributes:
        name: of the part.
        expression: [n, d_e] float32 expression embedding E.
        identity: [n, d_i] float32 identity embedding I, or None.
        logits: [n, n_classes] float32, or None.
        valence_arousal: [n, 2] float32 predictions, or None.
        labels: one row per image: `expression`, `subject`, `valence`, `arousal`, `sequence`,
            `path`, `row` (row in the data set), attribute and `factor_` columns; missing stays
            missing.
        classes: expression names, in the order of the logits.
        further: [n, d] float32 embeddings that the method has beside E and I, by name.
        drawn: [n, side, side, C] uint8 small faces, as a decoder of the method's own draws them;
            kept with the test part, where there is such a decoder.
    """

    name: str
    expression: NDArray[np.float32]
    identity: NDArray[np.float32] | None
    logits: NDArray[np.float32] | None
    valence_arousal: NDArray[np.float32] | None
    labels: pd.DataFrame
    classes: tuple[str, ...]
    further: Mapping[str, NDArray[np.float32]] = field(default_factory=dict)
    drawn: NDArray[np.uint8] | None = None

    @classmethod
    def of_stored(
        cls,
        name: str,
        arrays: Mapping[str, NDArray[Any]],
        labels: pd.DataFrame,
        classes: tuple[str, ...],
    ) -> PartArrays:
        """The part whose `stored` arrays these are; what is not among them it does not have."""
        known: dict[str, Any] = {key: arrays.get(key) for key in STORED}
        further = {k.removeprefix(FURTHER): v for k, v in arrays.items() if k.startswith(FURTHER)}
        return cls(name, labels=labels, classes=classes, further=further, **known)

    @property
    def stored(self) -> dict[str, NDArray[Any]]:
        """Its arrays by name, those of `further` with `FURTHER` before it."""
        arrays = {key: getattr(self, key) for key in STORED}
        arrays |= {f"{FURTHER}{name}": value for name, value in self.further.items()}
        return {k: np.ascontiguousarray(v) for k, v in arrays.items() if v is not None}

    def __len__(self) -> int:
        return len(self.labels)

    def with_rows(self, rows: NDArray[np.int64]) -> PartArrays:
        """The part with some of its rows, in that order."""
        arrays = {name: array[rows] for name, array in self.stored.items()}
        return self.of_stored(
            self.name, arrays, self.labels.iloc[rows].reset_index(drop=True), self.classes
        )

    @cached_property
    def y(self) -> NDArray[np.int64]:
        """[n] expression codes into `classes`, -1 where missing."""
        return label_codes(self.labels["expression"], self.classes)

    @cached_property
    def subjects(self) -> tuple[str, ...]:
        """Names of the subjects in this part, sorted."""
        return tuple(sorted(self.labels["subject"].dropna().astype(str).unique()))

    @cached_property
    def s(self) -> NDArray[np.int64]:
        """[n] subject codes into `subjects`, -1 where missing."""
        return label_codes(self.labels["subject"], self.subjects)

    @cached_property
    def has_subjects(self) -> bool:
        """Whether every row has a subject and there are at least two."""
        return len(self.subjects) >= 2 and bool((self.s >= 0).all())

    @cached_property
    def groups(self) -> NDArray[np.int64] | None:
        """[n] subject codes that intervals count, or None where the part has no subjects."""
        return self.s if self.has_subjects else None

    @cached_property
    def sequences(self) -> NDArray[np.int64] | None:
        """[n] codes of (subject, sequence), -1 where unknown; None where no row has one."""
        if "sequence" not in self.labels or self.labels["sequence"].isna().all():
            return None
        sequence = self.labels["sequence"]
        subject = self.labels["subject"].astype("object")
        names = subject.where(subject.notna(), "").astype(str) + "\x1f" + sequence.astype(str)
        names = names.where(sequence.notna(), None)
        return label_codes(names, tuple(sorted(names.dropna().unique())))

    @property
    def embeddings(self) -> dict[str, NDArray[np.float32]]:
        """The embeddings that metrics compare: "E", and "I" where the method has one."""
        if self.identity is None:
            return {"E": self.expression}
        return {"E": self.expression, "I": self.identity}

    @property
    def spaces(self) -> dict[str, NDArray[np.float32]]:
        """All embeddings by name: E, I, and the further ones of the method."""
        return {**self.embeddings, **self.further}

    @cached_property
    def target(self) -> NDArray[np.float32]:
        """[n, 2] true valence and arousal, NaN where missing."""
        return self.labels[["valence", "arousal"]].to_numpy(dtype=np.float32, na_value=np.nan)

    def attribute_names(self) -> list[str]:
        """Categorical attribute columns."""
        fixed = {"expression", "subject", "valence", "arousal", "sequence", "path", "row", "split"}
        names = [str(c) for c in self.labels]
        return [c for c in names if c not in fixed and not c.startswith("factor_")]

    def factor_names(self) -> list[str]:
        """Exact continuous factors (generated faces)."""
        return [str(c) for c in self.labels if str(c).startswith("factor_")]


@dataclass(frozen=True)
class RunArrays:
    """What metrics score: the parts of one run and a few facts about it.

    Attributes:
        parts: by name; "train" and "test" are always there, "validation" where one was split.
        classes: expression names.
        method: registered name.
        role: "method", "reference" or "oracle".
        seed, fold: of the run.
        facts: JSON-able extras of the run (data set name, terms, notes).
        read_faces: gives `faces` when they are first asked for.
    """

    parts: Mapping[str, PartArrays]
    classes: tuple[str, ...]
    method: str = ""
    role: Literal["method", "reference", "oracle"] = "method"
    seed: int = 0
    fold: int = 0
    facts: Mapping[str, object] = field(default_factory=dict)
    read_faces: Callable[[], NDArray[np.uint8] | None] | None = field(default=None, repr=False)

    @cached_property
    def faces(self) -> NDArray[np.uint8] | None:
        """Small copies of all faces of the data set, uint8 [n, side, side, C], or None.

        `labels["row"]` of the train, validation and test parts points into them.
        """
        return None if self.read_faces is None else self.read_faces()

    @property
    def test(self) -> PartArrays:
        """The part that is read once."""
        return self.parts["test"]
