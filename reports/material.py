"""What the sections of one page draw from, each part read once, when first asked for."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fer_bench.arrays import PartArrays
from fer_bench.errors import FerBenchError
from fer_bench.reports.confounding import Confounding, confounding
from fer_bench.reports.faces import Faces, Sprite, sprite_of
from fer_bench.reports.kept import KeptFigures
from fer_bench.reports.maps import KINDS, MAX_POINTS, Kind, Maps, Which, maps_of
from fer_bench.reports.nearest import Grid, data_rows, nearest, sample_positions
from fer_bench.reports.summary import Row, Summary, summarise
from fer_bench.runs.store import RunStore


class Material:
    """A result folder as the page shows it.

    Args:
        root: result folder.
        faces: "show", "blur" or "none"; by default what the experiment says, else "show" where
            the terms of the data allow publication and "none" where not.
        against: another result folder, whose change to this one is shown.
        maps: "both", "tsne", "umap" or "none".
        max_points: points drawn in a map, at most.
        answers: an attribute reader whose answers are shown; by default what the experiment says.
        progress: told what is done next.

    Attributes:
        store, summary: of the folder.
        answers: name of the attribute reader, or None.
        faces: whether faces are shown, blurred or left out.
        kinds: the kinds of maps.
        figures: those that earlier pages of the folder drew.
        progress: as given.

    Raises:
        FerBenchError: nothing was run, or an option is unknown.
    """

    def __init__(
        self,
        root: str | Path,
        *,
        faces: Faces | None = None,
        against: str | Path | None = None,
        maps: Which = "both",
        max_points: int = MAX_POINTS,
        answers: str | None = None,
        progress: Callable[[str], None] = lambda step: None,
    ) -> None:
        if maps not in KINDS:
            raise FerBenchError(f"maps is {maps!r}: use 'both', 'tsne', 'umap' or 'none'.")
        if faces not in (None, "show", "blur", "none"):
            raise FerBenchError(f"faces is {faces!r}: use 'show', 'blur' or 'none'.")
        progress("reading the results")
        self.store = RunStore(root)
        self.summary: Summary = summarise(self.store, without_rows=True)
        wished = self.summary.experiment.get("report") or {}
        asked: Faces | None = faces or wished.get("faces")
        allowed: Faces = "show" if self.summary.data.get("publish_faces") else "none"
        self.faces: Faces = asked or allowed
        self.answers: str | None = answers or wished.get("answers")
        self.kinds: tuple[Kind, ...] = KINDS[maps]
        self.figures = KeptFigures(self.store.root / "figures.json")
        self._against = against
        self._max_points = max_points
        self.progress = progress

    @cached_property
    def before(self) -> tuple[Summary, RunStore] | None:
        """The summary that this one is compared with, and its folder."""
        if self._against is None:
            return None
        store = RunStore(self._against)
        return summarise(store), store

    @cached_property
    def confounding(self) -> Confounding | None:
        """The curves of a confounding experiment."""
        return confounding(self.store, [row.label for row in self.summary.rows])

    @cached_property
    def parts(self) -> dict[str, PartArrays]:
        """Label -> test part of the run that stands for the row."""
        return {
            row.label: self.store.record(row.representative).arrays.test
            for row in self.summary.rows
        }

    @cached_property
    def maps(self) -> dict[str, Maps]:
        """Label -> maps of that run; none of oracles, whose embeddings are the labels."""
        if not self.kinds:
            return {}
        rows = [row for row in self.summary.rows if row.role != "oracle"]
        return {
            row.label: self._maps_of(row, f"maps, {i} of {len(rows)}")
            for i, row in enumerate(rows, 1)
        }

    def _maps_of(self, row: Row, place: str) -> Maps:
        self.progress(place)
        return maps_of(
            self.store.record(row.representative),
            kinds=self.kinds,
            max_points=self._max_points,
            progress=lambda step: self.progress(f"{place}: {step}"),
        )

    @cached_property
    def nearest(self) -> dict[str, dict[str, Grid]]:
        """Label -> space -> queries with the faces nearest to them."""
        return {label: nearest(part) for label, part in self.parts.items()}

    @cached_property
    def samples(self) -> tuple[PartArrays, NDArray[np.int64]]:
        """A test part, and a few rows of every expression in it."""
        part = self.parts[self.summary.rows[0].label]
        return part, sample_positions(part)

    @cached_property
    def thumbnails(self) -> NDArray[np.uint8] | None:
        """Small faces of the data set, where they may be shown."""
        if self.faces == "none":
            return None
        return self.store.thumbnails(self.summary.data["fingerprint"])

    @cached_property
    def sprite(self) -> Sprite:
        """One sheet with every face of the page."""
        if not self.summary.rows:
            return sprite_of(None, np.empty(0, dtype=np.int64), mode="none")
        part, rows = self.samples
        wanted: list[Any] = [data_rows(part)[rows]]
        for label, part in self.parts.items():
            known = data_rows(part)
            for grid in self.nearest[label].values():
                wanted += [known[[query, *hits]] for query, hits in grid]
            if label in self.maps:
                wanted.append(known[self.maps[label].rows])
        return sprite_of(self.thumbnails, np.concatenate(wanted), mode=self.faces)

    @cached_property
    def slugs(self) -> dict[str, str]:
        """Labels as fragment names that no string from the data can break."""
        return {row.label: f"row-{i}" for i, row in enumerate(self.summary.rows)}
