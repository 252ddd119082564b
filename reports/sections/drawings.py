"""The same test faces as the methods' embeddings draw them, one method below another."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fer_bench.reports.decoded import drawn_again, grids_of
from fer_bench.reports.material import Material
from fer_bench.reports.sections.section import Section


def content(page: Material) -> Mapping[str, Any] | None:
    """Reconstructions, where faces may be seen and two methods were asked for them."""
    if page.faces == "none" or page.thumbnails is None:
        return None
    again = drawn_again(page.summary, page.store)
    if again is None:
        return None
    return {"grids": grids_of(again, page.thumbnails, page.summary.classes, page.faces)}


SECTION = Section("drawings", "Faces drawn again", 78, content, "Drawn again", "onscreen")
