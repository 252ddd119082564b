"""The controlled confounding experiment, where there is one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fer_bench.reports.figures.confounding import confounding_figure
from fer_bench.reports.material import Material
from fer_bench.reports.rendering import svg
from fer_bench.reports.sections.section import Section


def content(page: Material) -> Mapping[str, Any] | None:
    """Curves over the strength of the tie."""
    about = page.confounding
    if about is None:
        return None
    alt = "Accuracy and identity leak against the strength of the tie"
    return {"about": about, "figure": svg(confounding_figure(about), alt)}


SECTION = Section("confounding", "Confounding", 75, content, style="dense")
