"""Which differences are real: the best method against each of the others."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fer_bench.reports.columns import leaderboard_columns, main_columns
from fer_bench.reports.figures.differences import differences_figure
from fer_bench.reports.figures.ranks import rank_diagram
from fer_bench.reports.material import Material
from fer_bench.reports.rendering import svg
from fer_bench.reports.sections.board import deciding_columns
from fer_bench.reports.sections.section import Section
from fer_bench.reports.summary import Verdict


def content(page: Material) -> Mapping[str, Any] | None:
    """A plot of the deciding measures; p-values and ranks of all main ones."""
    compared = [v for v in page.summary.verdicts if v.key in main_columns() and v.against]
    if not compared:
        return None
    deciding = {column.key for column in deciding_columns(page.summary)}
    shown = [verdict for verdict in compared if verdict.key in deciding]
    return {
        "figure": svg(
            differences_figure(shown),
            "Differences of the best method to each of the others, with 95 % intervals",
        ),
        "tables": [_table(verdict) for verdict in compared],
    }


def _table(verdict: Verdict) -> dict[str, Any]:
    ranks = sorted(verdict.ranking.ranks.items(), key=lambda item: item[1])
    words = ", ".join(f"{label} {rank:.2f}" for label, rank in ranks)
    alt = f"Critical-difference diagram of {verdict.title}; average ranks: {words}"
    return {
        "column": leaderboard_columns()[verdict.key],
        "verdict": verdict,
        "ranks": ranks,
        "diagram": svg(rank_diagram(verdict), alt, cropped=True),
    }


SECTION = Section("differences", "Which differences are real", 50, content, "Differences", "dense")
