"""Reads arrays of any kind into the form that estimators use, or says what is wrong with them.

Within the package a continuous side is a float64 array [n, d] and a discrete side an int64
array [n] of codes 0 .. k-1, so that the number of dimensions tells which it is.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from scipy.special import ndtri
from scipy.stats import rankdata

from fer_bench.cautions import Caution
from fer_bench.errors import DataError
from fer_bench.labels import as_text, read_groups
from fer_bench.reading import READINGS, as_array, as_floats, first_no_number, readings, refuse_gaps
from fer_bench.spectrum import effective_rank

MIN_ROWS = 10  # below this no estimator here has anything to say
FEW_ROWS = 30
MAX_COLUMNS = 128  # principal components that networks see of a wider side
SAME = 1 - 1e-9  # a correlation that only rounding keeps from one


class ReadingError(DataError):
    """A side cannot be read as labels, or not as measurements, and an option would change that.

    Attributes:
        before, after: the sentence around the option.
        option: the argument that helps, such as "discrete_x=True".
    """

    def __init__(self, before: str, option: str, after: str) -> None:
        super().__init__(f"{before}{option}{after}")
        self.before, self.option, self.after = before, option, after


@dataclass(frozen=True, slots=True)
class Sample:
    """Cleaned, paired rows of two variables.

    Attributes:
        x, y: float64 [n, d] (continuous) or int64 [n] codes (discrete).
        groups: int64 [n] codes of dependent rows (such as those of a subject), or None.
        cautions: what a reader of an estimate from these rows must know.
    """

    x: np.ndarray
    y: np.ndarray
    groups: np.ndarray | None = None
    cautions: tuple[Caution, ...] = ()

    @property
    def n(self) -> int:
        """Number of rows."""
        return len(self.x)

    def rows(self, index: np.ndarray) -> Sample:
        """A sample of the given rows."""
        groups = None if self.groups is None else self.groups[index]
        return Sample(self.x[index], self.y[index], groups, self.cautions)

    def swapped(self) -> Sample:
        """The same rows with x and y exchanged."""
        return Sample(self.y, self.x, self.groups, self.cautions)


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
        x, y: arrays, tensors, lists or data-frame columns, [n] or [n, d]. One column of integers,
            booleans or strings is read as labels, everything else as measurements. Objects are
            judged by their contents: one column that holds floats is measured, one of integers or
            text is labels, and several columns must hold numbers.
        groups: [n] subject (or other cluster) of each row; missing ones are groups of their own.
        discrete_x, discrete_y: True or False overrides that reading.

    Raises:
        DataError: rows do not pair up, are fewer than ten, or have more than two dimensions; there
            are NaN, infinities, masked entries, complex numbers, dates, or text among measurements.

    >>> import numpy as np
    >>> sample = clean_pair(np.arange(12.0), list("ab" * 6))
    >>> sample.x.shape, sample.y[:3].tolist()
    ((12, 1), [0, 1, 0])
    """
    left, cautions_x, columns_x = _clean_side(x, "x", discrete_x)
    right, cautions_y, columns_y = _clean_side(y, "y", discrete_y)
    if len(left) != len(right):
        raise DataError(
            f"x has {len(left)} rows and y has {len(right)}: row i of both must be the same sample."
        )
    n = len(left)
    if n < MIN_ROWS:
        raise DataError(f"{n} rows are too few for mutual information: give at least {MIN_ROWS}.")
    cautions = [*cautions_x, *cautions_y]
    if n < FEW_ROWS:
        cautions.append(Caution("few-rows-for-mi", n=n))
    codes = None
    if groups is not None:
        codes, count = read_groups(groups, n)
        if count == 1:
            cautions.append(Caution("one-group"))
            codes = None
    cautions += _pair_cautions(left, right, columns_x, columns_y)
    return Sample(left, right, codes, tuple(dict.fromkeys(cautions)))


def clean_side(
    values: Any, name: str, discrete: bool | None = None
) -> tuple[np.ndarray, tuple[Caution, ...]]:
    """Clean one side alone (see `clean_pair`).

    Returns:
        The side, and cautions about it.
    """
    side, cautions, _ = _clean_side(values, name, discrete)
    return side, tuple(cautions)


def varying(side: np.ndarray) -> np.ndarray:
    """A cleaned side without constant columns; none may be left."""
    return side if is_discrete(side) else side[:, (side != side[:1]).any(axis=0)]


# A cleaned side, what to say of it, and which of the columns given [k] it kept.
_Cleaned = tuple[np.ndarray, list[Caution], np.ndarray]


def _clean_side(values: Any, name: str, discrete: bool | None) -> _Cleaned:
    array = as_array(values, name)
    if array.ndim == 0:
        raise DataError(f"{name} is one {type(values).__name__}: give an array [n] or [n, d].")
    if array.ndim > 2:
        raise DataError(
            f"{name} has shape {array.shape}: give [n] or [n, d] (flatten images to rows first)."
        )
    if len(array) == 0:
        raise DataError(f"{name} has no rows.")
    if array.size == 0:
        raise DataError(f"{name} has no columns.")
    column = array.ndim == 1 or array.shape[1] == 1
    labels_by_type = _labels_by_type(array)
    if discrete is None:
        discrete = column and labels_by_type
    if discrete:
        return _discrete_side(array, name, labels_by_type)
    return _continuous_side(_measurements(array, name), name, column)


def _discrete_side(array: np.ndarray, name: str, exact: bool) -> _Cleaned:
    cautions = []
    codes = _codes(array, name)
    classes = int(codes.max()) + 1
    if classes == 1:
        cautions.append(Caution("one-class", side=name))
    elif classes > len(codes) / 3:
        caution = Caution(
            "many-classes",
            side=name,
            classes=classes,
            rows=len(codes),
            kind="measurements" if exact else "continuous",
            option=f"discrete_{name}=False",
        )
        cautions.append(caution)
    return codes, cautions, np.zeros(1, dtype=int)


def _continuous_side(array: np.ndarray, name: str, column: bool) -> _Cleaned:
    cautions: list[Caution] = []
    kind = array.dtype
    values = _without_offset(array.reshape(len(array), -1)).astype(np.float64)
    refuse_gaps(values, name)
    constant = (values == values[:1]).all(axis=0)
    if constant.all():
        cautions.append(Caution("constant-side", side=name))
        return np.zeros((len(values), 1)), cautions, np.zeros(1, dtype=int)
    if constant.any():
        cautions.append(Caution("constant-columns", side=name, columns=int(constant.sum())))
        values = values[:, ~constant]
    values = values / np.abs(values).max(axis=0)  # squares of 1e300 and of 1e-300 are no numbers
    # Standardise in double precision first: an offset of 1e8 would eat a float32 critic's digits.
    center, spread = values.mean(axis=0), values.std(axis=0)
    if kind.kind == "f":
        digits = np.abs(center) * np.finfo(kind).eps / spread
        if (digits > 1e-2).any():
            cautions.append(Caution("offset", side=name, dtype=str(kind)))
    values = (values - center) / spread
    n, d = values.shape
    if d >= n:
        cautions.append(Caution("wide-side", side=name, dims=d, rows=n))
    few = _few_distinct(values)
    if few:
        caution = Caution(
            "few-distinct",
            side=name,
            distinct=few,
            of="values" if column else "rows",
            option=f"discrete_{name}=True",
        )
        cautions.append(caution)
    elif column and kind == np.float16 and len(np.unique(values)) < n / 2:
        cautions.append(Caution("float16-ties", side=name))
    if d > 3 and effective_rank(values) < 2:
        cautions.append(Caution("collapsed-side", side=name))
    return values, cautions, np.flatnonzero(~constant)


def _without_offset(values: np.ndarray) -> np.ndarray:
    """Whole numbers [n, d] that float64 would round (times in nanoseconds), from zero on."""
    if values.dtype.kind not in "iu" or np.abs(values.astype(np.float64)).max() < 2**53:
        return values
    return values.astype(np.uint64) - values.min(axis=0).astype(np.uint64)  # exact modulo 2^64


def _few_distinct(values: np.ndarray) -> int:
    """How many distinct rows [n, d] has if so few that they may be labels, else 0.

    One-hot labels have as many as columns; rows of an embedding repeat too little for that.
    """
    n, d = values.shape
    limit = max(2, min(max(20, d), n // 10))
    for rows in (values[: 2 * limit], values):  # few rows show that most sides repeat too little
        distinct = _distinct(rows)
        if distinct > limit:
            return 0
    return distinct


def _distinct(rows: np.ndarray) -> int:
    """Number of distinct rows [n, d]."""
    return len(np.unique(rows, axis=0 if rows.shape[1] > 1 else None))


def _pair_cautions(
    x: np.ndarray, y: np.ndarray, columns_x: np.ndarray, columns_y: np.ndarray
) -> list[Caution]:
    """What is odd about the pairing: repeated rows, and columns that both sides have."""
    if is_discrete(x) or is_discrete(y):
        side, codes = (y, x) if is_discrete(x) else (x, y)
        if is_discrete(side) or (side.shape[1] == 1 and not _copied(side[:, 0], codes)):
            return []
        return _duplicate_cautions(side)
    if np.array_equal(x, y) and x.any():
        return [Caution("same-values")]
    rows = np.concatenate([x[:, :1], y[:, :1]], axis=1) if len(x) > 50_000 else np.hstack([x, y])
    cautions = _duplicate_cautions(rows)
    if shared := _shared_column(x, y):
        left = f"column {columns_x[shared[0]]} of x" if x.shape[1] > 1 else "x"
        right = f"column {columns_y[shared[1]]} of y" if y.shape[1] > 1 else "y"
        code = "same-side" if (left, right) == ("x", "y") else "same-column"
        cautions.append(Caution(code, left=left, right=right))
    return cautions


def _duplicate_cautions(rows: np.ndarray) -> list[Caution]:
    """Warn of repeated rows: a copy is its own nearest neighbour and sits in both parts."""
    share = 1 - _distinct(rows) / len(rows)
    if share > 0.01:
        return [Caution("duplicate-rows", share=share)]
    return []


def _copied(values: np.ndarray, codes: np.ndarray) -> bool:
    """Whether equal values [n] agree in their label [n] more often than near ones do.

    Copied rows do. Rounding ties values as well, but such a tie knows no more of the label than
    any neighbour, and neighbour estimators bear it.
    """
    order = np.lexsort((np.random.default_rng(0).random(len(values)), values))
    tied, agree = np.diff(values[order]) == 0, np.diff(codes[order]) == 0
    pairs = tied & np.append(True, ~tied[:-1])  # one of each value: a ReLU's zeros count once
    if not pairs.any() or tied.all():
        return False
    noise = np.sqrt(1 / pairs.sum() + 1 / (~tied).sum()) / 2
    return bool(agree[pairs].mean() - agree[~tied].mean() > 3 * noise)


def _shared_column(x: np.ndarray, y: np.ndarray) -> tuple[int, int] | None:
    """First columns of x and y that are one up to sign, scale and offset, if any are.

    An exact relation shows in few rows, so wide sides are thinned to find it, and all rows then
    confirm. Coarse columns do not count: two that are zero but once agree by chance.
    """
    n, pairs = len(x), x.shape[1] * y.shape[1]
    if pairs > 2 * 10**7:
        return None
    step = 1 + pairs * n // 10**9
    close = np.abs(_unit(x[::step]).T @ _unit(y[::step])) > SAME
    for i, j in np.argwhere(close)[:100]:
        a, b = x[:, [i]], y[:, [j]]
        # One far outlier on both sides suffices for a correlation of 1, but not for one of ranks.
        if _same(a, b) and _same(normal_scores(a), normal_scores(b), 0.99) and not _few_distinct(a):
            return int(i), int(j)
    return None


def _same(a: np.ndarray, b: np.ndarray, least: float = SAME) -> bool:
    """Whether standardised columns [n, 1] have at least that correlation, or minus it."""
    return bool(abs((a * b).mean()) > least)


def _unit(values: np.ndarray) -> np.ndarray:
    """Centred columns [n, d] of length one (of none, where a column does not vary)."""
    centred = values - values.mean(axis=0)
    return centred / np.maximum(np.linalg.norm(centred, axis=0), 1e-6)


def _labels_by_type(array: np.ndarray) -> bool:
    """Whether one column of what an array holds is read as labels."""
    if array.dtype.kind != "O":
        return array.dtype.kind in "iubUS"
    kinds = readings(array)
    return "text" in kinds or kinds <= {"whole numbers"} or not kinds <= READINGS.keys()


def _measurements(array: np.ndarray, name: str) -> np.ndarray:
    """What an array holds as numbers, with NaN where one is missing."""
    if array.dtype.kind in "biuf":
        return array
    if odd := first_no_number(array):
        what, row, col = odd
        raise ReadingError(
            f"{name} holds {what} (first at row {row}, column {col}): "
            "give numbers (days for times, say), or pass ",
            f"discrete_{name}=True",
            " if they are labels.",
        )
    return as_floats(array, name)


def _codes(labels: np.ndarray, name: str) -> np.ndarray:
    """Labels [n], or rows of them [n, d], as codes [n]."""
    # NaN, None, NA, NaT, as opposed to text: a class may well be called "None".
    missing = ~np.isfinite(labels) if labels.dtype.kind == "f" else pd.isna(labels)
    if missing.any():
        rows = missing.reshape(len(labels), -1).any(axis=1)
        raise DataError(
            f"{name} has {int(rows.sum())} missing labels (first at row "
            f"{int(np.argmax(rows))}): drop those rows from both sides."
        )
    if labels.dtype.kind == "O":
        labels = as_text(labels.reshape(-1)).reshape(labels.shape)
    labels = labels.reshape(len(labels), -1)
    axis = 0 if labels.shape[1] > 1 else None  # sorting rows of one is slow
    return np.unique(labels, axis=axis, return_inverse=True)[1].reshape(-1).astype(np.int64)


def normal_scores(values: np.ndarray) -> np.ndarray:
    """Replace each column [n, d] by the normal quantiles of its ranks.

    A monotone map of each coordinate preserves mutual information and removes heavy tails. Ties
    share one score. Columns have unit variance.

    >>> normal_scores(np.array([[1.0], [10.0], [1e9]])).round(2).ravel().tolist()
    [-1.22, 0.0, 1.22]
    """
    ranks = rankdata(values, axis=0)
    scores = ndtri((ranks - 0.5) / len(values))
    return scores / np.where(scores.any(axis=0), scores.std(axis=0), 1)  # one value scores zero


def one_hot(codes: np.ndarray) -> np.ndarray:
    """Codes [n] as indicator columns [n, k]."""
    return np.eye(int(codes.max()) + 1)[codes]


def features(side: np.ndarray) -> np.ndarray:
    """The columns of a cleaned side for networks: normal scores of measurements, one-hot labels.

    With d >= 2 dimensions, d + 1 columns are appended: the squared length, and the scores
    multiplied by it, which make heavy joint tails and rotations that depend on the radius easier to
    learn. Networks see the first d + 1 columns (`network_columns`), the linear initialisation of a
    critic (`canonical_base`) all of them. A side of more than 128 columns is reduced to its leading
    principal components, partly whitened, since relevant directions need not vary most.

    Returns:
        [n, columns].
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
    """The columns of a cleaned side for classifiers: standardised, clipped at 5, at most 128.

    Not normal scores, which would stretch the noise of a column that is silent outside one class.
    """
    if is_discrete(side):
        return one_hot(side)
    clipped = np.clip(side, -5, 5)
    return _leading(clipped) if side.shape[1] > MAX_COLUMNS else clipped


def network_columns(side: np.ndarray) -> int:
    """Number of leading columns of `features` that a network sees."""
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
