"""The interactive maps: data for the page's script, and two linked Bokeh plots without any."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fer_bench.arrays import PartArrays
from fer_bench.reports.faces import Sprite
from fer_bench.reports.figures.style import MARKERS, colour_of
from fer_bench.reports.maps import TITLES, Maps
from fer_bench.reports.nearest import data_rows
from fer_bench.reports.summary import Summary
from fer_bench.reports.text import plain


def explorer_data(
    summary: Summary,
    parts: Mapping[str, PartArrays],
    maps_by_label: Mapping[str, Maps],
    sprite: Sprite,
    kinds: Sequence[str],
) -> dict[str, Any]:
    """The data of the interactive maps: strings once, numbers as base64 little-endian."""
    rows = [row for row in summary.rows if row.label in maps_by_label]
    points: dict[str, dict[str, Any]] = {}
    methods = []
    for row in rows:
        part, maps = parts[row.label], maps_by_label[row.label]
        labels = part.labels.iloc[maps.rows]
        key = hashlib.sha256(data_rows(part)[maps.rows].tobytes()).hexdigest()[:12]
        if key not in points:
            points[key] = _point_labels(part, labels, maps, sprite)
        predicted = None
        if part.logits is not None:
            predicted = _encoded(part.logits[maps.rows].argmax(axis=1), np.int16)
        methods.append(
            {
                "label": plain(row.label, 60),
                "points": key,
                "xy": {k: _encoded(v.T, np.float32) for k, v in maps.points.items()},
                "trust": {k: None if v != v else round(v, 3) for k, v in maps.trust.items()},
                "predicted": predicted,
            }
        )
    tints = colour_of(list(summary.classes))
    return {
        "classes": [plain(c, 60) for c in summary.classes],
        "classColours": [tints[c] for c in summary.classes],
        "markers": [MARKERS[i % len(MARKERS)] for i in range(len(summary.classes))],
        "kinds": {kind: TITLES[kind] for kind in kinds},
        "methods": methods,
        "points": points,
        "tile": sprite.tile,
        "sheetColumns": sprite.columns,
        "sheetRows": sprite.rows,
    }


def _point_labels(part: PartArrays, labels: Any, maps: Maps, sprite: Sprite) -> dict[str, Any]:
    columns = {"subject": labels["subject"]}
    for name in part.attribute_names():
        if labels[name].nunique() <= 24:
            columns[str(name)] = labels[name]
    coded = {}
    for name, values in columns.items():
        levels = sorted({str(v) for v in values.dropna()})
        lookup = {level: i for i, level in enumerate(levels)}
        codes = [-1 if pd.isna(v) else lookup[str(v)] for v in values]
        if len(levels) > 0:
            coded[plain(name, 60)] = {
                "levels": [plain(v, 60) for v in levels],
                "codes": _encoded(np.asarray(codes), np.int32),
            }
    position = [sprite.of(r) for r in data_rows(part)[maps.rows]]
    return {
        "n": len(maps.rows),
        "expression": _encoded(part.y[maps.rows], np.int16),
        "face": _encoded(np.asarray(position), np.int32),
        "columns": coded,
    }


def _encoded(values: NDArray[Any], dtype: Any) -> str:
    little = np.ascontiguousarray(values, dtype=np.dtype(dtype).newbyteorder("<"))
    return base64.b64encode(little.tobytes()).decode()


_COLUMNS = (
    "ex", "ey", "ix", "iy", "colour", "marker", "alpha", "expression", "subject", "predicted",
    "face_x", "face_y", "has_face",
)  # fmt: skip
_TIP = (
    '<div style="display:flex;gap:8px;align-items:center;font:13px system-ui,sans-serif">'
    '<div style="display:@has_face;width:64px;height:64px;border-radius:6px;'
    "background:var(--sheet) @{face_x}px @{face_y}px / var(--sheet-size);"
    '"></div>'
    "<div><b>@expression</b><br>subject @subject<br>@predicted</div></div>"
)


def bokeh_item() -> Any:
    """Two empty, linked scatter plots; the page's script fills them.

    No string from the data is in here, so none can reach Bokeh's own templates. They are drawn
    on a canvas, which thins large sets while a reader drags: Bokeh's WebGL writes code at run
    time, which the page's content security policy forbids.
    """
    from bokeh.core.types import ID
    from bokeh.embed import json_item
    from bokeh.layouts import gridplot
    from bokeh.models import ColumnDataSource

    source = ColumnDataSource({name: [] for name in _COLUMNS}, name="points")
    sides = (("ex", "ey", "E, expression"), ("ix", "iy", "I, identity"))
    both: list[Any] = [[_scatter_plot(source, *side) for side in sides]]
    grid = gridplot(
        both, sizing_mode="stretch_width", merge_tools=False, toolbar_options={"logo": None}
    )
    return json_item(grid, ID("maps-plot"))


def _scatter_plot(source: Any, x: str, y: str, title: str) -> Any:
    """One of the plots: of two columns of the source."""
    from bokeh.models import HoverTool, Range1d
    from bokeh.models.annotations import Title
    from bokeh.plotting import figure

    plot = figure(
        name=title[0],
        title=Title(text=title, text_color="#888888"),
        tools="pan,wheel_zoom,box_select,lasso_select,tap,reset",
        active_drag="lasso_select",
        x_range=Range1d(start=-1.1, end=1.1),
        y_range=Range1d(start=-1.1, end=1.1),
        height=540,
        sizing_mode="stretch_width",
        toolbar_location="above",
        lod_threshold=3000,
        lod_factor=8,
        background_fill_alpha=0,
        border_fill_alpha=0,
        outline_line_color="#8888",
    )
    marks = plot.scatter(
        x, y, source=source, size=8, color="colour", marker="marker", alpha="alpha",
        line_color=None, nonselection_alpha=0.08, selection_alpha=0.95,
    )  # fmt: skip
    plot.add_tools(
        HoverTool(
            renderers=[marks], tooltips=_TIP, point_policy="snap_to_data", attachment="horizontal"
        )
    )
    plot.axis.visible = False
    plot.grid.visible = False
    plot.toolbar.logo = None
    return plot
