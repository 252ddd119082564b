"""What the names in somebody's file mean: arrays and columns by the words the field uses.

A name is matched whatever its case, spaces, hyphens and underscores. What is two-dimensional is
an embedding or class scores, what is one-dimensional describes rows. Nothing is guessed from
values, and every guess is shown (`Contents.said`) before anything long starts.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fer_bench.data.labels import is_expression, is_split
from fer_bench.errors import DataError, did_you_mean
from fer_bench.evaluation.classes import given_classes

Named = Mapping[str, NDArray[Any]]

ARRAYS: Mapping[str, tuple[str, ...]] = {
    "E": (
        "expression", "expressions", "expression embedding", "expression embeddings", "z exp",
        "z e", "embedding", "embeddings", "emb", "feature", "features", "feat", "feats",
        "representation", "representations", "latent", "z", "x", "penultimate", "hidden",
    ),
    "I": (
        "identity", "identities", "identity embedding", "identity embeddings", "id embedding",
        "z id", "z i", "subject embedding", "non expression", "person embedding",
    ),
    "logits": (
        "logit", "scores", "class scores", "output", "outputs", "prediction", "predictions",
        "pred", "preds",
    ),
    "probabilities": ("probability", "probs", "prob", "softmax", "proba", "predict proba"),
    "valence_arousal": ("va", "va pred", "valence arousal prediction", "affect"),
}  # fmt: skip
"""Two-dimensional [n, d]: our name -> further names it goes by."""

COLUMNS: Mapping[str, tuple[str, ...]] = {
    "id": (
        "ids", "row id", "image id", "path", "paths", "file", "files", "filename", "filenames",
        "filepath", "image path", "img path", "image", "img", "name", "names", "sample", "key",
    ),
    "expression": (
        "expressions", "label", "labels", "emotion", "emotions", "emo", "class", "y", "y true",
        "target", "targets", "gt", "ground truth",
    ),
    "subject": (
        "subjects", "subject id", "subject ids", "person", "persons", "person id", "people",
        "identity", "identities", "actor", "actor id", "participant", "pid", "speaker", "user",
    ),
    "split": ("splits", "set", "subset", "partition", "part", "usage"),
    "sequence": ("sequences", "seq", "video", "videos", "video id", "clip", "clips", "clip id"),
    "frame": ("frames", "frame id", "frame number", "time", "timestamp"),
    "valence": (),
    "arousal": (),
    "prediction": ("predictions", "predicted", "pred", "preds", "y pred", "y hat"),
    "valence_prediction": ("predicted valence", "valence pred", "pred valence"),
    "arousal_prediction": ("predicted arousal", "arousal pred", "pred arousal"),
}  # fmt: skip
"""One-dimensional [n]: our name -> further names it goes by."""

CLASSES = ("classes", "class names", "classnames")
_LEFT_OUT = ""
_MOST_LEVELS = 12  # a column of more numbers is no attribute


@dataclass
class Contents:
    """What one file holds, by our names.

    Attributes:
        file: where it was read.
        arrays: "E", "I", "logits", "valence_arousal": [n, d] float32.
        columns: one row per image; the names of `COLUMNS` and attributes.
        classes: names in the order of the columns of the logits, where the file says them.
        faces: uint8 [n, h, w, c], where the file holds pictures.
        used: names of the mapping that occurred.
        said: what was taken for what, in words.
    """

    file: Path
    arrays: dict[str, NDArray[np.float32]] = field(default_factory=dict)
    columns: pd.DataFrame = field(default_factory=pd.DataFrame)
    classes: tuple[str, ...] | None = None
    faces: NDArray[np.uint8] | None = None
    used: set[str] = field(default_factory=set)
    said: list[str] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.columns)


def parse_mapping(pairs: Sequence[str]) -> dict[str, str]:
    """`--map` options "ours=theirs" as their name -> our name; "split=" leaves a column out.

    Raises:
        DataError: a pair is not of that form, or our name is unknown.

    >>> parse_mapping(["expression=emo", "E=feat_a"])
    {'emo': 'expression', 'feat_a': 'E'}
    """
    mapping = {}
    for pair in pairs:
        ours, equals, theirs = (part.strip() for part in pair.partition("="))
        if not equals:
            raise DataError(f"--map {pair!r}: write it as OURS=THEIRS, such as expression=emo.")
        if ours not in (*ARRAYS, *COLUMNS):
            known = did_you_mean(ours, [*ARRAYS, *COLUMNS])
            raise DataError(f"--map {pair!r}: there is no meaning {ours!r}: {known}")
        mapping[theirs or f"\0{ours}"] = ours
    return mapping


def understand(named: Named, file: Path, mapping: Mapping[str, str]) -> Contents:
    """Sort the arrays and columns of a file by their meaning.

    Args:
        named: arrays by the file's own names.
        file: for messages.
        mapping: their name -> our name, as `parse_mapping` gives it.

    Raises:
        DataError: two names have one meaning, arrays have other lengths, an array is transposed,
            or holds what is no number.
    """
    contents = Contents(file)
    meaning: dict[str, str] = {}
    unknown: list[str] = []
    hidden = {ours for theirs, ours in mapping.items() if theirs.startswith("\0")}
    taken = {ours for theirs, ours in mapping.items() if theirs in named}
    for name, values in named.items():
        if values.ndim == 0:
            raise DataError(f"{file}: {name!r} is a single value: give one row per image.")
        if _word(name) in map(_word, CLASSES) and values.ndim == 1 and values.dtype.kind in "US":
            contents.classes = given_classes([str(v) for v in _text(values)])
            continue
        if values.ndim == 4 and values.dtype == np.uint8:
            contents.faces = values
            continue
        ours = mapping.get(name) or _meaning(name, values, taken | hidden)
        if name in mapping:
            contents.used.add(name)
            ours = _of_shape(ours, values)
        if not ours:
            unknown.append(name)
        elif ours == "id" and "id" in meaning:
            ours = _better_id(meaning, name)
        elif ours in meaning:
            raise DataError(
                f"{file}: {meaning[ours]!r} and {name!r} both mean {ours!r}: say which with "
                f"--map {ours}={name}."
            )
        if ours:
            meaning[ours] = name
    contents.used |= {theirs for theirs, ours in mapping.items() if ours in hidden}
    if "E" not in meaning:
        wide = [n for n in unknown if named[n].ndim == 2 and named[n].dtype.kind in "fiu"]
        if len(wide) > 1:
            shapes = ", ".join(f"{n} {list(named[n].shape)}" for n in wide)
            raise DataError(f"{file}: which array is the embedding? Say --map E=NAME ({shapes}).")
        for name in wide:
            meaning["E"] = name
            unknown.remove(name)
    _fill(contents, named, meaning, unknown)
    return contents


def _fill(
    contents: Contents, named: Named, meaning: Mapping[str, str], unknown: Sequence[str]
) -> None:
    """Put arrays and columns where they belong, and say what was taken for what."""
    rows = _count(contents.file, named, meaning)
    columns: dict[str, Any] = {}
    for ours, name in meaning.items():
        values = named[name]
        if ours in ARRAYS:
            contents.arrays[ours] = _numbers(contents.file, name, values, rows)
        else:
            columns[ours] = _one_dimensional(values)
        shape = f" {list(values.shape)}" if ours in ARRAYS else ""
        contents.said.append(f"{ours} = {name!r}{shape}" if ours != name else f"{ours}{shape}")
    ignored = []
    for name in unknown:
        values = named[name]
        if values.ndim == 1 and len(values) == rows and _is_attribute(name, values):
            columns[name] = _one_dimensional(values)
            contents.said.append(f"attribute {name!r}{_hint(name, columns[name], meaning)}")
        else:
            ignored.append(name)
    if ignored:
        more = f" and {len(ignored) - 5} more" if len(ignored) > 5 else ""
        contents.said.append("not used: " + ", ".join(map(repr, ignored[:5])) + more)
    contents.columns = pd.DataFrame(columns, index=range(rows))
    if "probabilities" in contents.arrays:
        shares = contents.arrays.pop("probabilities")
        if "logits" not in contents.arrays:
            contents.arrays["logits"] = np.log(np.clip(shares, 1e-12, None)).astype(np.float32)
    if contents.faces is not None and len(contents.faces) != rows:
        raise DataError(f"{contents.file}: {len(contents.faces)} pictures for {rows} rows.")


def _count(file: Path, named: Named, meaning: Mapping[str, str]) -> int:
    """How many rows the file has: all that was understood must agree."""
    described = {ours: len(named[n]) for ours, n in meaning.items() if ours not in ARRAYS}
    arrays = {ours: named[n].shape for ours, n in meaning.items() if ours in ARRAYS}
    lengths = set(described.values()) or {shape[0] for o, shape in arrays.items() if o != "E"}
    if not lengths and "E" in arrays:
        return int(arrays["E"][0])
    if len(lengths) != 1:
        each = ", ".join(f"{meaning[ours]} {n}" for ours, n in described.items())
        raise DataError(f"{file}: its columns have different lengths ({each or 'no rows'}).")
    (rows,) = lengths
    for ours, shape in arrays.items():
        if shape[0] != rows and len(shape) == 2 and shape[1] == rows:
            raise DataError(
                f"{file}: {meaning[ours]!r} is transposed: {list(shape)} for {rows} rows; save "
                "one row per image."
            )
        if shape[0] != rows:
            raise DataError(
                f"{file}: {meaning[ours]!r} has {shape[0]} rows and the other columns {rows}: "
                "give one row per image."
            )
    return int(rows)


def _meaning(name: str, values: NDArray[Any], taken: set[str]) -> str:
    """Our name of an array or column by its shape and its words, or "" where there is none."""
    flat = values.ndim == 1 or (values.ndim == 2 and values.shape[1] == 1)
    tables = [COLUMNS] if flat else [ARRAYS]
    if values.ndim == 2 and _one_hot(values):
        tables = [COLUMNS, ARRAYS]
    for table in tables:
        for ours, words in table.items():
            if ours not in taken and _word(name) in map(_word, (ours, *words)):
                return ours
    return _LEFT_OUT


def _of_shape(ours: str, values: NDArray[Any]) -> str:
    """`expression` and `identity` name an embedding where they are given one."""
    if values.ndim == 2 and values.shape[1] > 1 and not _one_hot(values):
        return {"expression": "E", "subject": "I", "prediction": "logits"}.get(ours, ours)
    return ours


def _better_id(meaning: dict[str, str], name: str) -> str:
    """Of two names that may be ids, the one that stands first in the list is the id."""
    order = [_word(word) for word in ("id", *COLUMNS["id"])]
    first = order.index(_word(meaning["id"])) if _word(meaning["id"]) in order else -1
    return "id" if order.index(_word(name)) < first else _LEFT_OUT


def _one_hot(values: NDArray[Any]) -> bool:
    """Whether each row names one class."""
    if values.ndim != 2 or not 2 <= values.shape[1] <= 64 or values.dtype.kind not in "fiub":
        return False
    head = values[:1000]
    return bool(np.isin(head, (0, 1)).all() and (head.sum(axis=1) == 1).all())


def _one_dimensional(values: NDArray[Any]) -> Any:
    """A column [n]: text as text, one-hot rows as codes."""
    if values.ndim == 2 and values.shape[1] > 1:
        return values.argmax(axis=1)
    flat = values.reshape(len(values))
    return _text(flat) if flat.dtype.kind in "SO" else flat


def _text(values: NDArray[Any]) -> NDArray[Any]:
    if values.dtype.kind != "S":
        return values
    return np.array([v.decode("utf-8", "replace") for v in values.tolist()], dtype=object)


def _numbers(file: Path, name: str, values: NDArray[Any], rows: int) -> NDArray[np.float32]:
    """[n, d] float32; dimensions of length 1 are dropped."""
    if values.dtype.kind not in "fiub":
        raise DataError(f"{file}: {name!r} holds {values.dtype}, not numbers.")
    if values.ndim > 2:
        values = values.reshape(len(values), -1) if _is_pooled(values) else values
    if values.ndim == 1:
        values = values[:, None]
    if values.ndim != 2:
        raise DataError(
            f"{file}: {name!r} has shape {list(values.shape)}: pool it to one vector per image."
        )
    return np.ascontiguousarray(values, dtype=np.float32)


def _is_pooled(values: NDArray[Any]) -> bool:
    return bool(np.prod([side for side in values.shape[1:] if side > 1]) == max(values.shape[1:]))


def _is_attribute(name: str, values: NDArray[Any]) -> bool:
    """Text, truth values, exact factors, or a few whole numbers."""
    if name.startswith("factor_") or values.dtype.kind in "USOb":
        return True
    present = values[~pd.isna(values)]
    few = np.unique(present[:100_000])
    return bool(2 <= len(few) <= _MOST_LEVELS and (few == np.round(few)).all())


def _hint(name: str, values: Any, meaning: Mapping[str, str]) -> str:
    """What an attribute may be by its words; it is for the user to say so."""
    words = [str(word) for word in pd.Series(values).dropna().unique()[: _MOST_LEVELS + 1]]
    for ours, known in (("expression", is_expression), ("split", is_split)):
        if ours not in meaning and len(words) > 1 and all(map(known, words)):
            return f" (if it is the {ours}: --map {ours}={name})"
    return ""


def _word(name: str) -> str:
    """A name without case, spaces and punctuation."""
    return re.sub(r"[^a-z0-9]+", "", name.casefold())
