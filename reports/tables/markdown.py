"""GitHub-flavoured Markdown."""

from __future__ import annotations

import re
from collections.abc import Iterable

from fer_bench.reports.tables.model import Cell, Number, Table, arrow, letter, number_text
from fer_bench.reports.text import plain

_LONGEST = 240


def to_markdown(table: Table) -> str:
    """A table as GitHub-flavoured Markdown.

    >>> from fer_bench.reports.tables.model import Head
    >>> table = Table("Scores", [Head("Method"), Head("Acc.", "high")],
    ...               [("", [["ERM", Number(0.5, 0.01, "percent", "best")]])])
    >>> print(to_markdown(table))
    | Method | Acc. ↑ |
    | --- | ---: |
    | ERM | **50.0 ± 1.0** |
    """
    heads = [_markdown(h.title) + arrow(h.better) for h in table.heads]
    numeric = [table.is_numeric(i) for i in range(len(heads))]
    lines = [_pipe(heads), _pipe("---:" if n else "---" for n in numeric)]
    for name, rows in table.groups:
        if name:
            lines.append(_pipe([f"*{_markdown(name)}*", *[""] * (len(heads) - 1)]))
        lines += [_pipe(_markdown_cell(cell) for cell in row) for row in rows]
    for i, note in enumerate(table.notes):
        lines += [""] * (i == 0) + [f"<sup>{letter(i)}</sup> {_markdown(note)}  "]
    for i, remark in enumerate(table.remarks):
        lines += [""] * (i == 0) + [f"{_markdown(remark)}  "]
    return "\n".join(lines)


def _markdown_cell(cell: Cell) -> str:
    if not isinstance(cell, Number):
        return _markdown(cell)
    text = number_text(cell)
    text = {"best": f"**{text}**", "second": f"<u>{text}</u>"}.get(cell.mark, text)
    return text + "".join(f"<sup>{letter(i)}</sup>" for i in cell.notes)


def _pipe(cells: Iterable[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def _markdown(text: str) -> str:
    out = plain(text, _LONGEST)
    out = out.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return re.sub(r"([\\`*_\[\]|])", r"\\\1", out)
