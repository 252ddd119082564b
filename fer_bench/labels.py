"""Labels as codes: the one reader of names and missing values, and the entropy of what it reads."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray


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
    column = pd.Series(values).astype("object")
    text = column.where(column.isna(), column.astype(str))
    return pd.Index(list(names), dtype="object").get_indexer(pd.Index(text)).astype(np.int64)


class Names(np.ndarray[Any, np.dtype[np.str_]]):
    """Predicted names [n] that also compare with the codes of the faces they are of.

    numpy answers False for every text beside a number, so that comparing predictions with
    `FaceData.expression` would read as an accuracy of 0.

    >>> predicted = Names.of(["b", "a", "b"], codes_of=("a", "b"))
    >>> (predicted == np.array([1, 1, 1])).tolist(), (predicted == ["b", "b", "b"]).tolist()
    ([True, False, True], [True, False, True])
    """

    codes_of: tuple[str, ...] = ()

    @classmethod
    def of(cls, names: ArrayLike, *, codes_of: Sequence[str]) -> Names:
        """Names whose codes are positions in `codes_of`."""
        array = np.asarray(names, dtype=np.str_).view(cls)
        array.codes_of = tuple(codes_of)
        return array

    def __array_finalize__(self, source: Any) -> None:
        self.codes_of = getattr(source, "codes_of", ())

    def __array_ufunc__(self, ufunc: Any, method: Any, *inputs: Any, **options: Any) -> Any:
        plain = [np.asarray(value) for value in inputs]
        if ufunc in (np.equal, np.not_equal) and any(a.dtype.kind in "biuf" for a in plain):
            plain = [a._codes() if isinstance(a, Names) else np.asarray(a) for a in inputs]
        return getattr(ufunc, method)(*plain, **options)

    def _codes(self) -> NDArray[np.int64]:
        """Positions in `codes_of`; -2 for a name it lacks, which equals no code of a face."""
        codes = label_codes(self.ravel().tolist(), self.codes_of).reshape(self.shape)
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
    """Plug-in entropy of labels in nats; rows with code -1 are left out.

    >>> round(label_entropy([1, 1, 2, 2, 3, 3, -1]), 6)
    1.098612
    """
    known = np.asarray(codes)
    return entropy_of_counts(np.unique(known[known >= 0], return_counts=True)[1])
