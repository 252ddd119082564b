"""Interactive maps of the embeddings."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fer_bench.reports.figures.explorer import bokeh_item, explorer_data
from fer_bench.reports.maps import TITLES
from fer_bench.reports.material import Material
from fer_bench.reports.sections.section import Section


def content(page: Material) -> Mapping[str, Any] | None:
    """The data of the maps, and the empty plots that the page's script fills."""
    if not page.maps:
        return None
    return {
        "kinds": [(kind, TITLES[kind]) for kind in page.kinds],
        "explorer": explorer_data(page.summary, page.parts, page.maps, page.sprite, page.kinds),
        "bokeh": bokeh_item(),
        "drawn": max(len(maps.rows) for maps in page.maps.values()),
        "tested": max(len(page.parts[label]) for label in page.maps),
    }


SECTION = Section("maps", "Maps of the embeddings", 70, content, "Maps", "onscreen")
