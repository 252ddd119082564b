"""Embeddings as somebody else's code leaves them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

CLASSES = ("neutral", "happiness", "sadness", "surprise", "fear", "anger")


@dataclass(frozen=True)
class Made:
    """One model's arrays with the labels of their rows."""

    ids: np.ndarray
    y: np.ndarray
    people: np.ndarray
    expression: np.ndarray
    identity: np.ndarray
    logits: np.ndarray

    classes = CLASSES

    @property
    def labels(self) -> pd.DataFrame:
        words = np.array(CLASSES)[self.y]
        return pd.DataFrame({"image": self.ids, "emotion": words, "person": self.people})


@pytest.fixture(scope="session")
def made() -> Made:
    """240 rows, 10 people, 6 expressions; E shows mostly expression, I shows the person."""
    rng = np.random.default_rng(0)
    n = 240
    y, s = rng.integers(0, 6, n), np.repeat(np.arange(10), 24)
    codes, faces = rng.normal(size=(6, 16)), rng.normal(size=(10, 16))
    e = 2 * codes[y] + 0.3 * faces[s] + 0.7 * rng.normal(size=(n, 16))
    i = faces[s] + 0.3 * rng.normal(size=(n, 16))
    ids = np.array([f"p{a:02d}/img_{b:03d}.png" for b, a in enumerate(s)])
    people = np.array([f"p{a:02d}" for a in s])
    return Made(ids, y, people, e.astype("f4"), i.astype("f4"), (e @ codes.T).astype("f4"))


@pytest.fixture
def table(made: Made, tmp_path: Path) -> Path:
    path = tmp_path / "labels.csv"
    made.labels.to_csv(path, index=False)
    return path
