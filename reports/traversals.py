"""Traversals of a result folder: made, written as pictures, kept with the runs."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields
from pathlib import Path

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from fer_bench.atomic import atomic_path
from fer_bench.errors import FerBenchError, did_you_mean
from fer_bench.metrics.generators import Generator, read_generator
from fer_bench.metrics.traversals import STEPS, Traversal, traverse
from fer_bench.reports.summary import summarise
from fer_bench.reports.text import file_names, listed
from fer_bench.runs.store import RunRecord, RunStore

_ARRAYS = ("rows", "faces", "read", "likeness")
_FILE = "traversals.safetensors"
OWN = "own"


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
        generator: see `read_generator`, or "own" for each method's own decoder, where it has one;
            the decoder probe by default.
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
    own = generator == OWN
    draw = read_generator(generator) if generator is not None and not own else None
    recognise = recogniser(weights) if weights is not None else None
    drawn_by = "its own decoder" if own else str(generator)
    names = (drawn_by, f"MobileFaceNet ({Path(weights or '').name})")
    out = {}
    for label in labels or [row.label for row in summary.of_role("method")]:
        progress(label)
        record = store.record(summary.row(label).representative)
        test = record.arrays.test
        movable = test.embeddings if own else test.spaces  # such a decoder draws from E and I
        there = [space for space in spaces if space in movable]
        if len(there) < len(spaces):
            progress(f"{label} has no {listed(set(spaces) - set(there))}")
        if own and (draw := own_generator(record)) is None:
            progress(f"{label} has no decoder of its own")
            continue
        out[label] = [
            walk
            for space in there
            for walk in traverse(
                record.arrays, space=space, generator=draw, beside=own, recognise=recognise,
                names=names,
            )
        ]  # fmt: skip
        save_traversals(record, out[label])
    if own and not out:
        raise FerBenchError("no method here has a decoder of its own: leave out --generator.")
    if not any(out.values()):
        raise FerBenchError(f"no method here has an embedding {listed(spaces)}.")
    if pictures is not None:
        _write_pictures(Path(pictures), out)
    return out


def own_generator(record: RunRecord) -> Generator | None:
    """The own decoder of a run's method, as a generator of codes: E, beside I where there is one.

    It draws in the light of the average test face.

    Returns:
        The generator, or None for a method without a decoder.

    Raises:
        RunError: the run cannot be loaded; see `load_session`.
    """
    import torch

    from fer_bench.data.augment import denormalise
    from fer_bench.method import Embeddings
    from fer_bench.sweep.worker import load_session
    from fer_bench.training.extract import average_light, decoded

    test = record.arrays.test
    if test.drawn is None:
        return None
    session = load_session(record)
    batcher, width = session.batcher, test.expression.shape[1]
    light = average_light(batcher.batch(test.labels["row"].to_numpy(np.int64)).pixels)

    def draw(codes: torch.Tensor) -> torch.Tensor:
        identity = codes[:, width:] if test.identity is not None else None
        images = decoded(session.method, Embeddings(codes[:, :width], identity))
        assert images is not None  # it drew the test faces
        pixels = denormalise(images.float(), batcher.training.normalise, light=light)
        return pixels / 127.5 - 1

    return draw


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
