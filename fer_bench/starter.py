"""A first experiment file for somebody's folder, with a comment on every choice."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from fer_bench.data.layouts import Layout
from fer_bench.errors import DataError

STEPS = (600, 6_000)  # at least and at most
PASSES = 15  # over the faces, between these
FEWEST_PEOPLE = 3  # one is tested, one decides, one is learned from
RARE = 3  # the largest class has so many times the faces of the smallest: draw them equally

ROWS = {
    "erm": "recognition alone: the bar for every other method",
    "dice-fer": "expression and identity apart, by mutual information",
    "adversarial-branch": "expression and identity apart, by a gradient that is turned round",
    "caf": "contrastive on valence and arousal",
    "random-encoder": "an encoder that learned nothing: where the scales begin",
    "pixels": "the picture itself, read by a linear model",
}
ERASED = (
    '\n[[methods]]\nname = "erased" # identity taken out of ERM\'s embedding afterwards\nof = "erm"'
)


def describe(layout: Layout) -> list[str]:
    """What was seen, line by line."""
    title = layout.info.title or layout.name
    counts = ", ".join(f"{name} {count:,}" for name, count in layout.classes.items())
    lines = [f"{title} (data set {layout.name!r}): {len(layout.table):,} images"]
    lines.append(f"expressions: {counts or 'none'}")
    if layout.people:
        each = layout.table["subject"].value_counts()
        most = f" to {each.max():,}" if each.max() > each.min() else ""
        span = f"{each.min():,}{most} images each"
        lines.append(f"people: {layout.people:,}, {span}")
    else:
        lines.append("people: unknown, so that everything about identity is left out")
    if layout.table["valence"].notna().any():
        lines.append("valence and arousal: yes")
    if layout.official:
        lines.append("split: the set's own training and test part")
    if layout.side is not None:
        lines.append(f"pictures: about {layout.side} pixels")
    if layout.rejects:
        first = layout.rejects[0]
        lines.append(
            f"set aside: {len(layout.rejects)} images, such as {first.path}: "
            f"{first.reason.rstrip('.')}"
        )
    return lines


def starter(layout: Layout, file: Path) -> str:
    """The text of an experiment file for a folder.

    Args:
        layout: what is in the folder.
        file: where the text will be written; the root is given relative to it.

    Raises:
        DataError: there is only one expression and no valence, or fewer than three people.
    """
    check(layout)
    return "\n".join([*_head(layout, file), *_data(layout, file), *_split(layout),
                      *_training(layout), *_methods(layout), ""])  # fmt: skip


def check(layout: Layout) -> None:
    """Refuse faces that no method can be compared on.

    Raises:
        DataError: as `starter`.
    """
    if len(layout.classes) < 2 and not _measures_affect(layout):
        there = ", ".join(layout.classes) or "none"
        raise DataError(
            f"{layout.root}: at least two expressions are needed, and there is {there}: "
            "put the pictures in one folder an expression."
        )
    if 0 < layout.people < FEWEST_PEOPLE and not layout.official:
        raise DataError(
            f"{layout.root}: {layout.people} people are too few to test on a person who was not "
            f"learned from: give pictures of {FEWEST_PEOPLE} people and more, or leave the folders "
            "of people out."
        )


def _measures_affect(layout: Layout) -> bool:
    return len(layout.classes) < 2 and bool(layout.table["valence"].notna().any())


def _head(layout: Layout, file: Path) -> Iterator[str]:
    yield f"# Written by `fer-bench init`. Run it: fer-bench run {file}"
    yield '# Every key: fer-bench\'s documentation, "Keys of an experiment file".'
    yield "#"
    yield from (f"# {line}" for line in describe(layout))
    yield f"name = {_toml(experiment_name(file))}"
    yield "seeds = [0, 1] # every method is trained once for each; two show how far training varies"


def _data(layout: Layout, file: Path) -> Iterator[str]:
    yield "\n[data]"
    yield f"name = {_toml(layout.name)}"
    yield f"root = {_toml(_from(file, layout.root))} # relative to this file"
    for key, value in layout.options.items():
        note = " # the images named above; without this line they are an error"
        yield f"{key} = {_toml(value)}{note if key == 'bad_images' else ''}"
    yield f"size = {_size(layout)} # side of the square faces in pixels"


def _split(layout: Layout) -> Iterator[str]:
    yield "\n[split]"
    if layout.official:
        yield "official = true # the set's own training and test part, as the only fold"
        return
    folds = min(5, layout.people or 5)
    unit = "person" if layout.people else "image"
    yield f"folds = {folds} # every {unit} is tested once, by a model that has not seen it"
    part = {2: "half", 3: "third", 4: "quarter", 5: "fifth"}[folds]
    yield f"# use = [0] # the first fold alone: a first look in a {part} of the time"


def _training(layout: Layout) -> Iterator[str]:
    yield "\n[training]"
    batch = 64 if len(layout.table) >= 1000 else 32
    least, most = STEPS
    steps = min(max(PASSES * len(layout.table) // batch, least), most)
    yield f"steps = {steps} # optimiser steps of every method; a stage takes its share"
    yield f"batch_size = {batch}"
    counts = layout.classes.values()
    if counts and max(counts) > RARE * min(counts):
        yield "balanced = true # rare expressions are drawn as often as frequent ones"
    if _measures_affect(layout):
        yield 'target = "valence_arousal"'


def _methods(layout: Layout) -> Iterator[str]:
    if _measures_affect(layout):
        names = ["erm", "caf", "random-encoder", "pixels"]
    elif layout.people:
        names = ["erm", "dice-fer", "adversarial-branch", "random-encoder", "pixels"]
    else:
        names = ["erm", "dice-fer", "pixels"]
    yield "\n# More: fer-bench list methods"
    for name in names:
        reference = name in ("random-encoder", "pixels")
        if name == "random-encoder" and layout.people:
            yield ERASED
        yield f"\n[[methods]]\nname = {_toml(name)} # {ROWS[name]}"
        if reference:
            yield "seeds = [0] # one is enough"


def experiment_name(file: Path) -> str:
    """The name of an experiment in a file: letters, digits, dots, hyphens and underscores."""
    return re.sub(r"[^\w.-]+", "-", file.stem).strip("-.") or "experiment"


def _size(layout: Layout) -> int:
    side = layout.side or 64
    return 64 if side >= 64 else max(16, side // 16 * 16)


def _from(file: Path, root: Path) -> str:
    try:
        return Path(os.path.relpath(root, file.resolve().parent)).as_posix()
    except ValueError:  # another drive
        return root.resolve().as_posix()


def _toml(value: Any) -> str:
    if isinstance(value, Mapping):
        pairs = (f"{_toml(str(key))} = {_toml(item)}" for key, item in value.items())
        return "{ " + ", ".join(pairs) + " }"
    return json.dumps(value, ensure_ascii=False)
