"""LaTeX with booktabs rules and siunitx columns."""

from __future__ import annotations

import unicodedata

from fer_bench.reports.tables.model import Cell, Number, Table, letter
from fer_bench.reports.text import plain

_LONGEST = 80
_ONE_COLUMN = 4  # columns of a table that fit one column of a two-column paper
_LINE = 24  # characters of a text cell before it is broken into lines


def to_latex(table: Table) -> str:
    """A `table` with booktabs rules and siunitx columns; notes through threeparttable.

    It is never wider than the line: a table of many columns takes both columns of a page
    (`table*`), and what is still too wide is scaled down.
    """
    table = table.with_few_notes()
    numeric = [table.is_numeric(i) for i in range(len(table.heads))]
    formats = [_siunitx_format(table, i) if n else "" for i, n in enumerate(numeric)]
    spec = "".join(
        f"S[table-format={f}]" if f else _text_column(table, i) for i, f in enumerate(formats)
    )
    environment = "table*" if len(table.heads) > _ONE_COLUMN or "p{" in spec else "table"
    heads = " & ".join(f"{{{_latex(h.title)}{_latex_arrow(h.better)}}}" for h in table.heads)
    lines = [
        r"% needs: \usepackage{booktabs,graphicx,siunitx,threeparttable}",
        rf"\begin{{{environment}}}",
        r"\centering\small",
        rf"\caption{{{_latex(table.caption, longest=400)}}}",
        rf"\label{{{table.label}}}",
        r"\sisetup{separate-uncertainty=true,retain-zero-uncertainty=true,table-align-uncertainty=false,"
        r"text-series-to-math=true}",
        r"\resizebox{\ifdim\width>\linewidth\linewidth\else\width\fi}{!}{%",
        r"\begin{threeparttable}",
        rf"\begin{{tabular}}{{{spec}}}",
        r"\toprule",
        rf"{heads} \\",
    ]
    for name, rows in table.groups:
        lines.append(r"\midrule")
        if name:
            span = len(table.heads)
            lines.append(rf"\multicolumn{{{span}}}{{l}}{{\itshape {_latex(name)}}} \\")
        for row in rows:
            cells = [_latex_cell(c, f) for c, f in zip(row, formats, strict=True)]
            lines.append(" & ".join(cells) + r" \\")
    lines += [r"\bottomrule", r"\end{tabular}"]
    if table.notes or table.remarks:
        lines.append(r"\begin{tablenotes}\footnotesize")
        lines += [
            rf"\item[{letter(i)}] {_latex(note, longest=400)}" for i, note in enumerate(table.notes)
        ]
        lines += [rf"\item[] {_latex(remark, longest=400)}" for remark in table.remarks]
        lines.append(r"\end{tablenotes}")
    lines += [r"\end{threeparttable}}", rf"\end{{{environment}}}"]
    return "\n".join(lines) + "\n"


def _text_column(table: Table, column: int) -> str:
    """A column as wide as its text, or broken into lines where that is long."""
    cells = (row[column] for _, rows in table.groups for row in rows)
    longest = max((len(cell) for cell in cells if isinstance(cell, str)), default=0)
    return "l" if longest <= _LINE else r"p{.25\linewidth}"


def _siunitx_format(table: Table, column: int) -> str:
    before_point, places, spread, sign = 1, 0, 0, ""
    for number in table.numbers(column):
        mean, deviation = number.digits()
        if not mean:
            continue
        before, _, after = mean.lstrip("-").partition(".")
        before_point, places = max(before_point, len(before)), max(places, len(after))
        sign = "-" if mean.startswith("-") else sign
        # siunitx counts the digits of the uncertainty without the decimal point.
        spread = max(spread, len(deviation.replace(".", "").lstrip("0") or "0") if deviation else 0)
    return f"{sign}{before_point}.{places}" + (f"({spread})" if spread else "")


def _latex_cell(cell: Cell, siunitx: str) -> str:
    if not isinstance(cell, Number):
        text = _latex(cell) or ("--" if siunitx else "")
        return f"{{{text}}}" if siunitx else text
    mean, spread = cell.digits()
    if not mean:
        return "{--}"
    number = f"{mean} +- {spread}" if spread else mean
    if cell.mark == "best":
        number = rf"\bfseries {number}"
    elif cell.mark == "second":
        number = rf"{{\underline{{\tablenum[table-format={siunitx}]{{{number}}}}}}}"
    marks = ",".join(letter(i) for i in cell.notes)
    return f"{number} {{\\tnote{{{marks}}}}}" if marks else number


def _latex_arrow(better: str) -> str:
    return {"high": r" $\uparrow$", "low": r" $\downarrow$"}.get(better, "")


_LATEX = {
    "\\": r"\textbackslash{}",
    "{": r"\{",
    "}": r"\}",
    "$": r"\$",
    "&": r"\&",
    "#": r"\#",
    "_": r"\_",
    "%": r"\%",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': r"\textquotedbl{}",
    "–": "--",
    "…": r"\ldots{}",
    "±": r"$\pm$",
    "×": r"$\times$",
    "✓": r"$\checkmark$",
    "−": "$-$",
    "≥": r"$\geq$",
    "≤": r"$\leq$",
    "ρ": r"$\rho$",
    "λ": r"$\lambda$",
    "α": r"$\alpha$",
    "β": r"$\beta$",
    "γ": r"$\gamma$",
    "δ": r"$\delta$",
    "ζ": r"$\zeta$",
    "µ": r"$\mu$",
    "μ": r"$\mu$",
    "σ": r"$\sigma$",
    "↑": r"$\uparrow$",
    "↓": r"$\downarrow$",
}


def _latex(text: str, *, longest: int = _LONGEST) -> str:
    """Escaped for pdflatex; a letter it has no glyph for becomes its code point."""
    return "".join(_latex_char(c) for c in plain(text, longest))


def _latex_char(c: str) -> str:
    if c in _LATEX:
        return _LATEX[c]
    if ord(c) < 0x180 and c.isprintable():
        return c
    base = unicodedata.normalize("NFKD", c)
    if base and all(ord(b) < 0x80 for b in base):
        return "".join(_LATEX.get(b, b) for b in base)
    return f"[U+{ord(c):04X}]"
