"""A task and a batch of generated faces, small enough to check an adapter in seconds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from torch import Tensor

from fer_bench.data.augment import normalise
from fer_bench.data.labels import EXPRESSIONS
from fer_bench.data.synthetic.generated import generate
from fer_bench.method import Batch, Task

EXAMPLE_SIZE = 32
FACES = 112  # 8 people x 7 expressions x 2
_SUBJECTS = 8
_BATCH = 56


@lru_cache(maxsize=4)
def _example_faces(size: int) -> tuple[Any, Any]:
    images, table, _ = generate(
        subjects=_SUBJECTS, images_per_subject=FACES // _SUBJECTS, size=size, seed=0
    )
    return np.array(images), table


def example_task(
    *, target: str = "expression", size: int = EXAMPLE_SIZE, subjects: int = _SUBJECTS
) -> Task:
    """The task of the example batch: seven expressions, eight people, 3 x 32 x 32 faces.

    >>> len(example_task().classes)
    7
    """
    return Task(
        classes=tuple(EXPRESSIONS[:7]),
        subjects=tuple(f"G{i:03d}" for i in range(subjects)),
        n_train_subjects=subjects,
        shape=(3, size, size),
        attributes={
            "gender": ("man", "woman"),
            "age": ("middle-aged", "old", "young"),
            "skin": ("dark", "light", "medium"),
        },
        valence_arousal=True,
        class_counts=(FACES // 7,) * 7,
        target="valence_arousal" if target == "valence_arousal" else "expression",
    )


def example_batch(task: Task | None = None, *, count: int = _BATCH, seed: int = 0) -> Batch:
    """Generated faces with all labels, and a partner for each: same expression, other subject.

    >>> batch = example_batch(count=14)
    >>> bool((batch.expression == batch.partner.expression).all())
    True
    >>> bool((batch.subject != batch.partner.subject).all())
    True
    """
    task = task or example_task()
    rng = np.random.default_rng(seed)
    rows = rng.permutation(FACES)[:count]
    batch = batch_of(task, rows)
    everyone = batch_of(task, np.arange(FACES))
    same = batch.expression[:, None] == everyone.expression[None]
    other = batch.subject[:, None] != everyone.subject[None]
    partners = [int(rng.choice(np.flatnonzero(row))) for row in (same & other).numpy()]
    return replace(batch, partner=batch_of(task, np.array(partners)))


def batch_of(task: Task, rows: Any) -> Batch:
    """A batch of the given rows of the generated faces, without partners.

    Args:
        task: whose labels are wanted.
        rows: row numbers.
    """
    images, table = _example_faces(task.shape[1])
    pixels = torch.from_numpy(images[rows]).permute(0, 3, 1, 2).contiguous()
    part = table.iloc[rows]

    def codes(values: Any, names: Sequence[str]) -> Tensor:
        known = {name: i for i, name in enumerate(names)}
        return torch.tensor([known.get(str(v), -1) for v in values])

    return Batch(
        images=normalise(pixels, "image"),
        pixels=pixels,
        expression=codes(part["expression"], task.classes),
        subject=codes(part["subject"], task.subjects),
        valence_arousal=torch.tensor(part[["valence", "arousal"]].to_numpy(np.float32)),
        attributes={name: codes(part[name], levels) for name, levels in task.attributes.items()},
        index=torch.as_tensor(rows),
    )


def few_faces(task: Task) -> Batch:
    """Eight faces: four expressions of two people, each the partner of the other.

    >>> few_faces(example_task()).expression.tolist()
    [0, 1, 2, 3, 0, 1, 2, 3]
    """
    everyone = batch_of(task, np.arange(FACES))
    rows = [
        int(((everyone.subject == person) & (everyone.expression == y)).nonzero()[0])
        for person in range(2)
        for y in range(4)
    ]
    partners = batch_of(task, np.array(rows[4:] + rows[:4]))
    return replace(batch_of(task, np.array(rows)), partner=partners)


def first_rows(batch: Batch, count: int) -> Batch:
    """The first `count` faces of a batch, without partners."""
    part = slice(count)
    return Batch(
        images=batch.images[part],
        pixels=batch.pixels[part],
        expression=batch.expression[part],
        subject=batch.subject[part],
        valence_arousal=batch.valence_arousal[part],
        attributes={name: column[part] for name, column in batch.attributes.items()},
        index=batch.index[part],
    )
