"""Clean input or a clear sentence: arrays as people have them -> arrays as estimators need them.

Inside the package a continuous side is a float64 array [n, d] and a discrete side an int64
array [n] of codes 0 .. k-1, so the number of dimensions alone tells which is which.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from scipy.special import ndtri
from scipy.stats import rankdata

from fer_bench.errors import DataError

MIN_ROWS = 10  # below this no estimator here has anything to say
FEW_ROWS = 30
MAX_COLUMNS = 128  # principal components that networks see of a wider side


@dataclass(frozen=True, slots=True)
class Sample:
    """Paired rows of two variables, cleaned.

    Attributes:
        x, y: float64 [n, d] (continuous) or int64 [n] codes (discrete).
        groups: int64 [n] codes of rows that are not independent of each other (a subject).
        warnings: what the reader of a number computed from these rows must know.
    """

    x: np.ndarray
    y: np.ndarray
    groups: np.ndarray | None = None
    warnings: tuple[str, ...] = ()

    @property
    def n(self) -> int:
        """Number of rows."""
        return len(self.x)

    def rows(self, index: np.ndarray) -> Sample:
        """Return the given rows."""
        groups = None if self.groups is None else self.groups[index]
        return Sample(self.x[index], self.y[index], groups, self.warnings)

    def swapped(self) -> Sample:
        """Return the same rows with the sides exchanged."""
        return Sample(self.y, self.x, self.groups, self.warnings)


def is_discrete(side: np.ndarray) -> bool:
    """Whether a cleaned side holds codes."""
    return side.ndim == 1


def clean_pair(
    x: Any,
    y: Any,
    *,
    groups: Any = None,
    discrete_x: bool | None = None,
    discrete_y: bool | None = None,
) -> Sample:
    """Check and convert two sides.

    Args:
        x, y: arrays, tensors, lists or data-frame columns, [n] or [n, d]. A 1-d array (or one
            column) of integers, booleans or strings is read as labels, all else as measured.
        groups: [n] subject (or other cluster) of each row.
        discrete_x, discrete_y: True or False overrules that reading.

    Raises:
        DataError: rows do not pair up, fewer than 10 rows, NaN or infinities, more than 2-d.
    """
    left, notes_x = _clean_side(x, "x", discrete_x)
    right, notes_y = _clean_side(y, "y", discrete_y)
    if len(left) != len(right):
        raise DataError(
            f"x has {len(left)} rows and y has {len(right)}: row i of both must be the same sample."
        )
    n = len(left)
    if n < MIN_ROWS:
        raise DataError(f"{n} rows are too few for mutual information: give at least {MIN_ROWS}.")
    notes = [*notes_x, *notes_y]
    if n < FEW_ROWS:
        notes.append(f"only {n} rows: the value is hardly more than a guess")
    codes = None
    if groups is not None:
        labels = np.asarray(_numpy(groups, "groups")).reshape(-1)
        if len(labels) != n:
            raise DataError(f"groups has {len(labels)} entries for {n} rows: give one per row.")
        codes = _codes(labels, "groups")
        if codes.max() == 0:
            notes.append("all rows are of one group: intervals treat the rows as independent")
            codes = None
    notes += _pair_notes(left, right)
    return Sample(left, right, codes, tuple(dict.fromkeys(notes)))


def clean_side(values: Any, name: str, discrete: bool | None = None) -> np.ndarray:
    """Clean one side alone (see `clean_pair`)."""
    return _clean_side(values, name, discrete)[0]


def _clean_side(values: Any, name: str, discrete: bool | None) -> tuple[np.ndarray, list[str]]:
    array = _numpy(values, name)
    if array.ndim == 0 or array.ndim > 2:
        raise DataError(
            f"{name} has shape {array.shape}: give [n] or [n, d] (flatten images to rows first)."
        )
    if len(array) == 0:
        raise DataError(f"{name} has no rows.")
    column = array.ndim == 1 or array.shape[1] == 1
    labels_by_type = array.dtype.kind in "iubOUS"
    if discrete is None:
        discrete = column and labels_by_type
    if discrete:
        return _discrete_side(array, name, labels_by_type)
    if array.dtype.kind in "OUS":
        raise DataError(f"{name} holds text: pass discrete_{name}=True, or numbers.")
    return _continuous_side(array, name, column)


def _discrete_side(array: np.ndarray, name: str, exact: bool) -> tuple[np.ndarray, list[str]]:
    notes = []
    if array.ndim == 2 and array.shape[1] > 1:
        array = np.unique(array, axis=0, return_inverse=True)[1].reshape(-1)
    codes = _codes(array.reshape(-1), name)
    classes = int(codes.max()) + 1
    if classes == 1:
        notes.append(f"{name} has one class: nothing can be learnt about it, so I = 0")
    elif classes > len(codes) / 3:
        hint = "measurements" if exact else "continuous"
        notes.append(
            f"{name} is read as labels with {classes} classes for {len(codes)} rows: "
            f"if they are {hint}, pass discrete_{name}=False"
        )
    return codes, notes


def _continuous_side(array: np.ndarray, name: str, column: bool) -> tuple[np.ndarray, list[str]]:
    notes: list[str] = []
    kind = array.dtype
    values = array.reshape(len(array), -1).astype(np.float64)
    bad = ~np.isfinite(values)
    if bad.any():
        row, col = np.argwhere(bad)[0]
        raise DataError(
            f"{name} has {int(bad.sum())} NaN or infinite values (first at row {row}, column "
            f"{col}): drop or repair those rows."
        )
    if values.shape[1] == 0:
        raise DataError(f"{name} has no columns.")
    constant = (values == values[:1]).all(axis=0)
    if constant.all():
        notes.append(f"{name} is constant: nothing can be learnt about it, so I = 0")
        return np.zeros((len(values), 1)), notes
    if constant.any():
        notes.append(f"{name}: {int(constant.sum())} constant columns were left out")
        values = values[:, ~constant]
    values = values / np.abs(values).max(axis=0)  # squares of 1e300 and of 1e-300 are no numbers
    # Standardise in double precision first: an offset of 1e8 would eat a float32 critic's digits.
    center, spread = values.mean(axis=0), values.std(axis=0)
    if kind.kind == "f":
        digits = np.abs(center) * np.finfo(kind).eps / spread
        if (digits > 1e-2).any():
            notes.append(
                f"{name}: an offset leaves {kind} fewer than two digits: subtract it before "
                "rounding"
            )
    values = (values - center) / spread
    n, d = values.shape
    if d >= n:
        notes.append(f"{name} has {d} dimensions for {n} rows: reduce it first, or mistrust this")
    distinct = len(np.unique(values[:, 0])) if column else n
    if column and distinct <= max(2, min(20, n // 10)):
        notes.append(
            f"{name} has only {distinct} distinct values: if they are labels, pass "
            f"discrete_{name}=True"
        )
    elif kind == np.float16 and distinct < n / 2:
        notes.append(f"{name} is float16 with many ties: neighbour estimators read ties as signal")
    if d > 3 and effective_rank(values) < 2:
        notes.append(f"collapsed embedding: the effective rank of {name} is below 2")
    return values, notes


def _pair_notes(x: np.ndarray, y: np.ndarray) -> list[str]:
    """Warn of repeated rows: a copy is its own nearest neighbour and sits in both parts."""
    if is_discrete(x) or is_discrete(y):
        side = y if is_discrete(x) else x
        if is_discrete(side) or side.shape[1] < 2:
            return []
        rows = side
    else:
        if np.array_equal(x, y):
            return ["x and y are the same values: they share all there is, infinitely much"]
        rows = (
            np.concatenate([x[:, :1], y[:, :1]], axis=1) if len(x) > 50_000 else np.hstack([x, y])
        )
    _, first = np.unique(rows, axis=0, return_index=True)
    share = 1 - len(first) / len(rows)
    if share > 0.01:
        return [
            f"{share:.0%} of the rows are duplicates: copies on both sides of a split, or as "
            "nearest neighbours, read as information"
        ]
    return []


def _numpy(values: Any, name: str) -> np.ndarray:
    if hasattr(values, "detach"):  # a tensor, without importing torch
        values = values.detach().cpu()
        if str(values.dtype) == "torch.bfloat16":
            values = values.float()
        return values.numpy()
    if hasattr(values, "to_numpy"):  # pandas
        nullable = getattr(getattr(values, "dtype", None), "na_value", None) is not None
        kind = getattr(getattr(values, "dtype", None), "kind", "")
        if nullable and kind in "iub" and values.isna().any():
            values = values.astype(object)  # as floats, whole-number labels would pass for values
        values = np.asarray(values)
    try:
        array = np.asarray(values)
    except ValueError as error:
        raise DataError(f"{name} is not a rectangular array: {error}.") from None
    if array.dtype.kind == "c":
        raise DataError(f"{name} is complex: give real and imaginary parts as two columns.")
    return array


def _codes(labels: np.ndarray, name: str) -> np.ndarray:
    if labels.dtype.kind == "f":
        missing = ~np.isfinite(labels)
    elif labels.dtype.kind == "O":
        missing = pd.isna(labels)  # None, NaN, NA, NaT; a class may well be called "None"
    else:
        missing = np.zeros(len(labels), dtype=bool)
    if missing.any():
        raise DataError(
            f"{name} has {int(missing.sum())} missing labels (first at row "
            f"{int(np.argmax(missing))}): drop those rows from both sides."
        )
    if labels.dtype.kind == "O":
        labels = labels.astype(str)
    return np.unique(labels, return_inverse=True)[1].reshape(-1).astype(np.int64)


def effective_rank(values: np.ndarray) -> float:
    """Entropy-effective rank of centred columns (Roy and Vetterli 2007), between 1 and d.

    >>> rng = np.random.default_rng(0)
    >>> round(effective_rank(rng.normal(size=(500, 1)) * np.ones(8)), 3)
    1.0
    """
    centred = values - values.mean(axis=0)
    gram = centred.T @ centred if values.shape[0] >= values.shape[1] else centred @ centred.T
    spectrum = np.sqrt(np.clip(np.linalg.eigvalsh(gram), 0, None))
    share = spectrum / spectrum.sum() if spectrum.sum() > 0 else np.ones(1)
    share = share[share > 0]
    return float(np.exp(-(share * np.log(share)).sum()))


def normal_scores(values: np.ndarray) -> np.ndarray:
    """Replace each column [n, d] by the normal quantiles of its ranks.

    A monotone map of a coordinate keeps mutual information, and heavy tails vanish. Ties share
    one score; columns come back with unit variance.
    """
    ranks = rankdata(values, axis=0)
    scores = ndtri((ranks - 0.5) / len(values))
    return scores / scores.std(axis=0)


def one_hot(codes: np.ndarray) -> np.ndarray:
    """Return codes [n] as indicator columns [n, k]."""
    return np.eye(int(codes.max()) + 1)[codes]


def features(side: np.ndarray) -> np.ndarray:
    """A cleaned side as networks see it: normal scores of measurements, one-hot labels [n, d].

    From two dimensions d on, d + 1 more columns follow: the squared length, and the scores times
    it. Networks look at the first d + 1 (`network_columns`); the linear start of a critic
    (`canonical_base`) looks at all. Heavy joint tails and rotations that depend on the radius
    are much easier to learn with them. A side of more than 128 columns is reduced to its leading
    principal components instead, half whitened: what matters need not vary most (a smile moves
    fewer pixels than a turn of the head), and the last components are mostly noise.
    """
    if is_discrete(side):
        return one_hot(side)
    scores = normal_scores(side)
    if scores.shape[1] == 1:
        return scores
    if scores.shape[1] > MAX_COLUMNS:
        leading = _leading(scores)
        return leading / np.sqrt(np.maximum(leading.std(axis=0), 1e-3))
    length = (scores**2).sum(axis=1, keepdims=True)
    length = np.clip((length - length.mean()) / max(float(length.std()), 1e-12), -3, 3)
    turned = scores * length
    turned = (turned - turned.mean(axis=0)) / np.maximum(turned.std(axis=0), 1e-12)
    return np.hstack([scores, length, turned])


def classifier_features(side: np.ndarray) -> np.ndarray:
    """A cleaned side as a classifier sees it: standardised and clipped, as wide as above.

    Not normal scores: where a column is silent but for one class, they would stretch its noise.
    """
    if is_discrete(side):
        return one_hot(side)
    clipped = np.clip(side, -5, 5)
    return _leading(clipped) if side.shape[1] > MAX_COLUMNS else clipped


def network_columns(side: np.ndarray) -> int:
    """How many leading columns of `features` a network looks at."""
    if is_discrete(side):
        return int(side.max()) + 1
    d = side.shape[1]
    if d > MAX_COLUMNS:
        return min(MAX_COLUMNS, len(side))
    return d + 1 if d > 1 else 1


def _leading(scores: np.ndarray) -> np.ndarray:
    """Leading principal components [n, 128], the first of unit variance."""
    centred = scores - scores.mean(axis=0)
    n, d = centred.shape
    if d <= n:
        vectors = np.linalg.eigh(centred.T @ centred)[1][:, ::-1]
        parts = centred @ vectors[:, : min(MAX_COLUMNS, n)]
    else:
        spectrum, left = np.linalg.eigh(centred @ centred.T)
        parts = (left * np.sqrt(np.clip(spectrum, 0, None)))[:, ::-1][:, : min(MAX_COLUMNS, n)]
    return parts / max(float(parts[:, 0].std()), 1e-12)


def entropy(codes: np.ndarray) -> float:
    """Plug-in entropy of codes [n] in nats."""
    share = np.bincount(codes) / len(codes)
    share = share[share > 0]
    return float(-(share * np.log(share)).sum())
