"""From image files of any kind to one square uint8 array."""

from __future__ import annotations

import io
import warnings
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from fer_bench.errors import DataError

Fit = Literal["crop", "pad", "stretch"]
FITS = ("crop", "pad", "stretch")

MAX_PIXELS = 100_000_000
"""Larger images are refused from their header, before anything is decompressed."""
MIN_SIDE = 8
"""Smaller images cannot show a face."""


def inside(root: Path, path: str) -> Path:
    """Resolve a listed path, which must stay inside the root.

    Raises:
        DataError: it leads outside (`..`, an absolute path, a symbolic link), or is missing.
    """
    base = root.resolve()
    full = (base / path).resolve()
    if not full.is_relative_to(base):
        raise DataError(f"leads outside the root {root}: move the file inside or change the root")
    if not full.is_file():
        raise DataError("there is no such file")
    return full


def decode(
    file: Path | bytes,
    *,
    size: int,
    color: bool = True,
    fit: Fit = "crop",
    box: tuple[float, float, float, float] | None = None,
) -> NDArray[np.uint8]:
    """Decode one image file (or its bytes) into uint8 [size, size, 3 or 1].

    Turned upright by its EXIF orientation; 16-bit is scaled to 8; CMYK and palettes become RGB;
    alpha is laid on white.

    Args:
        size: side of the result in pixels.
        fit: "crop" keeps the central square, "pad" adds black borders, "stretch" ignores aspect.
        box: left, top, width, height of the part to use, in pixels of the upright image.

    Raises:
        DataError: the file cannot be used; the message says why.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            with Image.open(io.BytesIO(file) if isinstance(file, bytes) else file) as image:
                _check(image)
                if box is None and image.format == "JPEG":
                    # Lets libjpeg skip detail that would be thrown away (2x stays for quality).
                    image.draft("RGB" if color else "L", (2 * size, 2 * size))
                upright = ImageOps.exif_transpose(image)
                return to_square(upright, size=size, color=color, fit=fit, box=box)
    except Exception as error:
        raise _reason(file, error) from error


def open_rgb(source: Path | bytes | NDArray[np.uint8]) -> Image.Image:
    """Open an image whole and upright, in RGB.

    Raises:
        DataError: it cannot be used; the message says why.
    """
    if isinstance(source, np.ndarray):
        return Image.fromarray(source).convert("RGB")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            with Image.open(io.BytesIO(source) if isinstance(source, bytes) else source) as image:
                _check(image)
                return to_rgb(ImageOps.exif_transpose(image)).convert("RGB")
    except Exception as error:
        raise _reason(source, error) from error


def _reason(source: Path | bytes, error: Exception) -> DataError:
    """Whatever a broken file makes a decoder raise, in words."""
    if isinstance(error, DataError):
        return error
    if isinstance(error, Image.DecompressionBombError):
        return DataError(f"is larger than {MAX_PIXELS:,} pixels: scale it down")
    n_bytes = len(source) if isinstance(source, bytes) else source.stat().st_size
    return DataError(f"cannot be decoded ({error})" if n_bytes else "is empty")


def _check(image: Image.Image) -> None:
    width, height = image.size
    if width * height > MAX_PIXELS:
        raise DataError(f"is {width}x{height}, more than {MAX_PIXELS:,} pixels: scale it down")
    if min(width, height) < MIN_SIDE:
        raise DataError(f"is only {width}x{height} pixels")
    frames = getattr(image, "n_frames", 1)
    if frames > 1:
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
    if box is not None and np.isfinite(box).all():
        left, top, width, height = box
        image = image.crop((round(left), round(top), round(left + width), round(top + height)))
        if min(image.size) < MIN_SIDE:
            raise DataError(f"has a face box of only {image.width}x{image.height} pixels")
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


def to_rgb(image: Image.Image) -> Image.Image:
    """Any mode to 8-bit RGB or L."""
    if image.mode in ("RGB", "L"):
        return image
    if image.mode.startswith(("I", "F")):  # 16-bit and wider gray: keep the top eight bits
        values = np.asarray(image, dtype=np.float64)
        top = 65535.0 if values.max(initial=0) > 255 else 255.0
        return Image.fromarray((values / top * 255.0).clip(0, 255).round().astype(np.uint8))
    if image.has_transparency_data:
        layer = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", layer.size, "white"), layer).convert("RGB")
    return image.convert("RGB")
