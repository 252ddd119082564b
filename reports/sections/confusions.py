"""What is taken for what, side by side on one scale."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fer_bench.reports.figures.heat import confusions_figure, f1_figure
from fer_bench.reports.material import Material
from fer_bench.reports.rendering import svg
from fer_bench.reports.sections.section import Section


def content(page: Material) -> Mapping[str, Any] | None:
    """Confusions of the methods, and their F1 by expression."""
    alt = "Confusion matrices of the methods on test faces"
    confusions = svg(confusions_figure(page.summary), alt, cropped=True)
    if confusions is None:
        return None
    f1 = svg(f1_figure(page.summary), "F1 of each expression and method", cropped=True)
    return {"confusions": confusions, "f1": f1}


SECTION = Section("confusions", "Confusions", 60, content)
