"""A directory saved by the library `datasets` (`Dataset.save_to_disk`)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from fer_bench.data.faces import DataInfo
from fer_bench.data.labels import expression_reader
from fer_bench.data.reader import Listing, Reader, Reject
from fer_bench.errors import DataError, MissingExtraError, did_you_mean


class HuggingFace(Reader):
    """Images and labels of a saved `Dataset` or `DatasetDict` (whose keys are the splits)."""

    info = DataInfo(
        name="huggingface",
        title="Hugging Face dataset",
        terms="The terms of the set itself.",
        protocol="the saved splits",
    )

    def read(
        self,
        root: Path,
        *,
        image: str = "image",
        expression: str = "label",
        columns: Mapping[str, str] | None = None,
        labels: Mapping[str, str] | None = None,
    ) -> Listing:
        """List the rows.

        Args:
            image, expression: names of these columns.
            columns: further columns to keep, by our name: `{"subject": "person_id"}`.
            labels: the set's own labels -> expressions. Class labels go by their names.
        """
        try:
            import datasets
        except ImportError:
            raise MissingExtraError("datasets", "huggingface", "the reader 'huggingface'") from None
        try:
            saved = datasets.load_from_disk(str(root))
        except Exception as error:  # the library raises whatever its formats raise
            raise DataError(f"{root} is no saved dataset: {error}.") from error
        parts = saved if isinstance(saved, datasets.DatasetDict) else {"": saved}
        expression_of = expression_reader(labels)
        tables, stores = [], []
        rejects: list[Reject] = []
        for name, part in parts.items():
            for column in (image, expression, *(columns or {}).values()):
                if column not in part.column_names:
                    hint = did_you_mean(column, part.column_names)
                    raise DataError(f"{root} {name}: there is no column {column!r}: {hint}")
            table, unknown = _table(name, part, expression, expression_of)
            for ours, theirs in (columns or {}).items():
                table[ours] = pd.Series(part[theirs][:], dtype="object")  # 1 stays 1 beside None
            tables.append(table)
            rejects += unknown
            stores.append(part.cast_column(image, datasets.Image(decode=False)))
        table = pd.concat(tables, ignore_index=True)
        at = [(s, i) for s, store in enumerate(stores) for i in range(len(store))]
        keep = table.pop("keep").to_numpy()
        places = [place for place, good in zip(at, keep, strict=True) if good]

        def encoded(row: int) -> bytes:
            store, index = places[row]
            return _encoded(stores[store][index][image])

        return Listing(
            table[keep].reset_index(drop=True),
            rejects=rejects,
            pixels=encoded,
            sources=tuple(sorted(root.rglob("*.arrow"))),
        )


def _table(
    name: str, part: Any, expression: str, expression_of: Callable[[str], str]
) -> tuple[pd.DataFrame, list[Reject]]:
    """The rows of one split, with "keep" for those whose label is known, and the others."""
    words = _words(part, expression)
    paths = [f"{name or 'data'}#{i}" for i in range(len(part))]
    known: dict[str, str] = {}
    unknown: list[Reject] = []
    for word in sorted({w for w in words if w is not None}):
        try:
            known[word] = expression_of(word)
        except DataError as error:
            of_word = [path for path, w in zip(paths, words, strict=True) if w == word]
            unknown += [Reject(path, path, str(error)) for path in of_word]
    table = pd.DataFrame(
        {
            "path": paths,
            "expression": [known.get(w) if w is not None else None for w in words],
            "split": name,
            "keep": [w is None or w in known for w in words],
        }
    )
    return table, unknown


def _encoded(cell: Any) -> bytes:
    """The file of an image, as the set stores it or where it says it is."""
    if cell is None:
        raise DataError("has no image")
    try:
        return cell["bytes"] or Path(cell["path"]).read_bytes()
    except OSError as error:
        raise DataError(f"its file cannot be read ({error})") from error


def _words(part: Any, column: str) -> list[str | None]:
    """Labels as words: names of class labels, else text."""
    feature = part.features[column]
    values = part[column][:]
    if hasattr(feature, "int2str"):
        return [None if v is None or v < 0 else feature.int2str(v) for v in values]
    return [None if v is None else str(v) for v in values]


reader = HuggingFace()
