"""The data: what was shown to whom, and on what terms."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fer_bench.reports.material import Material
from fer_bench.reports.sections.section import Section


def content(page: Material) -> Mapping[str, Any] | None:
    """The card of the data set, where it is known."""
    if not page.summary.data["fingerprint"]:
        return None
    counts = page.summary.data["counts"]
    folds = page.summary.experiment.get("split", {}).get("folds", len(page.summary.folds))
    return {"card": page.summary.data, "most": max(counts.values(), default=1), "folds": folds}


SECTION = Section("data", "Data", 100, content, without_rows=True)
