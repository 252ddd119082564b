"""Other data: what is left of recognition without adaptation?"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from scipy.special import log_softmax

from fer_bench.arrays import PartArrays, RunArrays
from fer_bench.cautions import Caution
from fer_bench.metrics.classification import classification_scores
from fer_bench.metrics.common import bounds, half_width, undefined
from fer_bench.metrics.metric import metric
from fer_bench.score import Direction, Score, ScoreSpec

_ELSEWHERE: tuple[tuple[str, str, str, Direction], ...] = (
    ("accuracy", "Accuracy", "On that set, among the classes that both have.", "high"),
    ("macro_f1", "Macro F1", "On that set, among the classes that both have.", "high"),
    ("drop", "Drop", "Accuracy on the method's own test people less that.", "low"),
)
_FURTHER: tuple[tuple[str, str, str, Direction], ...] = (
    ("balanced_accuracy", "Balanced acc.", "Mean recall over the shared classes.", "high"),
    ("ece", "ECE", "Expected calibration error on that set.", "low"),
    ("confusion", "Confusion", "Accuracy; the counts are in its details.", ""),
)
SPECS = (
    *(
        ScoreSpec(f"<set>.{key}", title, meaning, better=better, tables=("transfer",))
        for key, title, meaning, better in _ELSEWHERE
    ),
    ScoreSpec("<set>.nll", "NLL", "Mean surprise at the true class there.", "nats", "low"),
    *(
        ScoreSpec(f"<set>.{key}", title, meaning, better=better, range=(0, 1))
        for key, title, meaning, better in _FURTHER
    ),
)


@metric("transfer", needs={"logits", "extra_tests"}, scores=SPECS)
def transfer(run: RunArrays, *, seed: int = 0) -> dict[str, Score]:
    """Recognition on further test sets without adaptation, on the classes both sides have.

    Keys "<set>.accuracy", ".balanced_accuracy", ".macro_f1", ".ece", ".nll", and ".drop", the
    accuracy on the run's own test part over the same classes less that on the set. The method
    chooses among the shared classes only: a set that has no contempt cannot be blamed on it.
    """
    out: dict[str, Score] = {}
    for name, part in run.parts.items():
        if not name.startswith("test:") or part.logits is None:
            continue
        out |= {
            f"{name.removeprefix('test:')}.{key}": score
            for key, score in _transfer_scores(run.test, part, run.classes, seed).items()
        }
    return out


def _transfer_scores(
    home: PartArrays, part: PartArrays, classes: tuple[str, ...], seed: int
) -> Mapping[str, Score]:
    # The classes a data set has are known before any image of it is looked at.
    shared = np.intersect1d(np.unique(part.y[part.y >= 0]), np.unique(home.y[home.y >= 0]))
    names = [classes[k] for k in shared]
    if len(shared) < 2:
        return {"accuracy": undefined(Caution("few-shared-classes"), unit="fraction")}

    def scores(p: PartArrays) -> dict[str, Score]:
        assert p.logits is not None
        y = np.where(np.isin(p.y, shared), np.searchsorted(shared, p.y), -1)
        logits = log_softmax(np.asarray(p.logits, dtype=np.float64)[:, shared], axis=1)
        return classification_scores(logits, y, classes=names, groups=p.groups, seed=seed)

    away = scores(part)
    keys = ("accuracy", "balanced_accuracy", "macro_f1", "ece", "nll", "confusion")
    out = {key: away[key] for key in keys}
    if home.logits is not None:
        own, there = scores(home)["accuracy"], away["accuracy"]
        value = own.value - there.value
        # Different people: independent errors.
        half = float(np.hypot(half_width(own), half_width(there)))
        out["drop"] = Score(
            value,
            *bounds(value, half),
            null=0.0,
            n=there.n,
            unit="fraction",
            details={"classes": names, "home": own.value},
        )
    return out
