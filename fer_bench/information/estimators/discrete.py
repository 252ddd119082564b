"""Two sides of labels: plug-in and Miller-Madow."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from fer_bench.cautions import Caution
from fer_bench.information.estimator import Estimate, Estimator, Problem
from fer_bench.labels import label_entropy


class PlugIn(Estimator):
    """Information of the joint histogram, sum p(x, y) log p(x, y) / p(x) p(y); biased upwards."""

    name: ClassVar[str] = "plugin"
    sides: ClassVar[str] = "discrete"
    null_runs: ClassVar[int] = 200

    def _one(self, problem: Problem) -> Estimate:
        x, y, n = problem.paired.x, problem.paired.y, problem.sample.n
        kx, ky = int(x.max()) + 1, int(y.max()) + 1
        cells, joint = np.unique(x * ky + y, return_inverse=True)
        joint = joint.reshape(-1)
        counts, nx, ny = np.bincount(joint), np.bincount(x), np.bincount(y)
        rows = np.log(counts[joint] * n / (nx[x] * ny[y]))
        bias = (len(cells) - kx - ky + 1) / (2 * n)
        many = [Caution("many-cells", cells=len(cells), rows=n)] if len(cells) > n / 5 else []
        removed = self._correction(bias)
        return Estimate(
            value=float(rows.mean()) - removed,
            rows=rows,
            index=np.arange(n),
            # Second-order spread, which is all there is at independence (chi-square / 2n), and
            # the bias that is left in.
            extra_variance=(kx - 1) * (ky - 1) / (2 * n**2) + (bias - removed) ** 2,
            cautions=tuple(many),
            details={
                "entropy_x": label_entropy(x) - self._correction((1 - kx) / (2 * n)),
                "entropy_y": label_entropy(y) - self._correction((1 - ky) / (2 * n)),
                "first_order_bias": bias,
            },
        )

    def _correction(self, bias: float) -> float:
        """What of a first-order bias, of the information or of an entropy, is taken off."""
        return 0.0


class MillerMadow(PlugIn):
    """The plug-in value less its first-order bias (K_xy - K_x - K_y + 1) / 2n (Miller 1955)."""

    name: ClassVar[str] = "miller-madow"

    def _correction(self, bias: float) -> float:
        return bias
