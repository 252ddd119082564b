"""Estimators that fit a density of y given x: difference of entropies, and upper bounds."""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from dataclasses import replace
from typing import ClassVar

import numpy as np
import torch
from sklearn.mixture import GaussianMixture
from torch import Tensor

from fer_bench.cautions import Caution
from fer_bench.information.critics import apply, canonical_axes, confirmed_correlations, initial_mlp
from fer_bench.information.cross_fitting import build_folds, by_shape, cross_fit, fit_cautions
from fer_bench.information.estimator import Estimate, Estimator, Problem, read_integer
from fer_bench.information.estimators.neural import EVALUATION_BLOCK
from fer_bench.information.inputs import network_columns
from fer_bench.information.training import Blocks, Budget, Fold, Parameters

RANK = 16  # canonical pairs that a network starts from, at most
TIGHT = 0.1  # nats below which CLUB cannot be far off
HALF_LOG_2PI = 0.5 * math.log(2 * math.pi)


class _Density(Estimator):
    """A mixture density network q(y | x) on top of a mixture q(y).

    Args:
        components: diagonal normals in each mixture.
        hidden, depth: size of the network from x to the mixture.
        folds: cross-fitting, as for the critics.
        steps, batch, rate, patience: budget of the training.
    """

    sides: ClassVar[str] = "continuous"
    null_runs: ClassVar[int] = 3

    def __init__(
        self,
        *,
        seed: int = 0,
        components: int = 4,
        hidden: int = 64,
        depth: int = 2,
        folds: int | None = None,
        steps: int = 2000,
        batch: int = 256,
        rate: float = 2e-3,
        patience: int = 8,
        device: str = "auto",
    ) -> None:
        super().__init__(seed=seed)
        self.shape = (
            read_integer("components", components, 1),
            read_integer("hidden", hidden, 1),
            read_integer("depth", depth, 1),
        )
        self.folds = folds
        self.budget = Budget(steps=steps, batch=batch, rate=rate, patience=patience)
        self.device = device

    def value(self, model: Mixture, p: Parameters, x: Tensor, y: Tensor) -> Tensor:
        """Contributions [B] of test rows [1, B, d]."""
        raise NotImplementedError

    def limits(self, value: float, dims: int, rows: int) -> tuple[Caution, ...]:
        """What to say of such a value of so many dimensions and rows."""
        return ()

    def estimate_many(self, problems: Sequence[Problem]) -> list[Estimate]:
        return by_shape(problems, self._estimate_alike)

    def _estimate_alike(self, problems: list[Problem]) -> list[Estimate]:
        sample = problems[0].sample
        count = self.folds or (5 if sample.n < 2000 else 1)
        folds = build_folds(problems, count=count, device=self.device)
        dy = min(sample.y.shape[1], network_columns(sample.y))
        model = Mixture(network_columns(sample.x), dy, *self.shape)
        few = min(len(fold.train) for own in folds for fold in own)
        narrow = () if dy < few else (Caution("few-rows-for-density", rows=few, dims=dy),)

        def log_ratios(fold: Fold, weights: Parameters, rows: np.ndarray) -> np.ndarray:
            blocks = np.array_split(rows, max(1, math.ceil(len(rows) / EVALUATION_BLOCK)))
            with torch.no_grad():
                parts = [self.value(model, weights, *fold.part(block)) for block in blocks]
            return torch.cat(parts).double().cpu().numpy()

        estimates = []
        fits = cross_fit(model, folds, self.budget)
        for problem, fit in zip(problems, fits, strict=True):
            estimate = fit.estimate(log_ratios)
            limits = self.limits(estimate.value, dy, len(estimate.rows))
            cautions = (*narrow, *fit_cautions(problem.sample), *limits)
            estimates.append(replace(estimate, cautions=cautions))
        return estimates


class Mixture:
    """q(y | x) and q(y) as mixtures of diagonal normals, in canonical coordinates of y.

    There the normal part of q(y) and of q(y | x) is diagonal as well. q(y) is fitted first and
    stays; the network adds to its parameters. So where x says nothing the two are the same, and
    what a mixture cannot fit is not taken for information.
    """

    def __init__(self, dx: int, dy: int, components: int, hidden: int, depth: int) -> None:
        self.dx, self.dy, self.components = dx, dy, components
        outputs = components * (2 * dy + 1)
        self.sizes = [dx, *[hidden] * depth, outputs]

    def initial(self, generator: torch.Generator, fold: Fold) -> Parameters:
        (x, y), (other_x, other_y) = (
            (a[0, :, : self.dx].cpu().double(), b[0, :, : self.dy].cpu().double())
            for a, b in (fold.part(rows) for rows in (fold.train, fold.valid))
        )
        axes_x, axes_y = canonical_axes(x, y, full=True)
        rank = min(RANK, self.dx, self.dy)
        rho = confirmed_correlations(other_x @ axes_x[:, :rank], other_y @ axes_y[:, :rank])
        weights = initial_mlp("q", self.sizes, generator, zero_last=True)
        # The start is a normal model, so that a network learns only what is not normal.
        start = torch.zeros(self.components, 2 * self.dy + 1)
        start[:, self.dy : self.dy + rank] = 0.5 * torch.log1p(-(rho**2))
        weights[f"q{len(self.sizes) - 2}.b"] = start.flatten()
        weights["linear"] = torch.zeros(self.dx, self.dy)
        weights["linear"][:, :rank] = axes_x[:, :rank].float() * rho
        weights["base.turn"] = axes_y.float()
        weights["base.marginal"] = self._marginal(
            (y @ axes_y).numpy(), (other_y @ axes_y).numpy(), fold.seed
        )
        return weights

    def _marginal(self, seen: np.ndarray, held_out: np.ndarray, seed: int) -> Tensor:
        """Parameters [outputs] of q(y): one normal, or as many as there may be, by kept-out rows.

        One normal comes as components a little apart, or they would all learn the same.
        """
        count = self.components
        random = np.random.default_rng(seed)
        # A direction that the fitted rows hardly fill is as wide as the others are in it.
        scale = np.log(np.maximum(seen.std(0), held_out.std(0)) + 1e-12)
        one = np.r_[seen.mean(0), scale, 0.0][None].repeat(count, 0)
        one[:, : self.dy] += (0.1 if count > 1 else 0.0) * random.normal(size=(count, self.dy))
        choices = [torch.as_tensor(one).float()]
        if count > 1 and len(seen) >= 10 * count:
            many = GaussianMixture(count, covariance_type="diag", reg_covar=1e-3, random_state=seed)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # not converged: still a candidate
                many.fit(seen)
            parameters = np.c_[many.means_, np.log(many.covariances_) / 2, np.log(many.weights_)]
            choices.append(torch.as_tensor(parameters).float())
        rows = torch.as_tensor(held_out).float()[None]
        no_shift = torch.zeros(1, 1, self.dy)
        fits = [self._log_density(c.flatten()[None, None], no_shift, rows).mean() for c in choices]
        return choices[int(torch.stack(fits).argmax())].flatten()

    def pairs(self, p: Parameters, x: Tensor, y: Tensor) -> Tensor:
        """log q(y_j | x_i) [P, B, B]."""
        given, shift = self._given(p, x)
        return self._log_density(given, shift, self._turned(p, y))

    def conditional(self, p: Parameters, x: Tensor, y: Tensor) -> Tensor:
        """log q(y_i | x_i) [P, B]."""
        given, shift = self._given(p, x)
        y = self._turned(p, y)
        return self._log_density(given[:, :, None], shift[:, :, None], y[:, :, None])[..., 0, 0]

    def marginal(self, p: Parameters, y: Tensor) -> Tensor:
        """log q(y_i) [P, B]."""
        y = self._turned(p, y)
        return self._log_density(p["base.marginal"][:, None], torch.zeros_like(y[:, :1]), y)[:, 0]

    def _given(self, p: Parameters, x: Tensor) -> tuple[Tensor, Tensor]:
        """Parameters of q(y | x) [P, B, outputs] and the linear shift of its means [P, B, dy]."""
        x = x[..., : self.dx]
        change = apply(p, "q", self.sizes, x)
        return p["base.marginal"][:, None] + change, torch.bmm(x, p["linear"])

    def _turned(self, p: Parameters, y: Tensor) -> Tensor:
        return torch.bmm(y[..., : self.dy], p["base.turn"])

    def _log_density(self, given: Tensor, shift: Tensor, y: Tensor) -> Tensor:
        """Mixtures [..., A, outputs] at rows [..., B, dy] -> [..., A, B]."""
        mixture = given.unflatten(-1, (self.components, 2 * self.dy + 1))
        mean = mixture[..., : self.dy] + shift[..., None, :]
        log_scale = mixture[..., self.dy : 2 * self.dy].clamp(-6, 4)
        log_weight = torch.log_softmax(mixture[..., -1], dim=-1)
        precision = torch.exp(-2 * log_scale)  # [..., A, K, dy]
        shape = (*mean.shape[:-3], -1, self.dy)  # fold (A, K) into rows of one product
        square = precision.reshape(shape) @ (y**2).transpose(-1, -2)
        cross = (precision * mean).reshape(shape) @ y.transpose(-1, -2)
        own = (precision * mean**2).sum(-1).flatten(-2)[..., None]
        quadratic = (square - 2 * cross + own).unflatten(-2, mean.shape[-3:-1])
        norm = log_weight - log_scale.sum(-1) - self.dy * HALF_LOG_2PI
        return torch.logsumexp(norm[..., None] - 0.5 * quadratic, dim=-2)

    def loss(
        self, parameters: Parameters, x: Tensor, y: Tensor, state: dict[str, Tensor]
    ) -> Tensor:
        return -self.score(parameters, [(x, y)])

    def score(self, parameters: Parameters, blocks: Blocks) -> Tensor:
        return torch.cat([self.conditional(parameters, x, y) for x, y in blocks], 1).mean(1)


class DifferenceOfEntropies(_Density):
    """H(y) - H(y | x), each a cross-entropy on kept-out rows (McAllester and Stratos 2018).

    No bound on either side, but no limit at log n either.
    """

    name: ClassVar[str] = "doe"

    def value(self, model: Mixture, p: Parameters, x: Tensor, y: Tensor) -> Tensor:
        return (model.conditional(p, x, y) - model.marginal(p, y))[0]


class CLUB(_Density):
    """Upper bound E log q(y|x) - E log q(y'|x) (Cheng et al. 2020, eq. 6).

    Loose even with a perfect model: rho^2 / (1 - rho^2) for a normal pair. Its use is in
    minimising, not in reporting. One normal component is the paper's model.
    """

    name: ClassVar[str] = "club"

    def __init__(self, *, components: int = 1, seed: int = 0, **options: object) -> None:
        super().__init__(seed=seed, components=components, **options)  # type: ignore[arg-type]

    def value(self, model: Mixture, p: Parameters, x: Tensor, y: Tensor) -> Tensor:
        pairs = model.pairs(p, x, y)[0]
        n = len(pairs)
        own = pairs.diagonal()
        return own - (pairs.sum(1) - own) / (n - 1)

    def limits(self, value: float, dims: int, rows: int) -> tuple[Caution, ...]:
        # d normal pairs of I / d nats each read d (exp(2 I / d) - 1): twice I at least.
        if value < TIGHT:
            return ()
        return (Caution("loose-upper-bound", normal=dims / 2 * math.log1p(value / dims)),)


class LeaveOneOut(CLUB):
    """Upper bound, the other rows' conditionals for the marginal (Poole et al. 2019, eq. 13)."""

    name: ClassVar[str] = "l1out"

    def value(self, model: Mixture, p: Parameters, x: Tensor, y: Tensor) -> Tensor:
        pairs = model.pairs(p, x, y)[0]
        n = len(pairs)
        others = pairs.masked_fill(torch.eye(n, dtype=torch.bool, device=pairs.device), -math.inf)
        return pairs.diagonal() - torch.logsumexp(others, 0) + math.log(n - 1)

    def limits(self, value: float, dims: int, rows: int) -> tuple[Caution, ...]:
        # Beyond what so many other rows can tell apart it read 42 where 9.3 were shared.
        return (Caution("upper-bound"),) if value > math.log(rows) else ()
