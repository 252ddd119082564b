"""A small sweep whose runs are trained and scored in seconds, and one of given embeddings."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

import fer_bench


@pytest.fixture(scope="session")
def sweep(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One method, two seeds, one fold, quick metrics."""
    root = tmp_path_factory.mktemp("sweep") / "r"
    fer_bench.run(
        {
            "name": "small",
            "data": {"name": "generated", "subjects": 8, "images_per_subject": 14, "size": 32},
            "split": {"folds": 2, "use": [0], "validation": 0.4},
            "training": {"epochs": 1},
            "seeds": [0, 1],
            "methods": [{"name": "erm"}],
            "scores": {"metrics": ["classification", "groups"], "seed": 3},
        },
        root,
        quiet=True,
    )
    return root


@pytest.fixture(scope="session")
def given(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A result folder of given embeddings."""
    rng = np.random.default_rng(0)
    y, s = rng.integers(0, 4, 160), np.repeat(np.arange(8), 20)
    e = 2 * np.eye(8)[y] + rng.normal(size=(160, 8))
    root = tmp_path_factory.mktemp("given") / "r"
    fer_bench.evaluate(
        expression=e,
        logits=e[:, :4],
        labels=y,
        subjects=[f"Anna-{i}" for i in s],
        metrics=["classification"],
        out=root,
        name="ours",
    )
    return root


@pytest.fixture
def copied(sweep: Path, tmp_path: Path) -> Path:
    """A copy of the sweep that may be damaged."""
    return Path(shutil.copytree(sweep, tmp_path / "r"))
