"""Arrays as people have them, read in one place: tensors, data frames, lists, masks, gaps.

Every public function that takes numbers reads them here, and labels and groups by
`fer_bench.labels`, so that none of them computes with a missing value or a mistaken type.
"""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal
from numbers import Complex, Integral, Real
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fer_bench.errors import DataError

Floats = NDArray[np.float64]

# What an object in an array counts as: the first that fits (a timedelta64 is an Integral too).
READINGS: dict[str, tuple[type, ...]] = {
    "times": (date, timedelta, np.datetime64, np.timedelta64),
    "whole numbers": (Integral, np.bool_),
    "numbers": (Real, Decimal),
    "complex numbers": (Complex,),
    "text": (str, bytes),
    "lists": (list, np.ndarray),
}
NUMERIC = {"whole numbers", "numbers"}


def read_matrix(
    values: Any,
    name: str,
    *,
    rows: int | None = None,
    columns: int | None = None,
    vector: bool = False,
    missing: bool = False,
    least: int = 1,
) -> NDArray[Any]:
    """Rows of numbers [n, d], free of gaps; float32 and float16 keep their type, else float64.

    Args:
        values: an array, tensor, data frame or list of rows, dense or sparse.
        name: of the argument, for messages.
        rows, columns: how many are expected; None for any number.
        vector: whether [n] is read as one column.
        missing: whether None, NaN and masked entries are kept, as NaN. Infinities never are.
        least: rows there must be.

    Raises:
        DataError: another shape, gaps or infinities, or what is not numbers.

    >>> read_matrix([[1, 2], [3, 4]], "x").tolist()
    [[1.0, 2.0], [3.0, 4.0]]
    """
    array = as_array(values, name)
    if vector and array.ndim == 1:
        array = array[:, None]
    if array.ndim != 2:
        raise DataError(f"{name} {_shape(array)}: give [n, d], one row per sample.")
    if array.shape[1] == 0:
        raise DataError(f"{name} has no columns.")
    if columns is not None and array.shape[1] != columns:
        raise DataError(f"{name} has shape {array.shape}: give [n, {columns}].")
    check_rows(array, name, rows, least)
    return refuse_gaps(as_floats(array, name), name, missing=missing)


def read_vector(
    values: Any, name: str, *, rows: int | None = None, missing: bool = False, least: int = 1
) -> Floats:
    """Numbers [n] as float64; the arguments are those of `read_matrix`, one column is a vector.

    >>> read_vector([[1], [2]], "x").tolist()
    [1.0, 2.0]
    """
    array = column(as_array(values, name), name)
    check_rows(array, name, rows, least)
    return refuse_gaps(as_floats(array, name), name, missing=missing).astype(np.float64)


def read_rows(values: Any, name: str) -> NDArray[np.int64]:
    """Row numbers [m], none possible, from 0 on.

    >>> read_rows([2, 0], "test").tolist()
    [2, 0]
    """
    array = column(as_array(values, name), name)
    if not len(array):
        return np.empty(0, dtype=np.int64)
    numbers = read_vector(array, name)
    odd = (numbers < 0) | (numbers % 1 != 0)
    if odd.any():
        raise DataError(
            f"{name} holds {numbers[odd][0]:g} (first at position {int(odd.argmax())}): "
            "give row numbers, from 0 on."
        )
    return numbers.astype(np.int64)


def read_number(
    value: Any, name: str, *, least: float = -np.inf, most: float = np.inf, integer: bool = False
) -> float:
    """One finite number between two bounds.

    >>> read_number(0.5, "level", least=0, most=1)
    0.5
    """
    kind = "a whole number" if integer else "a number"
    bounds = "" if np.isinf(least) else f" of at least {least:g}"
    bounds += "" if np.isinf(most) else f"{' and' if bounds else ' of'} at most {most:g}"
    array = as_array(value, name)
    plain = array.ndim == 0 and array.dtype.kind in "iuf" and bool(np.isfinite(array))
    number = float(array) if plain else np.nan
    if not least <= number <= most or (integer and number % 1):
        raise DataError(f"{name} = {value!r:.60}: give {kind}{bounds}.")
    return number


def check_rows(array: NDArray[Any], name: str, rows: int | None, least: int = 1) -> None:
    """Refuse an array of another length than `rows`, or of fewer rows than `least`."""
    if rows is not None and len(array) != rows:
        raise DataError(f"{name} has {len(array)} entries for {rows} rows: give one per row.")
    if not len(array) and least:
        raise DataError(f"{name} has no rows.")
    if len(array) < least:
        raise DataError(f"{name} has {len(array)} rows: give at least {least}.")


def column(array: NDArray[Any], name: str) -> NDArray[Any]:
    """The entries [n] of an array [n] or [n, 1]."""
    if array.ndim == 2 and array.shape[1] == 1:
        return array[:, 0]
    if array.ndim != 1:
        raise DataError(f"{name} {_shape(array)}: give [n], one entry per row.")
    return array


def _shape(array: NDArray[Any]) -> str:
    return f"has shape {array.shape}" if array.ndim else "is a single value"


def as_array(values: Any, name: str) -> NDArray[Any]:
    """An array of any shape and plain dtype in which what was missing still is.

    Raises:
        DataError: rows of unequal length, complex numbers, records.
    """
    array = _array(values, name)
    if array.dtype.kind == "c":
        raise DataError(f"{name} is complex: give real and imaginary parts as two columns.")
    if array.dtype.kind == "V":
        raise DataError(f"{name} has dtype {array.dtype}: give its fields as columns of an array.")
    if isinstance(values, np.ma.MaskedArray) and values.mask.any():
        # As floats, whole-number labels would pass for measurements.
        array = array.astype(array.dtype if array.dtype.kind in "fMm" else object)
        array[values.mask] = None
    return array


def _array(values: Any, name: str) -> NDArray[Any]:
    if hasattr(values, "detach"):  # a tensor, without importing torch
        values = values.detach().to_dense()
        if str(values.dtype) == "torch.bfloat16":
            values = values.float()
        return np.asarray(values.numpy(force=True))
    if hasattr(values, "toarray"):  # a sparse matrix of scipy
        values = values.toarray()
    if hasattr(values, "to_numpy"):  # pandas
        nullable = getattr(getattr(values, "dtype", None), "na_value", None) is not None
        kind = getattr(getattr(values, "dtype", None), "kind", "")
        if nullable and kind in "iub" and values.isna().any():
            values = values.astype(object)  # as floats, whole-number labels would pass for values
        return np.asarray(values)
    if isinstance(values, (list, tuple)) and any(hasattr(v, "detach") for v in values):
        values = [_array(v, name) for v in values]
    try:
        array = np.asarray(values)
        if array.dtype.kind in "US" and not hasattr(values, "dtype"):
            array = np.asarray(values, dtype=object)  # as text, a NaN would be a class "nan"
    except (TypeError, ValueError):
        raise DataError(f"{name} is not a rectangular array: give rows of one length.") from None
    return array


def reading(kind: type) -> str:
    """What objects of a type count as, which is their own name where no reading fits."""
    fits = (what for what, kinds in READINGS.items() if issubclass(kind, kinds))
    return next(fits, kind.__name__)


def readings(array: NDArray[Any]) -> set[str]:
    """What the entries that are not missing count as."""
    if array.dtype.kind != "O":
        return {reading(array.dtype.type)}
    return {reading(kind) for kind in set(map(type, array[~pd.isna(array)]))}


def first_no_number(array: NDArray[Any]) -> tuple[str, int, int] | None:
    """What is no number among the entries of an array [n] or [n, d], and its row and column."""
    if array.dtype.kind in "biuf" or readings(array) <= NUMERIC:
        return None
    present = ~pd.isna(array)
    rows = array.reshape(len(array), -1)
    known = np.asarray(present).reshape(rows.shape)
    for row, col in zip(*np.nonzero(known), strict=True):
        what = reading(type(rows[row, col]))
        if what not in NUMERIC:
            return what, int(row), int(col)
    return None


def as_floats(array: NDArray[Any], name: str) -> NDArray[Any]:
    """The entries as native floats in row order, NaN where one is missing; shorter ones stay.

    Raises:
        DataError: an entry is no number.
    """
    if array.dtype.kind == "f":
        size = min(array.dtype.itemsize, 8)
        return np.ascontiguousarray(array, dtype=np.dtype(f"f{size}"))
    if array.dtype.kind in "biu":
        return np.ascontiguousarray(array, dtype=np.float64)
    odd = first_no_number(array)
    if odd is not None:
        what, row, col = odd
        place = f"row {row}" + (f", column {col}" if array.ndim > 1 else "")
        raise DataError(f"{name} holds {what} (first at {place}): give numbers.")
    try:
        # As objects: a column of missing times holds no floats that a gap could be put into.
        return np.where(pd.isna(array), np.nan, array.astype(object)).astype(np.float64)
    except OverflowError:
        raise DataError(f"{name} holds whole numbers beyond 1e308: scale them down.") from None


def refuse_gaps(values: NDArray[Any], name: str, *, missing: bool = False) -> NDArray[Any]:
    """The values [n] or [n, d], which must be finite, or may be missing as well."""
    bad = np.isinf(values) if missing else ~np.isfinite(values)
    if bad.any():
        row, *col = np.argwhere(bad)[0]
        place = f"row {row}" + "".join(f", column {c}" for c in col)
        what = "infinite" if missing else "NaN or infinite"
        raise DataError(
            f"{name} has {int(bad.sum())} {what} values (first at {place}): "
            "drop or repair those rows."
        )
    return values
