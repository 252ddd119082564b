"""Three sentences: who is best, who leaks least, what cannot be said."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fer_bench.reports.headline import headline
from fer_bench.reports.material import Material
from fer_bench.reports.sections.section import Section


def content(page: Material) -> Mapping[str, Any]:
    """The headline, and what happened to methods for which nothing can be claimed."""
    return {"headline": headline(page.summary)}


SECTION = Section("headline", "In short", 20, content, without_rows=True)
