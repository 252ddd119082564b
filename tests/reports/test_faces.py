"""Faces: each in its place on the sheet; blurred ones cannot be told apart."""

from __future__ import annotations

import base64
import io

import numpy as np
import pytest
from PIL import Image

from fer_bench.reports.faces import sprite_of


def sheet_of(sprite):
    data = base64.b64decode(sprite.uri.removeprefix("data:image/webp;base64,"))
    return np.asarray(Image.open(io.BytesIO(data)).convert("RGB"), dtype=float)


def tile(sprite, row):
    at, side = sprite.of(row), sprite.tile
    x, y = at % sprite.columns * side, at // sprite.columns * side
    return sheet_of(sprite)[y : y + side, x : x + side]


@pytest.fixture(scope="module")
def plain_faces():
    """200 faces, each of one colour."""
    colours = np.random.default_rng(0).integers(0, 255, size=(200, 1, 1, 3))
    return np.broadcast_to(colours, (200, 24, 24, 3)).astype(np.uint8)


def test_every_face_is_where_the_page_looks_for_it(plain_faces):
    rows = np.array([7, 3, 3, 150, 60, 199, -1, 500])
    sprite = sprite_of(plain_faces, rows, mode="show")
    assert sorted(sprite.position) == [3, 7, 60, 150, 199]
    for row in sprite.position:
        middle = tile(sprite, row)[12:36, 12:36].mean(axis=(0, 1))
        np.testing.assert_allclose(middle, plain_faces[row, 0, 0], atol=30)
    assert sprite.of(500) == -1


def test_gray_faces_are_drawn():
    sprite = sprite_of(np.full((2, 16, 16, 1), 200, np.uint8), np.array([0, 1]), mode="show")
    assert tile(sprite, 1).mean() == pytest.approx(200, abs=6)


def test_blur_takes_the_detail_and_keeps_the_light():
    rng = np.random.default_rng(1)
    noise = rng.integers(0, 255, size=(1, 48, 48, 3)).astype(np.uint8)
    shown, blurred = (tile(sprite_of(noise, np.array([0]), mode=m), 0) for m in ("show", "blur"))
    assert blurred.std() < 0.25 * shown.std()
    assert blurred.mean() == pytest.approx(shown.mean(), abs=12)


@pytest.mark.parametrize("faces", [None, np.zeros((3, 8, 8, 3), np.uint8)])
def test_none_leaves_nothing_behind(faces):
    sprite = sprite_of(faces, np.array([0, 1]), mode="none")
    assert (sprite.uri, sprite.position) == ("", {})


def test_many_faces_stay_within_what_webp_can_hold():
    faces = np.zeros((9000, 4, 4, 3), np.uint8)
    sprite = sprite_of(faces, np.arange(9000), mode="show")
    assert sprite.rows * sprite.tile < 16383
    assert sprite.columns * sprite.tile < 16383
