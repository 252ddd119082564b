"""The leaderboard: what decides in four columns, the rest folded."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from itertools import product
from typing import Any, get_args

from fer_bench.reports.aggregate import Estimate
from fer_bench.reports.columns import Column, leaderboard_columns
from fer_bench.reports.material import Material
from fer_bench.reports.sections.limits import numbered
from fer_bench.reports.sections.section import Section
from fer_bench.reports.standing import at_most, is_evidence, may_lead, sound, withheld
from fer_bench.reports.summary import ROLES, Row, Summary
from fer_bench.reports.text import formatted
from fer_bench.score import Aspect

TITLES = {"method": "Methods", "reference": "Reference rows", "oracle": "Oracles"}
FAILED = "fails its calibration"
NOTES = {
    "reference": "nothing is claimed for them: they show what comes for free",
    "oracle": "they are shown the labels, to pin the ends of every scale",
}


@dataclass(frozen=True)
class Cell:
    """How one number is shown.

    Attributes:
        text: the mean, a bound of it ("≤ 0.1"), or why there is none.
        half: half the width of its interval, "" where there is none.
        title: the interval and the value without any effect, in words.
        remark: what is wrong with a number that is shown all the same.
        order: what it is sorted by; NaN for a missing one.
        rank: "best", "tied" or "".
        bar: where on the column's range the bar from 0 to the mean starts, and how long it is;
            None for a missing one.
        null: the place of the value without any effect on that range, or None.
    """

    text: str
    half: str = ""
    title: str = ""
    remark: str = ""
    order: float = float("nan")
    rank: str = ""
    bar: tuple[float, float] | None = None
    null: float | None = None


def content(page: Material) -> Mapping[str, Any]:
    """Both boards by role, and the methods of which every run failed."""
    summary = page.summary
    columns = deciding_columns(summary)
    unfit = {key for row in summary.rows for key, v in row.scores.items() if not is_evidence(v)}
    more = [
        column
        for key, column in leaderboard_columns().items()
        if key in summary.columns and (column not in columns or key in unfit)
    ]
    there = {row.label for row in summary.rows}
    gone = {f.label: f for f in summary.failures if f.label not in there}
    shown = cells(summary, columns)
    return {
        "columns": columns,
        "more": more,
        "groups": [
            {"role": role, "title": TITLES[role], "note": NOTES.get(role, ""), "rows": rows}
            for role in ROLES
            if (rows := summary.of_role(role)) or (role == "method" and gone)
        ],
        "cells": shown,
        "more_cells": cells(summary, more, unfit=True),
        "meanings": [*columns, *(column for column in more if column not in columns)],
        "bounds": any(
            at_most(row.scores[c.key])
            for c, row in product(columns, summary.rows)
            if c.key in row.scores
        ),
        "flags": _flags(summary),
        "gone": list(gone.values()),
        "marks": any(cell.rank for cell in shown.values()),
        "rivals": len(summary.of_role("method")) > 1,
    }


def deciding_columns(summary: Summary) -> list[Column]:
    """One column an aspect: recognition, valence and arousal, leak, separation."""
    columns = (summary.about(aspect) for aspect in get_args(Aspect) if aspect)
    return [column for column in columns if column is not None]


def cells(
    summary: Summary, columns: Iterable[Column], *, unfit: bool = False
) -> dict[tuple[str, str], Cell]:
    """(label, key) -> cell; numbers that are no evidence only where they are asked for."""
    out = {}
    for column in columns:
        ranks = _ranks(summary, column)
        values = {r.label: r.scores[column.key] for r in summary.rows if column.key in r.scores}
        if not unfit:
            values = {label: value for label, value in values.items() if not withheld(value)}
        span = _span(values.values(), column)
        for row in summary.rows:
            value = row.scores.get(column.key)
            if value is None:
                cell = Cell(_why(row, column))
            elif unfit:
                cell = replace(_cell(value, column, span), remark=_remark(value))
            elif withheld(value):
                cell = Cell(FAILED)
            elif at_most(value):
                cell = _bound(value, column, span)
            else:
                cell = _cell(value, column, span)
            out[row.label, column.key] = replace(cell, rank=ranks.get(row.label, ""))
    return out


def _remark(value: Estimate) -> str:
    return FAILED if withheld(value) else "at most" if at_most(value) else ""


def _decided(verdict: Any) -> bool:
    """Whether somebody is separated from the best."""
    return len(verdict.tied) < verdict.comparable - 1


def _ranks(summary: Summary, column: Column) -> dict[str, str]:
    """Marks of the methods: a best one only where it is alone, sound, and may lead.

    There is none where a method could not be compared: information that is hard to measure is
    often much.
    """
    verdict = summary.verdict(column.key)
    measured = [row for row in summary.of_role("method") if column.key in row.scores]
    if verdict is None or verdict.comparable < len(measured) or not _decided(verdict):
        return {}
    best = summary.row(verdict.best)
    if not may_lead(verdict.value, column) or not sound(best.scores, summary.use):
        return {}
    if verdict.tied:
        return dict.fromkeys((verdict.best, *verdict.tied), "tied")
    return {verdict.best: "best"}


def _cell(value: Estimate, column: Column, span: tuple[float, float]) -> Cell:
    half, title = "", "no interval"
    if value.low is not None and value.high is not None:
        low, high = (formatted(bound, column.style) for bound in (value.low, value.high))
        half = formatted((value.high - value.low) / 2, column.style)
        title = f"95 % interval {low} to {high}: {value.how}"
    if column.null and value.null is not None:
        title += f"; {column.null} {formatted(value.null, column.style)}"
    return Cell(
        text=formatted(value.mean, column.style),
        half=half,
        title=title,
        order=value.mean,
        bar=_bar(value.mean, span),
        null=_place(value.null, span) if column.null and value.null is not None else None,
    )


def _bound(value: Estimate, column: Column, span: tuple[float, float]) -> Cell:
    """A number of which only the upper end is known, where it has an interval."""
    most = value.high
    if most is None:
        return Cell(FAILED)
    title = (
        "the upper end of the 95 % interval: the second term is read too low, so that the truth "
        "is less, as far as the first term's calibration can tell"
    )
    text = f"≤ {formatted(most, column.style)}"
    return Cell(text, title=title, order=most, bar=_bar(most, span))


def _why(row: Row, column: Column) -> str:
    metric = column.key.partition("/")[0]
    why = row.failed.get(metric) or row.skipped.get(metric) or "not measured"
    return why.removeprefix("the method has ").removeprefix("the method predicts ")


def _span(values: Iterable[Estimate], column: Column) -> tuple[float, float]:
    """The range of a column's bars: percent from 0 to 100, else what is drawn spans with 0."""
    ends = [v.mean if v.high is None or not at_most(v) else v.high for v in values]
    if column.style == "percent":
        ends.append(1.0)
    return min([0.0, *ends]), max([0.0, *ends])


def _bar(value: float, span: tuple[float, float]) -> tuple[float, float]:
    zero, end = _place(0.0, span), _place(value, span)
    return min(zero, end), abs(end - zero)


def _place(value: float, span: tuple[float, float]) -> float:
    low, high = span
    return min(1.0, max(0.0, (value - low) / (high - low))) if high > low else 0.0


def _flags(summary: Summary) -> dict[str, list[tuple[int, str]]]:
    """Label -> number and text of the warnings that concern it, and not every method alike."""
    out: dict[str, list[tuple[int, str]]] = {row.label: [] for row in summary.rows}
    methods = {row.label for row in summary.of_role("method")}
    for number, remark in numbered(summary).items():
        if methods and methods <= set(remark.rows):
            continue
        for label in remark.rows:
            if remark.level != "note" and label in out:
                out[label].append((number, remark.text))
    return out


SECTION = Section("board", "Leaderboard", 40, content)
