"""Results for other tools: all scores as Parquet, embeddings for the TensorBoard projector."""

from __future__ import annotations

import io
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from PIL import Image

from fer_bench.arrays import PartArrays
from fer_bench.atomic import atomic_path, write_text
from fer_bench.errors import FerBenchError
from fer_bench.reports.scores import scores_frame
from fer_bench.reports.summary import summarise
from fer_bench.reports.text import file_names, plain
from fer_bench.runs.store import RunRecord, RunStore

_SPRITE_SIDE = 8192  # the projector's limit for a sprite sheet


def write_exports(root: str | Path, *, out: str | Path | None = None) -> list[Path]:
    """Write `scores.parquet` and, for one run of each row, projector files.

    The Parquet file is the tidy table of `fer_bench.reports.scores.scores_frame`, a caution as
    its code and its text: read it with `pandas.read_parquet`. The projector folder is for
    `tensorboard --logdir <out>/projector`; faces are in it only where the terms of the data
    allow publication.

    Args:
        root: result folder.
        out: folder to write; `<root>/export` by default.

    Returns:
        The files written.
    """
    store = RunStore(root)
    summary = summarise(store)
    folder = Path(out) if out is not None else store.root / "export"
    kept = {run for row in summary.rows for run in row.runs}
    records = [r for r in store.records() if r.folder.name in kept]
    scores = folder / "scores.parquet"
    with atomic_path(scores) as aside:
        flat_frame(records).to_parquet(aside, index=False)
    written = [scores]
    thumbnails = None
    if summary.data.get("publish_faces"):
        thumbnails = store.thumbnails(summary.data["fingerprint"])
    projector = folder / "projector"
    config: list[str] = []
    names = file_names(row.label for row in summary.rows)
    for row in summary.rows:
        part = store.record(row.representative).arrays.test
        sheet = _sprite(part, thumbnails)
        spaces = {"expression": part.expression}
        if part.identity is not None:
            spaces["identity"] = part.identity
        metadata = projector / f"{names[row.label]}.metadata.tsv"
        _write(metadata, _metadata(part))
        written.append(metadata)
        if sheet is not None:
            picture = projector / f"{names[row.label]}.faces.png"
            with atomic_path(picture) as aside:
                sheet[0].save(aside, "PNG")
            written.append(picture)
        for space, vectors in spaces.items():
            path = projector / f"{names[row.label]}.{space}.tsv"
            text = io.StringIO()
            np.savetxt(text, vectors, fmt="%.6g", delimiter="\t")
            _write(path, text.getvalue())
            written.append(path)
            config += _entry(
                f"{names[row.label]}, {space}", path, metadata, sheet, names[row.label]
            )
    index = projector / "projector_config.pbtxt"
    _write(index, "\n".join(config) + "\n")
    return [*written, index]


def flat_frame(records: Iterable[RunRecord]) -> pd.DataFrame:
    """All scores of all runs, with cautions as codes and texts that any file format can hold."""
    frame = scores_frame(records)
    flat = [[{"code": c.code, "text": str(c)} for c in cautions] for cautions in frame["cautions"]]
    return frame.assign(cautions=flat)


def _entry(
    name: str, path: Path, metadata: Path, sheet: tuple[Image.Image, int] | None, row: str
) -> list[str]:
    lines = [
        "embeddings {",
        f"  tensor_name: {json.dumps(name)}",
        f"  tensor_path: {json.dumps(path.name)}",
        f"  metadata_path: {json.dumps(metadata.name)}",
    ]
    if sheet is not None:
        lines += [
            "  sprite {",
            f"    image_path: {json.dumps(row + '.faces.png')}",
            f"    single_image_dim: [{sheet[1]}, {sheet[1]}]",
            "  }",
        ]
    return [*lines, "}"]


def _metadata(part: PartArrays) -> str:
    """Labels as tab-separated text: one line per face, no tab or line break inside a field."""
    columns = ["expression", "subject", "valence", "arousal", *map(str, part.attribute_names())]
    columns = [c for c in columns if c in part.labels]
    table = part.labels[columns].astype(object)
    if part.logits is not None:
        table = table.assign(predicted=[part.classes[i] for i in part.logits.argmax(axis=1)])
    lines = ["\t".join(_field(c) for c in table.columns)]
    lines += ["\t".join(_field(v) for v in row) for row in table.itertuples(index=False)]
    return "\n".join(lines) + "\n"


def _field(value: Any) -> str:
    return "" if pd.isna(value) else plain(str(value))


def _sprite(part: PartArrays, thumbnails: np.ndarray | None) -> tuple[Image.Image, int] | None:
    """A square sheet, row after row, as the projector reads it."""
    if thumbnails is None or "row" not in part.labels:
        return None
    rows = part.labels["row"].to_numpy(dtype=np.int64)
    across = int(np.ceil(np.sqrt(len(rows))))
    side = min(thumbnails.shape[1], _SPRITE_SIDE // across)
    if side < 8:
        return None
    sheet = Image.new("RGB", (across * side, across * side))
    for i, row in enumerate(rows):
        face = thumbnails[row]
        image = Image.fromarray(face[:, :, 0] if face.shape[2] == 1 else face).convert("RGB")
        sheet.paste(image.resize((side, side)), (i % across * side, i // across * side))
    return sheet, side


def _write(path: Path, text: str) -> None:
    try:
        write_text(path, text)
    except OSError as error:
        raise FerBenchError(f"cannot write {str(path)!r}: {error.strerror}.") from None
