"""Which rows and columns the tables have: one function a layout."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from fer_bench.cautions import Caution, merged
from fer_bench.errors import FerBenchError, RunError, did_you_mean
from fer_bench.reports.aggregate import Estimate
from fer_bench.reports.columns import (
    Column,
    columns_about,
    columns_of,
    leaderboard_columns,
    main_columns,
    with_unit_in_title,
)
from fer_bench.reports.published import published_rows
from fer_bench.reports.standing import is_evidence, may_lead, sound
from fer_bench.reports.summary import Row, Summary
from fer_bench.reports.tables.model import Cell, Head, Number, Table
from fer_bench.score import Style
from fer_bench.terminal import counted

ROLE_TITLES = {"method": "", "reference": "Reference rows", "oracle": "Oracles"}


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
    tie = summary.tie
    heads = [Head("Method"), *([Head(f"Tie of {tie['attribute']}, ρ")] if tie else []),
             *map(_head, columns)]  # fmt: skip
    marks = {c.key: _marks(summary.of_role("method"), c, summary.use) for c in columns}
    groups = []
    for role, title in ROLE_TITLES.items():
        rows = []
        for row in summary.of_role(role):
            cells: list[Cell] = [row.label, *([f"{tie['rho']:g}"] if tie else [])]
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
    return Table(caption, heads, groups, notes.texts, [*_strength(tie), *failures, *learned])


def _strength(tie: Mapping[str, Any]) -> Iterator[str]:
    """Of which strength the rows of a confounding experiment are."""
    if len(tie.get("strengths", ())) > 1:
        yield (
            f"Trained with {tie['attribute']} tied to the expression at ρ = {tie['rho']:g}, the "
            f"weakest of {', '.join(f'{rho:g}' for rho in tie['strengths'])}; the report draws all."
        )


def _head(column: Column) -> Head:
    return Head(with_unit_in_title(column), column.better)


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


def _number(score: Estimate | None, style: Style, mark: str, notes: _Notes | None = None) -> Cell:
    if score is None:
        return Number(None, None, style)
    spread = score.spread if score.n_runs > 1 else None
    said = notes.of(score.cautions) if notes is not None else ()
    return Number(score.mean, spread, style, mark, said)


def _marks(rows: Sequence[Row], column: Column, use: Column | None) -> dict[str, str]:
    """Best and second by the printed mean, among the sound methods whose value may lead."""
    if not column.better:
        return {}
    sign = -1 if column.better == "high" else 1
    known = [row for row in rows if column.key in row.scores]
    if not all(is_evidence(row.scores[column.key]) for row in known):
        return {}  # information that is hard to measure is often much
    able = [
        row for row in known if sound(row.scores, use) and may_lead(row.scores[column.key], column)
    ]
    ranked = sorted(able, key=lambda row: sign * row.scores[column.key].mean)
    marks = ("best", "second") if len(known) > 1 else ()
    return {row.label: mark for row, mark in zip(ranked, marks, strict=False)}


def _full(summary: Summary, method: str | None) -> Table:
    return leaderboard_table(summary, keys=list(leaderboard_columns()))


def _per_class(summary: Summary, method: str | None) -> Table:
    """Expression, accuracy (recall), precision, recall, F1, support of one method."""
    row = _chosen(summary, method)
    if not row.per_class:
        raise RunError(f"{row.label!r} predicts no classes, so it has no per-class table.")
    rows = []
    for name, measures in row.per_class.items():
        cells: list[Cell] = [name]
        for what in ("recall", "precision", "recall", "f1"):
            cells.append(_number(measures.get(what), "percent", ""))
        support = measures.get("support")
        total = None if support is None else sum(support.values) / row.repeats
        cells.append(Number(total, None, "count"))
        rows.append(cells)
    measured = [f"{title} (%)" for title in ("Accuracy", "Precision", "Recall", "F1")]
    heads = ["Expression", *measured, "Support"]
    overall = row.scores[columns_about("recognition")[0].key]
    text, spread = Number(overall.mean, overall.spread, "percent").digits()
    caption = f"{row.label}: performance by expression. Overall accuracy {text} ± {spread} %."
    note = "Accuracy of a class is its recall. Support: test faces of the class, each once."
    return Table(caption, [Head(h) for h in heads], [("", rows)], remarks=(note,))


def _chosen(summary: Summary, label: str | None) -> Row:
    if label is None:
        methods = summary.of_role("method") or list(summary.rows)
        return methods[0]
    labels = [row.label for row in summary.rows]
    if label not in labels:
        raise FerBenchError(f"there is no row {label!r}: {did_you_mean(label, labels)}")
    return summary.row(label)


def _measured(summary: Summary, layout: str) -> list[Column]:
    """The columns of a layout that some row has."""
    columns = [c for c in columns_of(layout) if any(c.key in row.scores for row in summary.rows)]
    if not columns:
        raise RunError(f"these results have no scores of the layout {layout!r}: it is empty.")
    return columns


def _valence_arousal(summary: Summary, method: str | None) -> Table:
    columns = _measured(summary, "va")
    table = _comparison(
        summary,
        columns,
        caption=f"{summary.title}: valence (V) and arousal (A), mean ± standard deviation "
        f"over {_runs(summary)}.",
    )
    return _with_published(table, summary, columns)


def _mig(summary: Summary, method: str | None) -> Table:
    """Accuracy and MIG, as the paper prints them, with both terms; published rows apart."""
    columns = _measured(summary, "mig")
    if len(columns) == 1:  # the accuracy alone
        raise RunError("these results have no MIG: the layout 'mig' is empty.")
    table = _comparison(
        summary,
        columns,
        caption=f"{summary.title}: accuracy and modified mutual information gap on held-out "
        f"pairs, mean ± standard deviation over {_runs(summary)}.",
    )
    return _with_published(table, summary, columns)


def _with_published(table: Table, summary: Summary, columns: Sequence[Column]) -> Table:
    """The table with what papers print of these methods, in a group of its own.

    Args:
        table: the measured rows, a column for the method first.
        summary: of the result folder.
        columns: of the table, after the first.
    """
    measures = {column.published for column in columns}
    notes = list(table.notes)
    rows: list[list[Cell]] = []
    for published in published_rows(summary):
        if not published.here or not measures & published.numbers.keys():
            continue
        cells: list[Cell] = [f"{published.name}, {published.dataset}"]
        for column in columns:
            number = published.numbers.get(column.published)
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
    return _comparison(
        summary,
        _measured(summary, "leakage"),
        caption=f"{summary.title}: what the strongest probe reads from the expression embedding "
        f"E and the identity embedding I, mean ± standard deviation over {_runs(summary)}.",
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
    settings = [[_settings(row) for row in rows] for rows in chosen]
    named = dict.fromkeys(k for variants_of in settings for s in variants_of for k in s)
    names = [n for n in named if any(_differs(variants_of, n) for variants_of in settings)]
    shown = [*columns_of("ablation"), *(leaderboard_columns()[key] for key in main_columns())]
    columns = [c for c in shown if any(c.key in r.scores for rows in chosen for r in rows)]
    groups = []
    for rows, variants_of in zip(chosen, settings, strict=True):
        marks = {c.key: _marks(rows, c, summary.use) for c in columns}
        has = set().union(*variants_of)
        body = []
        for row, of in zip(rows, variants_of, strict=True):
            cells: list[Cell] = [
                row.label,
                *(_setting(of.get(n)) if n in has else "" for n in names),
            ]
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
    """What papers print, of the methods compared here first: a row per method, setting and data."""
    rows = [
        [row.name, row.dataset, row.text, row.source, row.note] for row in published_rows(summary)
    ]
    heads = ["Method", "Data", "Published", "Source", "Remark"]
    caption = "Published numbers: printed in the sources, not measured here."
    return Table(caption, [Head(h) for h in heads], [("", rows)])


LAYOUTS: dict[str, Callable[[Summary, str | None], Table]] = {
    "overall": lambda summary, method: leaderboard_table(summary),
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
    words = [counted(seeds, "seed"), counted(folds, "fold")]
    return " × ".join(words)
