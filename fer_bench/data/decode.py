"""From image files of any kind to one square uint8 array."""

from __future__ import annotations

import io
import os
import re
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from fer_bench.errors import DataError

Fit = Literal["crop", "pad", "stretch"]
FITS = get_args(Fit)

MAX_PIXELS = 100_000_000
"""Larger images are refused from their header, before anything is decompressed."""
MIN_SIDE = 8
"""Smaller images cannot show a face."""
MIN_INSIDE = 0.5
"""Share of a face box that must lie inside the picture."""
SIGNATURES = {
    b"\xff\xd8\xff": "JPEG",
    b"\x89PNG\r\n\x1a\n": "PNG",
    b"GIF8": "GIF",
    b"II*\x00": "TIFF",
    b"MM\x00*": "TIFF",
    b"\x00\x00\x00\x0cjP  ": "JPEG 2000",
    b"\xff\x4f\xff\x51": "JPEG 2000",
    b"\xff\x0a": "JPEG XL",
    b"\x00\x00\x00\x0cJXL ": "JPEG XL",
}
"""First bytes of picture files (see also `picture_kind`)."""


def picture_kind(head: bytes) -> str | None:
    """The format of a picture by its first 32 bytes, whatever its name; None: no picture.

    >>> picture_kind(b"\\x89PNG\\r\\n\\x1a\\n"), picture_kind(b"path,expression")
    ('PNG', None)
    """
    if head[4:8] == b"ftyp":
        brands = {b"avif": "AVIF", b"avis": "AVIF", b"heic": "HEIC", b"heix": "HEIC",
                  b"hevc": "HEIC", b"mif1": "HEIC", b"msf1": "HEIC"}  # fmt: skip
        return brands.get(head[8:12])
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "WebP"
    return next((kind for start, kind in SIGNATURES.items() if head.startswith(start)), None)


def inside(root: Path, path: str) -> Path:
    """Resolve a listed path, which must stay inside the root.

    Raises:
        DataError: it leads outside (`..`, an absolute path, a symbolic link), or is missing.
    """
    base = root.resolve()
    try:
        full = (base / path).resolve()
        if full.is_relative_to(base):
            if not full.is_file():
                raise DataError(f"there is no such file{_near(full, path)}")
            return full
    except (OSError, ValueError, RuntimeError) as error:  # too long, a zero byte, a circle of links
        raise DataError(f"is no path of a file ({error})") from error
    raise DataError(f"leads outside the root {root}: move the file inside or change the root")


def _near(file: Path, path: str) -> str:
    """What may help where a path leads to no file."""
    if re.match(r"[A-Za-z]:[\\/]", path):
        return ": give paths from the root on, with /, not from a Windows drive"
    if "\\" in path:
        return ": write the folders with / instead of \\"
    folder = file.parent
    near = _names(folder, folder.stat().st_mtime_ns) if folder.is_dir() else {}
    names = near.get(file.name.casefold()) or near.get(file.stem.casefold()) or []
    return f": did you mean {' or '.join(map(repr, names[:3]))}?" if names else ""


@lru_cache(maxsize=8)
def _names(folder: Path, _changed: int) -> dict[str, list[str]]:
    """The files of a folder by their names, and by their names without the ending, casefolded."""
    names: dict[str, list[str]] = {}
    for name in sorted(os.listdir(folder)):
        for key in dict.fromkeys([name.casefold(), Path(name).stem.casefold()]):
            names.setdefault(key, []).append(name)
    return names


def decode(
    file: Path | bytes,
    *,
    size: int,
    color: bool = True,
    fit: Fit = "crop",
    box: tuple[float, float, float, float] | None = None,
) -> NDArray[np.uint8]:
    """Decode one image file (or its bytes) into uint8 [size, size, 3 or 1].

    Turned upright by its EXIF orientation; CMYK and palettes become RGB; alpha is laid on white;
    grays of more than 8 bits are scaled by the range of their type (see `to_rgb`).

    Args:
        size: side of the result in pixels.
        fit: "crop" keeps the central square, "pad" adds black borders, "stretch" ignores aspect.
        box: left, top, width, height of the part to use, in pixels of the upright image; all NaN
            for the whole image. At least half of it must lie inside the image.

    Raises:
        DataError: the file cannot be used; the message says why.
    """
    with _opened(file) as image:
        if box is None and image.format == "JPEG":
            # Lets libjpeg skip detail that would be thrown away (2x stays for quality).
            image.draft("RGB" if color else "L", (2 * size, 2 * size))
        ImageOps.exif_transpose(image, in_place=True)  # a copy would lose its tags
        return to_square(image, size=size, color=color, fit=fit, box=box)


def open_rgb(source: Path | bytes | NDArray[np.uint8]) -> Image.Image:
    """Open an image whole and upright, in RGB.

    Raises:
        DataError: it cannot be used; the message says why.
    """
    if isinstance(source, np.ndarray):
        return Image.fromarray(source).convert("RGB")
    with _opened(source) as image:
        ImageOps.exif_transpose(image, in_place=True)
        return to_rgb(image).convert("RGB")


@contextmanager
def _opened(source: Path | bytes) -> Iterator[Image.Image]:
    """An image file that is not too large; whatever fails while it is used is told in words."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            with Image.open(io.BytesIO(source) if isinstance(source, bytes) else source) as image:
                _check(image)
                yield image
    except Exception as error:
        raise _reason(source, error) from error


def _reason(source: Path | bytes, error: Exception) -> DataError:
    """Whatever a broken file makes a decoder raise, in words."""
    if isinstance(error, DataError):
        return error
    if isinstance(error, Image.DecompressionBombError):
        return DataError(f"is larger than {MAX_PIXELS:,} pixels: scale it down")
    head = source[:512] if isinstance(source, bytes) else _head(source)
    if not head:
        return DataError("is empty")
    if isinstance(error, UnidentifiedImageError):
        return DataError(f"cannot be decoded ({_disguise(head)})")
    return DataError(f"cannot be decoded ({error})")


def _head(file: Path) -> bytes:
    if not file.is_file():
        raise DataError(f"{file}: there is no such file.")
    with file.open("rb") as stream:
        return stream.read(512)


def _disguise(head: bytes) -> str:
    """What a file is that no decoder knows, and what helps."""
    text = head.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if text.startswith((b"<!doctype html", b"<html")):
        return "it is a web page: download the picture again"
    if text.startswith(b"version https://git-lfs"):
        return "it is a pointer of Git LFS: fetch the file with `git lfs pull`"
    if kind := picture_kind(head):
        return f"it is a damaged or unsupported {kind} file: save it as PNG or JPEG"
    return "it is in no picture format that can be read here: save it as PNG or JPEG"


def _check(image: Image.Image) -> None:
    width, height = image.size
    if width * height > MAX_PIXELS:
        raise DataError(f"is {width}x{height}, more than {MAX_PIXELS:,} pixels: scale it down")
    if min(width, height) < MIN_SIDE:
        raise DataError(f"is only {width}x{height} pixels")
    frames = getattr(image, "n_frames", 1)
    if frames > 1 and image.format != "MPO":  # cameras put previews behind the photograph
        raise DataError(f"has {frames} frames: extract the one that is meant")


def to_square(
    image: Image.Image,
    *,
    size: int,
    color: bool = True,
    fit: Fit = "crop",
    box: tuple[float, float, float, float] | None = None,
) -> NDArray[np.uint8]:
    """Convert, crop and resize an opened image into uint8 [size, size, 3 or 1]."""
    image = to_rgb(image)
    if box is not None and not np.isnan(box).all():
        image = _cropped(image, box)
    image = image.convert("RGB" if color else "L")
    how = Image.Resampling.BILINEAR
    if fit == "stretch" or image.width == image.height:
        image = image.resize((size, size), how, reducing_gap=3.0)
    elif fit == "crop":
        image = ImageOps.fit(image, (size, size), how)
    else:
        image = ImageOps.pad(image, (size, size), how)
    array = np.asarray(image, dtype=np.uint8)
    return array if color else array[:, :, None]


def _cropped(image: Image.Image, box: tuple[float, float, float, float]) -> Image.Image:
    """The part of a picture inside a face box; black where the box reaches beyond it."""
    if not np.isfinite(box).all():
        raise DataError(f"has an incomplete face box {_words(box)}: correct it, or leave it empty")
    left, top, width, height = box
    corners = round(left), round(top), round(left + width), round(top + height)
    width, height = corners[2] - corners[0], corners[3] - corners[1]
    if min(width, height) < MIN_SIDE:
        raise DataError(f"has a face box of only {width}x{height} pixels")
    across = min(corners[2], image.width) - max(corners[0], 0)
    down = min(corners[3], image.height) - max(corners[1], 0)
    inside = max(across, 0) * max(down, 0) / (width * height)
    if inside < MIN_INSIDE:
        raise DataError(
            f"has a face box {_words(box)} of which {inside:.0%} lies inside the picture "
            f"({image.width}x{image.height}): correct it, or leave it empty"
        )
    return image.crop(corners)


def _words(box: tuple[float, float, float, float]) -> str:
    """A box as text: (left, top, width, height)."""
    return "(" + ", ".join(f"{value:g}" for value in box) + ")"


def to_rgb(image: Image.Image) -> Image.Image:
    """Any mode to 8-bit RGB or L.

    Grays of more than 8 bits are divided by the largest value that the file declares (the TIFF
    tags MaxSampleValue and SMaxSampleValue) or that its type holds, never by the brightest one
    that occurs: a dark picture stays dark. Floating-point numbers have no such range: they are
    taken for [0, 1], [0, 255] or [0, 65535] where the brightest value leaves no doubt.

    Raises:
        DataError: the range of the values cannot be known.
    """
    if image.mode in ("RGB", "L"):
        return image
    if image.mode.startswith(("I", "F")):
        values = np.asarray(image, dtype=np.float64)
        low, high = _range(image, values)
        scaled = (values - low) / (high - low) * 255.0
        return Image.fromarray(scaled.clip(0, 255).round().astype(np.uint8))
    if image.has_transparency_data:
        layer = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", layer.size, "white"), layer).convert("RGB")
    return image.convert("RGB")


def _range(image: Image.Image, values: NDArray[np.float64]) -> tuple[float, float]:
    """The values of a gray picture that stand for black and white."""
    if not np.isfinite(values).all():
        raise DataError("has values that are no numbers (NaN or infinite)")
    tags: Mapping[int, Any] = getattr(image, "tag_v2", {})
    declared = [_first(tags.get(tag)) for tag in (341, 281)]  # SMaxSampleValue, MaxSampleValue
    high = next((value for value in declared if value), None)
    if high is not None:
        low = [_first(tags.get(tag)) for tag in (340, 280)]
        return next((value for value in low if value is not None and value < high), 0.0), high
    if image.mode.startswith("F"):
        return 0.0, _float_top(float(values.min()), float(values.max()))
    bits = int(_first(tags.get(258)) or 16)  # BitsPerSample; of other formats it is 16 here
    if bits > 16:
        raise DataError(
            f"has integers of {bits} bits, whose white is unknown: save it as 8 or 16 bits"
        )
    signed = _first(tags.get(339)) == 2  # SampleFormat
    return 0.0, float(2 ** (bits - signed) - 1)


def _float_top(lowest: float, highest: float) -> float:
    """White of a floating-point picture; resampling may overshoot it by half."""
    for white, least in ((1.0, 0.0), (255.0, 16.0), (65535.0, 4096.0)):
        if least <= highest <= 1.5 * white and lowest >= -0.1 * white:
            return white
    raise DataError(
        f"has floating-point values from {lowest:g} to {highest:g}, which are neither in [0, 1] "
        "nor in [0, 255]: scale them"
    )


def _first(value: Any) -> float | None:
    """The first number of a TIFF tag, which is a number or a tuple of them."""
    if isinstance(value, tuple):
        value = value[0] if value else None
    return None if value is None else float(value)
