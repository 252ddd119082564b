"""A bare HTML table."""

from __future__ import annotations

from html import escape

from fer_bench.reports.tables.model import Cell, Number, Table, arrow, letter, number_text
from fer_bench.reports.text import plain


def to_html(table: Table) -> str:
    """A bare, escaped `<table>`."""
    numeric = [table.is_numeric(i) for i in range(len(table.heads))]
    out = [f"<table>\n<caption>{escape(plain(table.caption))}</caption>\n<thead><tr>"]
    out += [f'<th scope="col">{escape(plain(h.title))}{arrow(h.better)}</th>' for h in table.heads]
    out.append("</tr></thead>")
    for name, rows in table.groups:
        out.append("<tbody>")
        if name:
            span = len(table.heads)
            out.append(f'<tr><th scope="rowgroup" colspan="{span}">{escape(plain(name))}</th></tr>')
        for row in rows:
            cells = [_html_cell(c, n, i) for i, (c, n) in enumerate(zip(row, numeric, strict=True))]
            out.append("<tr>" + "".join(cells) + "</tr>")
        out.append("</tbody>")
    out.append("</table>")
    items = [
        f"<p><sup>{letter(i)}</sup> {escape(plain(note))}</p>" for i, note in enumerate(table.notes)
    ]
    items += [f"<p>{escape(plain(remark))}</p>" for remark in table.remarks]
    if items:
        out.append(f"<div>{''.join(items)}</div>")
    return "\n".join(out) + "\n"


def _html_cell(cell: Cell, numeric: bool, column: int) -> str:
    tag = 'th scope="row"' if column == 0 else "td"
    end = tag.split()[0]
    if not isinstance(cell, Number):
        return f"<{tag}>{escape(plain(cell))}</{end}>"
    text = escape(number_text(cell))
    text = {"best": f"<b>{text}</b>", "second": f"<u>{text}</u>"}.get(cell.mark, text)
    return f"<{tag}>{text}{''.join(f'<sup>{letter(i)}</sup>' for i in cell.notes)}</{end}>"
