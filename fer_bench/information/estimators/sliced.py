"""Sliced mutual information, for sides too wide for anything else."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from fer_bench.cautions import Caution
from fer_bench.information.estimator import Estimate, Estimator, Problem, read_integer
from fer_bench.information.estimators.neighbours import KSG, Ross
from fer_bench.information.inputs import Sample, is_discrete


class Sliced(Estimator):
    """Mean information of random one-dimensional projections (Goldfeld and Greenewald 2021).

    Sliced mutual information is a quantity of its own: at most as large as mutual information, zero
    only under independence, and estimated at the one-dimensional rate in any dimension.

    Args:
        slices: random directions of each side.
        k: neighbours of the one-dimensional estimates.
    """

    name: ClassVar[str] = "sliced"
    null_runs: ClassVar[int] = 3

    def __init__(self, *, seed: int = 0, slices: int = 50, k: int = 5) -> None:
        super().__init__(seed=seed)
        self.slices = read_integer("slices", slices, 1)
        self.k = k

    def check(self, sample: Sample) -> None:
        super().check(sample)
        if is_discrete(sample.x) and is_discrete(sample.y):
            KSG().check(sample)  # raises: labels have no directions

    def _one(self, problem: Problem) -> Estimate:
        sample = problem.paired
        random = np.random.default_rng([problem.seed, 3])
        mixed = is_discrete(sample.x) or is_discrete(sample.y)
        tool = Ross(k=self.k) if mixed else KSG(k=self.k)
        slices = [
            Problem(Sample(_slice(sample.x, random), _slice(sample.y, random)), problem.seed)
            for _ in range(self.slices)
        ]
        estimates = tool.estimate_many(slices)
        rows = np.mean([estimate.rows for estimate in estimates], axis=0)
        values = np.array([estimate.value for estimate in estimates])
        return Estimate(
            value=float(values.mean()),
            rows=rows,
            index=estimates[0].index,
            extra_variance=float(values.var(ddof=1) / len(values)) if len(values) > 1 else 0.0,
            cautions=(Caution("sliced"),),
            details={"largest_slice": float(values.max())},
        )


def _slice(side: np.ndarray, random: np.random.Generator) -> np.ndarray:
    if is_discrete(side):
        return side
    direction = random.standard_normal(side.shape[1])
    return (side @ (direction / np.linalg.norm(direction)))[:, None]
