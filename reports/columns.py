"""Which scores a table shows: the metrics declare it, and every rendering asks here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from fer_bench.metrics.metric import score_specs
from fer_bench.reports.text import UNITS
from fer_bench.score import Aspect, ScoreSpec

Column = ScoreSpec


@lru_cache
def _specs() -> tuple[Column, ...]:
    return tuple(sorted(score_specs().values(), key=lambda spec: spec.order))


@lru_cache
def leaderboard_columns() -> dict[str, Column]:
    """The columns of a leaderboard by "<metric>/<score key>", from left to right."""
    return {spec.key: spec for spec in _specs() if spec.column}


def main_columns() -> tuple[str, ...]:
    """Keys of the short table; the full one has all of `leaderboard_columns`."""
    return tuple(key for key, column in leaderboard_columns().items() if column.column == "main")


def columns_of(table: str) -> list[Column]:
    """The columns of one named table (`ScoreSpec.tables`), from left to right."""
    return [spec for spec in _specs() if table in spec.tables]


def columns_about(aspect: Aspect) -> list[Column]:
    """The columns that may speak for an aspect, the preferred one first."""
    return [spec for spec in _specs() if spec.aspect == aspect]


@dataclass(frozen=True)
class Entry:
    """One score of a named table.

    Attributes:
        key: "<metric>/<score key>".
        column: what it is.
        words: what the placeholders of the column's key stand for.
        value: the score.
    """

    key: str
    column: Column
    words: Mapping[str, str]
    value: Any


def entries(scores: Mapping[str, Any], table: str) -> list[Entry]:
    """The scores that a named table shows, in the order of its columns.

    A key that several columns of the table match belongs to the one with fewest placeholders.
    """
    columns = columns_of(table)
    out = []
    for key, value in scores.items():
        matches = [(c, words) for c in columns if (words := c.words(key)) is not None]
        if matches:
            column, words = min(matches, key=lambda match: len(match[1]))
            out.append(Entry(key, column, words, value))
    return sorted(out, key=lambda entry: columns.index(entry.column))


def with_unit_in_title(column: Column) -> str:
    """The title of a column with the unit of its numbers, as in "Accuracy (%)"."""
    unit = UNITS[column.style]
    return f"{column.title} ({unit})" if unit else column.title
