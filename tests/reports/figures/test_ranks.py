"""A diagram of ranks only where the statistics allow one."""

from __future__ import annotations

from dataclasses import replace

from fer_bench.reports.aggregate import Ranking
from fer_bench.reports.figures.ranks import rank_diagram
from fer_bench.reports.figures.style import drawing
from fer_bench.reports.figures.svg import inline_svg


def test_rank_diagram_only_where_allowed(summary):
    verdict = summary.verdicts[0]
    assert verdict.ranking.critical_difference is None
    assert rank_diagram(verdict) is None
    ranking = Ranking(
        {"A": 1.1, "B": 2.0, "C": 2.9}, 10, 0.001, 1.05, None, (("A", "B"), ("B", "C")), ()
    )
    with drawing(paper=False):
        svg = inline_svg(
            rank_diagram(replace(verdict, ranking=ranking)), alt="ranks of three methods"
        )
    assert all(words in svg for words in ("A (1.10)", "B (2.00)", "(2.90) C"))
