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
        Barycentric weights of its corners, on the screen, float32 [F, 3].
    """

    sample: Array
    triangle: Array
    weights: Array

    def interpolate(self, values: Array, triangles: Array) -> Array:
        """Carry values at the vertices [V, C] to the fragments [F, C]."""
        corners = triangles[self.triangle]
        out = values[corners[:, 0]] * self.weights[:, :1]
        out += values[corners[:, 1]] * self.weights[:, 1:2]
        out += values[corners[:, 2]] * self.weights[:, 2:]
        return out


def rasterise(screen: Array, triangles: Array, size: int) -> Fragments:
    """Find the triangle that is seen at each sample of a square grid.

    Parameters
    ----------
    screen
        Vertices, float32 [V, 3]: x to the right and y down in samples (sample `i` has its centre
        at `i + 0.5`), z towards the viewer in any unit.
    triangles
        Vertex indices, int [T, 3], counter-clockwise as seen from the front. Triangles seen from
        behind are left out, parts outside the grid are cut off.
    size
        Samples of a side.

    Two triangles that share an edge leave no gap between them: samples on the edge belong to
    both, and the depth decides.

    >>> import numpy as np
    >>> square = np.array([[0, 0, 0], [2, 0, 0], [2, 2, 0], [0, 2, 0]], np.float32)
    >>> seen = rasterise(square, np.array([[0, 2, 1], [0, 3, 2]]), 3)
    >>> seen.sample.tolist()
    [0, 1, 3, 4]
    """
    x, y, z = screen[:, 0][triangles], screen[:, 1][triangles], screen[:, 2][triangles]
    # Twice the area; y points down, so the front has it negative.
    area = (x[:, 1] - x[:, 0]) * (y[:, 2] - y[:, 0]) - (x[:, 2] - x[:, 0]) * (y[:, 1] - y[:, 0])
    left = np.ceil(np.minimum(np.minimum(x[:, 0], x[:, 1]), x[:, 2]) - 0.5)
    right = np.floor(np.maximum(np.maximum(x[:, 0], x[:, 1]), x[:, 2]) - 0.5)
    top = np.ceil(np.minimum(np.minimum(y[:, 0], y[:, 1]), y[:, 2]) - 0.5)
    bottom = np.floor(np.maximum(np.maximum(y[:, 0], y[:, 1]), y[:, 2]) - 0.5)
    left, top = np.maximum(left, 0), np.maximum(top, 0)
    right, bottom = np.minimum(right, size - 1), np.minimum(bottom, size - 1)
    seen = np.flatnonzero((area < 0) & (right >= left) & (bottom >= top))

    x, y, z, area = x[seen], y[seen], z[seen], area[seen]
    left, top = left[seen].astype(np.int64), top[seen].astype(np.int64)
    wide = right[seen].astype(np.int64) - left + 1
    count = wide * (bottom[seen].astype(np.int64) - top + 1)
    owner = np.repeat(np.arange(len(seen)), count)
    place = np.arange(len(owner)) - np.repeat(np.cumsum(count) - count, count)
    down = place // wide[owner]
    column = left[owner] + place - down * wide[owner]
    row = top[owner] + down

    # Edge functions as planes a * x + b * y + c, one division per triangle.
    scale = -1 / area
    px, py = column + np.float32(0.5), row + np.float32(0.5)
    px, py = px.astype(np.float32), py.astype(np.float32)
    px -= x[:, 0][owner]
    py -= y[:, 0][owner]
    u = ((y[:, 2] - y[:, 0]) * scale)[owner] * px
    u -= ((x[:, 2] - x[:, 0]) * scale)[owner] * py
    v = ((x[:, 1] - x[:, 0]) * scale)[owner] * py
    v -= ((y[:, 1] - y[:, 0]) * scale)[owner] * px
    u, v = -u, -v
    inside = np.flatnonzero((u >= 0) & (v >= 0) & (u + v <= 1))
    owner, u, v = owner[inside], u[inside], v[inside]
    sample = row[inside] * size + column[inside]
    depth = z[:, 0][owner]
    depth += u * (z[:, 1] - z[:, 0])[owner]
    depth += v * (z[:, 2] - z[:, 0])[owner]

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
    weights = np.stack([1 - u - v, u, v], axis=1)
    return Fragments(covered, seen[owner[winner]], weights)
