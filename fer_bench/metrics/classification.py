"""Usefulness: how well expressions are recognised, and how honest the probabilities are."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import log_softmax

from fer_bench.arrays import RunArrays
from fer_bench.cautions import Caution
from fer_bench.errors import DataError
from fer_bench.labels import read_classes, read_groups, read_labels
from fer_bench.metrics.common import Floats, Ints, ratio_scores, undefined
from fer_bench.metrics.metric import metric
from fer_bench.reading import read_matrix, read_number
from fer_bench.score import Direction, Score, ScoreSpec, on_every_part

BINS = 15  # of the calibration error (Guo et al. 2017)
FITTED = Caution("fitted")


def confusion_matrix(y: ArrayLike, predicted: ArrayLike, n_classes: int) -> NDArray[np.int64]:
    """Counts [true, predicted].

    Args:
        y: [n] class codes; rows without a label (-1, NaN) are left out.
        predicted: [n] class codes, none missing.
        n_classes: number of classes.

    Raises:
        DataError: lengths differ, or a code is of no class.

    >>> confusion_matrix([0, 0, 1], [0, 1, 1], 2).tolist()
    [[1, 1], [0, 1]]
    """
    count = int(read_number(n_classes, "n_classes", least=1, integer=True))
    truth = read_labels(y, "y", classes=count)
    guess = read_labels(predicted, "predicted", rows=len(truth), classes=count, missing=False)
    cells = (truth * count + guess)[truth >= 0]
    return np.bincount(cells, minlength=count**2).reshape(count, count)


def _per_class(confusion: Floats) -> tuple[Floats, Floats, Floats, Floats]:
    """Precision, recall, F1 and support of confusion matrices [..., C, C]."""
    hit = np.diagonal(confusion, axis1=-2, axis2=-1)
    support, guessed = confusion.sum(axis=-1), confusion.sum(axis=-2)
    with np.errstate(divide="ignore", invalid="ignore"):
        recall = hit / support
        # A class that is never predicted has precision 0 where it has images.
        precision = np.where(guessed > 0, hit / guessed, np.where(support > 0, 0.0, np.nan))
        f1 = np.where(support > 0, 2 * hit / (support + guessed), np.nan)
    return precision, recall, f1, support


def classification_scores(
    logits: ArrayLike,
    y: ArrayLike,
    *,
    classes: Sequence[str],
    groups: ArrayLike | None = None,
    draws: int = 1000,
    seed: int = 0,
) -> dict[str, Score]:
    """Accuracy, balanced accuracy, F1, per-class figures, confusion matrix, ECE and NLL.

    Args:
        logits: [n, C] unnormalised log-probabilities.
        y: [n] class codes 0..C-1, or names of classes; rows without a label (-1, NaN, None)
            are left out.
        classes: C names, in the order of the logits.
        groups: [n] subjects for the intervals; None resamples images.
        draws: bootstrap resamples.
        seed: of the bootstrap.

    Returns:
        Scores by key: "accuracy", "balanced_accuracy", "macro_f1", "ece", "nll" (nats),
        "confusion" (value = accuracy, counts in `details["matrix"]`, rows = truth), and
        "precision.<class>", "recall.<class>", "f1.<class>", "support.<class>". Means over
        classes run over the classes that have images. ECE: 15 equal-width bins of the top
        probability (Guo et al., ICML 2017).

    Raises:
        DataError: shapes differ, a logit is not finite, a label or group is of no use.

    >>> scores = classification_scores([[2, 0], [0, 1], [3, 0]], [0, 1, 1], classes=["a", "b"])
    >>> round(scores["accuracy"].value, 3), scores["confusion"].details["matrix"]
    (0.667, [[1, 0], [1, 1]])
    """
    classes = read_classes(classes)
    z, truth, group = _read(logits, y, classes, groups)
    n = len(truth)
    if n == 0:
        return {"accuracy": undefined(Caution("no-labels", of="expression", where="this part"))}
    support = np.bincount(truth, minlength=len(classes))
    scores = ratio_scores(
        _rows(z, truth), group, _functions(classes, support),
        n=n, units={"nll": "nats"}, draws=draws, seed=seed,
    )  # fmt: skip
    matrix = confusion_matrix(truth, z.argmax(axis=1), len(classes))
    scores["accuracy"] = replace(
        scores["accuracy"],
        null=float(matrix.sum(axis=0) @ matrix.sum(axis=1)) / n**2,
        details={"majority": float(support.max() / n), "chance": 1.0 / len(classes)},
    )
    scores["balanced_accuracy"] = replace(
        scores["balanced_accuracy"], null=1.0 / int((support > 0).sum())
    )
    scores["confusion"] = replace(
        scores["accuracy"], details={"matrix": matrix.tolist(), "classes": list(classes)}
    )
    absent = undefined(Caution("no-images", of="class"), unit="fraction")
    for name, images in zip(classes, support, strict=True):
        scores[f"support.{name}"] = Score(float(images), n=n, unit="images")
        if not images:
            scores |= {f"{key}.{name}": absent for key in ("precision", "recall", "f1")}
    return scores


def _read(
    logits: ArrayLike, y: ArrayLike, classes: Sequence[str], groups: ArrayLike | None
) -> tuple[Floats, Ints, Ints | None]:
    """Logits [n, C], class codes [n] and group codes [n] of the rows that have a label."""
    truth = read_labels(y, "y", classes=classes)
    z = read_matrix(logits, "logits").astype(np.float64)
    if z.shape != (len(truth), len(classes)):
        raise DataError(
            f"logits have shape {z.shape}, expected ({len(truth)}, {len(classes)}): "
            "one row per image, one column per class."
        )
    known = truth >= 0
    group = None if groups is None else read_groups(groups, len(truth))[0][known]
    return z[known], truth[known], group


def _rows(z: Floats, truth: Ints) -> Floats:
    """Statistics of each row: confusion cells [C^2], confidence bins [3 BINS], NLL and 1."""
    n, count = z.shape
    at = np.arange(n)
    log_p = log_softmax(z, axis=1)
    predicted = z.argmax(axis=1)
    cells = np.zeros((n, count * count))
    cells[at, truth * count + predicted] = 1.0
    calibration = _calibration_rows(np.exp(log_p.max(axis=1)), predicted == truth)
    return np.concatenate([cells, calibration, -log_p[at, truth][:, None], np.ones((n, 1))], axis=1)


def _functions(classes: Sequence[str], support: Ints) -> dict[str, Callable[[Floats], Floats]]:
    """Scores by key as functions of totals of `_rows` [b, k]; of classes that have images."""
    count = len(classes)
    square = count * count

    def confusion(totals: Floats) -> Floats:
        return totals[:, :square].reshape(-1, count, count)

    def per_class(which: int, column: int) -> Callable[[Floats], Floats]:
        return lambda totals: _per_class(confusion(totals))[which][:, column]

    def mean_over_classes(which: int) -> Callable[[Floats], Floats]:
        def mean(totals: Floats) -> Floats:
            values = _per_class(confusion(totals))[which]
            return np.nansum(values, axis=1) / np.isfinite(values).sum(axis=1)

        return mean

    return {
        "accuracy": lambda t: np.trace(confusion(t), axis1=1, axis2=2) / t[:, -1],
        "balanced_accuracy": mean_over_classes(1),
        "macro_f1": mean_over_classes(2),
        "ece": lambda t: _ece(t[:, square : square + 3 * BINS]) / t[:, -1],
        "nll": lambda t: t[:, -2] / t[:, -1],
        **{
            f"{key}.{name}": per_class(which, column)
            for column, name in enumerate(classes)
            if support[column]
            for which, key in enumerate(("precision", "recall", "f1"))
        },
    }


def _calibration_rows(confidence: Floats, right: NDArray[np.bool_]) -> Floats:
    """Per row: count, confidence and hit in its confidence bin, [n, 3 * BINS]."""
    n = len(confidence)
    bins = np.clip(np.ceil(confidence * BINS).astype(np.int64) - 1, 0, BINS - 1)
    rows = np.zeros((n, 3, BINS))
    at = np.arange(n)
    rows[at, 0, bins], rows[at, 1, bins], rows[at, 2, bins] = 1.0, confidence, right
    return rows.reshape(n, -1)


def _ece(totals: Floats) -> Floats:
    """Summed |hits - confidence| over bins of [b, 3 * BINS] totals."""
    table = totals.reshape(len(totals), 3, BINS)
    return np.abs(table[:, 2] - table[:, 1]).sum(axis=1)


_PER_CLASS: tuple[tuple[str, str, str, str, Direction], ...] = (
    (
        "precision",
        "Precision",
        "Of the faces given this name, how many have it.",
        "fraction",
        "high",
    ),
    ("recall", "Recall", "Of the faces of this class, how many are named so.", "fraction", "high"),
    ("f1", "F1", "Harmonic mean of precision and recall.", "fraction", "high"),
    ("support", "Support", "Faces of the class.", "images", ""),
)
SPECS = (
    ScoreSpec(
        "test.accuracy",
        "Accuracy",
        "Share of test faces whose expression is named rightly. Where the data name people, those "
        "of the test are never seen in training.",
        better="high",
        range=(0, 1),
        column="main",
        order=10,
        headline="names expressions most often right",
        null="chance",
        aspect="recognition",
        tables=("mig", "confounding"),
        published="accuracy",
    ),
    ScoreSpec(
        "test:reversed.accuracy",
        "Accuracy, reversed test",
        "Every expression goes with the other attribute level: the shortcut misleads.",
        better="high",
        range=(0, 1),
        order=15,
        null="chance",
        tables=("confounding",),
    ),
    ScoreSpec(
        "test.balanced_accuracy",
        "Balanced acc.",
        "Mean recall over the classes, so that rare expressions count as much as common ones.",
        better="high",
        range=(0, 1),
        column="more",
        order=20,
        null="chance",
    ),
    ScoreSpec(
        "test.macro_f1",
        "Macro F1",
        "Mean F1 over the classes: rare expressions count as much as common ones.",
        better="high",
        range=(0, 1),
        column="main",
        order=30,
        headline="is best where every expression counts alike",
    ),
    ScoreSpec(
        "test.ece",
        "ECE",
        "Expected calibration error: how far stated confidence is from the share that is right.",
        better="low",
        range=(0, 1),
        column="more",
        order=100,
    ),
    *(
        ScoreSpec(
            f"test.{name}.<class>", title, meaning, unit, better, order=110, tables=("per-class",)
        )
        for name, title, meaning, unit, better in _PER_CLASS
    ),
    ScoreSpec("test.nll", "NLL", "Mean surprise at the true class.", "nats", "low", (0, math.inf)),
    ScoreSpec("test.confusion", "Confusion", "Accuracy; the counts are in its details."),
)


@metric("classification", needs={"logits"}, scores=on_every_part(SPECS))
def classification(run: RunArrays, *, seed: int = 0) -> dict[str, Score]:
    """Recognition on test, on train (marked as fitted), and on every further test set."""
    out: dict[str, Score] = {}
    for name, part in run.parts.items():
        if part.logits is None or name == "validation":
            continue
        scores = classification_scores(
            part.logits, part.y, classes=run.classes, groups=part.groups, seed=seed
        )
        for key, score in scores.items():
            if name == "train" and score.unit != "images":
                score = score.with_caution(FITTED)
            elif not part.has_subjects and score.low is not None:
                score = score.with_caution(Caution("images-resampled"))
            out[f"{name}.{key}"] = score
    return out
