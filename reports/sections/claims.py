"""Claims that the person is gone: what a fixed attacker says, what one that learns says."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, get_args

from fer_bench.attackers.frontier import (
    Point,
    State,
    Verdict,
    against_curve,
    mean_curve,
    points_of,
)
from fer_bench.attackers.metric import FIXED, TRAINED
from fer_bench.errors import DataError
from fer_bench.reports.aggregate import Estimate
from fer_bench.reports.columns import Column, columns_of, entries
from fer_bench.reports.figures.eraser_curves import eraser_curves
from fer_bench.reports.material import Material
from fer_bench.reports.rendering import svg
from fer_bench.reports.sections.section import Section
from fer_bench.reports.summary import Row, Summary

PLAIN = "erm"  # the method, or the label of embeddings of one's own, whose curve is the line
ALONE = "class scores"

Left = dict[str, Estimate]  # "leak" and "utility"
Curves = Mapping[tuple[int, int], Sequence[Point]]  # (seed, fold) -> the curve of that run


@dataclass(frozen=True)
class Place:
    """A place among the methods, 1 leaks least.

    Attributes:
        at: by the mean.
        first, last: the best and the worst place that the intervals of all leave open.
    """

    at: int
    first: int
    last: int


@dataclass(frozen=True)
class Reading:
    """What one attacker reads from the methods.

    Attributes:
        least: label of the one that leaks least, by the mean.
        low, high: the least and the largest leak, by the mean.
        told: how many leak more than guessing, by their intervals.
    """

    least: str
    low: float
    high: float
    told: int


@dataclass(frozen=True)
class Line:
    """One row of the table.

    Attributes:
        row: of the leaderboard.
        cells: its scores in the order of the columns, None for a missing one.
        steps: the leak for every attacker, likewise.
        places: among the methods for the fixed and for the trained attacker; None for others.
        verdict: how it stands to the curve of ERM with an eraser, where that was measured.
        left: what an eraser of each strength leaves (`erased`).
    """

    row: Row
    cells: tuple[Estimate | None, ...]
    steps: tuple[Estimate | None, ...]
    places: tuple[Place, Place] | None
    verdict: Verdict | None
    left: Mapping[str, Left]


def content(page: Material) -> Mapping[str, Any] | None:
    """A line per row: methods with their place for both attackers, then the other rows."""
    summary = page.summary
    columns, steps = asked(summary, "claims"), asked(summary, "ladder")
    compared = [c for key in (FIXED, TRAINED) for c in columns if c.key.endswith(f"/{key}")]
    if len(compared) != 2:  # no attackers, or an earlier version's
        return None
    fixed, trained = compared
    methods = _with(summary.of_role("method"), trained)
    others = _with([row for row in summary.rows if row.role != "method"], trained)
    ranked = _with(methods, fixed)
    before, after = (places(ranked, column) for column in compared)
    curves, line = kept_curves(page), plain_encoder(summary)
    verdicts = curve_verdicts(curves, line)
    strengths, left = erased(summary.rows)
    lines = [
        Line(
            row,
            tuple(row.scores.get(column.key) for column in columns),
            tuple(row.scores.get(column.key) for column in steps),
            (before[row.label], after[row.label]) if row.label in before else None,
            verdicts.get(row.label),
            left.get(row.label, {}),
        )
        for rows in (methods, others)
        for row in sorted(rows, key=lambda r: _leak(r, trained))
    ]
    return {
        "columns": columns,
        "steps": steps,
        "strengths": strengths,
        "lines": lines,
        "moved": sum(line.places[0].at != line.places[1].at for line in lines if line.places),
        "readings": [reading(ranked, column) for column in compared] if ranked else [],
        "ranked": len(ranked),
        "standings": {
            state: [label for label, verdict in verdicts.items() if verdict.state == state]
            for state in get_args(State)
        },
        "curve": bool(verdicts),
        "figure": svg(
            eraser_curves(
                {label: mean_curve([*mine.values()]) for label, mine in curves.items()},
                methods=[row.label for row in summary.of_role("method")],
                line=line,
            ),
            "Balanced accuracy against leak as an eraser takes more, one curve per method",
        ),
        "rests_on": rests_on(page, ranked or others, trained),
    }


def asked(summary: Summary, table: str) -> list[Column]:
    """The columns of a table: those of all attackers where these were asked."""
    known = {key for row in summary.rows for key in row.scores}
    columns = [column for column in columns_of(table) if column.key in known]
    metrics = sorted({column.key.partition("/")[0] for column in columns})
    return [column for column in columns if column.key.startswith(f"{metrics[-1]}/")]


def places(rows: Sequence[Row], column: Column) -> dict[str, Place]:
    """Label -> place of every row that has the number."""
    known = sorted(_with(rows, column), key=lambda row: _leak(row, column))
    spans = {row.label: _span(row.scores[column.key]) for row in known}
    out = {}
    for at, (label, (low, high)) in enumerate(spans.items(), 1):
        others = [span for other, span in spans.items() if other != label]
        first = 1 + sum(top < low for _, top in others)
        last = len(spans) - sum(bottom > high for bottom, _ in others)
        out[label] = Place(at, first, last)
    return out


def reading(rows: Sequence[Row], column: Column) -> Reading:
    """What one attacker reads from some rows, of which all have the number."""
    leaks = {row.label: _leak(row, column) for row in rows}
    told = sum(_span(row.scores[column.key])[0] > 0.5 for row in rows)
    return Reading(
        min(leaks, key=leaks.__getitem__), min(leaks.values()), max(leaks.values()), told
    )


def _with(rows: Sequence[Row], column: Column) -> list[Row]:
    return [row for row in rows if column.key in row.scores]


def _leak(row: Row, column: Column) -> float:
    return row.scores[column.key].mean


def _span(value: Estimate) -> tuple[float, float]:
    """Its interval; any value where it has none."""
    if value.low is None or value.high is None:
        return -math.inf, math.inf
    return value.low, value.high


def kept_curves(page: Material) -> dict[str, Curves]:
    """Label -> the curves that the runs of each method keep, for methods whose runs keep any."""
    curves = {
        row.label: {
            (run["seed"], run["fold"]): points_of(arrays)
            for name, run in row.runs.items()
            if (arrays := page.store.record(name).metric_arrays("frontier"))
        }
        for row in page.summary.of_role("method")
    }
    return {label: mine for label, mine in curves.items() if mine}


def plain_encoder(summary: Summary) -> str:
    """The label of the encoder whose curve is the line; "" where it was not run."""
    rows = (row for row in summary.rows if PLAIN in (row.method, row.label.lower()))
    return next((row.label for row in rows), "")


def curve_verdicts(curves: Mapping[str, Curves], line: str) -> dict[str, Verdict]:
    """Label -> how a method stands to the line, over the runs that both have."""
    out = {}
    other = curves.get(line, {})
    for label, mine in curves.items():
        if label == line:
            continue
        both = sorted(mine.keys() & other.keys())
        try:
            if both:
                out[label] = against_curve([mine[k][0] for k in both], [other[k] for k in both])
        except DataError:  # other people in an equally named fold
            continue
    return out


def erased(rows: Sequence[Row]) -> tuple[list[str], dict[str, dict[str, Left]]]:
    """What erasers leave of each row: the strengths, and label -> strength -> leak and utility.

    A strength is a rank of LEACE, or "class scores".
    """
    left: dict[str, dict[str, Left]] = {}
    for row in rows:
        for entry in entries(row.scores, "erased"):
            strength = entry.words.get("rank", ALONE)
            kind = entry.key.rpartition(".")[2]
            left.setdefault(row.label, {}).setdefault(strength, {})[kind] = entry.value
    strengths = {strength for each in left.values() for strength in each}
    ranks = sorted(strengths - {ALONE}, key=int)
    return [*ranks, *(strengths & {ALONE})], left


def rests_on(page: Material, rows: Sequence[Row], column: Column) -> Mapping[str, int] | None:
    """The people and pairs behind a leak in one run, the fewest of all rows."""
    metric, _, key = column.key.partition("/")
    outcomes = (page.store.record(row.representative).outcomes().get(metric) for row in rows)
    details = [one.scores[key].details for one in outcomes if one and key in one.scores]
    counted = [each for each in details if "genuine_pairs" in each]
    return min(counted, key=lambda each: each["genuine_pairs"], default=None)


SECTION = Section("claims", "Claims that the person is gone", 45, content, "Claims", "dense")
