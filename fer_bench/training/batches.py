"""From rows of a `FaceData` to batches on the device."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace
from functools import cached_property

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor

from fer_bench.cautions import Caution
from fer_bench.data.augment import augment, normalise
from fer_bench.data.faces import FaceData
from fer_bench.data.pairs import PairSampler
from fer_bench.experiment import TrainingSpec
from fer_bench.labels import label_codes
from fer_bench.method import Batch, Task

Rows = NDArray[np.int64]

_LABELS = ("expression", "subject", "valence", "arousal", "sequence", "path")
_DEVICE_BYTES = 4 * 2**30  # a set up to this size lives on the accelerator as uint8


def make_task(data: FaceData, train: Rows, *, target: str = "expression") -> Task:
    """What a method may know: classes, subjects (those of `train` first), shape, attributes."""
    in_train = np.unique(data.subject[train])
    in_train = in_train[in_train >= 0]
    others = np.setdiff1d(np.arange(len(data.subjects)), in_train)
    names = [data.subjects[i] for i in (*in_train, *others)]
    expression = data.expression[train]
    counts = np.bincount(expression[expression >= 0], minlength=len(data.classes))
    return Task(
        classes=data.classes,
        subjects=tuple(names),
        n_train_subjects=len(in_train),
        shape=data.shape,
        attributes={
            name: tuple(sorted({str(level) for level in data.table[name].dropna().unique()}))
            for name in data.attributes
        },
        valence_arousal=data.has_valence_arousal,
        class_counts=tuple(int(c) for c in counts),
        target="valence_arousal" if target == "valence_arousal" else "expression",
    )


class Batcher:
    """Gathers, augments and normalises batches of one data set for one task.

    Args:
        data: the faces.
        task: fixes the codes of classes, subjects and attributes.
        training: augmentation, normalisation, memory format.
        device: where batches go.
    """

    def __init__(
        self, data: FaceData, task: Task, training: TrainingSpec, device: torch.device
    ) -> None:
        self.data = data
        self.training = training
        self.device = device
        self._expression = self._codes(data.table["expression"], task.classes)
        self._subject = self._codes(data.table["subject"], task.subjects)
        self._attributes = {
            name: self._codes(data.table[name], levels)
            if name in data.table
            else torch.full((len(data),), -1, device=device)
            for name, levels in task.attributes.items()
        }
        self._valence_arousal = torch.tensor(data.valence_arousal, device=device)
        self._resident = self._move_to_device()

    def _codes(self, column: pd.Series, names: tuple[str, ...]) -> Tensor:
        return torch.as_tensor(label_codes(column, names), device=self.device)

    def _move_to_device(self) -> Tensor | None:
        """On an accelerator a set that fits is copied once, so that a gather costs nothing."""
        if self.device.type == "cpu" or len(self.data) * math.prod(self.data.shape) > _DEVICE_BYTES:
            return None
        images = torch.from_numpy(self.data.gather(np.arange(len(self.data))))
        return images.to(self.device).permute(0, 3, 1, 2)

    def _pixels(self, rows: Rows) -> Tensor:
        if self._resident is not None:
            return self._resident[torch.as_tensor(rows, device=self.device)]
        pixels = torch.from_numpy(self.data.gather(rows)).permute(0, 3, 1, 2)
        if self.device.type == "cuda":
            return pixels.pin_memory().to(self.device, non_blocking=True)
        return pixels

    @cached_property
    def labels(self) -> pd.DataFrame:
        """What a run keeps of the labels of its faces, a row per face."""
        table = self.data.table
        factors = [c for c in table if str(c).startswith("factor_")]
        wanted = (*_LABELS, *self.data.attributes, *factors)
        labels = table[[c for c in wanted if c in table]].copy()
        for column in ("expression", "subject", "sequence", "path", *self.data.attributes):
            if column in labels:
                labels[column] = labels[column].astype("string")
        return labels

    def batch(
        self, rows: Rows, *, generator: torch.Generator | None = None, partners: Rows | None = None
    ) -> Batch:
        """One batch; augmented if a generator is given; with partners for pair stages."""
        pixels = self._pixels(rows)
        images = normalise(pixels, self.training.normalise)
        if generator is not None and self.training.augment != "none":
            images = augment(images, self.training.augment, generator)
        if self.training.channels_last:
            images = images.contiguous(memory_format=torch.channels_last)
        index = torch.as_tensor(rows, device=self.device)
        batch = Batch(
            images=images,
            pixels=pixels,
            expression=self._expression[index],
            subject=self._subject[index],
            valence_arousal=self._valence_arousal[index],
            attributes={name: column[index] for name, column in self._attributes.items()},
            index=index,
        )
        if partners is None:
            return batch
        return replace(batch, partner=self.batch(partners, generator=generator))

    def ordered(self, rows: Rows, batch_size: int) -> Iterator[Batch]:
        """All rows once, in order, neither augmented nor dropped."""
        for start in range(0, len(rows), batch_size):
            yield self.batch(rows[start : start + batch_size])


def batches_in(rows: int, batch_size: int) -> int:
    """Batches of one pass: a last, smaller one is left out unless it is the only one.

    >>> batches_in(100, 32), batches_in(10, 32)
    (3, 1)
    """
    return max(1, rows // batch_size)


class EpochPlan:
    """Which rows meet in which batch: a function of (seed, stage, epoch) alone.

    Because nothing is carried over between epochs, a resumed run sees the same batches as one
    that was never stopped.

    Args:
        data: the faces.
        rows: those that take part.
        batch_size: per batch; a last, smaller batch is left out unless it is the only one.
        pairs: whether each row gets a partner.
        balanced: draw with replacement so that classes are equally frequent.
        seed: of the run and the stage.
    """

    def __init__(
        self,
        data: FaceData,
        rows: Rows,
        *,
        batch_size: int,
        pairs: bool,
        balanced: bool = False,
        seed: tuple[int, ...] = (0,),
    ) -> None:
        self.rows = rows
        self.batch_size = min(batch_size, len(rows))
        self.balanced = balanced
        self.seed = seed
        self._expression = data.expression[rows]
        self._sampler = (
            PairSampler(self._expression, data.subject[rows], seed=seed[0]) if pairs else None
        )

    def __len__(self) -> int:
        return batches_in(len(self.rows), self.batch_size)

    @property
    def cautions(self) -> tuple[Caution, ...]:
        """What the pair sampler had to fall back to."""
        return self._sampler.cautions if self._sampler is not None else ()

    def epoch(self, epoch: int) -> Iterator[tuple[Rows, Rows | None]]:
        """Rows (and partners) of each batch of one epoch."""
        rng = np.random.default_rng([*self.seed, epoch])
        order = self._order(rng)
        for start in range(0, len(self) * self.batch_size, self.batch_size):
            anchors = order[start : start + self.batch_size]
            partners = None
            if self._sampler is not None:
                partners = self.rows[self._sampler.partners(anchors, rng)]
            yield self.rows[anchors], partners

    def _order(self, rng: np.random.Generator) -> Rows:
        if not self.balanced:
            return rng.permutation(len(self.rows))
        counts = np.bincount(self._expression[self._expression >= 0])
        weight = np.where(self._expression >= 0, 1.0 / counts[self._expression], 0.0)
        return rng.choice(len(self.rows), size=len(self.rows), p=weight / weight.sum())
