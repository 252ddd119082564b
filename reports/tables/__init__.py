"""Tables for papers and terminals: LaTeX, Markdown, CSV and HTML from one plain table."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Literal

from fer_bench.errors import FerBenchError, did_you_mean
from fer_bench.reports.summary import summarise
from fer_bench.reports.tables.html import to_html
from fer_bench.reports.tables.latex import to_latex
from fer_bench.reports.tables.layouts import LAYOUTS
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
    out: str | Path | None = None,
) -> str:
    """Render a table of a result folder; also written to `out` where given.

    Args:
        root: result folder.
        format: "latex", "markdown", "csv" or "html".
        layout: "overall", "full", "per-class", "va", "mig", "leakage", "ablation", "published".
        method: label of the row that a per-class table is about; by default the best one.
        out: a file to write.

    Raises:
        FerBenchError: unknown format or layout, or the results lack what the layout shows.
    """
    if format not in RENDERERS:
        raise FerBenchError(f"there is no format {format!r}: {did_you_mean(format, RENDERERS)}")
    if layout not in LAYOUTS:
        raise FerBenchError(f"there is no layout {layout!r}: {did_you_mean(layout, LAYOUTS)}")
    summary = summarise(RunStore(root))
    text = RENDERERS[format](LAYOUTS[layout](summary, method))
    if out is not None:
        Path(out).write_text(text, encoding="utf-8")
    return text
