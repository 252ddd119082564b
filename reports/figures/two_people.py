"""Two people beside each other, and maps by attribute: figures 6, 7 and 10 of the EIF paper."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.offsetbox import AnnotationBbox, OffsetImage
from numpy.typing import NDArray

from fer_bench.reports.figures.style import (
    FAINT,
    MATPLOTLIB_MARKERS,
    PALETTE,
    TEXT_WIDTH,
    colour_of,
)
from fer_bench.reports.maps import Maps
from fer_bench.reports.text import plain

EXAMPLES = 8  # faces drawn of each person
MOST_LEVELS = 8  # of an attribute that is drawn
ACROSS = 3  # maps beside each other
_FACE_INCHES = 0.32


def two_people(labels: pd.DataFrame) -> list[str]:
    """The two people with the most faces, of equal ones those first by name; fewer if there are.

    >>> two_people(pd.DataFrame({"subject": ["b", "a", "b", "c", None, "c"]}))
    ['b', 'c']
    """
    counts = labels["subject"].dropna().astype(str).value_counts()
    order = sorted(counts.index, key=lambda name: (-counts[name], name))
    return order[:2]


def people_map(
    maps: Maps,
    labels: pd.DataFrame,
    classes: Sequence[str],
    *,
    space: str,
    kind: str,
    faces: NDArray[np.uint8] | None = None,
    paper: bool = False,
) -> Figure | None:
    """Two people on the map of one embedding, coloured by person, with example faces (figure 7).

    Args:
        maps: of the test part.
        labels: of the test part.
        classes: expressions, each with a marker of its own.
        space: embedding, such as "E" or "z_exp".
        kind: "tsne" or "umap".
        faces: [N, side, side, C] small faces that `labels["row"]` points into; None draws none.
        paper: in a paper's width.

    Returns:
        None where there is no such map, or there are not two people.
    """
    shown = labels.iloc[maps.rows].reset_index(drop=True)
    people = two_people(shown)
    points = maps.points.get(f"{space}.{kind}")
    if points is None or len(people) < 2:
        return None
    figure = Figure(figsize=(TEXT_WIDTH * 0.7, TEXT_WIDTH * 0.6) if paper else (6.2, 5.4))
    axes = figure.subplots()
    markers = {name: MATPLOTLIB_MARKERS[i % 8] for i, name in enumerate(classes)}
    for person, colour in zip(people, PALETTE, strict=False):
        here = np.flatnonzero(shown["subject"].astype("object").eq(person))
        for name, marker in markers.items():
            rows = here[shown["expression"].iloc[here].astype("object").eq(name).to_numpy()]
            x, y = points[rows].T
            axes.scatter(x, y, s=16, color=colour, marker=marker, linewidths=0)
        if faces is not None:
            for at in here[_spread(points[here], EXAMPLES)]:
                _draw_face(axes, faces, int(shown["row"].iloc[at]), points[at], colour)
    both = points[shown["subject"].isin(people).to_numpy(bool)]
    middle = (both.max(axis=0) + both.min(axis=0)) / 2
    half = 0.65 * max(float(np.ptp(both, axis=0).max()), 0.1)
    _frame(axes)
    axes.set(xlim=(middle[0] - half, middle[0] + half), ylim=(middle[1] - half, middle[1] + half))
    axes.set_title(f"{space}, two people", loc="left")
    axes.legend(handles=_handles(people, markers), loc="center left", bbox_to_anchor=(1.01, 0.5))
    figure.tight_layout()
    return figure


def attribute_maps(
    maps: Maps, labels: pd.DataFrame, attributes: Sequence[str], *, space: str, kind: str,
    paper: bool = False,
) -> Figure | None:  # fmt: skip
    """One embedding's map once for each attribute, coloured by its levels (figure 10).

    Args:
        maps, labels, space, kind, paper: as for `people_map`.
        attributes: columns; those with two to eight levels are drawn.
    """
    points = maps.points.get(f"{space}.{kind}")
    shown = labels.iloc[maps.rows]
    levels = {name: sorted(shown[name].dropna().astype(str).unique()) for name in attributes}
    drawn = {name: column for name, column in levels.items() if 2 <= len(column) <= MOST_LEVELS}
    if points is None or not drawn:
        return None
    across = min(ACROSS, len(drawn))
    down = -(-len(drawn) // across)
    size = TEXT_WIDTH / ACROSS if paper else 3.2
    figure = Figure(figsize=(size * across, (size + 0.7) * down))
    panels = figure.subplots(down, across, squeeze=False).ravel()
    for empty in panels[len(drawn) :]:
        empty.remove()
    for axes, (name, column) in zip(panels, drawn.items(), strict=False):
        values = shown[name].astype("object").where(shown[name].notna(), None)
        for k, (level, colour) in enumerate(colour_of(column).items()):
            here = values.astype(str).eq(level).to_numpy()
            axes.scatter(*points[here].T, s=9, color=colour, marker=MATPLOTLIB_MARKERS[k % 8],
                         linewidths=0, label=plain(level, 20))  # fmt: skip
        _frame(axes)
        axes.set_title(f"{space} by {plain(name, 24)}", loc="left")
        axes.legend(loc="upper left", bbox_to_anchor=(0, -0.02), ncols=2, handletextpad=0.1)
    figure.tight_layout()
    return figure


def people_affect(
    predictions: Mapping[str, NDArray[Any]], target: NDArray[Any], labels: pd.DataFrame,
    *, paper: bool = False,
) -> Figure | None:  # fmt: skip
    """Prediction against truth of two people, several methods in one plot (figure 6).

    Args:
        predictions: label of a method -> [n, 2] predicted valence and arousal.
        target: [n, 2] true ones.
        labels: [n] rows of the same faces.
        paper: in a paper's width.

    Returns:
        None without predictions or without two people.
    """
    known = np.isfinite(target).all(axis=1)
    people = two_people(labels[known])
    if not predictions or len(people) < 2:
        return None
    markers = dict(zip(predictions, MATPLOTLIB_MARKERS, strict=False))
    figure = Figure(figsize=(TEXT_WIDTH, 2.8) if paper else (9, 3.8))
    for side, axes in enumerate(figure.subplots(1, 2)):
        axes.plot([-1, 1], [-1, 1], color="#bbbbbb" if paper else FAINT, lw=1)
        for person, colour in zip(people, PALETTE, strict=False):
            here = known & labels["subject"].astype("object").eq(person).to_numpy(bool)
            for label, marker in markers.items():
                axes.scatter(target[here, side], predictions[label][here, side], s=14,
                             color=colour, marker=marker, alpha=0.75, linewidths=0)  # fmt: skip
        name = ("Valence", "Arousal")[side]
        axes.set(xlabel=f"{name}, true", ylabel="predicted", xlim=(-1.1, 1.1), ylim=(-1.1, 1.1))
        axes.set_aspect("equal")
    axes.legend(handles=_handles(people, markers), loc="center left", bbox_to_anchor=(1.02, 0.5))
    figure.tight_layout()
    return figure


def _handles(people: Sequence[str], markers: Mapping[str, str]) -> list[Line2D]:
    """Colours for people, then shapes for expressions or methods."""
    looks = {"linestyle": "none", "markersize": 5}
    return [
        *(
            Line2D([], [], marker="o", color=c, label=plain(p, 20), **looks)  # type: ignore[arg-type]
            for p, c in zip(people, PALETTE, strict=False)
        ),
        *(
            Line2D([], [], marker=m, color="#7A7A7A", label=plain(n, 24), **looks)  # type: ignore[arg-type]
            for n, m in markers.items()
        ),
    ]


def _spread(points: NDArray[Any], count: int) -> list[int]:
    """Rows far from each other: each next one is the farthest from those before it."""
    if not len(points):
        return []
    chosen = [int(np.argmax(((points - points.mean(axis=0)) ** 2).sum(axis=1)))]
    nearest = ((points - points[chosen[0]]) ** 2).sum(axis=1)
    while len(chosen) < min(count, len(points)) and nearest.max() > 0:
        chosen.append(int(nearest.argmax()))
        nearest = np.minimum(nearest, ((points - points[chosen[-1]]) ** 2).sum(axis=1))
    return chosen


def _draw_face(
    axes: Any, faces: NDArray[np.uint8], row: int, at: NDArray[Any], colour: str
) -> None:
    if not 0 <= row < len(faces):
        return
    face = faces[row]
    image = OffsetImage(
        face[..., 0] if face.shape[-1] == 1 else face,
        zoom=_FACE_INCHES * 72 / face.shape[0],
        cmap="gray",
    )
    box = AnnotationBbox(
        image, tuple(at), xybox=(0, 16), boxcoords="offset points", frameon=True, pad=0.1,
        bboxprops={"edgecolor": colour, "linewidth": 1.2},
    )  # fmt: skip
    axes.add_artist(box)


def _frame(axes: Any) -> None:
    axes.set(xticks=[], yticks=[], xlim=(-1.15, 1.15), ylim=(-1.15, 1.25))
    axes.set_aspect("equal")
    axes.grid(visible=False)
    for spine in axes.spines.values():
        spine.set_visible(True)
