"""Compiled all-pairs kernels of `neighbours` (columns first: [d, n], float64, max norm).

Each serves the rows start .. stop - 1 and releases the interpreter lock, so that plain threads
share the work. (Numba's own parallel loops share OpenMP with PyTorch and slow it down for the
rest of the process.)
"""

from __future__ import annotations

import numba as nb
import numpy as np


@nb.njit(cache=True, inline="always")
def _distances(columns, i, out):  # type: ignore[no-untyped-def]
    out[:] = 0.0
    for c in range(columns.shape[0]):
        column = columns[c]
        here = column[i]
        for j in range(column.shape[0]):
            d = abs(column[j] - here)
            out[j] = d if d > out[j] else out[j]


@nb.njit(cache=True, inline="always")
def _push(best, order, value, j):  # type: ignore[no-untyped-def]
    """Insert into the sorted list of the k smallest."""
    p = best.shape[0] - 1
    while p > 0 and best[p - 1] > value:
        best[p] = best[p - 1]
        order[p] = order[p - 1]
        p -= 1
    best[p] = value
    order[p] = j


@nb.njit(nogil=True, cache=True)
def conditional_counts(x, y, z, k, start, stop):  # type: ignore[no-untyped-def]
    """Strict neighbour counts in (x, z), (y, z) and z within the k-th joint distance."""
    n, m = x.shape[1], stop - start
    nxz, nyz, nz = np.empty(m, np.int64), np.empty(m, np.int64), np.empty(m, np.int64)
    a, b, c = np.empty(n), np.empty(n), np.empty(n)
    for i in range(start, stop):
        _distances(x, i, a)
        _distances(y, i, b)
        if z.shape[0] > 0:
            _distances(z, i, c)
            for j in range(n):
                a[j] = max(a[j], c[j])
                b[j] = max(b[j], c[j])
        best, order = np.full(k, np.inf), np.zeros(k, np.int64)
        for j in range(n):
            joint = a[j] if a[j] > b[j] else b[j]
            if joint < best[k - 1] and j != i:
                _push(best, order, joint, j)
        radius = best[k - 1]
        p, q, r = 0, 0, 0
        for j in range(n):
            p += a[j] < radius
            q += b[j] < radius
        if z.shape[0] > 0:
            for j in range(n):
                r += c[j] < radius
        else:
            r = n
        nxz[i - start], nyz[i - start], nz[i - start] = p - 1, q - 1, r - 1
    return nxz, nyz, nz


@nb.njit(nogil=True, cache=True)
def rectangle_counts(x, y, k, start, stop):  # type: ignore[no-untyped-def]
    """Counts within the x- and y-extent of the k joint neighbours, the boundary included."""
    n, m = x.shape[1], stop - start
    nx, ny = np.empty(m, np.int64), np.empty(m, np.int64)
    a, b = np.empty(n), np.empty(n)
    for i in range(start, stop):
        _distances(x, i, a)
        _distances(y, i, b)
        best, order = np.full(k, np.inf), np.zeros(k, np.int64)
        for j in range(n):
            joint = a[j] if a[j] > b[j] else b[j]
            if joint < best[k - 1] and j != i:
                _push(best, order, joint, j)
        ex, ey = 0.0, 0.0
        for c in range(k):
            ex = max(ex, a[order[c]])
            ey = max(ey, b[order[c]])
        p, q = 0, 0
        for j in range(n):
            p += a[j] <= ex
            q += b[j] <= ey
        nx[i - start], ny[i - start] = p - 1, q - 1
    return nx, ny


@nb.njit(nogil=True, cache=True)
def class_counts(x, labels, k, start, stop):  # type: ignore[no-untyped-def]
    """Points of any class no farther than the k[i]-th neighbour of the own class."""
    n = x.shape[1]
    counts = np.empty(stop - start, np.int64)
    a = np.empty(n)
    for i in range(start, stop):
        _distances(x, i, a)
        best, order = np.full(k[i], np.inf), np.zeros(k[i], np.int64)
        for j in range(n):
            if labels[j] == labels[i] and j != i and a[j] < best[k[i] - 1]:
                _push(best, order, a[j], j)
        radius = best[k[i] - 1]
        m = 0
        for j in range(n):
            m += a[j] < radius
        counts[i - start] = m  # itself stands for the k-th neighbour on the boundary
    return counts
