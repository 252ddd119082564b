"""Who is recognised worse, and what is left on other data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from fer_bench.cautions import has
from fer_bench.reports.columns import Entry, entries
from fer_bench.reports.figures.heat import groups_figure, transfer_heat
from fer_bench.reports.material import Material
from fer_bench.reports.rendering import svg
from fer_bench.reports.sections.section import Section
from fer_bench.reports.summary import Row


def content(page: Material) -> Mapping[str, Any] | None:
    """One heat map of the groups that have people enough; every number in folded tables."""
    methods = page.summary.of_role("method")
    groups = _tables(methods, "groups", "attribute", "group")
    transfer = _tables(methods, "transfer", "set", "")
    if not groups and not transfer:
        return None
    elsewhere = svg(
        transfer_heat(page.summary), "Accuracy of every method on other data", cropped=True
    )
    figure = svg(groups_figure(_large(groups)), "Accuracy of each group and method", cropped=True)
    return {
        "figure": figure,
        "elsewhere": elsewhere,
        "tables": [
            ("Accuracy by", "Group", groups),
            ("Without adaptation on", "Measure", transfer),
        ],
    }


def _tables(rows: Sequence[Row], table: str, head: str, level: str) -> list[dict[str, Any]]:
    """A table for each attribute or set: its lines are levels, then what compares them."""
    shown = {row.label: entries(row.scores, table) for row in rows}
    out: dict[str, dict[str, dict[str, Entry]]] = {}
    for label, mine in shown.items():
        for entry in mine:
            if head in entry.words:
                name = entry.words.get(level, entry.column.title)
                lines = out.setdefault(entry.words[head], {})
                lines.setdefault(name, {})[label] = entry
    return [_table(name, lines, list(shown)) for name, lines in out.items()]


def _table(
    name: str, lines: Mapping[str, Mapping[str, Entry]], labels: Sequence[str]
) -> dict[str, Any]:
    able = [label for label in labels if any(label in line for line in lines.values())]
    return {
        "name": name,
        "labels": able,
        "lines": [
            {
                "level": level,
                "column": (first := next(iter(line.values()))).column,
                "n": first.value.n // first.value.n_runs if first.words.get("group") else 0,
                "cells": [line[label].value if label in line else None for label in able],
            }
            for level, line in lines.items()
        ],
    }


def _large(tables: Sequence[Mapping[str, Any]]) -> dict[str, dict[str, float]]:
    """ "attribute: group" -> label -> accuracy, of groups of five people and more."""
    out = {}
    for table in tables:
        for line in table["lines"]:
            known = dict(zip(table["labels"], line["cells"], strict=True))
            values = {label: v for label, v in known.items() if v is not None}
            few = any(has(v.cautions, "few-clusters", "small-group") for v in values.values())
            if line["n"] and values and not few:
                name = f"{table['name'].replace('_', ' ')}: {line['level']}"
                out[name] = {label: v.mean for label, v in values.items()}
    return out


SECTION = Section("groups", "Groups and other data", 90, content, "Groups", "onscreen")
