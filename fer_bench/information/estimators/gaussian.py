"""Closed forms: Gaussian (canonical correlations), Gaussian copula and t copula."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from scipy.special import digamma, gammaln, ndtr, stdtrit
from scipy.stats import t as student_t

from fer_bench.cautions import Caution
from fer_bench.information.estimator import Estimate, Estimator, Problem, read_integer
from fer_bench.information.inputs import Sample, normal_scores

NORMAL = 1000.0  # degrees of freedom from which on a t copula is a normal one
CERTAIN = 1 - 1e-9  # a correlation above this is one, but for rounding


class Gaussian(Estimator):
    """-1/2 sum log(1 - rho_i^2) over canonical correlations; exact for jointly normal data.

    The known bias of the log-determinants (Wishart; Misra et al. 2005) is subtracted, so that
    independent normal data give zero on average for any n > d_x + d_y.

    Args:
        max_dim: leading principal components of each side that are kept; n // 4 by default.
    """

    name: ClassVar[str] = "gaussian"
    sides: ClassVar[str] = "continuous"
    scores: ClassVar[bool] = False

    def __init__(self, *, seed: int = 0, max_dim: int | None = None) -> None:
        super().__init__(seed=seed)
        self.max_dim = None if max_dim is None else read_integer("max_dim", max_dim, 1)

    def model(
        self, sample: Sample
    ) -> tuple[CanonicalGaussian, np.ndarray, np.ndarray, list[Caution]]:
        """Fit the model.

        Returns:
            The model, the whitened sides [n, r] it is fitted to, and cautions.
        """
        cautions = []
        sides = []
        limit = self.max_dim or max(1, sample.n // 4)
        for name, side in (("x", sample.x), ("y", sample.y)):
            white = whiten(normal_scores(side) if self.scores else side)
            if white.shape[1] > limit:
                kept = Caution("dims-kept", side=name, kept=limit, dims=white.shape[1], n=sample.n)
                cautions.append(kept)
                white = white[:, :limit]
            sides.append(white)
        return CanonicalGaussian.fit(*sides), sides[0], sides[1], cautions

    def _one(self, problem: Problem) -> Estimate:
        n = problem.sample.n
        model, x, y, cautions = self.model(problem.paired)
        bias = gaussian_bias(n, x.shape[1], y.shape[1])
        if model.correlations[0] > CERTAIN:
            cautions.append(Caution("same-direction"))
        return Estimate(
            value=model.information - bias,
            rows=model.log_ratio(x, y),
            index=np.arange(n),
            cautions=tuple(cautions),
            details={
                "correlations": model.correlations[:20].tolist(),
                "bias_removed": bias,
                "fitted_value": model.information,
            },
        )


class Copula(Gaussian):
    """The Gaussian estimate of normal scores; exact for monotone maps of normal coordinates."""

    name: ClassVar[str] = "copula"
    scores: ClassVar[bool] = True


@dataclass(frozen=True)
class CanonicalGaussian:
    """A joint normal model of two whitened sides, in canonical coordinates."""

    left: np.ndarray  # [dx, r]
    right: np.ndarray  # [dy, r]
    correlations: np.ndarray  # [r]

    @classmethod
    def fit(cls, x: np.ndarray, y: np.ndarray) -> CanonicalGaussian:
        """Fit to whitened rows x [n, dx] and y [n, dy]."""
        u, rho, vt = np.linalg.svd(x.T @ y / len(x), full_matrices=False)
        return cls(u, vt.T, np.clip(rho, 0, 1 - 1e-12))

    @property
    def information(self) -> float:
        """Mutual information of the model, nats."""
        return float(-0.5 * np.log1p(-(self.correlations**2)).sum())

    def log_ratio(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        """Log density ratios log p(x, y) / p(x) p(y) [n] of paired rows."""
        u, v, rho = x @ self.left, y @ self.right, self.correlations
        quadratic = (rho**2 * (u**2 + v**2) - 2 * rho * u * v) / (1 - rho**2)
        return self.information - 0.5 * quadratic.sum(axis=1)

    def log_ratios(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        """Log density ratios [n, m] of all pairs of rows."""
        u, v, rho = x @ self.left, y @ self.right, self.correlations
        rest = 1 - rho**2
        own_u, own_v = (0.5 * (w**2 @ (rho**2 / rest)) for w in (u, v))
        return self.information + (u * (rho / rest)) @ v.T - own_u[:, None] - own_v


def whiten(values: np.ndarray, tolerance: float = 1e-9) -> np.ndarray:
    """Principal components [n, r] of unit variance, strongest first, without dependent columns."""
    centred = values - values.mean(axis=0)
    u, s, _ = np.linalg.svd(centred, full_matrices=False)
    keep = s > tolerance * s[0]
    return u[:, keep] * np.sqrt(len(values))


def gaussian_bias(n: int, dx: int, dy: int) -> float:
    """Expected excess of the fitted Gaussian information of n rows over the truth, nats."""
    if n - 1 <= dx + dy:
        return float("nan")

    def log_det(d: int) -> float:
        return float(digamma((n - np.arange(1, d + 1)) / 2).sum())

    return 0.5 * (log_det(dx) + log_det(dy) - log_det(dx + dy))


class StudentCopula(Estimator):
    """t copula: heavy joint tails, by which even uncorrelated coordinates depend on each other.

    The information of a multivariate t is the normal value plus a constant that depends on its
    degrees of freedom and dimensions. The degrees of freedom are common to both sides and fitted to
    the ranks by maximum likelihood; as they grow the estimate approaches that of `Copula`.
    """

    name: ClassVar[str] = "student"
    sides: ClassVar[str] = "continuous"
    null_runs: ClassVar[int] = 5

    def _one(self, problem: Problem) -> Estimate:
        x, y = (normal_scores(side) for side in (problem.paired.x, problem.paired.y))
        return self.read(StudentModel.fit(x, y), x, y)

    @staticmethod
    def read(model: StudentModel, x: np.ndarray, y: np.ndarray) -> Estimate:
        """The estimate of a model fitted to normal scores x [n, dx] and y [n, dy]."""
        bias = gaussian_bias(len(x), x.shape[1], y.shape[1])
        return Estimate(
            value=model.information - bias,
            rows=model.log_ratio(x, y),
            index=np.arange(len(x)),
            details={"dof": model.dof, "bias_removed": bias},
        )


@dataclass(frozen=True)
class StudentModel:
    """A t copula of the joint rows: degrees of freedom and dispersion."""

    dof: float
    dispersion: np.ndarray
    dx: int
    log_likelihood: float  # mean log density of the copula on the rows it was fitted to

    @classmethod
    def fit(cls, x: np.ndarray, y: np.ndarray) -> StudentModel:
        """Fit to normal scores x [n, dx] and y [n, dy] by profile likelihood of the degrees of
        freedom.
        """
        uniform = np.clip(ndtr(np.hstack([x, y])), 1e-9, 1 - 1e-9)
        sub = uniform[:: max(1, len(uniform) // 2000)]

        def profile(log_dof: float, rows: np.ndarray) -> StudentModel:
            return _fit_dispersion(float(np.exp(log_dof)), rows, x.shape[1])

        grid = np.log([1, 1.5, 2, 3, 4.5, 7, 12, 25, 60, 200, NORMAL, 10 * NORMAL])
        fits = [profile(g, sub).log_likelihood for g in grid]
        best = int(np.argmax(fits))
        if grid[best] >= np.log(NORMAL):
            return profile(grid[best], uniform)
        low, high = grid[max(0, best - 1)], grid[min(len(grid) - 1, best + 1)]
        for _ in range(8):  # golden section on the sub-sample's bracket, all rows
            a, b = high - 0.618 * (high - low), low + 0.618 * (high - low)
            if profile(a, uniform).log_likelihood > profile(b, uniform).log_likelihood:
                high = b
            else:
                low = a
        return profile((low + high) / 2, uniform)

    @property
    def information(self) -> float:
        """Mutual information of the model, nats."""
        r, p = self.dispersion, self.dx
        parts = (r[:p, :p], r[p:, p:], r)
        h = [0.5 * np.linalg.slogdet(m)[1] + _student_entropy(self.dof, len(m)) for m in parts]
        return float(h[0] + h[1] - h[2])

    def log_ratio(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        """Log density ratios [n] of paired rows of normal scores."""
        z = stdtrit(self.dof, np.clip(ndtr(np.hstack([x, y])), 1e-9, 1 - 1e-9))
        r, p = self.dispersion, self.dx
        joint = _student_log_density(z, r, self.dof)
        left = _student_log_density(z[:, :p], r[:p, :p], self.dof)
        right = _student_log_density(z[:, p:], r[p:, p:], self.dof)
        return joint - left - right

    def log_ratios(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        """Log density ratios [n, m] of all pairs of rows."""
        a, b = (stdtrit(self.dof, np.clip(ndtr(v), 1e-9, 1 - 1e-9)) for v in (x, y))
        r, p, d = self.dispersion, self.dx, len(self.dispersion)
        precision = np.linalg.inv(r)
        own_a = ((a @ precision[:p, :p]) * a).sum(axis=1)
        own_b = ((b @ precision[p:, p:]) * b).sum(axis=1)
        quadratic = own_a[:, None] + own_b + 2 * (a @ precision[:p, p:]) @ b.T
        joint = _student_constant(r, self.dof) - 0.5 * (self.dof + d) * np.log1p(
            np.maximum(quadratic, 0) / self.dof
        )
        left = _student_log_density(a, r[:p, :p], self.dof)
        right = _student_log_density(b, r[p:, p:], self.dof)
        return joint - left[:, None] - right


def _fit_dispersion(dof: float, uniform: np.ndarray, dx: int) -> StudentModel:
    """Dispersion of a t copula with the given dof, by a few EM steps."""
    z = stdtrit(dof, uniform)
    n, d = z.shape
    r = np.corrcoef(np.sign(z) * np.abs(z) ** 0.5, rowvar=False)
    for _ in range(12):
        weights = (dof + d) / (dof + _quadratic(z, r))
        new = (z * weights[:, None]).T @ z / n
        scale = np.sqrt(np.diag(new))
        new = new / np.outer(scale, scale)
        done = np.abs(new - r).max() < 1e-4
        r = new
        if done:
            break
    r = r + 1e-9 * np.eye(d)
    fit = (_student_log_density(z, r, dof) - student_t.logpdf(z, dof).sum(axis=1)).mean()
    return StudentModel(dof, r, dx, float(fit))


def _quadratic(z: np.ndarray, r: np.ndarray) -> np.ndarray:
    root = np.linalg.cholesky(r + 1e-9 * np.eye(len(r)))
    return (np.linalg.solve(root, z.T) ** 2).sum(axis=0)


def _student_log_density(z: np.ndarray, r: np.ndarray, dof: float) -> np.ndarray:
    return _student_constant(r, dof) - 0.5 * (dof + len(r)) * np.log1p(_quadratic(z, r) / dof)


def _student_constant(r: np.ndarray, dof: float) -> float:
    d = len(r)
    constant = gammaln((dof + d) / 2) - gammaln(dof / 2) - 0.5 * d * np.log(dof * np.pi)
    return float(constant - 0.5 * np.linalg.slogdet(r)[1])


def _student_entropy(dof: float, d: int) -> float:
    """Entropy of a d-variate t with unit dispersion."""
    half = (dof + d) / 2
    return float(
        0.5 * d * np.log(dof * np.pi)
        + gammaln(dof / 2)
        - gammaln(half)
        + half * (digamma(half) - digamma(dof / 2))
    )
