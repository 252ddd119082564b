"""Tables for papers and terminals: LaTeX, Markdown, CSV and HTML from one plain table."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Literal

from fer_bench.errors import FerBenchError, did_you_mean
from fer_bench.reports.columns import leaderboard_columns
from fer_bench.reports.summary import summarise
from fer_bench.reports.tables.html import to_html
from fer_bench.reports.tables.latex import to_latex
from fer_bench.reports.tables.layouts import LAYOUTS, leaderboard_table
from fer_bench.reports.tables.markdown import to_markdown
from fer_bench.reports.tables.model import Table
from fer_bench.reports.tables.spreadsheet import to_csv
from fer_bench.runs.store import RunStore

Format = Literal["latex", "markdown", "csv", "html"]
RENDERERS: dict[str, Callable[[Table], str]] = {
    "latex": to_latex,
    "markdown": lambda table: to_markdown(table) + "\n",
    "csv": to_csv,
    "html": to_html,
}


def write_table(
    root: str | Path,
    *,
    format: Format = "markdown",
    layout: str = "overall",
    method: str | None = None,
    columns: Sequence[str] | None = None,
    out: str | Path | None = None,
) -> str:
    """Render a table of a result folder; also written to `out` where given.

    Args:
        root: result folder.
        format: "latex", "markdown", "csv" or "html".
        layout: "overall", "full", "per-class", "va", "mig", "leakage", "ablation", "published".
        method: label of the row that a per-class table is about; by default the best one.
        columns: score keys such as "classification/test.accuracy"; then the table has these
            columns of the leaderboard instead of a layout's.
        out: a file to write.

    Raises:
        FerBenchError: unknown format or layout, or the results lack what the layout shows.
    """
    if format not in RENDERERS:
        raise FerBenchError(f"there is no format {format!r}: {did_you_mean(format, RENDERERS)}")
    if layout not in LAYOUTS:
        raise FerBenchError(f"there is no layout {layout!r}: {did_you_mean(layout, LAYOUTS)}")
    for key in columns or ():
        if key not in leaderboard_columns():
            known = did_you_mean(key, leaderboard_columns())
            raise FerBenchError(f"there is no column {key!r}: {known}")
    summary = summarise(RunStore(root))
    if columns is None:
        table = LAYOUTS[layout](summary, method)
    else:
        table = leaderboard_table(summary, keys=columns)
    text = RENDERERS[format](table)
    if out is not None:
        Path(out).write_text(text, encoding="utf-8")
    return text
