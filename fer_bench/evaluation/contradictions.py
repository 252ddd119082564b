"""What labels, ids and predictions say against each other: refused or called by name.

What cannot be seen from a file is listed in docs/evaluate.md: rows that were shuffled together
with their ids, or shuffled embeddings without predictions beside them.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fer_bench.cautions import Caution
from fer_bench.errors import DataError

SHIFTS = (-3, -2, -1, 1, 2, 3)
_SIGMAS = 6.0
_FEWEST = 20  # rows: below, agreement says nothing


def refuse_other_labels(
    file: Path, name: str, own: pd.Series, given: pd.Series, ids: pd.Series
) -> None:
    """A file's own labels must be those of the table, up to the names of the codes.

    Args:
        file: the model's file.
        name: of the column.
        own, given: [n] labels of the file and of the table, row for row.
        ids: [n] names of the rows.

    Raises:
        DataError: names the first row that contradicts, and how many do.
    """
    both = (own.notna() & given.notna()).to_numpy()
    a, b = own[both].astype(str), given[both].astype(str)
    wrong = np.flatnonzero((a != b).to_numpy())
    if len(wrong) and not set(a) & set(b):  # codes in one, words in the other
        usual = pd.Series(b.to_numpy()).groupby(a.to_numpy()).agg(lambda v: v.mode().iloc[0])
        wrong = np.flatnonzero(a.map(usual).to_numpy() != b.to_numpy())
        if usual.is_unique and not len(wrong):
            return
    if len(wrong):
        row = int(np.flatnonzero(both)[wrong[0]])
        raise DataError(
            f"{file}: {name} of {ids[row]!r} is {own[row]!r} there and {given[row]!r} in the "
            f"labels; {len(wrong)} of {len(a)} rows differ: are ids or rows shuffled?"
        )


def refuse_other_predictions(
    file: Path, by_scores: NDArray[np.int64], predicted: NDArray[np.int64]
) -> None:
    """Predicted classes must be the largest class scores.

    Raises:
        DataError: they are not; names the first row.
    """
    wrong = np.flatnonzero((by_scores != predicted) & (predicted >= 0))
    if len(wrong):
        raise DataError(
            f"{file}: the prediction of row {wrong[0] + 1} is not its largest class score; "
            f"{len(wrong)} of {len(predicted)} rows differ: is one of the two shuffled, or the "
            "order of --classes another?"
        )


def labels_against_predictions(
    file: Path | str, predicted: NDArray[np.int64], y: NDArray[np.int64]
) -> list[Caution]:
    """Labels that are off by a few rows are refused; agreement at chance is called by name.

    Args:
        file: for messages.
        predicted, y: [n] codes in the order of the file or of the table, -1 where unknown.

    Raises:
        DataError: from some row on, labels agree with the predictions of a neighbouring row.
    """
    known = (y >= 0) & (predicted >= 0)
    n = int(known.sum())
    if n < _FEWEST:
        return []
    agree = (predicted == y) & known
    p, q = (
        np.bincount(c[known], minlength=1 + max(y.max(), predicted.max())) / n
        for c in (predicted, y)
    )
    chance = float(p @ q)
    for shift in SHIFTS:
        start, gain, rows = _best_run(predicted, y, known, agree, shift)
        # Above chance, too: with the classes in a wrong order any shift fits better than none.
        fitting, tried = gain + agree[start:].sum(), known[start:].sum()
        by_chance = chance * tried + _SIGMAS * np.sqrt(chance * (1 - chance) * tried)
        if gain > max(10.0, _SIGMAS * np.sqrt(rows)) and fitting > by_chance:
            raise DataError(
                f"{file}: from row {start + 1} on, labels fit the predictions {abs(shift)} "
                f"row{'s' * (abs(shift) > 1)} {'further on' if shift > 0 else 'before'} "
                f"({gain:.0f} more of {n} agree): they are off by {abs(shift)}."
            )
    share = float(agree.sum() / n)
    if len(np.unique(y[known])) > 1 and share <= chance + 3 * np.sqrt(chance * (1 - chance) / n):
        return [Caution("predictions-at-chance", share=share, chance=chance)]
    return []


def refuse_bad_rows(file: Path, name: str, values: NDArray[np.float32], ids: pd.Series) -> None:
    """Rows that hold NaN or infinity.

    Raises:
        DataError: names the first of them and how many there are.
    """
    bad = np.concatenate(
        [~np.isfinite(values[i : i + 65_536]).all(axis=1) for i in range(0, len(values), 65_536)]
    )
    rows = np.flatnonzero(bad)
    if len(rows):
        raise DataError(
            f"{file}: {name} of {ids[int(rows[0])]!r} is not finite; {len(rows)} of {len(values)} "
            "rows hold NaN or infinity: embed them again or leave them out."
        )


def copied_rows(
    values: NDArray[np.float32], first: NDArray[np.int64], second: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Rows of `second` whose embedding is bit for bit that of a row of `first`.

    Embeddings of which many rows are equal by design (a collapsed one, a label) have none.
    """
    hashes = _row_hashes(values)
    a, b = hashes[first], hashes[second]
    if len(np.unique(a)) < 0.9 * len(a) or len(np.unique(b)) < 0.9 * len(b):
        return np.empty(0, dtype=np.int64)
    return second[np.isin(b, a)]


def _row_hashes(values: NDArray[np.float32]) -> NDArray[np.uint64]:
    """[n] 64-bit hashes of rows, equal for equal rows."""
    rng = np.random.default_rng(0)
    weights = rng.integers(1, 2**63, size=values.shape[1], dtype=np.uint64) | np.uint64(1)
    out = np.empty(len(values), dtype=np.uint64)
    for start in range(0, len(values), 65_536):
        bits = np.ascontiguousarray(values[start : start + 65_536], np.float32).view(np.uint32)
        out[start : start + 65_536] = (bits.astype(np.uint64) * weights).sum(
            axis=1, dtype=np.uint64
        )
    return out


def _best_run(
    predicted: NDArray[np.int64],
    y: NDArray[np.int64],
    known: NDArray[np.bool_],
    agree: NDArray[np.bool_],
    shift: int,
) -> tuple[int, float, int]:
    """The row from which on a shift gains most agreements, the gain, and the rows it changes."""
    moved = np.roll(predicted, -shift)
    at = np.arange(len(y))
    inside = (at + shift >= 0) & (at + shift < len(y))
    step = ((moved == y) & known & inside).astype(np.int64) - (agree & inside)
    gains = np.cumsum(step[::-1])[::-1]
    start = int(gains.argmax())
    return start, float(gains[start]), int(np.abs(step[start:]).sum())
