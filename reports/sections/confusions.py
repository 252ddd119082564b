"""What is taken for what, side by side on one scale."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fer_bench.reports.figures.heat import confusions_figure, f1_figure
from fer_bench.reports.material import Material
from fer_bench.reports.sections.section import Section


def content(page: Material) -> Mapping[str, Any] | None:
    """Confusions of the methods, and their F1 by expression."""
    summary, rows = page.summary, page.summary.of_role("method")
    confusions = page.figures.svg(
        lambda: confusions_figure(summary),
        "Confusion matrices of the methods on test faces",
        shows=(summary.classes, [(row.label, row.confusion.get("test")) for row in rows]),
        cropped=True,
    )
    if confusions is None:
        return None
    f1 = page.figures.svg(
        lambda: f1_figure(summary),
        "F1 of each expression and method",
        shows=[(row.label, row.per_class) for row in rows],
        cropped=True,
    )
    return {"confusions": confusions, "f1": f1}


SECTION = Section("confusions", "Confusions", 60, content)
