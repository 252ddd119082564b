"""Traversals of a result folder: made, written as pictures, kept with the runs."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields
from pathlib import Path

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from fer_bench.errors import FerBenchError, did_you_mean
from fer_bench.metrics.generators import read_generator
from fer_bench.metrics.traversals import STEPS, Traversal, traverse
from fer_bench.reports.summary import summarise
from fer_bench.reports.text import file_names, listed
from fer_bench.runs.store import RunRecord, RunStore, atomic_path

_ARRAYS = ("rows", "faces", "read", "likeness")
_FILE = "traversals.safetensors"


def traverse_folder(
    root: str | Path,
    *,
    spaces: Sequence[str] = ("E",),
    labels: Sequence[str] = (),
    generator: str | None = None,
    weights: str | Path | None = None,
    pictures: str | Path | None = None,
    progress: Callable[[str], None] = lambda step: None,
) -> dict[str, list[Traversal]]:
    """Traverse the embeddings of the methods of a result folder, and keep that with their runs.

    Args:
        root: result folder.
        spaces: embeddings that move; a method that lacks one is left out of it.
        labels: rows of the leaderboard; all methods by default.
        generator: see `read_generator`; the decoder probe by default.
        weights: MobileFaceNet's, to compare people; their pixels by default.
        pictures: a folder for every drawing, as `<row>/<embedding, direction>/<face>_<t>.png`:
            what `fer-bench realism page` takes.
        progress: told what is done next.

    Returns:
        Label -> its traversals.

    Raises:
        FerBenchError: there is no such row or embedding, or nothing to draw with.
    """
    from fer_bench.backbones.recognition import recogniser  # heavy

    store = RunStore(root)
    summary = summarise(store)
    known = [row.label for row in summary.rows]
    for label in labels:
        if label not in known:
            raise FerBenchError(f"there is no row {label!r}: {did_you_mean(label, known)}")
    draw = read_generator(generator) if generator is not None else None
    recognise = recogniser(weights) if weights is not None else None
    names = (str(generator), f"MobileFaceNet ({Path(weights or '').name})")
    out = {}
    for label in labels or [row.label for row in summary.of_role("method")]:
        progress(label)
        record = store.record(summary.row(label).representative)
        there = [space for space in spaces if space in record.arrays.test.spaces]
        if len(there) < len(spaces):
            progress(f"{label} has no {listed(set(spaces) - set(there))}")
        out[label] = [
            walk
            for space in there
            for walk in traverse(
                record.arrays, space=space, generator=draw, recognise=recognise, names=names
            )
        ]
        save_traversals(record, out[label])
    if not any(out.values()):
        raise FerBenchError(f"no method here has an embedding {listed(spaces)}.")
    if pictures is not None:
        _write_pictures(Path(pictures), out)
    return out


def _write_pictures(folder: Path, traversals: Mapping[str, Sequence[Traversal]]) -> None:
    from PIL import Image

    names = file_names(traversals)
    for label, walks in traversals.items():
        groups = file_names(f"{walk.space} {walk.direction}" for walk in walks)
        for walk, group in zip(walks, groups.values(), strict=True):
            place = folder / names[label] / group
            place.mkdir(parents=True, exist_ok=True)
            for i, line in enumerate(walk.faces):
                for t, face in zip(STEPS, line, strict=True):
                    image = Image.fromarray(face[..., 0] if face.shape[-1] == 1 else face)
                    image.save(place / f"{i:02d}_{t:+.1f}.png")


def save_traversals(record: RunRecord, traversals: Sequence[Traversal]) -> None:
    """Keep traversals with a run; those that were kept before are replaced."""
    facts = [
        {f.name: getattr(one, f.name) for f in fields(one) if f.name not in _ARRAYS}
        for one in traversals
    ]
    arrays = {
        f"{i}.{name}": np.ascontiguousarray(getattr(one, name))
        for i, one in enumerate(traversals)
        for name in _ARRAYS
    }
    with atomic_path(record.folder / _FILE) as aside:
        save_file(arrays, aside, metadata={"traversals": json.dumps(facts)})


def traversals_of(record: RunRecord) -> list[Traversal]:
    """The traversals kept with a run; none where there are none, or the file is damaged."""
    try:
        with safe_open(record.folder / _FILE, framework="numpy") as file:
            known = json.loads((file.metadata() or {})["traversals"])
            return [
                Traversal(**facts, **{name: file.get_tensor(f"{i}.{name}") for name in _ARRAYS})
                for i, facts in enumerate(known)
            ]
    except (SafetensorError, OSError, KeyError, ValueError, TypeError):
        return []
