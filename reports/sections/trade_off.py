"""Recognition against what is left of the person."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fer_bench.reports.figures.trade_off import trade_off
from fer_bench.reports.material import Material
from fer_bench.reports.nearest import face_facts
from fer_bench.reports.rendering import svg
from fer_bench.reports.sections.section import Section


def content(page: Material) -> Mapping[str, Any] | None:
    """The figure, and a few faces that it is about; these alone where nothing leaks or finished."""
    alt = "Usefulness against identity leak, one point per method"
    drawn = svg(trade_off(page.summary), alt)
    samples = _samples(page)
    if drawn is None and not samples:
        return None
    return {"figure": drawn, "samples": samples} | ({"title": "Sample faces"} if not drawn else {})


def _samples(page: Material) -> list[dict[str, Any]]:
    """Faces of every expression, where the page shows faces."""
    part, rows = page.samples
    if not page.sprite.uri:
        return []
    faces = [face_facts(part, int(row)) for row in rows]
    by_name = {name: [f for f in faces if f["expression"] == name][:2] for name in part.classes}
    return [{"expression": name, "faces": mine} for name, mine in by_name.items() if mine]


SECTION = Section("trade_off", "Recognition against leakage", 30, content, short="Trade-off")
