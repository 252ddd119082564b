"""What decoders draw from the embeddings: swaps, walks and reconstructions, for one row.

A drawing of a face is treated as a face: shown, blurred or left out as the page's policy says.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from fer_bench.metrics.decoder import STEPS_OF_A_WALK, Drawings
from fer_bench.reports.columns import entries
from fer_bench.reports.faces import Faces, as_image, blurred
from fer_bench.reports.summary import Row, Summary
from fer_bench.reports.text import formatted
from fer_bench.runs.store import RunStore

OWN, PROBE = "By the methods' own decoders", "By the decoder probe, from all they embed"
TILE = 48
GAP = 2
_QUALITY = 75

_FROM = {
    "faces": "real faces", "E": "from E alone", "EI": "from E and I", "own": "by its own decoder",
}  # fmt: skip


@dataclass(frozen=True)
class Strip:
    """Faces side by side in one picture.

    Attributes:
        uri: data URI.
        count: how many faces.
        alt: what they are, in words.
    """

    uri: str
    count: int
    alt: str

    @property
    def width(self) -> int:
        """In pixels of the page."""
        return self.count * (TILE + GAP) - GAP


def strip(faces: Sequence[NDArray[np.uint8]], alt: str, *, mode: Faces) -> Strip:
    """One picture of faces uint8 [height, width, C], each blurred by itself where asked for."""
    if mode == "none":
        raise ValueError("faces that are left out cannot be drawn")
    sheet = Image.new("RGBA", (len(faces) * (TILE + GAP) - GAP, TILE))
    for i, face in enumerate(faces):
        image = as_image(face).resize((TILE, TILE), Image.Resampling.LANCZOS)
        sheet.paste(blurred(image) if mode == "blur" else image, (i * (TILE + GAP), 0))
    data = io.BytesIO()
    sheet.save(data, "WEBP", quality=_QUALITY, method=4)
    uri = "data:image/webp;base64," + base64.b64encode(data.getvalue()).decode()
    return Strip(uri, len(faces), alt)


def decoded(
    row: Row,
    arrays: dict[str, NDArray[Any]],
    thumbnails: NDArray[np.uint8] | None,
    classes: Sequence[str],
    *,
    mode: Faces,
) -> dict[str, Any] | None:
    """Scores and grids of a row as the template shows them, or None where nothing was drawn.

    Args:
        row: of the summary.
        arrays: what the decoder kept with the row's representative run.
        thumbnails: small faces of the data set.
        classes: expression names.
        mode: whether faces may be seen.
    """
    scores = _scores(row)
    if not scores:
        return None
    grids: list[dict[str, Any]] = []
    if arrays and thumbnails is not None and mode != "none":
        d = Drawings.from_arrays(arrays)
        names, real = [classes[c] for c in d.expression], [thumbnails[r] for r in d.rows]
        grids = list(_Drawn(d, names, real, classes, mode).grids())
    return {"scores": scores, "grids": grids, "own": "decoder/own.r2" in row.scores}


@dataclass(frozen=True)
class DrawnAgain:
    """The same test faces as several methods' embeddings draw them.

    Attributes:
        rows: [k] rows of the data set.
        expression: [k] their class codes.
        lines: who drew -> label of a row -> faces uint8 [k, height, width, C]; the decoders of the
            methods' own first, then the decoder probe of all that a method embeds.
    """

    rows: NDArray[np.int64]
    expression: NDArray[np.int64]
    lines: dict[str, dict[str, NDArray[np.uint8]]]


def drawn_again(summary: Summary, store: RunStore) -> DrawnAgain | None:
    """What the rows of a summary draw of the same faces; None where fewer than two rows do.

    By their labels, so that the settings of an ablation stand in their order.
    """
    kept = {
        row.label: Drawings.from_arrays(arrays)
        for row in sorted(summary.rows, key=lambda row: row.label.lower())
        if (arrays := store.record(row.representative).metric_arrays("decoder"))
    }
    if not kept:
        return None
    first, *_ = kept.values()
    same = {label: d for label, d in kept.items() if np.array_equal(d.rows, first.rows)}
    if len(same) < 2:
        return None
    lines: dict[str, dict[str, NDArray[np.uint8]]] = {OWN: {}, PROBE: {}}
    for label, d in same.items():
        if "own" in d.drawn:
            lines[OWN][label] = d.drawn["own"]
        lines[PROBE][label] = d.drawn.get("EI", d.drawn["E"])
    return DrawnAgain(first.rows, first.expression, {by: x for by, x in lines.items() if x})


def grids_of(
    again: DrawnAgain, thumbnails: NDArray[np.uint8], classes: Sequence[str], mode: Faces
) -> list[dict[str, Any]]:
    """A grid for each who drew: the faces themselves, then a line per row."""
    names = [classes[c] for c in again.expression]
    real = {"test faces": thumbnails[again.rows]}
    return [
        {
            "title": by,
            "note": "",
            "columns": names,
            "lines": [
                {
                    "label": label,
                    "giver": None,
                    "strip": strip(list(faces), f"{label}: {', '.join(names)}", mode=mode),
                }
                for label, faces in (real | lines).items()
            ],
        }
        for by, lines in again.lines.items()
    ]


def _scores(row: Row) -> list[dict[str, str]]:
    return [
        {
            "source": _FROM.get(entry.words.get("source", ""), "swapped"),
            "name": entry.column.title,
            "note": entry.column.meaning,
            "value": formatted(entry.value.mean, "percent"),
            "low": formatted(entry.value.low, "percent"),
            "high": formatted(entry.value.high, "percent"),
            "null": formatted(entry.value.null, "percent"),
        }
        for entry in entries(row.scores, "drawings")
    ]


@dataclass(frozen=True)
class _Drawn:
    """Grids of what a row's decoders have drawn.

    Attributes:
        d: the drawings.
        names: expression of each of the faces that are drawn again.
        real: these faces.
        classes: all expression names.
        mode: whether faces may be seen.
    """

    d: Drawings
    names: list[str]
    real: list[NDArray[np.uint8]]
    classes: Sequence[str]
    mode: Faces

    def grids(self) -> Iterator[dict[str, Any]]:
        """In the order of the page."""
        yield self._again()
        if self.d.swap is not None:
            yield self._swaps(self.d.swap)
        yield self._means()
        for space, axes in (("E", self.d.axes_e), ("I", self.d.axes_i)):
            if axes is not None and len(axes):
                yield self._axes(space, axes)

    def _line(
        self, label: str, faces: Sequence[NDArray[np.uint8]], alt: str, giver: Any = None
    ) -> dict[str, Any]:
        first = None if giver is None else strip([giver], f"face with {label}", mode=self.mode)
        return {"label": label, "giver": first, "strip": strip(faces, alt, mode=self.mode)}

    def _again(self) -> dict[str, Any]:
        drawn = ((_FROM[by], list(faces)) for by, faces in self.d.drawn.items())
        sources = [("test faces", self.real), *drawn]
        return {
            "title": "Drawn again",
            "note": "People whom neither the method nor the decoders have seen.",
            "columns": self.names,
            "lines": [
                self._line(name, faces, f"{name}: {', '.join(self.names)}")
                for name, faces in sources
            ],
        }

    def _swaps(self, swap: NDArray[np.uint8]) -> dict[str, Any]:
        listed = ", ".join(self.names)
        lines = [self._line("E of", self.real, f"Givers of E: {listed}")]
        for name, faces, giver in zip(self.names, swap, self.real, strict=True):
            alt = f"I of the face with {name}, E of: {listed}"
            lines.append(self._line(name, faces, alt, giver))
        return {
            "title": "Expressions swapped",
            "note": "E of the column, I of the line: the expression should follow the column, "
            "the person the line. On the diagonal both are of one face.",
            "columns": self.names,
            "lines": lines,
        }

    def _means(self) -> dict[str, Any]:
        start = self.classes[self.d.start]
        return {
            "title": f"Along E, from {start}",
            "note": f"From the mean E of {start} (0) to that of another expression (1), and on."
            + self._held,
            "columns": ["0", "½", "1", "1½", "2"],
            "lines": [
                self._line(self.classes[c], faces, f"from {start} to {self.classes[c]} and beyond")
                for c, faces in zip(self.d.towards, self.d.means, strict=True)
            ],
        }

    def _axes(self, space: str, axes: NDArray[np.uint8]) -> dict[str, Any]:
        half = STEPS_OF_A_WALK // 2
        sides = [f"{t:+d}" if t else "0" for t in range(-half, half + 1)]
        return {
            "title": f"Along the principal directions of {space}",
            "note": "In standard deviations about the mean."
            + (self._held if space == "E" else " E is that of the first face."),
            "columns": [text.replace("-", "\N{MINUS SIGN}") for text in sides],
            "lines": [
                self._line(f"{space}, {n}", faces, f"principal direction {n} of {space}")
                for n, faces in enumerate(axes, 1)
            ],
        }

    @property
    def _held(self) -> str:
        return "" if self.d.swap is None else " I is that of the first face."
