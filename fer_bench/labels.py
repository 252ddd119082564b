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
