"""Soft shapes as float32 arrays that broadcast over [B, H, W], and the colours of faces."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]  # float32, unless said otherwise


def clip01(x: Array) -> Array:
    """Values clipped to [0, 1]."""
    return np.clip(x, 0, 1)


def bump(r2: Array) -> Array:
    """A soft bump of squared radius `r2`: 1 at the centre, 0 from r = 1 on."""
    inside = np.maximum(1 - r2, 0)
    return inside * inside


def ellipse(x: Array, y: Array, rx: Array | float, ry: Array | float) -> Array:
    """Signed distance to an ellipse, to first order: f / |grad f|."""
    px, py = x / rx, y / ry
    gx, gy = px / rx, py / ry
    f = px * px + py * py
    return (f - np.sqrt(f)) / np.sqrt(gx * gx + gy * gy + 1e-6)


def box(x: Array, y: Array, rx: Array | float, ry: Array | float, corner: Array | float) -> Array:
    """Signed distance to a rounded box."""
    qx, qy = np.abs(x) - rx + corner, np.abs(y) - ry + corner
    ox, oy = np.maximum(qx, 0), np.maximum(qy, 0)
    return np.sqrt(ox * ox + oy * oy) + np.minimum(np.maximum(qx, qy), 0) - corner


def union(a: Array, b: Array, k: float) -> Array:
    """The union of two distances, blended over a width `k` (polynomial smooth minimum)."""
    h = np.maximum(k - np.abs(a - b), 0) / k
    return np.minimum(a, b) - h * h * (k / 4)


def wave(t: Array) -> Array:
    """A smooth wave of period 1 and range [-1, 1], from a parabola instead of a sine."""
    w = t - np.floor(t) - np.float32(0.5)
    return 16 * w * (np.abs(w) - np.float32(0.5))


def hashed(x: NDArray[np.uint32]) -> NDArray[np.uint32]:
    """Mix 32 bits (Wellons' lowbias32 constants)."""
    x = (x ^ (x >> np.uint32(16))) * np.uint32(0x7FEB352D)
    x = (x ^ (x >> np.uint32(15))) * np.uint32(0x846CA68B)
    return x ^ (x >> np.uint32(16))


def palette(anchors: Sequence[tuple[float, float, float]], t: NDArray[np.float64]) -> Array:
    """Interpolate RGB anchors at t in [0, 1]: [3, B, 1, 1]."""
    table = np.array(anchors)
    at = np.clip(t, 0, 1) * (len(table) - 1)
    low = np.minimum(at.astype(np.int64), len(table) - 2)
    part = (at - low)[:, None]
    mixed = table[low] + part * (table[low + 1] - table[low])
    return mixed.T[:, :, None, None].astype(np.float32)


SKIN_COLORS = (
    (0.99, 0.86, 0.77), (0.96, 0.79, 0.68), (0.90, 0.70, 0.56), (0.80, 0.59, 0.44),
    (0.68, 0.47, 0.33), (0.54, 0.36, 0.25), (0.40, 0.26, 0.18), (0.29, 0.19, 0.14),
)  # fmt: skip


HAIR_COLORS = (
    ((0.05, 0.04, 0.05), (0.14, 0.11, 0.11)),
    ((0.20, 0.11, 0.07), (0.42, 0.27, 0.16)),
    ((0.42, 0.15, 0.07), (0.70, 0.31, 0.14)),
    ((0.68, 0.50, 0.26), (0.93, 0.80, 0.54)),
    ((0.48, 0.48, 0.50), (0.88, 0.88, 0.88)),
)


EYE_COLORS = (
    (0.16, 0.09, 0.05), (0.30, 0.17, 0.08), (0.42, 0.32, 0.14), (0.30, 0.42, 0.24),
    (0.36, 0.47, 0.52), (0.22, 0.42, 0.66),
)  # fmt: skip


CLOTHES = (
    (0.16, 0.18, 0.24), (0.55, 0.16, 0.18), (0.20, 0.36, 0.52), (0.88, 0.87, 0.84),
    (0.24, 0.40, 0.30), (0.80, 0.62, 0.28), (0.40, 0.28, 0.46),
)  # fmt: skip


BACKGROUND_COLORS = (
    (0.45, 0.55, 0.68), (0.72, 0.76, 0.74), (0.78, 0.68, 0.56), (0.42, 0.52, 0.44),
    (0.62, 0.48, 0.50), (0.30, 0.32, 0.38),
)  # fmt: skip
