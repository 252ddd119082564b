"""Comma-separated values, safe to open in a spreadsheet."""

from __future__ import annotations

import csv
import io
from typing import Any

from fer_bench.reports.tables.model import Number, Table
from fer_bench.reports.text import plain


def to_csv(table: Table) -> str:
    """One line per row; mean and spread in columns of their own, unrounded, in the head's unit.

    >>> from fer_bench.reports.tables.model import Head
    >>> table = Table("Scores", [Head("Method"), Head("Acc. (%)", "high")],
    ...               [("", [["ERM", Number(0.5, 0.25, "percent")]])])
    >>> print(to_csv(table), end="")
    group,Method,Acc. (%),Acc. (%) spread
    ,ERM,50.0,25.0
    """
    numeric = [table.is_numeric(i) for i in range(len(table.heads))]
    head = ["group"]
    for h, is_number in zip(table.heads, numeric, strict=True):
        head += [h.title, f"{h.title} spread"] if is_number else [h.title]
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(head)
    for name, rows in table.groups:
        for row in rows:
            line: list[Any] = [_spreadsheet(name)]
            for cell, is_number in zip(row, numeric, strict=True):
                if isinstance(cell, Number):
                    line += ["" if x is None else repr(float(x)) for x in cell.printed()]
                else:
                    line += [_spreadsheet(cell)] + [""] * is_number
            writer.writerow(line)
    return out.getvalue()


def _spreadsheet(text: str) -> str:
    """Text that no spreadsheet takes for a formula."""
    text = plain(text)
    return "'" + text if text[:1] in ("=", "+", "-", "@") else text
