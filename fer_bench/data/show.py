"""Pictures of a data set: contact sheets, pairs, and what the augmentation does."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from fer_bench.data.answers import Answers, column_of, meant
from fer_bench.data.augment import AUGMENTATIONS, ROTATIONS, augment, normalise, views
from fer_bench.data.faces import FaceData
from fer_bench.data.pages import data_uri, render, write_page
from fer_bench.data.pairs import PairSampler
from fer_bench.errors import DataError, did_you_mean

WHAT = ("classes", "subjects", "pairs", "augmentation")
SIDE = 72
GAP = 4
LABEL_WIDTH = 150


def sheets(
    data: FaceData,
    what: Sequence[str] = WHAT,
    *,
    per_row: int = 10,
    max_rows: int = 12,
    mode: str = "rotations",
    seed: int = 0,
) -> dict[str, Image.Image]:
    """Draw the asked-for sheets: title -> picture.

    Args:
        what: of "classes", "subjects", "pairs", "augmentation", or a categorical attribute.
        per_row, max_rows: size of a sheet, in faces.
        mode: the augmentation to show.
        seed: of the choice of faces.

    Raises:
        DataError: an unknown sheet or augmentation.
    """
    if mode not in AUGMENTATIONS:
        raise DataError(f"augmentation {mode!r} is unknown: {did_you_mean(mode, AUGMENTATIONS)}")
    drawn: dict[str, Image.Image] = {}
    columns = {name: name for name in data.attributes}
    columns |= {"classes": "expression"} if data.classes else {}
    columns |= {"subjects": "subject"} if data.has_subjects else {}
    for kind in what:
        if kind in columns:
            drawn[f"Faces by {columns[kind]}"] = contact_sheet(
                data, columns[kind], per_row=per_row, max_rows=max_rows, seed=seed
            )
        elif kind == "pairs" and data.classes:
            drawn["Pairs: same expression, different subject"] = pair_sheet(
                data, n=per_row, seed=seed
            )
        elif kind == "augmentation":
            drawn[f"Augmentation: {mode}"] = augmentation_sheet(data, mode=mode, seed=seed)
        elif kind not in WHAT:
            raise DataError(f"sheet {kind!r}: {did_you_mean(kind, [*WHAT, *data.attributes])}")
    return drawn


def contact_sheet(
    data: FaceData, column: str, *, per_row: int = 10, max_rows: int = 12, seed: int = 0
) -> Image.Image:
    """Randomly chosen faces of each level of a column, a row a level, with its name and count."""
    values = data.table[column].astype("str")
    names = list(data.classes) if column == "expression" else sorted(values.dropna().unique())
    rng = np.random.default_rng(seed)
    rows, labels = [], []
    for name in names[:max_rows]:
        rows_of_class = np.flatnonzero(values == name)
        if not len(rows_of_class):
            continue
        rows.append(list(data.gather(rng.permutation(rows_of_class)[:per_row])))
        labels.append(f"{name}\n{len(rows_of_class):,}")
    if len(names) > max_rows:
        rows.append([])
        labels.append(f"and {len(names) - max_rows} more")
    return grid(rows, labels)


def pair_sheet(data: FaceData, *, n: int = 10, seed: int = 0) -> Image.Image:
    """Anchor faces, and below each of them the partner that the pair sampler draws for it."""
    rng = np.random.default_rng(seed)
    labelled = np.flatnonzero(data.expression >= 0)
    sampler = PairSampler(data.expression, data.subject, seed=seed)
    rows, labels = [], []
    for _ in range(2):
        anchors = rng.permutation(labelled)[:n]
        partners = sampler.partners(anchors, rng)
        for name, chosen in (("anchors", anchors), ("partners", partners)):
            rows.append(list(data.gather(chosen)))
            labels.append(name)
    return grid(rows, labels)


def augmentation_sheet(
    data: FaceData, *, mode: str = "rotations", n: int = 4, seed: int = 0
) -> Image.Image:
    """Faces as they are stored, each followed by variations (for "rotations": all 14 views)."""
    rng = np.random.default_rng(seed)
    chosen = data.gather(rng.permutation(len(data))[:n])
    pixels = torch.from_numpy(chosen).permute(0, 3, 1, 2)
    floats = normalise(pixels, "unit")
    if mode == "rotations":
        varied = views(floats)
    else:
        generator = torch.Generator().manual_seed(seed)
        varied = torch.stack([augment(floats, mode, generator) for _ in range(10)])  # type: ignore[arg-type]
    shown = (varied.clamp(0, 1) * 255).round().byte().permute(1, 0, 3, 4, 2).numpy()
    rows = [[face, *variations] for face, variations in zip(chosen, shown, strict=True)]
    count = len(ROTATIONS) if mode == "rotations" else 0
    note = f"stored, {count} views,\n{count} mirrored" if count else "stored, then\nvariations"
    return grid(rows, [note] + [""] * (len(rows) - 1))


def answer_sheet(
    data: FaceData, answers: Answers, *, per_row: int = 10, seed: int = 0
) -> Image.Image:
    """Randomly chosen faces with the answers about each, in per cent, as in figure 5 of EIF.

    An answer that the data's own column contradicts is red.
    """
    chosen = np.sort(np.random.default_rng(seed).permutation(len(data))[: 2 * per_row])
    wide, line = SIDE + 24, 17
    block = SIDE + GAP + 2 * line * len(answers.levels) + 2 * GAP
    blocks = [chosen[i : i + per_row] for i in range(0, len(chosen), per_row)]
    sheet = Image.new("RGB", (LABEL_WIDTH + wide * per_row + GAP, block * len(blocks)), "white")
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(13)
    wrong = {name: _contradicted(data, answers, name) for name in answers.levels}
    for b, rows in enumerate(blocks):
        top = b * block + GAP
        for j, (row, face) in enumerate(zip(rows, data.gather(rows), strict=True)):
            sheet.paste(picture(face), (LABEL_WIDTH + j * wide, top))
            for k, name in enumerate(answers.levels):
                at = (LABEL_WIDTH + j * wide, top + SIDE + GAP + 2 * line * k)
                text = f"{answers.best(name)[row]}\n{answers.percent(name)[row]:.2f} %"
                colour = "#b00020" if wrong[name][row] else "black"
                draw.multiline_text(at, text, fill=colour, font=font, spacing=2)
        for k, name in enumerate(answers.levels):
            draw.text((GAP, top + SIDE + GAP + 2 * line * k), name, fill="black", font=font)
    return sheet


def _contradicted(data: FaceData, answers: Answers, name: str) -> NDArray[np.bool_]:
    words = answers.levels[name]
    column = column_of(data, name, words)
    if column is None:
        return np.zeros(len(data), dtype=bool)
    truth = meant(data.table[column], words)
    return (truth >= 0) & (truth != np.asarray(answers.shares[name]).argmax(axis=1))


def grid(rows: Sequence[Sequence[NDArray[np.uint8]]], labels: Sequence[str]) -> Image.Image:
    """Rows of faces [H, W, C] with a label before each."""
    cell = SIDE + GAP
    width = LABEL_WIDTH + cell * max((len(row) for row in rows), default=0) + GAP
    sheet = Image.new("RGB", (width, cell * max(len(rows), 1) + GAP), "white")
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(14)
    for i, (row, label) in enumerate(zip(rows, labels, strict=True)):
        top = GAP + i * cell
        draw.multiline_text((GAP, top + 18), label, fill="black", font=font)
        for j, face in enumerate(row):
            sheet.paste(picture(face), (LABEL_WIDTH + j * cell, top))
    return sheet


def picture(face: NDArray[np.uint8], side: int = SIDE) -> Image.Image:
    """A face [H, W, C] as a picture of a given side."""
    image = Image.fromarray(face[:, :, 0] if face.shape[2] == 1 else face).convert("RGB")
    return image.resize((side, side), Image.Resampling.BICUBIC)


def save(file: str | Path, data: FaceData, drawn: Mapping[str, Image.Image]) -> Path:
    """Write sheets into one PNG (below each other) or one self-contained HTML page.

    Raises:
        DataError: the file ends in neither .png nor .html, or there is nothing to show.
    """
    file = Path(file)
    if file.suffix not in (".png", ".html"):
        raise DataError(f"{file}: write to a file that ends in .png or .html.")
    if not drawn:
        raise DataError(f"{data.info.name} has nothing of what was asked for to show.")
    file.parent.mkdir(parents=True, exist_ok=True)
    if file.suffix == ".png":
        width = max(image.width for image in drawn.values())
        sheet = Image.new("RGB", (width, sum(i.height + 26 for i in drawn.values())), "white")
        draw, font, top = ImageDraw.Draw(sheet), ImageFont.load_default(16), 0
        for title, image in drawn.items():
            draw.text((GAP, top + 4), title, fill="black", font=font)
            sheet.paste(image, (0, top + 26))
            top += image.height + 26
        sheet.save(file)
        return file
    body = render(
        "{% for title, uri in sheets %}<h2>{{ title }}</h2>"
        '<div class="scroll"><img src="{{ uri }}" alt="{{ title }}"></div>{% endfor %}',
        sheets=[(title, data_uri(image)) for title, image in drawn.items()],
    )
    return write_page(file, data.info.title or data.info.name, body, lead=facts(data))


def facts(data: FaceData) -> tuple[str, ...]:
    """What a reader must know about the pictures, in sentences."""
    channels, height, width = data.shape
    lines = [
        f"{len(data):,} faces of {height}x{width}x{channels}, {len(data.classes)} expressions, "
        f"{len(data.subjects)} subjects ({data.info.subjects}).",
        f"Terms: {data.info.terms}" if data.info.terms else "",
        f"Source: {data.info.citation}" if data.info.citation else "",
    ]
    if data.info.own:
        lines.append("Before you publish this page, make sure that the people it shows agree.")
    elif not data.info.publish_faces:
        lines.append("Do not publish this page: the terms of the set do not allow it to be shown.")
    return tuple(line for line in (*lines, *data.info.notes) if line)
