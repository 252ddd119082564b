"""Comma-separated values, safe to open in a spreadsheet."""

from __future__ import annotations

import csv
import io
import math
from typing import Any

from fer_bench.reports.tables.model import Number, Table
from fer_bench.reports.text import plain


def to_csv(table: Table) -> str:
    """One line a row; mean and spread in columns of their own, unrounded."""
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
                    line += [_csv_number(cell.value), _csv_number(cell.spread)]
                else:
                    line += [_spreadsheet(cell)] + [""] * is_number
            writer.writerow(line)
    return out.getvalue()


def _csv_number(value: float | None) -> str:
    return "" if value is None or not math.isfinite(value) else repr(float(value))


def _spreadsheet(text: str) -> str:
    """Text that no spreadsheet takes for a formula."""
    text = plain(text)
    return "'" + text if text[:1] in ("=", "+", "-", "@") else text
