"""A leaderboard of files: many result files of one folder as one static page.

Rows are compared where the hash of their protocol is the same, and stand apart where not.
"""

from __future__ import annotations

import json
import math
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fer_bench.data.pages import render, write_page
from fer_bench.errors import RunError
from fer_bench.reports.columns import leaderboard_columns, main_columns
from fer_bench.reports.pack import FORMAT, self_hash
from fer_bench.reports.text import formatted
from fer_bench.sharing.protocols import protocol_hash

_ROUNDING = 1e-6


@dataclass(frozen=True)
class Entry:
    """One row of one file."""

    file: str
    created: str
    row: dict[str, Any]
    content: dict[str, Any]

    @property
    def verified(self) -> str:
        """Who verified it and what that showed, in words."""
        verification = self.content.get("verification")
        if not verification or not verification["passed"]:
            return "not verified"
        runs = self.content["runs"]
        own = {run for run, about in runs.items() if about["label"] == self.row["label"]}
        again = own & {c["run"] for c in verification["cells"] if c["consistent"]}
        what = "scores follow from the arrays"
        what += f"; {len(again)} of {len(own)} runs consistent with retraining" if again else ""
        return what + (f" ({verification['by']})" if verification["by"] else "")


def read_results(folder: str | Path) -> list[tuple[Path, dict[str, Any]]]:
    """All result files of a folder, sound ones.

    Raises:
        RunError: there is none, or one of them contradicts itself.
    """
    paths = sorted(Path(folder).glob("*.json"))
    if not paths:
        raise RunError(f"there is no result file in {str(folder)!r}: `fer-bench pack` writes them.")
    out = []
    for path in paths:
        problems = check_file(path)
        if problems:
            raise RunError(f"{path}: {problems[0]}.")
        out.append((path, json.loads(path.read_text(encoding="utf-8"))))
    return out


def check_file(path: Path) -> list[str]:
    """What is wrong with a result file, in words; nothing for a sound one."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(content, dict) or content.get("format") != FORMAT:
            return [f"is no result file ({FORMAT!r})"]
        return list(_problems(content))
    except (OSError, ValueError) as error:
        return [f"cannot be read ({error})"]
    except (KeyError, TypeError, AttributeError) as error:
        return [f"lacks what a result file has ({type(error).__name__}: {error})"]


def _problems(content: dict[str, Any]) -> Iterator[str]:
    if content["sha256"] != self_hash(content):
        yield "was changed after it was packed (its hash differs)"
    if content["protocol"]["hash"] != protocol_hash(content["protocol"]):
        yield "names another protocol than its hash says"
    labels = {about["label"] for about in content["runs"].values()}
    for row in content["rows"]:
        if row["label"] not in labels:
            yield f"has the row {row['label']!r} without a run"
        for key, score in row["scores"].items():
            yield from _wrong_mean(content, row["label"], key, score)
    verification = content["verification"]
    if verification is not None:
        then = {run: hashes.get("scores") for run, hashes in verification["runs"].items()}
        if then != {run: about["scored"] for run, about in content["runs"].items()}:
            yield "carries a verification of other scores"
        if not verification["passed"]:
            yield "carries a verification that found contradictions"


def _wrong_mean(
    content: dict[str, Any], label: str, key: str, score: dict[str, Any]
) -> Iterator[str]:
    """A row's mean is that of its runs; scores that rest on other rows are not in the runs."""
    values = [
        run["scores"][key]["value"]
        for run in content["runs"].values()
        if run["label"] == label and key in run["scores"]
    ]
    known = [value for value in values if value is not None]
    if known and len(known) == score["n_runs"]:
        mean = sum(known) / len(known)
        if not math.isclose(mean, score["mean"], rel_tol=_ROUNDING, abs_tol=_ROUNDING):
            yield f"{label}: {key} is said to be {score['mean']:.6g}, and its runs give {mean:.6g}"
    bounds = (score["low"], score["mean"], score["high"])
    if None not in bounds and sorted(bounds) != list(bounds):
        yield f"{label}: {key} lies outside its own interval"


def write_board(folder: str | Path, out: str | Path | None = None) -> Path:
    """Write the page of a folder of result files.

    Args:
        folder: with the files.
        out: the page; `<folder>/index.html` by default.

    Raises:
        RunError: see `read_results`.
    """
    results = read_results(folder)
    by_protocol: dict[str, list[Entry]] = defaultdict(list)
    for path, content in results:
        for row in content["rows"]:
            entry = Entry(path.name, content["created"], row, content)
            by_protocol[content["protocol"]["hash"]].append(entry)
    tables = [_table(entries) for entries in by_protocol.values()]
    tables.sort(key=lambda table: (-len(table["lines"]), table["hash"]))
    target = Path(out) if out is not None else Path(folder) / "index.html"
    lead = (
        f"{len(results)} result files, {len(tables)} protocols. Rows of one table have the same "
        "faces, labels, folds and versions of the metrics; rows of two tables do not compare.",
        "Intervals are 95 %. Verified means that the scores follow from the arrays; whether the "
        "arrays come from the method is shown by training again alone.",
    )
    body = render(_BOARD, tables=tables)
    return write_page(target, "Results", body, lead=lead, extra_style=_STYLE)


def _table(entries: Sequence[Entry]) -> dict[str, Any]:
    """One protocol: the newest row of each label, and the older ones."""
    newest: dict[str, Entry] = {}
    older: list[Entry] = []
    for entry in sorted(entries, key=lambda e: e.created):
        label = entry.row["label"]
        if label in newest:
            older.append(newest[label])
        newest[label] = entry
    about = entries[0].content
    keys = [k for k in main_columns() if any(k in e.row["scores"] for e in newest.values())]
    columns = [leaderboard_columns()[key] for key in keys]
    roles = ("method", "reference", "oracle")
    first = keys[0] if keys else ""

    def order(entry: Entry) -> tuple[int, float]:
        lead = entry.row["scores"].get(first)
        sign = -1 if columns and columns[0].better == "high" else 1
        return roles.index(entry.row["role"]), sign * lead["mean"] if lead else math.inf

    return {
        "hash": about["protocol"]["hash"],
        "name": about["protocol"]["name"],
        "version": about["protocol"]["version"],
        "data": about["data"],
        "folds": len(about["protocol"]["used"]),
        "metrics": about["protocol"]["metrics"],
        "columns": columns,
        "lines": [_line(e, keys) for e in sorted(newest.values(), key=order)],
        "older": [_line(e, keys) for e in reversed(older)],
    }


def _line(entry: Entry, keys: Sequence[str]) -> dict[str, Any]:
    return {
        "label": entry.row["label"],
        "role": entry.row["role"],
        "cells": [_cell(entry.row["scores"].get(key), key) for key in keys],
        "verified": entry.verified,
        "created": entry.created[:10],
        "file": entry.file,
    }


def _cell(score: dict[str, Any] | None, key: str) -> tuple[str, str]:
    """A value and its interval, "" where there is none."""
    if score is None:
        return "–", ""
    style = leaderboard_columns()[key].style
    value, low, high = (
        "" if score[name] is None else formatted(score[name], style)
        for name in ("mean", "low", "high")
    )
    return value, f"[{low}, {high}]" if low and high else ""


_STYLE = ".number { white-space: nowrap } .number .soft { display: block; font-size: .85em }"
_BOARD = """
{% macro rows(lines) %}{% for line in lines %}<tr><td>{{ line.label }}
{%- if line.role != "method" %} <span class="soft">({{ line.role }})</span>{% endif %}
{% for value, interval in line.cells %}<td class="number">{{ value }} <span class="soft">
{{- interval }}</span>{% endfor %}<td>{{ line.verified }}
<td class="number"><a href="{{ line.file }}">{{ line.created }}</a></tr>{% endfor %}{% endmacro %}
{% macro head(columns) %}<tr><th>method{% for c in columns %}<th title="{{ c.meaning }}">
{{- c.title }}
{{- {"high": " ↑", "low": " ↓"}.get(c.better, "") }}{% endfor %}<th>verified<th>file</tr>
{% endmacro %}
{% for t in tables %}<h2>{% if t.name %}{{ t.name }} {{ t.version }}{% else %}{{ t.data.title or
t.data.name }}{% endif %} <code>{{ t.hash }}</code></h2>
<p class="soft">{{ t.data.n }} faces{% if t.data.n_subjects %}, {{ t.data.n_subjects }} people
{%- endif %}, {{ t.data.classes|length }} expressions, {{ t.folds }} fold{{ "s" if t.folds > 1 }};
{% for name, version in t.metrics.items() %}{{ name }} {{ version }}{{ ", " if not loop.last }}
{%- endfor %}. {{ t.data.terms }}</p>
<div class="scroll"><table>{{ head(t.columns) }}{{ rows(t.lines) }}</table></div>
{% if t.older %}<details><summary>{{ t.older|length }} older rows</summary><div class="scroll">
<table>{{ head(t.columns) }}{{ rows(t.older) }}</table></div></details>{% endif %}{% endfor %}
"""
