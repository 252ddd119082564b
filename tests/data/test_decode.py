"""Pictures of any kind: what opens is read at its true brightness, the rest says why not."""

import io
from pathlib import Path

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from PIL import Image

from fer_bench.data import load_dataset
from fer_bench.data.decode import decode, picture_kind
from fer_bench.data.reader import image_files, image_suffixes
from fer_bench.errors import DataError

SAVED = {
    ".jfif": "JPEG", ".jpe": "JPEG", ".jpg": "JPEG", ".png": "PNG", ".apng": "PNG", ".gif": "GIF",
    ".bmp": "BMP", ".dib": "DIB", ".tif": "TIFF", ".pnm": "PPM", ".ppm": "PPM", ".tga": "TGA",
    ".jp2": "JPEG2000", ".j2k": "JPEG2000", ".webp": "WEBP", ".avif": "AVIF", ".pcx": "PCX",
    ".sgi": "SGI", ".qoi": "QOI", ".ico": "ICO",
}  # fmt: skip


def encoded(image: Image.Image, kind: str, **options) -> bytes:
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


def gray(value, dtype) -> Image.Image:
    return Image.fromarray(np.full((16, 16), value, dtype))


def shade(data: bytes) -> int:
    return int(decode(data, size=16, color=False)[8, 8, 0])


@pytest.mark.parametrize("suffix", SAVED)
@pytest.mark.parametrize("case", [str.lower, str.upper])
def test_what_pillow_opens_is_read(tmp_path, suffix, case):
    Image.init()
    if SAVED[suffix] not in Image.SAVE:
        pytest.skip(f"Pillow writes no {suffix} here")
    file = tmp_path / "happy" / f"a{case(suffix)}"
    file.parent.mkdir()
    file.write_bytes(encoded(Image.new("RGB", (32, 32), (250, 10, 10)), SAVED[suffix]))
    faces = load_dataset("folder", tmp_path, size=16)
    assert np.abs(faces.images[0, 8, 8].astype(int) - [250, 10, 10]).max() < 8


def test_a_picture_without_an_ending_is_read(tmp_path):
    (tmp_path / "happy").mkdir()
    data = encoded(Image.new("RGB", (32, 32)), "PNG")
    (tmp_path / "happy" / "a").write_bytes(data)
    (tmp_path / "happy" / "labels").write_text("path,expression")
    (tmp_path / "happy" / ".ipynb_checkpoints").mkdir()
    (tmp_path / "happy" / ".ipynb_checkpoints" / "a.png").write_bytes(data)
    assert [f.name for f in image_files(tmp_path)] == ["a"]


@given(st.sampled_from(sorted(image_suffixes())), st.binary(max_size=40))
@settings(max_examples=60)
def test_what_looks_like_a_picture_is_read_or_refused_by_name(tmp_path_factory, suffix, content):
    folder = tmp_path_factory.mktemp("set")
    (folder / "sad").mkdir()
    (folder / "sad" / f"x{suffix}").write_bytes(content)
    Image.new("RGB", (16, 16)).save(folder / "sad" / "good.png")
    faces = load_dataset("folder", folder, size=8, cache=folder / ".cache", bad_images="set-aside")
    assert faces.table["path"].tolist() == ["sad/good.png"]
    assert faces.rejects["path"].tolist() == [f"sad/x{suffix}"]


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"<!DOCTYPE html><html>404</html>", "web page: download"),
        (b"\n <html>", "web page: download"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:1\n", "git lfs pull"),
        (b"\x00\x00\x00\x18ftypheic" + bytes(20), "HEIC file: save it as PNG or JPEG"),
        (b"hello", "no picture format"),
        (b"", "is empty"),
    ],
)
def test_what_a_file_is_instead_of_a_picture_is_said(content, reason):
    with pytest.raises(DataError, match=reason):
        decode(content, size=16)


@given(st.integers(0, 65535), st.sampled_from(["PNG", "TIFF", "PPM"]))
@settings(max_examples=60, deadline=None)
def test_sixteen_bits_are_scaled_by_their_type(value, kind):
    assert abs(shade(encoded(gray(value, np.uint16), kind)) - value / 257) <= 0.51


@given(st.floats(0, 1, width=32), st.sampled_from([1.0, 255.0]))
@settings(max_examples=60, deadline=None)
def test_floats_in_either_range_are_equal_pictures(value, white):
    assume(white == 1 or value * white >= 16)
    assert abs(shade(encoded(gray(value * white, np.float32), "TIFF")) - value * 255) <= 0.51


@given(st.floats(-4, 4, width=32), st.floats(-4, 4, width=32))
@settings(max_examples=80, deadline=None)
def test_floats_of_unknown_range_are_refused_not_darkened(a, b):
    pixels = np.full((16, 16), a, np.float32)
    pixels[:, 8:] = b
    if min(a, b) >= -0.1 and max(a, b) <= 1.5 and max(a, b) >= 0:
        assert abs(shade(encoded(Image.fromarray(pixels), "TIFF")) - np.clip(b, 0, 1) * 255) <= 0.51
    else:
        with pytest.raises(DataError, match="neither in"):
            shade(encoded(Image.fromarray(pixels), "TIFF"))


def test_the_range_a_file_declares_is_taken():
    twelve = gray(2048, np.uint16)
    assert shade(encoded(twelve, "TIFF", tiffinfo={281: 4095})) == 128
    assert shade(encoded(twelve, "TIFF", tiffinfo={281: 4095, 274: 6})) == 128  # turned, too
    assert shade(encoded(gray(300.0, np.float32), "TIFF", tiffinfo={341: 600.0})) == 128


@pytest.mark.parametrize(
    ("image", "reason"),
    [
        (gray(7, np.int32), "integers of 32 bits, whose white is unknown"),
        (gray(np.nan, np.float32), "no numbers"),
        (gray(np.inf, np.float32), "no numbers"),
    ],
)
def test_a_brightness_that_cannot_be_known_is_refused(image, reason):
    with pytest.raises(DataError, match=reason):
        shade(encoded(image, "TIFF"))


def test_of_a_photograph_with_previews_the_photograph_is_read():
    preview = Image.new("RGB", (16, 16))
    data = encoded(
        Image.new("RGB", (32, 32), "white"), "MPO", save_all=True, append_images=[preview]
    )
    assert decode(data, size=16).min() > 250


boxes = st.tuples(*[st.floats(-80, 80)] * 2, *[st.floats(-10, 160)] * 2)


@given(boxes)
@settings(max_examples=150, deadline=None)
def test_a_face_box_shows_the_picture_or_is_refused(box):
    white = encoded(Image.new("RGB", (40, 40), "white"), "PNG")
    try:
        face = decode(white, size=16, fit="stretch", box=box)
    except DataError:
        return
    assert face.mean() > 255 * 0.45  # at least half of it is picture


@pytest.mark.parametrize(
    ("box", "reason"),
    [
        ((100, 100, 30, 30), r"\(100, 100, 30, 30\) of which 0% lies inside the picture \(40x40\)"),
        ((36, 0, 40, 40), "of which 10% lies inside"),
        ((5, np.nan, 30, 30), "incomplete face box"),
        ((5, 5, np.inf, 30), "incomplete face box"),
        ((5, 5, 0, 0), "only 0x0 pixels"),
        ((5, 5, -20, 30), "only -20x30 pixels"),
    ],
)
def test_a_wrong_face_box_says_what_is_wrong(box, reason):
    white = encoded(Image.new("RGB", (40, 40), "white"), "PNG")
    with pytest.raises(DataError, match=reason):
        decode(white, size=16, box=box)


def test_no_box_is_the_full_picture_and_a_box_over_the_edge_is_padded():
    white = encoded(Image.new("RGB", (40, 40), "white"), "PNG")
    assert decode(white, size=16, box=(np.nan,) * 4).min() == 255
    assert decode(white, size=16, box=(-8, 0, 40, 40))[8, 0].max() == 0


@given(st.binary(max_size=32))
def test_no_bytes_confuse_the_look_at_a_signature(head):
    assert picture_kind(head) is None or isinstance(picture_kind(head), str)


def test_a_missing_file_is_a_clear_error():
    with pytest.raises(DataError, match="no such file"):
        decode(Path("absent.png"), size=16)
