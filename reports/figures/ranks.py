"""Critical-difference diagrams."""

from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure

from fer_bench.reports.figures.style import INK, TEXT_WIDTH
from fer_bench.reports.summary import Verdict
from fer_bench.reports.text import plain


def rank_diagram(verdict: Verdict, *, paper: bool = False) -> Figure | None:
    """Critical-difference diagram (Demsar 2006), only where the statistics allow one."""
    ranking = verdict.ranking
    if ranking.critical_difference is None:
        return None
    import scikit_posthocs

    ranks = {plain(label, 26): rank for label, rank in ranking.ranks.items()}
    told = pd.DataFrame(0.0, index=list(ranks), columns=list(ranks))
    for clique in ranking.cliques:
        names = [plain(label, 26) for label in clique]
        told.loc[names, names] = 1.0
    for name in ranks:
        told.loc[name, name] = 1.0
    ink = "#222222" if paper else INK
    figure = Figure(figsize=(TEXT_WIDTH if paper else 7.2, 0.7 + 0.19 * len(ranks)))
    axes = figure.add_subplot()
    scikit_posthocs.critical_difference_diagram(
        ranks,
        told,
        ax=axes,
        elbow_props={"color": ink, "linewidth": 0.8},
        marker_props={"color": ink, "s": 12},
        crossbar_props={"color": "#0072B2", "linewidth": 3},
        label_fmt_left="{label} ({rank:.2f})",
        label_fmt_right="({rank:.2f}) {label}",
        text_h_margin=0.02,
    )
    axes.grid(visible=False)
    return figure
