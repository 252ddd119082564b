"""The columns of a leaderboard, as the metrics declare them, and how numbers are printed."""

from __future__ import annotations

from functools import lru_cache

from fer_bench.metrics.metric import score_specs
from fer_bench.score import ScoreSpec, Style

Column = ScoreSpec


@lru_cache
def leaderboard_columns() -> dict[str, Column]:
    """The columns of a leaderboard by "<metric>/<score key>", from left to right."""
    specs = sorted(score_specs().values(), key=lambda spec: spec.order)
    return {spec.key: spec for spec in specs if spec.column}


def main_columns() -> tuple[str, ...]:
    """Keys of the short table on top of the page; the full one follows in the details."""
    return tuple(key for key, column in leaderboard_columns().items() if column.column == "main")


def formatted(value: float | None, style: Style, *, signed: bool = False) -> str:
    """A number as the page prints it; a missing one is an en dash.

    >>> formatted(0.8254, "percent"), formatted(0.41, "nats"), formatted(None, "ratio")
    ('82.5', '0.41', '–')
    """
    if value is None or value != value:
        return "–"
    digits = {"percent": 1, "ratio": 3, "nats": 2, "count": 0}[style]
    number = 100 * value if style == "percent" else value
    text = f"{number:+.{digits}f}" if signed else f"{number:.{digits}f}"
    if float(text) == 0:
        text = text.lstrip("+-")
    return text.replace("-", "\N{MINUS SIGN}")
