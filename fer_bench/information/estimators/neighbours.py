"""Nearest-neighbour estimators: KSG-1 and KSG-2, conditional KSG, and Ross for labels.

Compiled kernels compare distances strictly, as the definitions do. One pass over all pairs is
faster than a tree from five dimensions on, and needs no memory.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any, ClassVar, NamedTuple

import numpy as np
from scipy.spatial import cKDTree
from scipy.special import digamma

from fer_bench.cautions import Caution
from fer_bench.information.estimator import (
    Estimate,
    Estimator,
    EstimatorError,
    Problem,
    flag,
    no_information,
    read_integer,
)
from fer_bench.information.inputs import Sample, is_discrete, normal_scores, varying

JITTER = 1e-10  # breaks ties of atoms (zeros after a ReLU) independently on both sides


class _Neighbours(Estimator):
    """Common options.

    Args:
        k: neighbours; small k means little bias and much variance.
        scores: normal scores per coordinate first (MI is invariant, heavy tails vanish).
    """

    null_runs: ClassVar[int] = 5

    def __init__(self, *, seed: int = 0, k: int = 5, scores: bool = True) -> None:
        super().__init__(seed=seed)
        self.k = read_integer("k", k, 1)
        self.scores = flag("scores", scores)

    def _columns(self, side: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        values = normal_scores(side) if self.scores else side
        if any(len(np.unique(column)) < len(column) for column in values.T):
            values = values + JITTER * rng.standard_normal(values.shape)
        return np.ascontiguousarray(values.T)

    def _neighbours(self, n: int) -> int:
        """`k`, where so many rows have so many neighbours."""
        if self.k > n - 2:
            raise EstimatorError(f"k = {self.k} neighbours of {n} rows: give at most {n - 2}.")
        return self.k


class KSG(_Neighbours):
    """First estimator of Kraskov, Stögbauer and Grassberger (2004, eq. 8)."""

    name: ClassVar[str] = "ksg"
    sides: ClassVar[str] = "continuous"

    def _one(self, problem: Problem) -> Estimate:
        rng = np.random.default_rng(problem.seed)
        x, y = self._columns(problem.paired.x, rng), self._columns(problem.paired.y, rng)
        n = problem.sample.n
        return _estimate(self._rows(x, y, self._neighbours(n), n), len(x) + len(y))

    def _rows(self, x: np.ndarray, y: np.ndarray, k: int, n: int) -> np.ndarray:
        nx, ny = ksg_counts(x, y, k)
        return digamma(k) + digamma(n) - digamma(nx + 1) - digamma(ny + 1)

    def mistakes(self) -> Mapping[str, Estimator]:
        return {
            why: _Mistaken(slip, seed=self.seed, k=self.k, scores=self.scores)
            for why, slip in _SLIPS.items()
            if self.k + slip.neighbours > 0 and self.k + slip.inside > 0
        }


class _Slip(NamedTuple):
    """What is added to the neighbours looked for, to k inside psi, and to n_x and n_y."""

    neighbours: int = 0
    inside: int = 0
    counts: int = 1


_SLIPS = {
    "off by one in KSG: psi(n_x) stands for psi(n_x + 1)": _Slip(counts=0),
    "off by one in KSG: psi(n_x + 2) stands for psi(n_x + 1), the row itself is counted": _Slip(
        counts=2
    ),
    "off by one in KSG: the row itself is taken for its first neighbour": _Slip(neighbours=-1),
    "off by one in KSG: psi(k + 1) stands for psi(k)": _Slip(inside=1),
    "off by one in KSG: psi(k - 1) stands for psi(k)": _Slip(inside=-1),
}


class _Mistaken(KSG):
    """KSG with one slip in its formula."""

    def __init__(self, slip: _Slip, **options: Any) -> None:
        super().__init__(**options)
        self.slip = slip

    def _rows(self, x: np.ndarray, y: np.ndarray, k: int, n: int) -> np.ndarray:
        near = ksg_counts(x, y, k + self.slip.neighbours)
        nx, ny = (np.maximum(count + self.slip.counts, 1) for count in near)
        return digamma(k + self.slip.inside) + digamma(n) - digamma(nx) - digamma(ny)


class KSG2(KSG):
    """Second estimator of Kraskov et al. (2004, eq. 9): a rectangle around each point, not a
    square.
    """

    name: ClassVar[str] = "ksg2"

    def _rows(self, x: np.ndarray, y: np.ndarray, k: int, n: int) -> np.ndarray:
        nx, ny = _count("rectangle_counts", x, y, k)
        return digamma(k) - 1 / k + digamma(n) - digamma(nx) - digamma(ny)


class Ross(_Neighbours):
    """Labels and measurements (Ross 2014, eq. 2): neighbours within the class, then in all rows."""

    name: ClassVar[str] = "ross"
    sides: ClassVar[str] = "mixed"

    def _one(self, problem: Problem) -> Estimate:
        sample = problem.paired if is_discrete(problem.paired.y) else problem.paired.swapped()
        counts = np.bincount(sample.y)
        keep = np.flatnonzero(counts[sample.y] > 1)
        cautions: tuple[Caution, ...] = ()
        if len(keep) < sample.n:
            cautions = (Caution("single-member-classes", rows=sample.n - len(keep)),)
        if len(keep) == 0:
            raise EstimatorError("every class has one member: 'ross' needs classes of two or more.")
        rest = varying(sample.x[keep])
        if not rest.shape[1]:
            return replace(no_information(len(keep)), index=keep, cautions=cautions)
        x = self._columns(rest, np.random.default_rng(problem.seed))
        y = sample.y[keep]
        size = counts[y]
        k = np.minimum(self._neighbours(sample.n), size - 1)
        m = _count("class_counts", x, y, k)
        rows = digamma(len(keep)) + digamma(k) - digamma(size) - digamma(m)
        return _estimate(rows, len(x), index=keep, cautions=cautions)


def conditional_ksg(
    sample: Sample, z: np.ndarray, *, k: int = 5, seed: int = 0, scores: bool = True
) -> Estimate:
    """I(X; Y | Z) of three continuous variables (Frenzel and Pompe 2007, eq. 5).

    Args:
        sample: x [n, dx] and y [n, dy].
        z: [n, dz].
        k: neighbours.
        seed: of the noise that breaks ties.
        scores: replace columns by their normal scores first.
    """
    tool = KSG(k=k, scores=scores)
    k = tool._neighbours(sample.n)
    rng = np.random.default_rng(seed)
    x, y, w = (tool._columns(side, rng) for side in (sample.x, sample.y, z))
    nxz, nyz, nz = _count("conditional_counts", x, y, w, k)
    rows = digamma(k) + digamma(nz + 1) - digamma(nxz + 1) - digamma(nyz + 1)
    return _estimate(rows, len(x) + len(y) + len(w))


def ksg_counts(x: np.ndarray, y: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    """Number of points strictly nearer than the k-th joint neighbour, in each side.

    Args:
        x, y: [dx, n] and [dy, n], columns first.
        k: neighbours.
    """
    if len(x) + len(y) > 3:
        no_condition = np.zeros((0, x.shape[1]))
        nx, ny, _ = _count("conditional_counts", x, y, no_condition, k)
        return nx, ny
    joint = np.vstack([x, y]).T
    radius = cKDTree(joint).query(joint, k=k + 1, p=np.inf, workers=-1)[0][:, -1]
    nx, ny = (_within(side, radius) for side in (x, y))
    return nx, ny


def _within(side: np.ndarray, radius: np.ndarray) -> np.ndarray:
    """Other points strictly nearer than the radius of each; columns first [d, n]."""
    if len(side) > 1:
        inside = np.nextafter(radius, 0)  # one ulp below: the strict comparison, exactly
        tree = cKDTree(side.T)
        counts = tree.query_ball_point(side.T, inside, p=np.inf, return_length=True, workers=-1)
        return np.asarray(counts) - 1
    values, last = side[0], side.shape[1] - 1
    line = np.sort(values)
    low = np.searchsorted(line, values - radius, "left").clip(0, last)
    high = np.searchsorted(line, values + radius, "right") - 1
    # The sums are rounded, and the k-th neighbour sits on the edge: compare distances themselves.
    low += values - line[low] >= radius
    low -= values - line[(low - 1).clip(0)] < radius
    high -= line[high] - values >= radius
    high += line[(high + 1).clip(None, last)] - values < radius
    return high.clip(None, last) - low.clip(0)


def _estimate(
    rows: np.ndarray, dims: int, index: np.ndarray | None = None, cautions: tuple[Caution, ...] = ()
) -> Estimate:
    wide = dims > 10
    if wide:
        cautions = (*cautions, Caution("wide-neighbours", dims=dims))
    index = np.arange(len(rows)) if index is None else index
    # Neighbours share their neighbours, so that rows err together. Over 40 to 200 draws a setting
    # the variance was 1.4 to 1.8 times that of rows that do not in 4 and 10 joint dimensions, and
    # 2.6 to 3.5 times in 40 and 128 (n = 1,000 to 10,000), where some rows are everybody's.
    shared = (2.5 if wide else 1.0) * float(rows.var()) / len(rows)
    return Estimate(float(rows.mean()), rows, index, extra_variance=shared, cautions=cautions)


def _count(kernel: str, *arguments: Any) -> Any:
    """Run a compiled kernel over all rows, on every core."""
    from fer_bench.information.estimators import _neighbour_kernels  # numba loads on first use

    run = getattr(_neighbour_kernels, kernel)
    n = arguments[0].shape[1]
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    edges = np.linspace(0, n, 4 * (cores or 1) + 1 if n > 500 else 2).astype(int)
    with ThreadPoolExecutor(cores) as pool:
        parts = list(pool.map(lambda a, b: run(*arguments, a, b), edges[:-1], edges[1:]))
    if isinstance(parts[0], tuple):
        return tuple(np.concatenate(columns) for columns in zip(*parts, strict=True))
    return np.concatenate(parts)
