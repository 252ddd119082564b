"""The z-buffer against brute force and against known geometry."""

import numpy as np
import pytest

from fer_bench.data.synthetic.rasteriser import rasterise


def brute_force(screen, triangles, size):
    """Nearest triangle of every sample, one sample and one triangle at a time, in float64."""
    best = np.full((size, size), -np.inf)
    owner = np.full((size, size), -1)
    for t, corners in enumerate(triangles.T):
        p = screen[:, corners].astype(float)
        e1, e2 = p[:2, 1] - p[:2, 0], p[:2, 2] - p[:2, 0]
        area = e1[0] * e2[1] - e1[1] * e2[0]
        if area >= 0:
            continue
        for row in range(size):
            for column in range(size):
                d = np.array([column + 0.5, row + 0.5]) - p[:2, 0]
                u = (d[0] * e2[1] - d[1] * e2[0]) / area
                v = (e1[0] * d[1] - e1[1] * d[0]) / area
                if min(u, v, 1 - u - v) >= 0:
                    z = (1 - u - v) * p[2, 0] + u * p[2, 1] + v * p[2, 2]
                    if z > best[row, column]:
                        best[row, column], owner[row, column] = z, t
    return owner


@pytest.mark.parametrize("seed", range(4))
def test_agrees_with_brute_force(seed):
    rng = np.random.default_rng(seed)
    screen = rng.uniform(-4, 20, (3, 40)).astype(np.float32)
    triangles = rng.integers(0, 40, (3, 30))
    seen = rasterise(screen, triangles, 16)
    owner = np.full(256, -1)
    owner[seen.sample] = seen.triangle
    assert (owner.reshape(16, 16) == brute_force(screen, triangles, 16)).all()
    assert len(seen.sample) > 30


def test_weights_reproduce_positions():
    """Interpolating the corners' own coordinates gives back the sample's centre."""
    rng = np.random.default_rng(1)
    screen = rng.uniform(0, 32, (3, 60)).astype(np.float32)
    triangles = rng.integers(0, 60, (3, 60))
    seen = rasterise(screen, triangles, 32)
    x, y, _ = seen.interpolate(screen, triangles)
    assert np.allclose(x, seen.sample % 32 + 0.5, atol=1e-3)
    assert np.allclose(y, seen.sample // 32 + 0.5, atol=1e-3)
    assert np.allclose(seen.weights.sum(axis=0), 1, atol=1e-6)


def test_a_closed_grid_has_no_holes():
    """Shared edges leave no gap, even where samples lie exactly on them."""
    n = 17
    x, y = np.meshgrid(np.linspace(0, 16, n), np.linspace(0, 16, n))
    screen = np.stack([x.ravel(), y.ravel(), 0 * x.ravel()]).astype(np.float32)
    screen[:2] += 0.5 * (np.random.default_rng(0).random((2, n * n)) > 0.5)
    screen[:2] = np.where(
        (screen[:2] > 15) | (screen[:2] < 1), np.round(screen[:2] / 16) * 16, screen[:2]
    )
    i = np.arange(n * n).reshape(n, n)
    a, b, c, d = i[:-1, :-1].ravel(), i[:-1, 1:].ravel(), i[1:, 1:].ravel(), i[1:, :-1].ravel()
    triangles = np.stack([np.append(a, a), np.append(c, d), np.append(b, c)])
    assert len(rasterise(screen, triangles, 16).sample) == 256


def test_the_back_and_the_outside_are_not_seen():
    screen = np.array([[0, 8, 0], [0, 0, 8], [0, 0, 0]], np.float32)
    front, back = np.array([[0], [2], [1]]), np.array([[0], [1], [2]])
    assert len(rasterise(screen, front, 8).sample) > 20
    assert len(rasterise(screen, back, 8).sample) == 0
    assert len(rasterise(screen + 50, front, 8).sample) == 0
    flat = np.array([[0, 8, 4], [0, 0, 0], [0, 0, 0]], np.float32)
    assert len(rasterise(flat, front, 8).sample) == 0
