"""Tables in text files, as people and programs write them: one way to read them all.

UTF-8 and UTF-16 (by its byte-order mark), CRLF, quotes with new lines, the delimiters
, ; tab | and names of columns in any case are understood; what is not gets one sentence.
"""

from __future__ import annotations

import codecs
import csv
import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain
from pathlib import Path

import pandas as pd

from fer_bench.data.labels import plain
from fer_bench.errors import DataError

DELIMITERS = ",;\t|"
SEPARATOR = re.compile(r"sep=.\s*", re.IGNORECASE)  # what Excel writes on top
MARKS = {  # longest first: the mark of UTF-32 starts like that of UTF-16
    codecs.BOM_UTF32_LE: "utf-32",
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}


def read_text(file: Path) -> str:
    """The text of a file in UTF-8, or in UTF-16 or UTF-32 with a byte-order mark.

    Raises:
        DataError: it is in another encoding.
    """
    content = file.read_bytes()
    try:
        text = content.decode(_encoding(content[:4]))
    except UnicodeDecodeError as error:
        raise DataError(f"{file} is not UTF-8 (byte {error.start}): save it as UTF-8.") from error
    if "\0" in text[:1000]:
        raise DataError(f"{file} is not UTF-8 (it holds zero bytes): save it as UTF-8.")
    return text


def read_table(
    source: Path, *, names: Sequence[str] | None = None
) -> tuple[pd.DataFrame, list[int]]:
    """Read a CSV or Parquet file as text, and the line each row starts on.

    Columns without a name (row numbers, as programs write them) are left out.

    Args:
        source: the file.
        names: the columns, in order, of a file that may lack its header.

    Raises:
        DataError: the file is missing, empty or in another encoding, two columns have one name,
            or a row is too long or too short.
    """
    if not source.is_file():
        raise DataError(f"there is no {source}.")
    if source.suffix.lower() in (".parquet", ".pq"):
        try:
            table = pd.read_parquet(source)
        except (OSError, ValueError) as error:
            raise DataError(f"{source} cannot be read as Parquet: {error}.") from error
        table.columns = [plain(str(name)) for name in table.columns]
        _refuse_twins(source, list(table.columns))
        return table, list(range(1, len(table) + 1))
    rows = _rows(source, names)
    start, header = next(rows, (0, []))
    if not header:
        raise DataError(f"{source} is empty.")
    values: list[list[str]] = []
    starts: list[int] = []
    if names is not None and _key(header[0]) != _key(names[0]):
        values, starts, header = [header], [start], list(names)
    header = [plain(name) for name in header]
    _refuse_twins(source, header)
    for line, row in rows:
        values.append(row)
        starts.append(line)
    for line, row in zip(starts, values, strict=True):
        if len(row) != len(header):
            raise DataError(
                f"{source} line {line}: {len(row)} values for {len(header)} columns "
                f"({', '.join(header)}): the first line must name the columns, and values with "
                "a delimiter in them need quotes."
            )
    table = pd.DataFrame(values, columns=header, dtype="str")
    return table.drop(columns="", errors="ignore"), starts


def with_meanings(
    table: pd.DataFrame, source: Path, meanings: Mapping[str, Sequence[str]]
) -> pd.DataFrame:
    """The table with its columns named by what they mean, whatever their case and spacing.

    Args:
        table: as `read_table` returns it.
        source: the file, for messages.
        meanings: our name of a column -> further names it goes by.

    Raises:
        DataError: two columns mean the same.
    """
    ours = {_key(word): name for name, words in meanings.items() for word in (name, *words)}
    theirs: dict[str, str] = {}
    for column in table.columns:
        name = ours.get(_key(column))
        if name in theirs:
            raise DataError(
                f"{source}: the columns {theirs[name]!r} and {column!r} both mean {name!r}: "
                "remove or rename one."
            )
        if name is not None:
            theirs[name] = column
    return table.rename(columns={column: name for name, column in theirs.items()})


def need_columns(table: pd.DataFrame, source: Path, *names: str) -> None:
    """Check that columns are there.

    Raises:
        DataError: one is not; the message says which columns there are.
    """
    for name in names:
        if name not in table:
            there = ", ".join(map(str, table.columns[:12]))
            raise DataError(
                f"{source}: there is no column {name!r} (it reads: {there}): the first line must "
                "name the columns."
            )


def _key(name: str) -> str:
    """A column's name without case, spaces, hyphens and underscores."""
    return re.sub(r"[\s_-]+", "", plain(name).casefold())


def _encoding(head: bytes) -> str:
    return next((name for mark, name in MARKS.items() if head.startswith(mark)), "utf-8-sig")


def _delimiter(head: str, names: Sequence[str] | None) -> str:
    """The delimiter that gives the expected number of columns, else the most frequent one."""
    for delimiter in DELIMITERS if names is not None else "":
        if len(next(csv.reader([head], delimiter=delimiter))) == len(names or ()):
            return delimiter
    return max(DELIMITERS, key=head.count)


def _rows(source: Path, names: Sequence[str] | None) -> Iterator[tuple[int, list[str]]]:
    """The first line (from 1) and the values of every row; blank lines are no rows."""
    start = 1
    try:
        with source.open("rb") as binary:
            encoding = _encoding(binary.read(4))
        with source.open(encoding=encoding, newline="") as stream:
            before = 0
            head = stream.readline()
            while head and (not head.strip() or SEPARATOR.fullmatch(head)):
                before, head = before + 1, stream.readline()
            if "\0" in head:
                read_text(source)  # says what the encoding is
            reader = csv.reader(chain([head], stream), delimiter=_delimiter(head, names))
            start = before + 1
            for row in reader:
                if row:
                    yield start, row
                start = before + reader.line_num + 1
    except UnicodeDecodeError:
        read_text(source)
        raise
    except csv.Error as error:
        raise DataError(f"{source} line {start}: {error}: check its quotes.") from error


def _refuse_twins(source: Path, header: list[str]) -> None:
    twins = [name for name in header if name and header.count(name) > 1]
    if twins:
        raise DataError(f"{source}: two columns are named {twins[0]!r}: remove or rename one.")
