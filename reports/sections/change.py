"""What changed since another result folder."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fer_bench.reports.change import compare_summaries
from fer_bench.reports.material import Material
from fer_bench.reports.paired import PairedScores
from fer_bench.reports.sections.section import Section


def content(page: Material) -> Mapping[str, Any] | None:
    """Shifts of rows and scores that both folders have."""
    if page.before is None:
        return None
    before, store = page.before
    scores = PairedScores.of(store), PairedScores.of(page.store)
    return {"change": compare_summaries(before, page.summary, scores)}


SECTION = Section("change", "What changed", 10, content, style="dense")
