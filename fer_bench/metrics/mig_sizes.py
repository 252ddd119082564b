"""How many test faces the calibration of the modified MIG takes: a pilot's runs on fewer people."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from fer_bench.arrays import PartArrays
from fer_bench.cautions import has
from fer_bench.information.calibration import FAULTS
from fer_bench.metrics.mi import CALIBRATION_TASKS
from fer_bench.metrics.modified_mig import LEAKED, SHARED, mig_of_part
from fer_bench.score import Score

SHARES = (0.125, 0.25, 0.5, 1.0)  # of the people of the test part
FEWEST_PEOPLE = 2
TERMS = {"shared": SHARED, "leaked": LEAKED}


@dataclass(frozen=True)
class Passed:
    """How many runs passed at one size of the test part.

    Attributes:
        faces: test faces.
        runs: that were tried.
        terms: key of a term ("shared", "leaked") -> runs in which it passed its calibration.
    """

    faces: int
    runs: int
    terms: dict[str, int]


def calibration_by_size(
    parts: Sequence[PartArrays], *, seed: int = 0, say: Callable[[str], None] = lambda step: None
) -> list[Passed]:
    """Try the calibration of both terms on growing shares of the people of each part.

    Args:
        parts: test parts with both embeddings and subjects.
        seed: of the choice of people, the estimators and the planted problems.
        say: is told what is done next.

    Returns:
        One entry a share of the people, from the fewest faces to all; faces are means of runs.
    """
    out: list[Passed] = []
    for share in SHARES:
        smaller = [_with_people(part, share, seed) for part in parts]
        faces = round(float(np.mean([len(part) for part in smaller])))
        if out and out[-1].faces == faces:
            continue
        scored = []
        for i, part in enumerate(smaller, 1):
            say(f"{len(part)} test faces, run {i} of {len(parts)}")
            scored.append(mig_of_part(part, calibration=CALIBRATION_TASKS, seed=seed))
        passed = {key: sum(_passes(scores[key]) for scores in scored) for key in TERMS}
        out.append(Passed(faces, len(parts), passed))
    return out


def faces_needed(sizes: Sequence[Passed], term: str) -> int | None:
    """The fewest faces from which on a term passed in every run; None where it did not.

    >>> sizes = [Passed(100, 2, {"shared": 2}), Passed(200, 2, {"shared": 1}),
    ...          Passed(400, 2, {"shared": 2})]
    >>> faces_needed(sizes, "shared")
    400
    """
    enough = None
    for size in reversed(sizes):
        if size.terms[term] < size.runs:
            break
        enough = size.faces
    return enough


def _with_people(part: PartArrays, share: float, seed: int) -> PartArrays:
    """The part with a share of its people, always the same first ones of a random order."""
    people = np.random.default_rng(seed).permutation(len(part.subjects))
    kept = people[: max(round(share * len(people)), FEWEST_PEOPLE)]
    return part.with_rows(np.flatnonzero(np.isin(part.s, kept)))


def _passes(score: Score) -> bool:
    """Whether a term was calibrated, and passed."""
    return "calibration" in score.details and not has(score.cautions, *FAULTS)
