"""Where no run finished: why, for which rows, and where more is written."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fer_bench.reports.failed import reasons_of, with_files
from fer_bench.reports.material import Material
from fer_bench.reports.sections.section import Section


def content(page: Material) -> Mapping[str, Any] | None:
    """The reasons; where some runs finished, these stand among the limits of the numbers."""
    summary = page.summary
    return (
        None if summary.rows else {"reasons": with_files(reasons_of(summary.failures), page.store)}
    )


SECTION = Section("failed", "What happened", 30, content, without_rows=True)
