"""A small z-buffer rasteriser for meshes whose triangles are about as small as the pixels.

Every front-facing triangle lists the samples inside its bounding box; a test on edge functions
keeps those it covers, and the nearest triangle wins each sample. All steps are array operations
over all triangles at once, made of `+ - * /` and comparisons only, so results are exact.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


@dataclass(frozen=True)
class Fragments:
    """What is seen: one entry per covered sample.

    Attributes
    ----------
    sample
        Index of the sample in the flattened grid, int64 [F], ascending.
    triangle
        Index of the triangle seen there, int64 [F].
    weights
        Barycentric weights of its corners, on the screen, float32 [3, F].
    """

    sample: Array
    triangle: Array
    weights: Array

    def interpolate(self, values: Array, triangles: Array) -> Array:
        """Carry values at the vertices [C, V] to the fragments [C, F]."""
        a, b, c = (corner[self.triangle] for corner in triangles)
        u, v, w = self.weights
        out = np.empty((len(values), len(u)), dtype=np.float32)
        for plane, value in zip(out, values, strict=True):
            plane[:] = value[a] * u + value[b] * v + value[c] * w
        return out


def rasterise(screen: Array, triangles: Array, size: int) -> Fragments:
    """Find the triangle that is seen at each sample of a square grid.

    Parameters
    ----------
    screen
        Vertices, float32 [3, V]: x to the right and y down in samples (sample `i` has its centre
        at `i + 0.5`), z towards the viewer in any unit.
    triangles
        Vertex indices, int [3, T], counter-clockwise as seen from the front. Triangles seen from
        behind are left out, parts outside the grid are cut off.
    size
        Samples of a side.

    Two triangles that share an edge leave no gap between them: samples on the edge belong to
    both, and the depth decides.

    >>> import numpy as np
    >>> square = np.array([[0, 2, 2, 0], [0, 0, 2, 2], [0, 0, 0, 0]], np.float32)
    >>> seen = rasterise(square, np.array([[0, 0], [2, 3], [1, 2]]), 3)
    >>> seen.sample.tolist()
    [0, 1, 3, 4]
    """
    x, y, z = (tuple(plane[corner] for corner in triangles) for plane in screen)
    ax, ay, bx, by = x[1] - x[0], y[1] - y[0], x[2] - x[0], y[2] - y[0]
    area = ax * by - bx * ay  # twice the area; y points down, so the front has it negative
    left = np.maximum(np.ceil(np.minimum(np.minimum(*x[:2]), x[2]) - 0.5), 0)
    right = np.minimum(np.floor(np.maximum(np.maximum(*x[:2]), x[2]) - 0.5), size - 1)
    top = np.maximum(np.ceil(np.minimum(np.minimum(*y[:2]), y[2]) - 0.5), 0)
    bottom = np.minimum(np.floor(np.maximum(np.maximum(*y[:2]), y[2]) - 0.5), size - 1)
    seen = np.flatnonzero((area < 0) & (right >= left) & (bottom >= top))

    # Candidates: each triangle's samples, row by row.
    left, top = left[seen].astype(np.int32), top[seen].astype(np.int32)
    wide = right[seen].astype(np.int32) - left + 1
    count = wide * (bottom[seen].astype(np.int32) - top + 1)
    owner = np.repeat(np.arange(len(seen), dtype=np.int32), count)
    place = np.arange(len(owner), dtype=np.int32)
    place -= np.repeat(np.cumsum(count, dtype=np.int32) - count, count)
    stride = wide[owner]
    down = place // stride
    column = left[owner] + (place - down * stride)
    row = top[owner] + down

    # The weights of the second and third corner are planes over the screen.
    scale = 1 / area[seen]
    ax, ay, bx, by = (edge[seen] * scale for edge in (ax, ay, bx, by))
    px = column.astype(np.float32) - (x[0][seen] - np.float32(0.5))[owner]
    py = row.astype(np.float32) - (y[0][seen] - np.float32(0.5))[owner]
    u = by[owner] * px - bx[owner] * py
    v = ax[owner] * py - ay[owner] * px
    inside = np.flatnonzero((u >= 0) & (v >= 0) & (u + v <= 1))
    owner, u, v = owner[inside], u[inside], v[inside]
    sample = row[inside] * np.int32(size) + column[inside]
    triangle = seen[owner]
    depth = z[0][triangle]
    depth = depth + u * (z[1][triangle] - depth) + v * (z[2][triangle] - depth)

    # The nearest wins; of equals the first. Depth and order travel in one integer.
    low = np.float32(depth.min()) if len(depth) else np.float32(0)
    span = np.float32(depth.max()) - low if len(depth) else np.float32(0)
    steps = ((depth - low) * np.float32(2**22 / max(float(span), 1e-12))).astype(np.int64)
    key = (steps << 32) | (len(steps) - 1 - np.arange(len(steps)))
    nearest = np.full(size * size, -1, dtype=np.int64)
    np.maximum.at(nearest, sample, key)
    covered = np.flatnonzero(nearest >= 0)
    winner = len(steps) - 1 - (nearest[covered] & 0xFFFFFFFF)
    u, v = u[winner], v[winner]
    return Fragments(covered, triangle[winner], np.stack([1 - u - v, u, v]))
