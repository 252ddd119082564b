"""Numbers printed in papers, measured elsewhere."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fer_bench.reports.material import Material
from fer_bench.reports.published import published_rows
from fer_bench.reports.sections.section import Section


def content(page: Material) -> Mapping[str, Any]:
    """Rows of the methods compared here, and of other systems."""
    rows = published_rows(page.summary)
    return {
        "tables": [
            ("Of the methods compared here", [row for row in rows if row.here]),
            ("Of other systems", [row for row in rows if not row.here]),
        ]
    }


SECTION = Section("published", "Published numbers", 120, content, short="Published")
