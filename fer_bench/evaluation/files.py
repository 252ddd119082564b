"""Reading somebody's embeddings: npz, npy with a table, Parquet, safetensors and CSV.

No format is unpickled. Columns of numbers that share a name and are numbered (`e0`, `e1`, ...)
become one array.
"""

from __future__ import annotations

import re
import zipfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fer_bench.data.readers.manifest import NUMBER
from fer_bench.data.tables import read_table
from fer_bench.errors import DataError
from fer_bench.evaluation.meanings import Contents, understand

TABLES = (".csv", ".tsv", ".txt", ".parquet", ".pq")
_NUMBERED = re.compile(r"(.*?)[ _.\-\[]*(\d+)\]?")
_MISSING = frozenset({"", "nan", "NaN", "NA", "N/A", "NULL", "null", "None"})


def read_contents(path: str | Path, mapping: Mapping[str, str]) -> Contents:
    """Read one file of embeddings or labels.

    Args:
        path: .npz, .npy (with a table of the same name beside it, row for row), .safetensors,
            .parquet, .csv, .tsv or .txt.
        mapping: their name -> our name, see `fer_bench.evaluation.meanings.parse_mapping`.

    Raises:
        DataError: the file is missing, damaged or in another format; the message says which are
            read.
    """
    file = Path(path).expanduser()
    if not file.is_file():
        raise DataError(f"there is no file {file}.")
    suffix = file.suffix.lower()
    if suffix == ".npz":
        named = _read_npz(file)
    elif suffix == ".npy":
        named = _read_npy(file)
    elif suffix == ".safetensors":
        named = _read_safetensors(file)
    elif suffix in TABLES:
        named = _read_table(file)
    else:
        raise DataError(
            f"{file}: embeddings are read from .npz, .npy, .safetensors, .parquet and .csv; save "
            "them as one of these (numpy.savez, pandas.DataFrame.to_parquet)."
        )
    if not named:
        raise DataError(f"{file} is empty.")
    return understand(named, file, mapping)


def _read_npz(file: Path) -> dict[str, NDArray[Any]]:
    if file.is_file() and not zipfile.is_zipfile(file):
        raise DataError(f"{file} is no npz file: write it with numpy.savez.")
    try:
        with np.load(file, allow_pickle=False) as content:
            return {name: _array(file, name, content) for name in content.files}
    except (OSError, EOFError, zipfile.BadZipFile) as error:
        raise DataError(f"{file} is no npz file that can be read: {error}.") from None
    except ValueError:
        raise DataError(
            f"{file} holds Python objects, which are never unpickled here: save plain arrays."
        ) from None


def _array(file: Path, name: str, content: Any) -> NDArray[Any]:
    try:
        values: NDArray[Any] = content[name]
    except ValueError:
        raise DataError(
            f"{file}: {name!r} is pickled, and nothing is unpickled: save text as "
            f"np.array({name}, dtype=str)."
        ) from None
    return values


def _read_npy(file: Path) -> dict[str, NDArray[Any]]:
    try:
        values = np.load(file, allow_pickle=False)
    except (OSError, EOFError, ValueError) as error:
        raise DataError(f"{file} is no npy file that can be read: {error}.") from None
    beside = [file.with_suffix(end) for end in TABLES if file.with_suffix(end).is_file()]
    named = _read_table(beside[0]) if beside else {}
    return {**named, "E" if "E" not in named else file.stem: values}


def _read_safetensors(file: Path) -> dict[str, NDArray[Any]]:
    from safetensors import SafetensorError, safe_open
    from safetensors.torch import load_file

    try:
        tensors = load_file(file)
        with safe_open(file, framework="numpy") as content:
            about = content.metadata() or {}
    except (OSError, SafetensorError) as error:
        raise DataError(f"{file} is no safetensors file that can be read: {error}.") from None
    named: dict[str, NDArray[Any]] = {}
    for name, tensor in tensors.items():
        named[name] = (tensor.float() if tensor.is_floating_point() else tensor).numpy()
    for name in ("classes", "ids"):
        if name in about and name not in named:
            named[name] = np.array(about[name].split("\n"), dtype=str)
    return named


def _read_table(file: Path) -> dict[str, NDArray[Any]]:
    """Columns by name; numbered columns of numbers as one array."""
    if file.suffix.lower() in (".parquet", ".pq"):
        table, _ = read_table(file)
        columns = {str(name): _parquet_column(table[name]) for name in table}
    else:
        header = _header(file)
        if len(_groups(header)) == 0:
            table, _ = read_table(file)
            columns = {str(name): _words(table[name]) for name in table}
        else:
            columns = _read_wide(file, header)
    return _grouped(columns)


def _header(file: Path) -> list[str]:
    head = _first_line(file).strip("\r\n")
    return [name.strip().strip('"') for name in head.split(_delimiter(head))]


def _delimiter(head: str) -> str:
    return max(",;\t|", key=head.count)


def _read_wide(file: Path, header: list[str]) -> dict[str, NDArray[Any]]:
    """A text table of many numbers, read column by column; all else stays text ("007")."""
    numbered = {name for names in _groups(header).values() for name in names}
    kinds = {name: "str" for name in header if name not in numbered}
    try:
        table = pd.read_csv(
            file,
            sep=_delimiter(_first_line(file)),
            dtype=kinds,
            keep_default_na=False,
            na_values={name: ["", "nan", "NaN", "NA"] for name in numbered},
            encoding="utf-8-sig",
            index_col=False,
        )
    except (ValueError, UnicodeDecodeError, pd.errors.ParserError) as error:
        reason = str(error).strip().splitlines()[0]
        raise DataError(f"{file} cannot be read as a table: {reason}.") from None
    if not len(table):
        raise DataError(f"{file} has a header and no rows.")
    table = table.drop(columns=[n for n in table if not n or str(n).startswith("Unnamed:")])
    for name in numbered & set(table):
        if not pd.api.types.is_numeric_dtype(table[name]):
            bad = pd.to_numeric(table[name], errors="coerce")
            row = int(np.flatnonzero(bad.isna())[0])
            raise DataError(
                f"{file} line {row + 2}: {name} is {table[name].iloc[row]!r}, not a number."
            )
    return {
        str(n): table[n].to_numpy() if n in numbered else _words(table[n]) for n in table.columns
    }


def _first_line(file: Path) -> str:
    with file.open(encoding="utf-8-sig", errors="replace", newline="") as stream:
        return stream.readline()


def _words(column: pd.Series) -> NDArray[Any]:
    """Text as it stands; numbers where every word is one as people write numbers."""
    words = column.astype("str").str.strip()
    words = words.mask(words.isin(_MISSING))
    present = words.dropna()
    plain = present.str.fullmatch(NUMBER.pattern)
    if len(present) and bool(plain.all()):
        numbers = pd.to_numeric(words, errors="coerce")
        integers = numbers.notna().all() and bool((numbers == numbers.round()).all())
        return numbers.to_numpy(np.int64 if integers else np.float64)
    return words.astype(object).to_numpy()


def _parquet_column(column: pd.Series) -> NDArray[Any]:
    """A column, or [n, d] of a column of lists."""
    first = next((value for value in column if value is not None), None)
    if isinstance(first, (list, np.ndarray)):
        try:
            return np.stack([np.asarray(value) for value in column])
        except ValueError:
            raise DataError(
                f"the lists of the column {column.name!r} have different lengths."
            ) from None
    if pd.api.types.is_bool_dtype(column) or pd.api.types.is_numeric_dtype(column):
        if pd.api.types.is_float_dtype(column) or column.isna().any():
            return column.to_numpy(np.float64, na_value=np.nan)
        return column.to_numpy()
    return column.astype(object).where(column.notna(), None).to_numpy()


def _grouped(columns: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    """Numbered columns of numbers as one array each, in the order of their numbers."""
    named = dict(columns)
    for prefix, names in _groups(list(columns)).items():
        parts = [columns[name] for name in names]
        if all(part.ndim == 1 and part.dtype.kind in "fiu" for part in parts):
            for name in names:
                del named[name]
            prefix = prefix if prefix and prefix not in named else f"{prefix}0..{len(names) - 1}"
            named[prefix] = np.stack(parts, axis=1)
    return named


def _groups(names: Iterable[str]) -> dict[str, list[str]]:
    """Prefix -> columns that are numbered without a gap from 0 or 1, at least two of them."""
    groups: dict[str, dict[int, str]] = {}
    for name in names:
        match = _NUMBERED.fullmatch(name)
        if match:
            groups.setdefault(match[1], {})[int(match[2])] = name
    return {
        prefix: [numbered[i] for i in sorted(numbered)]
        for prefix, numbered in groups.items()
        if len(numbered) > 1
        and min(numbered) in (0, 1)
        and max(numbered) - min(numbered) == len(numbered) - 1
    }
