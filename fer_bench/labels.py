"""Labels and groups as codes: one reader of each, and the entropy of what it reads."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from fer_bench.errors import DataError, did_you_mean
from fer_bench.reading import NUMERIC, as_array, as_floats, check_rows, column, readings


def read_label_table(source: Path | BytesIO) -> pd.DataFrame:
    """A table of labels that `DataFrame.to_parquet` wrote.

    The same as `pandas.read_parquet` in half the time for a small table: that one looks for a
    data set of several files, and starts threads.
    """
    import pyarrow.parquet  # it is slow to import

    file = pyarrow.parquet.ParquetFile(source)
    return file.read(use_threads=False).to_pandas(use_threads=False)


def label_codes(values: Iterable[Any], names: Sequence[str]) -> NDArray[np.int64]:
    """Positions of labels in a list of names.

    Args:
        values: [n] labels, compared as text.
        names: what the codes point into.

    Returns:
        [n] codes 0..len(names) - 1; -1 for a missing value and for an unknown name.

    >>> label_codes(["b", None, "c"], ("a", "b")).tolist()
    [1, -1, -1]
    """
    column = pd.Series(values)
    if isinstance(column.dtype, pd.CategoricalDtype):
        of_level = label_codes(column.cat.categories, names)
        return np.append(of_level, -1)[column.cat.codes]  # the code -1 is of a missing value
    if not isinstance(column.dtype, pd.StringDtype):
        column = column.astype("object")
        column = column.where(column.isna(), column.astype(str))
    known = pd.Index(list(names), dtype="object")
    return known.get_indexer(pd.Index(column, dtype="object")).astype(np.int64)


def read_labels(
    values: Any,
    name: str,
    *,
    rows: int | None = None,
    classes: Sequence[str] | int | None = None,
    missing: bool = True,
    least: int = 1,
) -> NDArray[np.int64]:
    """Class labels [n] as codes.

    Args:
        values: whole numbers, text or categories, in any container; None, NaN and masked
            entries are missing.
        name: of the argument, for messages.
        rows: how many are expected; None for any number.
        classes: names that text stands for and codes point into, or their number; without it
            text is numbered in alphabetical order, and codes are kept as they are.
        missing: whether a label may be missing, which the code -1 says as well.
        least: rows there must be.

    Returns:
        Codes, -1 where missing.

    Raises:
        DataError: fractions, codes or names of no class, another length, a missing label.

    >>> read_labels(["b", None, "a"], "y", classes=["a", "b"]).tolist()
    [1, -1, 0]
    """
    array = column(as_array(values, name), name)
    check_rows(array, name, rows, least)
    known = ~np.asarray(pd.isna(array), dtype=bool)
    if readings(array) <= NUMERIC:
        codes = _integers(array, known, name)
        _check_codes(codes[known], np.flatnonzero(known), name, classes, missing)
    else:
        codes = np.full(len(array), -1, dtype=np.int64)
        codes[known] = _named_codes(array[known], name, classes)
    gaps = ~known if not missing else np.zeros(0, dtype=bool)
    if gaps.any():
        raise DataError(
            f"{name} has {int(gaps.sum())} missing labels (first at row {int(gaps.argmax())}): "
            "drop those rows."
        )
    return codes


def _integers(array: NDArray[Any], known: NDArray[np.bool_], name: str) -> NDArray[np.int64]:
    """Numbers [n] that must be whole, -1 where missing."""
    if array.dtype.kind in "bi":
        return array.astype(np.int64)
    floats = np.where(known, as_floats(array, name).astype(np.float64), -1.0)
    odd = (np.floor(floats) != floats) | ~(np.abs(floats) < 2**63)
    if odd.any():
        row = int(odd.argmax())
        raise DataError(
            f"{name} holds {floats[row]:g} (first at row {row}), which is no label: give whole "
            "numbers or text, or cut measurements into classes first."
        )
    return array.astype(np.int64) if array.dtype.kind == "u" else floats.astype(np.int64)


def _check_codes(
    codes: NDArray[np.int64],
    rows: NDArray[np.int64],
    name: str,
    classes: Sequence[str] | int | None,
    missing: bool,
) -> None:
    """Refuse codes of no class, and below -1 where that says that a label is missing."""
    count = classes if isinstance(classes, int) or classes is None else len(classes)
    low = -1 if missing else (0 if count is not None else codes.min(initial=0))
    odd = (codes < low) | (codes >= (np.inf if count is None else count))
    if not odd.any():
        return
    where = f"{name} holds {codes[odd][0]} (first at row {rows[odd][0]})"
    span = "0, 1, ..." if count is None else f"0 to {count - 1}"
    names = ", or names" if isinstance(classes, Sequence) else ""
    gap = ", -1 where it is missing" if missing else ""
    raise DataError(f"{where}: give codes {span}{names}{gap}.")


def _named_codes(
    values: NDArray[Any], name: str, classes: Sequence[str] | int | None
) -> NDArray[np.int64]:
    """Codes of labels [n] that are text."""
    text = as_text(values)
    if classes is None:
        return np.unique(text, return_inverse=True)[1].astype(np.int64)
    if isinstance(classes, int):
        raise DataError(f"{name} holds names ({str(text[0])!r}): give codes 0 to {classes - 1}.")
    codes = label_codes(text, list(map(str, classes)))
    if (codes < 0).any():
        odd = str(text[codes < 0][0])
        raise DataError(f"{name} holds {odd!r}, which is no class: {did_you_mean(odd, classes)}")
    return codes


def read_classes(classes: Any, name: str = "classes") -> list[str]:
    """Names of classes, each once.

    >>> read_classes(("a", "b"))
    ['a', 'b']
    """
    if not isinstance(classes, Iterable):
        raise DataError(f"{name} = {classes!r:.60}: give the names of the classes.")
    names = as_text(column(as_array(list(classes), name), name)).tolist()
    twice = [n for n, times in Counter(names).items() if times > 1]
    if twice:
        raise DataError(f"{name} names {twice[0]!r} twice: give every class a name of its own.")
    return names


def read_groups(values: Any, rows: int, name: str = "groups") -> tuple[NDArray[np.int64], int]:
    """Codes 0..G-1 of groups (people, clusters), and G; every row is its own group without any.

    Args:
        values: [n] ids of any kind, or None. Negative numbers are ids like others; rows whose
            id is missing (None, NaN, NA, masked) are groups of their own.
        rows: how many are expected.
        name: of the argument, for messages.

    Raises:
        DataError: another length, or several columns.

    >>> read_groups(["b", "a", "b", None], 4)
    (array([1, 0, 1, 2]), 3)
    """
    if values is None:
        return np.arange(rows), rows
    array = column(as_array(values, name), name)
    check_rows(array, name, rows, least=0)
    missing = np.asarray(pd.isna(array), dtype=bool)
    known = array[~missing]
    if not readings(known) <= NUMERIC:
        known = as_text(known)
    unique, codes = np.unique(known, return_inverse=True)
    out = np.empty(rows, dtype=np.int64)
    out[~missing] = codes
    out[missing] = len(unique) + np.arange(int(missing.sum()))
    return out, len(unique) + int(missing.sum())


def groups_of_codes(codes: NDArray[np.int64]) -> NDArray[np.int64]:
    """Codes as groups: rows of -1 (unknown) are groups of their own.

    >>> groups_of_codes(np.array([0, -1, 0, -1])).tolist()
    [0, 2, 0, 4]
    """
    alone = codes.max(initial=-1) + 1 + np.arange(len(codes))
    return np.where(codes >= 0, codes, alone)


def renumbered(codes: NDArray[np.int64]) -> NDArray[np.int64]:
    """Codes numbered 0, 1, ... in their order; -1 stays.

    >>> renumbered(np.array([40, -1, 7])).tolist()
    [1, -1, 0]
    """
    known = codes >= 0
    out = np.full(codes.shape, -1, dtype=np.int64)
    out[known] = np.unique(codes[known], return_inverse=True)[1]
    return out


def as_text(values: NDArray[Any]) -> NDArray[np.str_]:
    """Entries [n] as text; bytes are decoded."""

    def text(value: Any) -> str:
        return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)

    return np.array([text(value) for value in values.tolist()], dtype=np.str_)


class Names(np.ndarray[Any, np.dtype[np.int64]]):
    """Predicted classes [n]: an array of codes whose entries are names.

    As an array they are the codes of the faces they are of, so that they compare with
    `FaceData.expression` and pass to `sklearn.metrics`; one by one, in lists and in print they
    are names, and they compare with those too. (numpy answers False for every text beside a
    number, and scikit-learn refuses to mix them.)

    >>> predicted = Names.of(["b", "a", "b"], codes_of=("a", "b"))
    >>> (predicted == np.array([1, 1, 1])).tolist(), (predicted == ["b", "b", "b"]).tolist()
    ([True, False, True], [True, False, True])
    >>> predicted[0], np.asarray(predicted).tolist()
    ('b', [1, 0, 1])
    """

    classes: tuple[str, ...] = ()
    __pandas_priority__ = 5000  # a column of names leaves the comparison to us

    @classmethod
    def of(cls, names: ArrayLike, *, codes_of: Sequence[str]) -> Names:
        """Names whose codes are positions in `codes_of`; others get codes beyond those."""
        text = np.asarray(names, dtype=np.str_)
        classes = (*codes_of, *sorted(set(text.ravel().tolist()) - set(codes_of)))
        array = label_codes(text.ravel().tolist(), classes).reshape(text.shape).view(cls)
        array.classes = classes
        return array

    def __array_finalize__(self, source: Any) -> None:
        self.classes = getattr(source, "classes", ())

    @property
    def names(self) -> NDArray[np.str_]:
        """The names as an array of text."""
        return np.array(self.classes, dtype=np.str_)[np.asarray(self)]

    def __getitem__(self, key: Any) -> Any:
        chosen = super().__getitem__(key)
        return chosen if isinstance(chosen, np.ndarray) else self.classes[int(chosen)]

    def tolist(self) -> Any:
        """The names."""
        return self.names.tolist()

    def astype(self, dtype: Any, *arguments: Any, **options: Any) -> Any:
        """Names where text or objects are asked for, else codes."""
        source = self.names if np.dtype(dtype).kind in "USO" else np.asarray(self)
        return source.astype(dtype, *arguments, **options)

    def __repr__(self) -> str:
        return repr(self.names)

    def __str__(self) -> str:
        return str(self.names)

    def __array_ufunc__(self, ufunc: Any, method: Any, *inputs: Any, **options: Any) -> Any:
        plain = [np.asarray(value) for value in inputs]
        if ufunc in (np.equal, np.not_equal):
            plain = [self._codes(value) if value.dtype.kind in "USO" else value for value in plain]
        return getattr(ufunc, method)(*plain, **options)

    def __array_function__(self, function: Any, types: Any, arguments: Any, options: Any) -> Any:
        plain = [np.asarray(a) if isinstance(a, Names) else a for a in arguments]
        return super().__array_function__(function, types, tuple(plain), options)

    def _codes(self, names: NDArray[Any]) -> NDArray[np.int64]:
        """Codes of names; -2 for one that is not known, which equals no code."""
        codes = label_codes(names.ravel().tolist(), self.classes).reshape(names.shape)
        return np.where(codes < 0, -2, codes)


def entropy_of_counts(counts: ArrayLike) -> float:
    """Plug-in entropy in nats of how often each label occurs; 0 of none at all.

    >>> round(entropy_of_counts([2, 2, 2, 0]), 6)
    1.098612
    """
    present = np.asarray(counts, dtype=np.float64)
    present = present[present > 0]
    if not len(present):
        return 0.0
    total = present.sum()
    return float(np.log(total) - np.sum(present * np.log(present)) / total)


def label_entropy(codes: ArrayLike) -> float:
    """Plug-in entropy of labels [n] in nats; missing ones (code -1) are left out.

    >>> round(label_entropy([1, 1, 2, 2, 3, 3, -1]), 6)
    1.098612
    """
    known = read_labels(codes, "codes", least=0)
    return entropy_of_counts(np.unique(known[known >= 0], return_counts=True)[1])


def equal_runs(*sorted_keys: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """First and one-past-last position [n] of the run of equal keys around every position.

    Args:
        sorted_keys: [n] each, sorted as by `np.lexsort`; a run agrees in all of them.

    >>> [run.tolist() for run in equal_runs(np.array([3, 3, 8]))]
    [[0, 0, 2], [2, 2, 3]]
    """
    n = len(sorted_keys[0])
    changes = np.zeros(n, dtype=bool)
    changes[:1] = True
    for key in sorted_keys:
        changes[1:] |= key[1:] != key[:-1]
    run = np.cumsum(changes) - 1
    edges = np.append(np.flatnonzero(changes), n)
    return edges[run], edges[run + 1]


def outside_run(
    position: NDArray[np.int64], start: NDArray[np.int64], length: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Move positions [m] in a line without a run to where they are in the line with it.

    So a draw among the faces of other people, sorted by person, steps over one's own.

    >>> outside_run(np.array([0, 1, 2]), np.array([1, 1, 1]), np.array([2, 2, 2])).tolist()
    [0, 3, 4]
    """
    return position + np.where(position >= start, length, 0)
