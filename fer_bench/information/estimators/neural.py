"""Estimators that train a critic: one objective to fit it, one value read on kept-out rows."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from fer_bench.cautions import Caution
from fer_bench.information.critics import Critic, Scores, TestScores
from fer_bench.information.cross_fitting import (
    CrossFit,
    build_folds,
    by_shape,
    cross_fit,
    fit_cautions,
)
from fer_bench.information.estimator import (
    Estimate,
    Estimator,
    EstimatorError,
    Problem,
    positive,
    read_integer,
)
from fer_bench.information.inputs import Sample, network_columns
from fer_bench.information.objectives import (
    donsker_varadhan,
    info_nce,
    interpolated,
    interpolated_rows,
    jensen_shannon,
    nguyen_wainwright_jordan,
)
from fer_bench.information.training import Blocks, Budget, Fold, Parameters

EVALUATION_BLOCK = 1024  # test rows that meet each other as negatives
EVALUATION_SHIFTS = 64  # negatives a test row meets where each costs a pass of the network


# --- values: what is read from a critic on rows it has not seen -------------------------------


@dataclass(frozen=True)
class Test:
    """A critic's scores of the test rows, as block-wise negatives summarise them.

    Attributes:
        positive: [n].
        log_row, log_column: [n] log-mean-exp of the negatives a row's x (y) took part in.
        per_row: negatives a row met.
        shifted: [K] mean critic value of the pairs under each cyclic shift.
        span: the plausible range of the critic's values, before `within` was heeded.
    """

    positive: Tensor
    log_row: Tensor
    log_column: Tensor
    per_row: int
    shifted: Tensor
    span: tuple[float, float]


def log_normaliser(test: Test) -> Tensor:
    """log E exp T over the negatives: 0 where T is the log density ratio."""
    return torch.logsumexp(test.log_row, 0) - math.log(len(test.log_row))


def value_dv(test: Test) -> Tensor:
    """Rows whose mean is the Donsker-Varadhan value, and which carry its influence."""
    log_z = log_normaliser(test)
    spread = torch.exp(test.log_row - log_z) + torch.exp(test.log_column - log_z) - 2
    return test.positive - log_z - spread


class Neural(Estimator):
    """Base of the critic estimators.

    Args:
        critic: "separable", "bilinear", "concatenated" or "hybrid" (see `Critic`).
        hidden, depth, embed: its size.
        base: start from a normal model of the leading canonical pairs.
        folds: 1 keeps a fifth of the rows for the value (and a sixth of the rest to stop on);
            more cross-fits, so that every row is valued by a critic that has not seen it. By
            default 5 below 2,000 rows.
        steps, batch, rate, patience: budget of the training.
        device: "auto", "cpu", "cuda".
    """

    null_runs: ClassVar[int] = 3
    name: ClassVar[str]

    def __init__(
        self,
        *,
        seed: int = 0,
        critic: str = "separable",
        hidden: int = 64,
        depth: int = 2,
        embed: int = 32,
        base: bool = True,
        folds: int | None = None,
        steps: int = 2000,
        batch: int = 128,
        rate: float = 2e-3,
        patience: int = 6,
        device: str = "auto",
    ) -> None:
        super().__init__(seed=seed)
        if critic not in Critic.kinds:
            raise EstimatorError(f"critic = {critic!r}: choose one of {', '.join(Critic.kinds)}.")
        self.shape: dict[str, Any] = {
            "kind": critic, "base": base, "hidden": read_integer("hidden", hidden, 1),
            "depth": read_integer("depth", depth, 1), "embed": read_integer("embed", embed, 1),
        }  # fmt: skip
        self.folds = folds
        self.budget = Budget(steps=steps, batch=batch, rate=rate, patience=patience)
        self.device = device

    def objective(self, scores: Scores, state: dict[str, Tensor] | None = None) -> Tensor:
        """What the critic is trained to maximise [P]."""
        raise NotImplementedError

    def criterion(self, scores: Scores) -> Tensor:
        """What decides on the validation rows when to stop [P]."""
        return self.objective(scores)

    def value(self, test: Test) -> Tensor:
        """Contributions [n] of the test rows; their mean is the estimate."""
        raise NotImplementedError

    def clip(self, negative: Tensor) -> Tensor:
        """What is done to the negatives before they are averaged (SMILE clips)."""
        return negative

    def estimate_many(self, problems: Sequence[Problem]) -> list[Estimate]:
        return by_shape(problems, self._estimate_alike)

    def _estimate_alike(self, problems: Sequence[Problem]) -> list[Estimate]:
        sample = problems[0].sample
        count = self.folds or (5 if sample.n < 2000 else 1)
        folds = build_folds(problems, count=count, device=self.device)
        critic = Critic(network_columns(sample.x), network_columns(sample.y), **self.shape)
        crossed = cross_fit(_Maximise(critic, self.objective, self.criterion), folds, self.budget)
        return [
            self._read(problem.sample, critic, fit)
            for problem, fit in zip(problems, crossed, strict=True)
        ]

    def _read(self, sample: Sample, critic: Critic, fit: CrossFit) -> Estimate:
        tests, seen, index = [], [], []
        for fold, weights in fit.networks:
            order = fold.test
            if sample.groups is not None:  # neighbours share a group: shifts keep clusters
                order = order[np.argsort(sample.groups[order], kind="stable")]
            fitted_rows = fold.train[: min(len(order), EVALUATION_BLOCK)]
            fitted = self._test(critic, weights, fold, fitted_rows)
            tests.append(self._test(critic, weights, fold, order, within=fitted.span))
            seen.append(float(self.value(fitted).double().mean()))
            index.append(order)
        rows = np.concatenate([self.value(test).double().cpu().numpy() for test in tests])
        value = float(rows.mean())
        return Estimate(
            value=value,
            rows=rows,
            index=np.concatenate(index),
            extra_variance=float(np.mean([self.doubt(test) for test in tests])),
            p=_shift_p(tests),
            cautions=(*self.limits(value, tests[-1]), *fit_cautions(sample)),
            details=fit.details(float(np.mean(seen))),
        )

    def doubt(self, test: Test) -> float:
        """Variance of the value beyond that of its rows."""
        return 0.0

    def limits(self, value: float, test: Test) -> tuple[Caution, ...]:
        """Cautions where the value is near the most that the estimator can read."""
        limit = math.log(len(test.positive) * test.per_row)
        if value > 0.95 * limit:
            return (Caution("near-negatives", limit=limit),)
        return ()

    def _test(
        self,
        critic: Critic,
        p: Parameters,
        fold: Fold,
        rows: np.ndarray,
        *,
        within: tuple[float, float] | None = None,
    ) -> Test:
        """Score rows; `within` keeps a critic from saying more than it said on its fitted rows.

        A critic that is clamped is a critic still, so every bound holds; without it one value
        that the fitted rows never had (a rare label, say) extrapolates to millions of nats.
        """
        with torch.no_grad():
            scored = [
                critic.test_scores(p, *fold.part(block), EVALUATION_SHIFTS)
                for block in blocks_of(rows, self.block)
            ]
            span = _plausible(scored)
            negatives = [s.negatives(*(within or span), self.clip) for s in scored]
        per_row = min(len(n.shifted) for n in negatives)
        sizes = torch.tensor([len(s.positive) for s in scored]) / len(rows)
        shifted = torch.stack([n.shifted[:per_row] for n in negatives]).cpu()
        return Test(
            positive=torch.cat([s.positive.clamp(*(within or span)) for s in scored]),
            log_row=torch.cat([n.log_row for n in negatives]),
            log_column=torch.cat([n.log_column for n in negatives]),
            per_row=per_row,
            shifted=sizes @ shifted,
            span=span,
        )

    @property
    def block(self) -> int:
        """Test rows that serve each other as negatives."""
        return EVALUATION_BLOCK


def blocks_of(rows: np.ndarray, size: int) -> list[np.ndarray]:
    """Rows in blocks of about a size, whose rows serve each other as negatives."""
    return np.array_split(rows, max(1, round(len(rows) / size)))


BELOW, ABOVE = 20.0, 15.0  # nats around the mean paired score: no sample certifies more


def _plausible(scored: Sequence[TestScores]) -> tuple[float, float]:
    """The range of the critic's values, cut where a log density ratio cannot be known."""
    middle = float(torch.cat([s.positive for s in scored]).mean())
    lowest, highest = zip(*(s.span() for s in scored), strict=True)
    return max(min(lowest), middle - BELOW), min(max(highest), middle + ABOVE)


def _shift_p(tests: Sequence[Test]) -> float:
    """P-value of the mean critic value against pairs permuted by cyclic shifts.

    The critic is fixed and its test rows are new to it, so that under independence every shift
    is as likely as the pairing seen: exact without training anything again.
    """
    sizes = np.array([len(test.positive) for test in tests])
    observed = sum(float(test.positive.double().sum()) for test in tests) / sizes.sum()
    shifted = [test.shifted.double().cpu().numpy() for test in tests]
    count = min(map(len, shifted))
    null = sum(s[:count] * n for s, n in zip(shifted, sizes, strict=True)) / sizes.sum()
    return float((1 + np.count_nonzero(null >= observed - 1e-12)) / (1 + count))


class _Maximise:
    """A critic and its objective as the trainer wants them."""

    def __init__(
        self, critic: Critic, objective: Callable[..., Tensor], criterion: Callable[..., Tensor]
    ) -> None:
        self.critic = critic
        self.objective = objective
        self.criterion = criterion

    def initial(self, generator: torch.Generator, fold: Fold) -> Parameters:
        return self.critic.initial(generator, fold, self.judge)

    def loss(
        self, parameters: Parameters, x: Tensor, y: Tensor, state: dict[str, Tensor]
    ) -> Tensor:
        return -self.objective(self.critic.scores(parameters, x, y), state)

    def score(self, parameters: Parameters, blocks: Blocks) -> Tensor:
        return self.judge([self.critic.scores(parameters, x, y) for x, y in blocks])

    def judge(self, blocks: Sequence[Scores]) -> Tensor:
        """The criterion [P] less one standard error: a silent critic has none.

        Few validation rows like some critic by chance, and it then reads below zero on others.
        """
        positive = torch.cat([scores.positive for scores in blocks], 1)
        if positive.shape[1] < 2:  # a single row meets nobody
            return positive.new_zeros(len(positive))
        noise = positive.std(1) / math.sqrt(positive.shape[1])
        return torch.stack([self.criterion(scores) for scores in blocks]).mean(0) - noise


class MINE(Neural):
    """Donsker-Varadhan with the bias-corrected gradient (Belghazi et al. 2018)."""

    name: ClassVar[str] = "mine"

    def objective(self, scores: Scores, state: dict[str, Tensor] | None = None) -> Tensor:
        return donsker_varadhan(scores, state)

    def value(self, test: Test) -> Tensor:
        return value_dv(test)


class NWJ(Neural):
    """Nguyen, Wainwright and Jordan 2010; the same as MINE-f."""

    name: ClassVar[str] = "nwj"

    def objective(self, scores: Scores, state: dict[str, Tensor] | None = None) -> Tensor:
        return nguyen_wainwright_jordan(scores)

    def value(self, test: Test) -> Tensor:
        # Rows of 1 + E T - E exp T.
        exponential = torch.exp(test.log_row)
        return 1 + test.positive - exponential - torch.exp(test.log_column) + exponential.mean()


class MINEf(NWJ):
    """MINE-f of Belghazi et al. 2018: the f-divergence bound, which is NWJ's."""

    name: ClassVar[str] = "mine-f"


class JSD(Neural):
    """Critic trained as a classifier of pairs (stable), valued with Donsker-Varadhan."""

    name: ClassVar[str] = "jsd"

    def objective(self, scores: Scores, state: dict[str, Tensor] | None = None) -> Tensor:
        return jensen_shannon(scores)

    def criterion(self, scores: Scores) -> Tensor:
        return donsker_varadhan(scores)

    def value(self, test: Test) -> Tensor:
        return value_dv(test)


class DEMI(JSD):
    """Discriminative estimator (Liao et al. 2020): the classifier's logit is the log ratio."""

    name: ClassVar[str] = "demi"

    def criterion(self, scores: Scores) -> Tensor:
        return jensen_shannon(scores)

    def value(self, test: Test) -> Tensor:
        return test.positive  # the critic taken for the log density ratio itself

    def doubt(self, test: Test) -> float:
        return float(log_normaliser(test)) ** 2  # nothing else ties the logits to their level


class SMILE(JSD):
    """JSD-trained; negatives clipped to [-tau, tau] in the value (Song and Ermon 2020, eq. 13).

    Clipping only the negatives biases high values upwards; tau = 5 is the paper's.
    """

    name: ClassVar[str] = "smile"

    def __init__(self, *, tau: float = 5.0, seed: int = 0, **options: Any) -> None:
        super().__init__(seed=seed, **options)
        self.tau = positive("tau", tau)

    def criterion(self, scores: Scores) -> Tensor:
        return jensen_shannon(scores)

    def clip(self, negative: Tensor) -> Tensor:
        return negative.clamp(-self.tau, self.tau)


class InfoNCE(Neural):
    """Contrastive bound (van den Oord et al. 2018); never above log of the batch."""

    name: ClassVar[str] = "infonce"

    def objective(self, scores: Scores, state: dict[str, Tensor] | None = None) -> Tensor:
        return info_nce(scores)

    def value(self, test: Test) -> Tensor:
        everyone = torch.logaddexp(test.positive, test.log_row + math.log(test.per_row))
        return test.positive - everyone + math.log(1 + test.per_row)

    @property
    def block(self) -> int:
        return self.budget.batch

    def limits(self, value: float, test: Test) -> tuple[Caution, ...]:
        ceiling = math.log(1 + test.per_row)
        if value > 0.9 * ceiling:
            return (Caution("saturated-batch", ceiling=ceiling),)
        return ()


class Alpha(Neural):
    """Interpolation between NWJ and InfoNCE (Poole et al. 2019): less variance for more bias."""

    name: ClassVar[str] = "alpha"

    def __init__(self, *, alpha: float = 0.5, seed: int = 0, **options: Any) -> None:
        super().__init__(seed=seed, **options)
        if not 0 <= alpha <= 1:
            raise EstimatorError(f"alpha = {alpha}: give a number between 0 (NWJ) and 1 (InfoNCE).")
        self.alpha = alpha

    def objective(self, scores: Scores, state: dict[str, Tensor] | None = None) -> Tensor:
        return interpolated(scores, self.alpha)

    def value(self, test: Test) -> Tensor:
        return interpolated_rows(test.positive, test.log_row, test.per_row, self.alpha)

    def limits(self, value: float, test: Test) -> tuple[Caution, ...]:
        ceiling = math.log((1 + test.per_row) / self.alpha) if self.alpha else math.inf
        if value > 0.9 * ceiling:
            return (Caution("saturated-alpha", ceiling=ceiling),)
        return super().limits(value, test)
