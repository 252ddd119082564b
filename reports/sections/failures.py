"""Walks along directions of an embedding, and where a method fails (EIF, figures 9 and 12)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fer_bench.arrays import PartArrays
from fer_bench.metrics.traversals import MIDDLE, STEPS, Traversal, shifts
from fer_bench.reports.decoded import strip
from fer_bench.reports.faces import Faces
from fer_bench.reports.material import Material
from fer_bench.reports.nearest import data_rows
from fer_bench.reports.sections.section import Section
from fer_bench.reports.text import MINUS, formatted
from fer_bench.reports.traversals import traversals_of

SHOWN = 8  # faces of a gallery
WALKS = 4  # faces of a traversal


def content(page: Material) -> Mapping[str, Any] | None:
    """For each method its surest mistakes, its traversals, and the people who became others."""
    methods = []
    for row in page.summary.of_role("method"):
        walks = traversals_of(page.store.record(row.representative))
        grids = []
        if page.faces != "none":
            grids = [
                *_misread(page.parts[row.label], page.thumbnails, page.faces),
                *(_walk(walk, page.summary.classes, page.faces) for walk in walks),
                *_shifted(walks, page.faces),
            ]
        if grids or walks:
            methods.append({"row": row, "lines": [_line(w) for w in walks], "grids": grids})
    return {"methods": methods} if methods else None


def step_name(t: float) -> str:
    """A scale factor as a column's head.

    >>> [step_name(t) for t in (-1.0, 0.0, 0.5)]
    ['−1', '0', '½']
    """
    text = "½" if abs(t) == 0.5 else f"{abs(t):g}"
    return f"{MINUS}{text}" if t < 0 else text


def misread(part: PartArrays) -> NDArray[np.int64]:
    """Rows whose expression is named wrongly, those with the surest wrong name first."""
    if part.logits is None:
        return np.empty(0, dtype=np.int64)
    logits = np.nan_to_num(part.logits.astype(np.float64))
    share = np.exp(logits - logits.max(axis=1, keepdims=True))
    sure = (share / share.sum(axis=1, keepdims=True)).max(axis=1)
    wrong = np.flatnonzero((part.y >= 0) & (logits.argmax(axis=1) != part.y))
    return wrong[np.argsort(-sure[wrong], kind="stable")]


def _misread(
    part: PartArrays, thumbnails: NDArray[np.uint8] | None, mode: Faces
) -> list[dict[str, Any]]:
    if thumbnails is None:
        return []
    rows = data_rows(part)
    wrong = misread(part)
    count = len(wrong)
    wrong = wrong[(rows[wrong] >= 0) & (rows[wrong] < len(thumbnails))][:SHOWN]
    if not len(wrong) or part.logits is None:
        return []
    true = [part.classes[c] for c in part.y[wrong]]
    named = [part.classes[c] for c in np.nan_to_num(part.logits[wrong]).argmax(axis=1)]
    pairs = "; ".join(f"{a} as {b}" for a, b in zip(true, named, strict=True))
    faces = strip([thumbnails[rows[i]] for i in wrong], f"Faces misread: {pairs}", mode=mode)
    note = (
        f"{count} of {int((part.y >= 0).sum())} test faces of one run; the surest mistakes first."
    )
    return [
        {
            "title": "Misread",
            "note": note,
            "heads": [("is", true), ("read as", named)],
            "lines": [{"label": "", "giver": None, "strip": faces}],
        }
    ]


def _walk(walk: Traversal, classes: Sequence[str], mode: Faces) -> dict[str, Any]:
    lines = []
    for i in range(min(WALKS, len(walk.faces))):
        at = [step_name(t) for t, gone in zip(STEPS, walk.shifted[i], strict=True) if gone]
        label = f"another person at {', '.join(at)}" if at else "one person"
        if not np.isfinite(walk.threshold):
            label = f"face {i + 1}"
        read = [classes[c] if c >= 0 else "unknown" for c in walk.read[i]]
        drawn = strip(list(walk.faces[i]), f"{label}; read as {', '.join(read)}", mode=mode)
        lines.append({"label": label, "giver": None, "strip": drawn})
    return {
        "title": f"{walk.space}, {walk.direction}",
        "note": "0 is the face's own embedding.",
        "columns": [step_name(t) for t in STEPS],
        "lines": lines,
    }


def _shifted(walks: Sequence[Traversal], mode: Faces) -> list[dict[str, Any]]:
    worst = shifts(walks)[:SHOWN]
    if not worst:
        return []
    own = [walk.faces[i, MIDDLE] for walk, i, _ in worst]
    moved = [walk.faces[i, t] for walk, i, t in worst]
    return [
        {
            "title": "Identity shifts",
            "note": "The least alike first: what else than the expression is in the embedding.",
            "heads": [
                ("along", [f"{walk.space}, {walk.direction}" for walk, _, _ in worst]),
                ("to", [step_name(STEPS[t]) for _, _, t in worst]),
            ],
            "lines": [
                {"label": "at 0", "giver": None, "strip": strip(own, "before", mode=mode)},
                {"label": "moved", "giver": None, "strip": strip(moved, "after", mode=mode)},
            ],
        }
    ]


def _line(walk: Traversal) -> dict[str, str]:
    return {
        "space": walk.space,
        "direction": walk.direction,
        "expression": formatted(walk.expression_change, "percent"),
        "identity": formatted(walk.identity_shift, "percent"),
        "error": formatted(walk.error, "percent"),
        "drawn": walk.drawn_by,
        "judged": walk.judged_by,
    }


SECTION = Section(
    "failures", "Traversals and failure cases", 85, content, "Failure cases", "onscreen"
)
