"""From light to bytes: blur, noise and rounding of a rendered picture."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fer_bench.data.synthetic.shapes import clip01, hashed

Array = NDArray[Any]  # float32, unless said otherwise


def develop(
    canvas: Sequence[Array], numbers: dict[str, NDArray[np.float64]], *, color: bool
) -> NDArray[np.uint8]:
    """Photograph three channels [B, H, W]: exposure, colour of the light, blur, noise, eight bits.

    `numbers` holds the factors `exposure`, `warmth`, `blur`, `noise` and `noise_seed`, each [B].
    """
    size = canvas[0].shape[-1]
    part = {
        name: numbers[name][:, None, None].astype(np.float32)
        for name in ("exposure", "warmth", "blur", "noise")
    }
    gain = 1 + 0.22 * part["exposure"]
    warmth = 0.09 * part["warmth"]
    blur = 0.75 * part["blur"] * (size / 64)
    tints = (1 + warmth, 1 + 0 * warmth, 1 - warmth)
    out = [_soften(c, blur) * (gain * t) for c, t in zip(canvas, tints, strict=True)]
    noise = _noise(numbers["noise_seed"], size) * part["noise"]
    if not color:
        gray = 0.299 * out[0] + 0.587 * out[1] + 0.114 * out[2]
        return _bytes(gray + noise)[..., None]
    return np.stack([_bytes(channel + noise) for channel in out], axis=-1)


def _noise(noise_seed: NDArray[np.float64], size: int) -> Array:
    """Pixel noise of unit variance, a hash of (the image's seed, the pixel): bell-shaped, exact."""
    pixels = np.arange(size**2, dtype=np.uint32) * np.uint32(0x9E3779B9)
    seeds = noise_seed.astype(np.uint64).astype(np.uint32)
    h = hashed(pixels[None, :] + hashed(seeds)[:, None])
    parts = [(h >> np.uint32(8 * k)) & np.uint32(255) for k in range(4)]
    total = (parts[0] + parts[1] + parts[2] + parts[3]).astype(np.float32) - 510
    # Four uniform bytes have a standard deviation of 147.8.
    return total.reshape(len(seeds), size, size) / np.float32(147.8)


def _soften(image: Array, amount: Array) -> Array:
    """Mix an image with its 3x3 binomial blur, as often as `amount` (1 = one whole pass) asks."""
    if not amount.any():
        return image
    for turn in range(int(np.ceil(amount.max()))):
        part = clip01(amount - turn)
        wide = np.pad(image, ((0, 0), (1, 1), (0, 0)), mode="edge")
        rows = 0.25 * wide[:, :-2] + 0.5 * wide[:, 1:-1] + 0.25 * wide[:, 2:]
        wide = np.pad(rows, ((0, 0), (0, 0), (1, 1)), mode="edge")
        blurred = 0.25 * wide[:, :, :-2] + 0.5 * wide[:, :, 1:-1] + 0.25 * wide[:, :, 2:]
        image = image + part * (blurred - image)
    return image


def _bytes(image: Array) -> NDArray[np.uint8]:
    return np.floor(np.clip(image, 0, 1) * 255 + 0.5).astype(np.uint8)
