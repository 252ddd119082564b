"""Tables for papers and terminals: LaTeX, Markdown, CSV and HTML from one plain table."""

from __future__ import annotations

import csv
import io
import json
import math
import re
import unicodedata
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from html import escape
from pathlib import Path
from typing import Any, Literal

from fer_bench.cautions import Caution, merged
from fer_bench.errors import FerBenchError, RunError, did_you_mean
from fer_bench.reports.aggregate import Estimate
from fer_bench.reports.columns import Column, leaderboard_columns, main_columns
from fer_bench.reports.published import published_rows
from fer_bench.reports.summary import Row, Summary, summarise
from fer_bench.runs.store import RunStore
from fer_bench.score import Direction, Style

Format = Literal["latex", "markdown", "csv", "html"]
ROLE_TITLES = {"method": "", "reference": "Reference rows", "oracle": "Oracles"}
_LONGEST = 80
_DIGITS = {"percent": 1, "ratio": 3, "nats": 2, "count": 0}


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

    def digits(self) -> tuple[str, str]:
        """The mean and the spread as decimal text; empty where unknown."""
        scale, places = (100 if self.style == "percent" else 1), _DIGITS[self.style]

        def text(x: float | None) -> str:
            if x is None or not math.isfinite(x):
                return ""
            out = f"{scale * x:.{places}f}"
            return out.lstrip("-") if float(out) == 0 else out

        return text(self.value), text(self.spread)


Cell = str | Number


@dataclass(frozen=True)
class Head:
    """A column: its title, and which way is better ("high", "low" or "")."""

    title: str
    better: str = ""


@dataclass(frozen=True)
class Table:
    """Rows in named groups, with a caption, lettered footnotes, and remarks on the whole.

    >>> table = Table("Scores", [Head("Method"), Head("Acc.", "high")],
    ...               [("", [["ERM", Number(0.5, 0.01, "percent", "best")]])])
    >>> print(table.to_markdown())
    | Method | Acc. ↑ |
    | --- | ---: |
    | ERM | **50.0 ± 1.0** |
    """

    caption: str
    heads: Sequence[Head]
    groups: Sequence[tuple[str, Sequence[Sequence[Cell]]]]
    notes: Sequence[str] = field(default_factory=tuple)
    remarks: Sequence[str] = field(default_factory=tuple)
    label: str = "tab:results"

    def to_markdown(self) -> str:
        """GitHub-flavoured Markdown."""
        heads = [_markdown(h.title) + _arrow(h.better) for h in self.heads]
        numeric = [self._numeric(i) for i in range(len(heads))]
        lines = [_pipe(heads), _pipe("---:" if n else "---" for n in numeric)]
        for name, rows in self.groups:
            if name:
                lines.append(_pipe([f"*{_markdown(name)}*", *[""] * (len(heads) - 1)]))
            lines += [_pipe(self._markdown_cell(cell) for cell in row) for row in rows]
        for i, note in enumerate(self.notes):
            lines += [""] * (i == 0) + [f"<sup>{_letter(i)}</sup> {_markdown(note)}  "]
        for i, remark in enumerate(self.remarks):
            lines += [""] * (i == 0) + [f"{_markdown(remark)}  "]
        return "\n".join(lines)

    def to_csv(self) -> str:
        """One line a row; mean and spread in columns of their own, unrounded."""
        numeric = [self._numeric(i) for i in range(len(self.heads))]
        head = ["group"]
        for h, is_number in zip(self.heads, numeric, strict=True):
            head += [h.title, f"{h.title} spread"] if is_number else [h.title]
        out = io.StringIO()
        writer = csv.writer(out, lineterminator="\n")
        writer.writerow(head)
        for name, rows in self.groups:
            for row in rows:
                line: list[Any] = [_spreadsheet(name)]
                for cell, is_number in zip(row, numeric, strict=True):
                    if isinstance(cell, Number):
                        line += [_csv_number(cell.value), _csv_number(cell.spread)]
                    else:
                        line += [_spreadsheet(cell)] + [""] * is_number
                writer.writerow(line)
        return out.getvalue()

    def to_html(self) -> str:
        """A bare, escaped `<table>`."""
        numeric = [self._numeric(i) for i in range(len(self.heads))]
        out = [f"<table>\n<caption>{escape(_plain(self.caption))}</caption>\n<thead><tr>"]
        out += [
            f'<th scope="col">{escape(_plain(h.title))}{_arrow(h.better)}</th>' for h in self.heads
        ]
        out.append("</tr></thead>")
        for name, rows in self.groups:
            out.append("<tbody>")
            if name:
                span = len(self.heads)
                out.append(
                    f'<tr><th scope="rowgroup" colspan="{span}">{escape(_plain(name))}</th></tr>'
                )
            for row in rows:
                cells = [
                    self._html_cell(c, n, i)
                    for i, (c, n) in enumerate(zip(row, numeric, strict=True))
                ]
                out.append("<tr>" + "".join(cells) + "</tr>")
            out.append("</tbody>")
        out.append("</table>")
        items = [
            f"<p><sup>{_letter(i)}</sup> {escape(_plain(note))}</p>"
            for i, note in enumerate(self.notes)
        ]
        items += [f"<p>{escape(_plain(remark))}</p>" for remark in self.remarks]
        if items:
            out.append(f"<div>{''.join(items)}</div>")
        return "\n".join(out) + "\n"

    def to_latex(self) -> str:
        """A `table` with booktabs rules and siunitx columns; notes through threeparttable."""
        numeric = [self._numeric(i) for i in range(len(self.heads))]
        formats = [self._siunitx_format(i) if n else "" for i, n in enumerate(numeric)]
        spec = "".join(f"S[table-format={f}]" if f else "l" for f in formats)
        heads = " & ".join(f"{{{_latex(h.title)}{_latex_arrow(h.better)}}}" for h in self.heads)
        lines = [
            r"% needs: \usepackage{booktabs,siunitx,threeparttable}",
            r"\begin{table}",
            r"\centering",
            r"\begin{threeparttable}",
            rf"\caption{{{_latex(self.caption, longest=400)}}}",
            rf"\label{{{self.label}}}",
            r"\sisetup{separate-uncertainty=true,retain-zero-uncertainty=true,table-align-uncertainty=false,"
            r"text-series-to-math=true}",
            rf"\begin{{tabular}}{{{spec}}}",
            r"\toprule",
            rf"{heads} \\",
        ]
        for name, rows in self.groups:
            lines.append(r"\midrule")
            if name:
                span = len(self.heads)
                lines.append(rf"\multicolumn{{{span}}}{{l}}{{\itshape {_latex(name)}}} \\")
            for row in rows:
                cells = [self._latex_cell(c, f) for c, f in zip(row, formats, strict=True)]
                lines.append(" & ".join(cells) + r" \\")
        lines += [r"\bottomrule", r"\end{tabular}"]
        if self.notes or self.remarks:
            lines.append(r"\begin{tablenotes}\footnotesize")
            lines += [
                rf"\item[{_letter(i)}] {_latex(note, longest=400)}"
                for i, note in enumerate(self.notes)
            ]
            lines += [rf"\item[] {_latex(remark, longest=400)}" for remark in self.remarks]
            lines.append(r"\end{tablenotes}")
        lines += [r"\end{threeparttable}", r"\end{table}"]
        return "\n".join(lines) + "\n"

    def _numeric(self, column: int) -> bool:
        return any(isinstance(row[column], Number) for _, rows in self.groups for row in rows)

    def _numbers(self, column: int) -> Iterable[Number]:
        for _, rows in self.groups:
            for row in rows:
                cell = row[column]
                if isinstance(cell, Number):
                    yield cell

    def _siunitx_format(self, column: int) -> str:
        whole, places, spread, sign = 1, 0, 0, ""
        for number in self._numbers(column):
            mean, deviation = number.digits()
            if not mean:
                continue
            before, _, after = mean.lstrip("-").partition(".")
            whole, places = max(whole, len(before)), max(places, len(after))
            sign = "-" if mean.startswith("-") else sign
            # siunitx counts the digits of the uncertainty without the decimal point.
            spread = max(
                spread, len(deviation.replace(".", "").lstrip("0") or "0") if deviation else 0
            )
        return f"{sign}{whole}.{places}" + (f"({spread})" if spread else "")

    def _latex_cell(self, cell: Cell, siunitx: str) -> str:
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
        marks = ",".join(_letter(i) for i in cell.notes)
        return f"{number} {{\\tnote{{{marks}}}}}" if marks else number

    def _markdown_cell(self, cell: Cell) -> str:
        if not isinstance(cell, Number):
            return _markdown(cell)
        text = _text(cell)
        text = {"best": f"**{text}**", "second": f"<u>{text}</u>"}.get(cell.mark, text)
        return text + "".join(f"<sup>{_letter(i)}</sup>" for i in cell.notes)

    def _html_cell(self, cell: Cell, numeric: bool, column: int) -> str:
        tag = 'th scope="row"' if column == 0 else "td"
        end = tag.split()[0]
        if not isinstance(cell, Number):
            return f"<{tag}>{escape(_plain(cell))}</{end}>"
        text = escape(_text(cell))
        text = {"best": f"<b>{text}</b>", "second": f"<u>{text}</u>"}.get(cell.mark, text)
        return f"<{tag}>{text}{''.join(f'<sup>{_letter(i)}</sup>' for i in cell.notes)}</{end}>"


def write_table(
    root: str | Path,
    *,
    format: Format = "markdown",
    layout: str = "overall",
    method: str | None = None,
    out: str | Path | None = None,
) -> str:
    """Render a table of a result folder; also written to `out` where given.

    Args:
        root: result folder.
        format: "latex", "markdown", "csv" or "html".
        layout: "overall", "full", "per-class", "va", "mig", "leakage", "ablation", "published".
        method: label of the row that a per-class table is about; by default the best one.
        out: a file to write.

    Raises:
        FerBenchError: unknown format or layout, or the results lack what the layout shows.
    """
    if format not in RENDERERS:
        raise FerBenchError(f"there is no format {format!r}: {did_you_mean(format, RENDERERS)}")
    if layout not in LAYOUTS:
        raise FerBenchError(f"there is no layout {layout!r}: {did_you_mean(layout, LAYOUTS)}")
    summary = summarise(RunStore(root))
    text = RENDERERS[format](LAYOUTS[layout](summary, method))
    if out is not None:
        Path(out).write_text(text, encoding="utf-8")
    return text


RENDERERS: dict[str, Callable[[Table], str]] = {
    "latex": Table.to_latex,
    "markdown": lambda table: table.to_markdown() + "\n",
    "csv": Table.to_csv,
    "html": Table.to_html,
}


def leaderboard_table(summary: Summary, *, keys: Sequence[str] | None = None) -> Table:
    """All rows, the methods' best bold and second underlined, warned numbers footnoted."""
    columns = [
        leaderboard_columns()[key] for key in keys or main_columns() if key in summary.columns
    ]
    return _comparison(
        summary,
        columns,
        caption=f"{summary.title}: mean ± standard deviation over {_runs(summary)}.",
    )


def _comparison(summary: Summary, columns: Sequence[Column], *, caption: str) -> Table:
    notes = _Notes()
    heads = [Head("Method"), *map(_head, columns)]
    marks = {c.key: _marks(summary.of_role("method"), c) for c in columns}
    groups = []
    for role, title in ROLE_TITLES.items():
        rows = []
        for row in summary.of_role(role):
            cells: list[Cell] = [row.label]
            for c in columns:
                mark = marks[c.key].get(row.label, "")
                cells.append(_number(row.scores.get(c.key), c.style, mark, notes))
            rows.append(cells)
        if rows:
            groups.append((title, rows))
    failures = [
        f"{f.label}, seed {f.seed}, fold {f.fold} {f.kind}: {f.reason}" for f in summary.failures
    ]
    learned = [
        f"{', '.join(remark.rows)}: {remark.text}"
        for remark in summary.cautions
        if "training" in remark.metrics and remark.level != "note"
    ]
    return Table(caption, heads, groups, notes.texts, [*failures, *learned])


def _head(column: Column) -> Head:
    unit = {"percent": " (%)", "nats": " (nats)"}.get(column.style, "")
    return Head(column.title + unit, column.better)


class _Notes:
    """Footnotes; warnings that differ in their numbers alone share one."""

    def __init__(self) -> None:
        self._said: dict[tuple[str, ...], list[Caution]] = {}

    @property
    def texts(self) -> list[str]:
        return [merged(cautions) for cautions in self._said.values()]

    def of(self, cautions: Iterable[Caution]) -> tuple[int, ...]:
        out = []
        for caution in cautions:
            self._said.setdefault(caution.kind, []).append(caution)
            out.append(list(self._said).index(caution.kind))
        return tuple(dict.fromkeys(out))


def _number(found: Estimate | None, style: Style, mark: str, notes: _Notes | None = None) -> Cell:
    if found is None:
        return Number(None, None, style)
    spread = found.spread if found.n_runs > 1 else None
    said = notes.of(found.cautions) if notes is not None else ()
    return Number(found.mean, spread, style, mark, said)


def _marks(rows: Sequence[Row], column: Column) -> dict[str, str]:
    """Best and second among the methods, by the printed mean."""
    if not column.better:
        return {}
    sign = -1 if column.better == "high" else 1
    able = [row for row in rows if column.key in row.scores]
    ranked = sorted(able, key=lambda row: sign * row.scores[column.key].mean)
    if len(ranked) < 2:
        return {}
    return {ranked[0].label: "best", ranked[1].label: "second"}


def _overall(summary: Summary, method: str | None) -> Table:
    return leaderboard_table(summary)


def _full(summary: Summary, method: str | None) -> Table:
    return leaderboard_table(summary, keys=list(leaderboard_columns()))


def _per_class(summary: Summary, method: str | None) -> Table:
    """Expression, accuracy (recall), precision, recall, F1, support of one method."""
    row = _chosen(summary, method)
    if not row.per_class:
        raise RunError(f"{row.label!r} predicts no classes, so it has no per-class table.")
    rows = []
    for name, found in row.per_class.items():
        cells: list[Cell] = [name]
        for what in ("recall", "precision", "recall", "f1"):
            cells.append(_number(found.get(what), "ratio", ""))
        support = found.get("support")
        total = None if support is None else sum(support.values) / _repeats(row)
        cells.append(Number(total, None, "count"))
        rows.append(cells)
    heads = ["Expression", "Accuracy", "Precision", "Recall", "F1", "Support"]
    accuracy = row.scores["classification/test.accuracy"]
    text, spread = Number(accuracy.mean, accuracy.spread, "percent").digits()
    caption = f"{row.label}: performance by expression. Overall accuracy {text} ± {spread} %."
    note = "Accuracy of a class is its recall. Support: test faces of the class, each once."
    return Table(caption, [Head(h) for h in heads], [("", rows)], remarks=(note,))


def _repeats(row: Row) -> int:
    """How often each fold was run (seeds)."""
    return max(1, len({run["seed"] for run in row.runs.values()}))


def _chosen(summary: Summary, label: str | None) -> Row:
    if label is None:
        methods = summary.of_role("method") or list(summary.rows)
        return methods[0]
    labels = [row.label for row in summary.rows]
    if label not in labels:
        raise FerBenchError(f"there is no row {label!r}: {did_you_mean(label, labels)}")
    return summary.row(label)


_AFFECT: dict[str, Direction] = {"rmse": "low", "sagr": "high", "pcc": "high", "ccc": "high"}


def _affect_columns() -> list[Column]:
    return [
        Column(
            f"affect/test.{name}.{side}",
            f"{name.upper()} {side[0].upper()}",
            f"{name.upper()} of {side} over the whole test part.",
            unit="",
            better=better,
        )
        for name, better in _AFFECT.items()
        for side in ("valence", "arousal")
    ]


def _valence_arousal(summary: Summary, method: str | None) -> Table:
    columns = _affect_columns()
    if not any(c.key in row.scores for row in summary.rows for c in columns):
        raise RunError("these results have no valence-arousal scores: the layout 'va' is empty.")
    table = _comparison(
        summary,
        columns,
        caption=f"{summary.title}: valence (V) and arousal (A), mean ± standard deviation "
        f"over {_runs(summary)}.",
    )
    measures = {c.key.removeprefix("affect/test."): c.key for c in columns}
    return _with_published(table, summary, columns, measures)


def _mig(summary: Summary, method: str | None) -> Table:
    """Accuracy and MIG, as the paper prints them, with both terms; published rows apart."""
    keys = [
        "classification/test.accuracy",
        "mig/shared",
        "mig/leaked",
        "mig/mig",
        "mig/normalised",
    ]
    found = [k for k in keys if any(k in row.scores for row in summary.rows)]
    if not any(k.startswith("mig/") for k in found):
        raise RunError("these results have no MIG: the layout 'mig' is empty.")
    titles = {"mig/shared": "I(E_M; E_N)", "mig/leaked": "I(E_M; I_M)"}
    columns = [leaderboard_columns().get(k) or Column(k, titles[k], "", unit="nats") for k in found]
    table = _comparison(
        summary,
        columns,
        caption=f"{summary.title}: accuracy and modified mutual information gap on held-out "
        f"pairs, mean ± standard deviation over {_runs(summary)}.",
    )
    measures = {"accuracy": "classification/test.accuracy", "mig": "mig/mig"}
    return _with_published(table, summary, columns, measures)


def _with_published(
    table: Table, summary: Summary, columns: Sequence[Column], measures: Mapping[str, str]
) -> Table:
    """The table with what papers print of these methods, in a group of its own.

    Args:
        table: the measured rows, a column for the method first.
        summary: of the result folder.
        columns: of the table, after the first.
        measures: published measure -> key of the column that shows it.
    """
    place = {key: measure for measure, key in measures.items()}
    notes = list(table.notes)
    rows: list[list[Cell]] = []
    for published in published_rows(summary):
        if not published.here or not measures.keys() & published.numbers.keys():
            continue
        cells: list[Cell] = [f"{published.name}, {published.dataset}"]
        for column in columns:
            number = published.numbers.get(place.get(column.key, ""))
            if number is None:
                cells.append(Number(None, None, column.style))
                continue
            if number.note and number.note not in notes:
                notes.append(number.note)
            marks = (notes.index(number.note),) if number.note else ()
            cells.append(Number(number.value, None, number.style, notes=marks))
        rows.append(cells)
    if not rows:
        return table
    groups = [*table.groups, ("Published, not measured here", rows)]
    return replace(table, groups=groups, notes=notes)


def _leakage(summary: Summary, method: str | None) -> Table:
    """What the strongest probes read from E and I: the 2 x 2 matrix and its scale."""
    columns = [
        Column(f"leakage/{key}", title, "", unit=unit, better=better)
        for key, title, better, unit in _LEAKAGE
        if any(f"leakage/{key}" in row.scores for row in summary.rows)
    ]
    if not columns:
        raise RunError("these results have no leakage scores: the layout 'leakage' is empty.")
    return _comparison(
        summary,
        columns,
        caption=f"{summary.title}: what the strongest probe reads from the expression embedding "
        f"E and the identity embedding I, mean ± standard deviation over {_runs(summary)}.",
    )


_LEAKAGE: tuple[tuple[str, str, Direction, str], ...] = (
    ("E.identity.strongest", "Identity from E", "low", "fraction"),
    ("E.identity.normalised", "of pixels", "low", "fraction"),
    ("E.identity.excess", "beyond label", "low", "fraction"),
    ("E.identity.auc", "AUC", "low", ""),
    ("I.identity.strongest", "Identity from I", "high", "fraction"),
    ("E.expression.strongest", "Expression from E", "high", "fraction"),
    ("I.expression.strongest", "Expression from I", "low", "fraction"),
)


def _ablation(summary: Summary, method: str | None) -> Table:
    """Variants of one method in the order of the experiment: what differs, and what came out."""
    variants: dict[str, list[Row]] = {}
    order = [m.get("label") for m in summary.experiment.get("methods", ())]
    place = {label: i for i, label in enumerate(order)}
    for row in sorted(summary.rows, key=lambda row: place.get(row.label, len(place))):
        variants.setdefault(row.method, []).append(row)
    chosen = [rows for rows in variants.values() if len(rows) > 1]
    if method is not None:
        chosen = [variants[_chosen(summary, method).method]]
    if not chosen:
        raise RunError(
            "no method appears twice with different parameters: an ablation needs several "
            "[[methods]] entries of one name with labels of their own."
        )
    settings = [_settings(row) for rows in chosen for row in rows]
    names = [n for n in dict.fromkeys(k for s in settings for k in s) if _differs(settings, n)]
    keys = ("affect/test.ccc.valence", "affect/test.ccc.arousal", *main_columns())
    extra = {c.key: c for c in _affect_columns()}
    columns = [
        extra.get(k) or leaderboard_columns()[k]
        for k in keys
        if any(k in r.scores for rows in chosen for r in rows)
    ]
    groups = []
    for rows in chosen:
        marks = {c.key: _marks(rows, c) for c in columns}
        body = []
        for row in rows:
            settings_of = _settings(row)
            cells: list[Cell] = [row.label, *(_setting(settings_of.get(n)) for n in names)]
            cells += [
                _number(row.scores.get(c.key), c.style, marks[c.key].get(row.label, ""))
                for c in columns
            ]
            body.append(cells)
        groups.append((rows[0].title, body))
    heads = [
        Head("Variant"),
        *(Head(n) for n in names),
        *map(_head, columns),
    ]
    return Table(f"{summary.title}: ablation over {_runs(summary)}.", heads, groups)


def _settings(row: Row) -> dict[str, Any]:
    """Parameters and training settings as one flat mapping of dotted names."""
    out: dict[str, Any] = {}

    def flatten(prefix: str, value: Any) -> None:
        if isinstance(value, dict) and value:
            for key, inner in value.items():
                flatten(f"{prefix}.{key}" if prefix else str(key), inner)
        else:
            out[prefix] = value

    flatten("", row.parameters)
    flatten("training", row.training)
    return out


def _differs(settings: Sequence[dict[str, Any]], name: str) -> bool:
    return len({json.dumps(s.get(name), sort_keys=True) for s in settings}) > 1


def _setting(value: Any) -> str:
    if isinstance(value, bool):
        return "✓" if value else "–"
    if isinstance(value, (list, tuple)):
        return ", ".join(map(str, value)) or "none"
    return "default" if value is None else str(value)


def _published(summary: Summary, method: str | None) -> Table:
    """What papers print, of the methods compared here first: a row a method, setting and data."""
    rows = [
        [row.name, row.dataset, row.text, row.source, row.note] for row in published_rows(summary)
    ]
    heads = ["Method", "Data", "Published", "Source", "Remark"]
    caption = "Published numbers: printed in the sources, not measured here."
    return Table(caption, [Head(h) for h in heads], [("", rows)])


LAYOUTS: dict[str, Callable[[Summary, str | None], Table]] = {
    "overall": _overall,
    "full": _full,
    "per-class": _per_class,
    "va": _valence_arousal,
    "mig": _mig,
    "leakage": _leakage,
    "ablation": _ablation,
    "published": _published,
}


def _runs(summary: Summary) -> str:
    seeds, folds = len(summary.seeds), len(summary.folds)
    words = [f"{seeds} seed{'s' * (seeds != 1)}", f"{folds} fold{'s' * (folds != 1)}"]
    return " × ".join(words)


def _text(number: Number) -> str:
    mean, spread = number.digits()
    if not mean:
        return "–"
    mean = mean.replace("-", "\N{MINUS SIGN}")
    return f"{mean} ± {spread}" if spread else mean


def _arrow(better: str) -> str:
    return {"high": " ↑", "low": " ↓"}.get(better, "")


def _latex_arrow(better: str) -> str:
    return {"high": r" $\uparrow$", "low": r" $\downarrow$"}.get(better, "")


def _letter(i: int) -> str:
    """a, b, ..., z, aa, ab, ..."""
    return (_letter(i // 26 - 1) if i >= 26 else "") + chr(ord("a") + i % 26)


def _pipe(cells: Iterable[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def _csv_number(value: float | None) -> str:
    return "" if value is None or not math.isfinite(value) else repr(float(value))


def _spreadsheet(text: str) -> str:
    """Text that no spreadsheet takes for a formula."""
    text = _plain(text)
    return "'" + text if text[:1] in ("=", "+", "-", "@") else text


def _plain(text: str, *, longest: int = 400) -> str:
    """One line without control and direction characters, cut to a readable length."""
    clean = "".join(
        " " if c in "\n\r\t" else c
        for c in str(text)
        if unicodedata.category(c) not in _INVISIBLE or c in "\n\r\t"
    )
    clean = re.sub(r"\s+", " ", clean).strip()
    return clean if len(clean) <= longest else clean[: longest - 1] + "…"


_INVISIBLE = frozenset({"Cc", "Cf", "Cs", "Co", "Cn"})


def _markdown(text: str) -> str:
    out = _plain(text, longest=_LONGEST * 3)
    out = out.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return re.sub(r"([\\`*_\[\]|])", r"\\\1", out)


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
    return "".join(_latex_char(c) for c in _plain(text, longest=longest))


def _latex_char(c: str) -> str:
    if c in _LATEX:
        return _LATEX[c]
    if ord(c) < 0x180 and c.isprintable():
        return c
    base = unicodedata.normalize("NFKD", c)
    if base and all(ord(b) < 0x80 for b in base):
        return "".join(_LATEX.get(b, b) for b in base)
    return f"[U+{ord(c):04X}]"
