"""Names of expressions, from words or codes, and class scores in their order."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fer_bench.data.labels import EXPRESSIONS, code_word, in_canonical_order, is_expression, plain
from fer_bench.data.labels import canonical as canonical_name
from fer_bench.errors import DataError

Names = tuple[str, ...]
_LOWEST = 20.0  # below the smallest score of a row: a class that the model does not know


def expression_names(values: Any, classes: Names | None, *, where: str) -> pd.Series:
    """Expressions [n] by name; missing stays missing.

    Words that mean a canonical expression take its name ("Happy" is "happiness"), others stay as
    written. Codes are positions in `classes`; without classes they are named by their number.

    Args:
        values: [n] words or whole numbers; a negative number is a missing label.
        classes: names in the order of the codes, or None.
        where: for messages.

    Raises:
        DataError: a code has no name in `classes`, or a number is no code.

    >>> expression_names(["Happy", "sad", None], None, where="labels").tolist()[:2]
    ['happiness', 'sadness']
    >>> expression_names([1, 0, 1], ("neutral", "anger"), where="labels").tolist()
    ['anger', 'neutral', 'anger']
    """
    column = pd.Series(values).reset_index(drop=True)
    if pd.api.types.is_bool_dtype(column) or not pd.api.types.is_numeric_dtype(column):
        words = {word: _named(str(word), classes) for word in column.dropna().unique()}
        return _as_text(column.map(words))
    known = column[column.notna() & (column >= 0)]
    broken = known[known != known.round()]
    if len(broken):
        raise DataError(f"{where}: {broken.iloc[0]} is no code of an expression.")
    codes = known.astype(np.int64)
    if classes is not None and len(codes) and int(codes.max()) >= len(classes):
        raise DataError(
            f"{where}: the code {int(codes.max())} has no name: {len(classes)} classes are given "
            f"({', '.join(classes)})."
        )
    names = codes.astype(str) if classes is None else codes.map(dict(enumerate(classes)))
    return _as_text(names.reindex(column.index))


def class_order(names: pd.Series, classes: Names | None) -> Names:
    """The classes of a data set: as given; else canonical, numeric or alphabetical order.

    >>> class_order(pd.Series(["anger", "neutral"]), None)
    ('neutral', 'anger')
    >>> class_order(pd.Series(["10", "9"]), None)
    ('9', '10')
    """
    present = [str(name) for name in names.dropna().unique()]
    if classes is not None:
        return (*classes, *sorted(set(present) - set(classes)))
    if set(present) <= set(EXPRESSIONS):
        return in_canonical_order(present)
    if all(name.isdigit() for name in present):
        return tuple(sorted(present, key=int))
    return tuple(sorted(present))


def given_classes(names: Sequence[str]) -> Names:
    """Class names as a user gives them, canonical where they mean an expression.

    Raises:
        DataError: two of them are the same.
    """
    expressions = tuple(_named(name, None) for name in names)
    if len(set(expressions)) < len(expressions):
        raise DataError(f"two of the classes mean the same: {', '.join(names)}.")
    return expressions


def in_order(logits: NDArray[np.float32], own: Names, classes: Names) -> NDArray[np.float32]:
    """Class scores [n, c] with their columns in the order of `classes`.

    A class that the model does not know is never predicted.
    """
    out = np.repeat(logits.min(axis=1, keepdims=True) - _LOWEST, len(classes), axis=1)
    for column, name in enumerate(own):
        out[:, classes.index(name)] = logits[:, column]
    return np.ascontiguousarray(out, dtype=np.float32)


def logits_of_predictions(codes: NDArray[np.int64], n_classes: int) -> NDArray[np.float32]:
    """Scores [n, c] of hard predictions: 1 for the predicted class, else 0; none for -1."""
    out = np.zeros((len(codes), n_classes), dtype=np.float32)
    known = np.flatnonzero(codes >= 0)
    out[known, codes[known]] = 1
    return out


def _named(word: str, classes: Names | None) -> str:
    if classes is not None:
        code = code_word(word)
        if code.isdigit() and int(code) < len(classes) and word not in classes:
            return classes[int(code)]
    return canonical_name(word) if is_expression(word) else plain(word)


def _as_text(column: pd.Series) -> pd.Series:
    return column.astype(object).where(column.notna(), None).astype("string")
