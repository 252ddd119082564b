"""What a trained run says of itself: whether it learned anything, and whether it could have."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import scipy  # its parts load at first use

from fer_bench.arrays import PartArrays
from fer_bench.cautions import Caution

FEW_STEPS = 200
"""Optimiser steps under which a run is called short: see examples/few_steps.toml."""

_SMALL_BOUND = 0.05  # of its ceiling
_MEMORISED = 0.5  # a bound is far lower on validation faces below this share of its training value
_STANDARD_ERRORS = 2.0

CODES = (
    "few-steps",
    "first-epoch-kept",
    "bound-near-zero",
    "bound-memorised",
    "one-class-predicted",
    "accuracy-at-chance",
    "loss-above-uniform",
)
"""The cautions of this module, as the terminal repeats them."""


def short_budget(steps: int) -> Iterator[Caution]:
    """A caution where a run has fewer optimiser steps than `FEW_STEPS`.

    >>> [str(caution) for caution in short_budget(24)]
    ['24 optimiser steps in all, fewer than 200']
    """
    if 0 < steps < FEW_STEPS:
        yield Caution("few-steps", steps=steps, least=FEW_STEPS)


def training_cautions(stages: Sequence[Mapping[str, Any]]) -> Iterator[Caution]:
    """What the summaries of the stages say: steps, kept epochs, bounds beside their ceilings.

    Args:
        stages: as in `Position.stages`.
    """
    yield from short_budget(sum(stage["steps"] for stage in stages))
    for stage in stages:
        if stage["epochs_run"] > 1 and stage["best_epoch"] == 1:
            yield Caution("first-epoch-kept", stage=stage["name"], epochs=stage["epochs_run"])
        for term, bound in stage["bounds"].items():
            yield from _bound_cautions(stage["name"], term, **bound)


def _bound_cautions(
    stage: str, term: str, *, train: float, validation: float | None, ceiling: float
) -> Iterator[Caution]:
    where = {"stage": stage, "term": term}
    if train < _SMALL_BOUND * ceiling:
        yield Caution("bound-near-zero", **where, value=train, ceiling=ceiling)
    elif validation is not None and validation < _MEMORISED * train:
        yield Caution("bound-memorised", **where, train=train, validation=validation)


def prediction_cautions(part: PartArrays) -> Iterator[Caution]:
    """What the predictions of a part say: one class, chance, worse than knowing nothing.

    Args:
        part: with class scores; without them there is nothing to say. Whether the loss is above
            that of equal probabilities is asked of the training part alone.
    """
    if part.logits is None or not (part.y >= 0).any():
        return
    logits, y = part.logits[part.y >= 0].astype(np.float64), part.y[part.y >= 0]
    classes, counts = np.unique(y, return_counts=True)
    if len(classes) < 2:
        return
    predicted = logits.argmax(1)
    if (predicted == predicted[0]).all():
        name = part.classes[predicted[0]]
        yield Caution("one-class-predicted", part=part.name, predicted=name, faces=len(y))
    else:
        recalls = np.array([(predicted[y == c] == c).mean() for c in classes])
        error = math.sqrt((recalls * (1 - recalls) / counts).sum()) / len(classes)
        chance = 1 / len(classes)
        if recalls.mean() - _STANDARD_ERRORS * error <= chance:
            yield Caution(
                "accuracy-at-chance", part=part.name, accuracy=recalls.mean(), chance=chance
            )
    if part.name == "train":
        loss = -scipy.special.log_softmax(logits, axis=1)[np.arange(len(y)), y].mean()
        uniform = math.log(logits.shape[1])
        if loss > uniform:
            yield Caution("loss-above-uniform", loss=loss, uniform=uniform)


def bounds_at(
    history: Iterable[Sequence[Any]], stage: str, epoch: int, ceilings: Mapping[str, float]
) -> dict[str, dict[str, float | None]]:
    """Bounds of a stage at an epoch, on training and validation faces, beside their ceilings.

    Args:
        history: rows (stage, epoch, split, player, term, value).
        stage, epoch: which.
        ceilings: the largest value of each term; others are no bounds.

    >>> rows = [["s", 1, "train", "p", "jsd", 1.0], ["s", 1, "validation", "p", "jsd", 0.2]]
    >>> bounds_at(rows, "s", 1, {"jsd": 2.0})
    {'jsd': {'train': 1.0, 'validation': 0.2, 'ceiling': 2.0}}
    """
    values = {
        (term, split): value
        for name, number, split, _, term, value in history
        if name == stage and number == epoch
    }
    return {
        term: {
            "train": values[term, "train"],
            "validation": values.get((term, "validation")),
            "ceiling": ceiling,
        }
        for term, ceiling in ceilings.items()
        if (term, "train") in values
    }
