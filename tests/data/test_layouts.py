"""Folders in several layouts are recognised by the reader that understands most of them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from fer_bench.data.layouts import recognise
from fer_bench.errors import DataError

CLASSES = ("neutral", "happiness", "sadness")


def draw(*paths: Path, side: int = 24) -> None:
    rng = np.random.default_rng(0)
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        pixels = rng.integers(0, 255, (side, side, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(path)


@pytest.mark.parametrize("upside_down", [False, True])
@pytest.mark.parametrize("split", ["", "train", "test"])
def test_folders_of_expressions_and_people_in_either_order(tmp_path, upside_down, split):
    for expression in CLASSES:
        for person in ("anna", "ben", "cleo"):
            parts = (person, expression) if upside_down else (expression, person)
            draw(tmp_path.joinpath(split, *parts, "1.png"))
    layout = recognise(tmp_path)
    assert (layout.name, layout.people, layout.side) == ("folder", 3, 24)
    assert set(layout.classes) == set(CLASSES)
    assert layout.options.get("people_first", False) == upside_down
    assert layout.rejects == ()


def test_folders_of_expressions_alone(tmp_path):
    draw(*(tmp_path / expression / f"{i}.png" for expression in CLASSES for i in range(4)))
    layout = recognise(tmp_path)
    assert (layout.name, layout.people, len(layout.table)) == ("folder", 0, 12)


def test_a_table_of_any_name_is_a_manifest(tmp_path):
    draw(*(tmp_path / "images" / f"{i}.png" for i in range(6)))
    rows = [f"images/{i}.png,{CLASSES[i % 3]},p{i // 3}" for i in range(6)]
    (tmp_path / "labels.csv").write_text("file,emotion,subject\n" + "\n".join(rows))
    layout = recognise(tmp_path)
    assert (layout.name, layout.options, layout.people) == ("manifest", {"file": "labels.csv"}, 2)
    assert recognise(tmp_path / "labels.csv").name == "manifest"


def test_rows_whose_picture_is_missing_are_set_aside(tmp_path):
    draw(*(tmp_path / f"{i}.png" for i in range(19)))
    rows = [f"{i}.png,{CLASSES[i % 3]}" for i in range(20)]
    (tmp_path / "manifest.csv").write_text("path,expression\n" + "\n".join(rows))
    layout = recognise(tmp_path)
    assert [reject.path for reject in layout.rejects] == ["19.png"]
    assert layout.options["bad_images"] == "set-aside"


@pytest.mark.parametrize(
    ("name", "paths"),
    [
        ("jaffe", [f"{p}.{e}1.{i}.tiff" for p in ("KA", "YM") for i, e in enumerate(("AN", "HA"))]),
        ("ck+48", [f"{e}/S{p:03d}_001_0000001{i}.png" for e in ("anger", "happy")
                   for p in (5, 10) for i in range(3)]),
        ("kdef", [f"{p}/{p}{e}S.JPG" for p in ("AF01", "AM02") for e in ("AN", "HA")]),
    ],
)  # fmt: skip
def test_published_sets_are_known_by_their_names(tmp_path, name, paths):
    draw(*(tmp_path / path for path in paths))
    layout = recognise(tmp_path)
    assert (layout.name, layout.people, len(layout.table)) == (name, 2, len(paths))


def test_own_words_for_expressions(tmp_path):
    draw(*(tmp_path / word / f"{i}.png" for word in ("grin", "flat") for i in range(3)))
    with pytest.raises(DataError, match=r"6 of 6 images .* flat/0.png: unknown expression 'flat'"):
        recognise(tmp_path)
    layout = recognise(tmp_path, labels={"grin": "happiness", "flat": "neutral"})
    assert layout.classes == {"neutral": 3, "happiness": 3}


def test_no_images_and_no_folder(tmp_path):
    with pytest.raises(DataError, match="no images were recognised"):
        recognise(tmp_path)
    with pytest.raises(DataError, match="there is no folder"):
        recognise(tmp_path / "absent")


def test_a_broken_plug_in_does_not_matter(tmp_path, monkeypatch):
    from fer_bench.data.readers.folder import Folder
    from fer_bench.registry import datasets

    class Broken(Folder):
        def read(self, root, **options):
            raise RuntimeError

    monkeypatch.setitem(datasets._local, "aaa", Broken())
    draw(tmp_path / "anger" / "a.png", tmp_path / "fear" / "a.png")
    assert recognise(tmp_path).name == "folder"


@settings(max_examples=6, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    people=st.lists(st.text("abcxyz0189_-. ", min_size=1, max_size=6), min_size=1, max_size=3,
                    unique=True).filter(lambda names: all(n.strip(". ") == n for n in names)),
    upside_down=st.booleans(),
)  # fmt: skip
def test_whatever_people_are_called_all_images_are_listed(tmp_path_factory, people, upside_down):
    root = tmp_path_factory.mktemp("any")
    for expression in CLASSES[:2]:
        for person in people:
            pair = (person, expression) if upside_down else (expression, person)
            draw(root.joinpath(*pair, "1.png"))
    layout = recognise(root)
    assert (len(layout.table), layout.people) == (2 * len(people), len(people))
