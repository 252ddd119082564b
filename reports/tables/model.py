"""A plain table: what the renderers print, whatever the format."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain

from fer_bench.reports.text import DIGITS, MINUS
from fer_bench.score import Style


@dataclass(frozen=True)
class Number:
    """A mean with its spread over the runs, as printed.

    Attributes:
        value, spread: in the unit of the row's scores; None where unknown.
        style: how it is printed.
        mark: "best" or "second" among the methods, or "".
        notes: positions in the table's footnotes.
    """

    value: float | None
    spread: float | None = None
    style: Style = "ratio"
    mark: str = ""
    notes: tuple[int, ...] = ()

    def printed(self) -> tuple[float | None, float | None]:
        """The mean and the spread in the unit that is printed; None where unknown."""
        scale = 100 if self.style == "percent" else 1

        def scaled(x: float | None) -> float | None:
            return scale * x if x is not None and math.isfinite(x) else None

        return scaled(self.value), scaled(self.spread)

    def digits(self) -> tuple[str, str]:
        """The mean and the spread as decimal text; empty where unknown."""

        def text(x: float | None) -> str:
            out = "" if x is None else f"{x:.{DIGITS[self.style]}f}"
            return out.lstrip("-") if out and float(out) == 0 else out

        mean, spread = self.printed()
        return text(mean), text(spread)


Cell = str | Number


@dataclass(frozen=True)
class Head:
    """A column: its title, and which way is better ("high", "low" or "")."""

    title: str
    better: str = ""


@dataclass(frozen=True)
class Table:
    """Rows in named groups, with a caption, lettered footnotes, and remarks on all of it.

    >>> table = Table("Scores", [Head("Method"), Head("Acc.", "high")],
    ...               [("", [["ERM", Number(0.5, 0.01, "percent", "best")]])])
    >>> table.is_numeric(0), table.is_numeric(1)
    (False, True)
    """

    caption: str
    heads: Sequence[Head]
    groups: Sequence[tuple[str, Sequence[Sequence[Cell]]]]
    notes: Sequence[str] = field(default_factory=tuple)
    remarks: Sequence[str] = field(default_factory=tuple)
    label: str = "tab:results"

    def with_few_notes(self, most: int = 3) -> Table:
        """The same with so many notes and remarks at most, the last of which says what is gone.

        >>> rows = [[Number(1, notes=(0, 2, 3))], [Number(1, notes=(2,))]]
        >>> table = Table("", [Head("A")], [("", rows)], ["a", "b", "c", "d"], ["e"])
        >>> few = table.with_few_notes()
        >>> few.notes, few.remarks, few.groups[0][1][0][0].notes
        (('c',), ('e', '3 further cautions stand in the report.'), (0,))
        """
        said = len(self.notes) + len(self.remarks)
        if said <= most:
            return self
        remarks = tuple(self.remarks[:1])
        room = most - 1 - len(remarks)
        numbers = chain.from_iterable(map(self.numbers, range(len(self.heads))))
        calls = Counter(i for number in numbers for i in number.notes)
        kept = sorted(sorted(range(len(self.notes)), key=lambda i: -calls[i])[:room])
        place = {old: new for new, old in enumerate(kept)}

        def recalled(cell: Cell) -> Cell:
            if not isinstance(cell, Number):
                return cell
            return replace(cell, notes=tuple(place[i] for i in cell.notes if i in place))

        groups = [
            (name, [[recalled(cell) for cell in row] for row in rows]) for name, rows in self.groups
        ]
        left = f"{said - len(kept) - len(remarks)} further cautions stand in the report."
        notes = tuple(self.notes[i] for i in kept)
        return replace(self, groups=groups, notes=notes, remarks=(*remarks, left))

    def is_numeric(self, column: int) -> bool:
        """Whether a column holds numbers."""
        return next(self.numbers(column), None) is not None

    def numbers(self, column: int) -> Iterator[Number]:
        """The numbers of a column, from top to bottom."""
        for _, rows in self.groups:
            for row in rows:
                cell = row[column]
                if isinstance(cell, Number):
                    yield cell


def number_text(number: Number) -> str:
    """Mean and spread, or an en dash.

    >>> number_text(Number(0.5, 0.01, "percent")), number_text(Number(None))
    ('50.0 ± 1.0', '–')
    """
    mean, spread = number.digits()
    if not mean:
        return "–"
    mean = mean.replace("-", MINUS)
    return f"{mean} ± {spread}" if spread else mean


def arrow(better: str) -> str:
    """Which way is better, after a title."""
    return {"high": " ↑", "low": " ↓"}.get(better, "")


def letter(i: int) -> str:
    """The mark of a footnote: a, b, ..., z, aa, ab, ..."""
    return (letter(i // 26 - 1) if i >= 26 else "") + chr(ord("a") + i % 26)
