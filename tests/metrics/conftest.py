"""Runs made of arrays with known structure: what is in E and I is planted here."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from fer_bench.arrays import PartArrays, RunArrays

CLASSES = ("neutral", "happiness", "sadness", "surprise", "fear", "disgust", "anger")


def build_part(
    name: str = "test",
    *,
    subjects: int = 12,
    images: int = 28,
    dims: int = 16,
    e_expression: float = 3.0,
    e_identity: float = 0.0,
    i_expression: float = 0.0,
    i_identity: float = 3.0,
    seed: int = 0,
    classes: tuple[str, ...] = CLASSES,
    first_subject: int = 0,
    world: int = 99,
) -> PartArrays:
    """A part whose embeddings are noise plus planted expression and identity directions."""
    rng = np.random.default_rng(seed + 1000 * first_subject)
    n = subjects * images
    s = np.repeat(np.arange(subjects), images)
    y = np.tile(np.arange(images) % len(classes), subjects)
    fixed = np.random.default_rng(world)
    y_code = fixed.normal(size=(len(classes), dims))
    s_code = fixed.normal(size=(400, dims))[first_subject : first_subject + subjects]

    def mix(expression: float, identity: float) -> np.ndarray:
        noise = rng.normal(size=(n, dims))
        return (noise + expression * y_code[y] + identity * s_code[s]).astype(np.float32)

    logits = rng.normal(size=(n, len(classes))) + 2.0 * np.eye(len(classes))[y]
    va = rng.uniform(-1, 1, size=(n, 2))
    labels = pd.DataFrame(
        {
            "expression": [classes[k] for k in y],
            "subject": [f"p{first_subject + k:03d}" for k in s],
            "valence": va[:, 0],
            "arousal": va[:, 1],
            "sequence": pd.Series([None] * n, dtype="object"),
            "path": [f"{name}_{k}.png" for k in range(n)],
            "row": np.arange(n),
            "gender": [["f", "m"][k % 2] for k in s],
        }
    )
    return PartArrays(
        name=name,
        expression=mix(e_expression, e_identity),
        identity=mix(i_expression, i_identity),
        logits=logits.astype(np.float32),
        valence_arousal=(va + 0.3 * rng.normal(size=va.shape)).astype(np.float32),
        labels=labels,
        classes=classes,
    )


def build_run(*, train_subjects: int = 20, extra: bool = False, **planted: object) -> RunArrays:
    """A run with subject-disjoint train, validation and test parts."""
    test = build_part("test", **planted)  # type: ignore[arg-type]
    size = len(test.subjects)
    rest = {k: v for k, v in planted.items() if k != "subjects"}
    parts = {
        "train": build_part("train", subjects=train_subjects, first_subject=size, **rest),
        "validation": build_part(
            "validation", subjects=6, first_subject=size + train_subjects, **rest
        ),
        "test": test,
    }
    if extra:
        parts["test:other"] = build_part("test:other", subjects=8, first_subject=200, **rest)
    return RunArrays(parts=parts, classes=test.classes, method="planted")


def replaced(part: PartArrays, **changes: object) -> PartArrays:
    """A part with some arrays replaced."""
    fields = {k: getattr(part, k) for k in PartArrays.__dataclass_fields__}
    return PartArrays(**{**fields, **changes})


@pytest.fixture(scope="session")
def planted() -> SimpleNamespace:
    """Builders of parts and runs with planted structure."""
    return SimpleNamespace(part=build_part, run=build_run, replaced=replaced, classes=CLASSES)
