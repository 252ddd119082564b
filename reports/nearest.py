"""Which faces the page shows: a few of every expression, and those nearest to them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fer_bench.arrays import PartArrays

HITS = 6
Grid = list[tuple[int, list[int]]]  # a query, and the rows nearest to it


def data_rows(part: PartArrays) -> NDArray[np.int64]:
    """Rows of the data set that a part shows, -1 where it does not say."""
    if "row" not in part.labels:
        return np.full(len(part), -1, dtype=np.int64)
    return part.labels["row"].fillna(-1).to_numpy(dtype=np.int64)


def face_facts(part: PartArrays, at: int, query: int | None = None) -> dict[str, Any]:
    """A face with its labels and, as an answer, whether it agrees with the query."""
    labels = part.labels.iloc[at]
    out = {
        "row": int(data_rows(part)[at]),
        "expression": _known(labels["expression"]),
        "subject": _known(labels["subject"]),
    }
    if query is not None:
        out["same_expression"] = bool(part.y[at] == part.y[query] and part.y[at] >= 0)
        out["same_subject"] = bool(part.s[at] == part.s[query] and part.s[at] >= 0)
    return out


def _known(value: Any) -> str:
    return "unknown" if pd.isna(value) else str(value)


def nearest(part: PartArrays) -> dict[str, Grid]:
    """Space -> for one face of every expression, the six nearest by cosine.

    The queries are the same for all methods of a sweep: of each expression the first face,
    of another subject than the queries before it where there is one.
    """
    queries: list[int] = []
    for c in range(len(part.classes)):
        here = np.flatnonzero(part.y == c)
        fresh = here[~np.isin(part.s[here], part.s[queries])]
        queries += [int(i) for i in (*fresh, *here)][:1]
    return {space: _nearest(vectors, queries) for space, vectors in part.embeddings.items()}


def _nearest(vectors: Any, queries: list[int]) -> Grid:
    x = np.nan_to_num(np.asarray(vectors, dtype=np.float64))
    norm = np.linalg.norm(x, axis=1, keepdims=True)
    x = x / np.where(norm > 0, norm, 1)
    grid = []
    for query in queries:
        similar = x @ x[query]
        similar[query] = -np.inf
        grid.append((query, [int(i) for i in np.argsort(-similar, kind="stable")[:HITS]]))
    return grid


def sample_positions(part: PartArrays, *, per_class: int = 4) -> NDArray[np.int64]:
    """A few faces of every expression, of different subjects where possible."""
    picked: list[int] = []
    for c in range(len(part.classes)):
        here = np.flatnonzero(part.y == c)
        _, first = np.unique(part.s[here], return_index=True)
        order = [*here[np.sort(first)], *here]
        picked += list(dict.fromkeys(int(i) for i in order))[:per_class]
    return np.asarray(picked, dtype=np.int64)
