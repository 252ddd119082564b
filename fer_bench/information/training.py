"""Trains many small networks at once: problems, folds and permutations share each matrix product.

Parameters have a leading axis [P, ...] of independent problems, so that one optimiser step serves
all. Every problem has its own initial weights, batches, early stopping and best weights. Its
result does not depend on the others in the batch, apart from rounding.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from fer_bench.information.estimator import positive, read_integer
from fer_bench.threads import limited_threads, threads_for

Parameters = dict[str, Tensor]
Blocks = Sequence[tuple[Tensor, Tensor]]  # rows [P, B, d] of both sides
VALIDATION_BLOCK = 200


class Model(Protocol):
    """The interface of what is trained."""

    def initial(self, generator: torch.Generator, fold: Fold) -> Parameters:
        """Initial weights of one problem, without the problem axis; may use its training rows."""

    def loss(
        self, parameters: Parameters, x: Tensor, y: Tensor, state: dict[str, Tensor]
    ) -> Tensor:
        """Losses [P] of batches [P, B, d]; `state` is kept between batches."""

    def score(self, parameters: Parameters, blocks: Blocks) -> Tensor:
        """Validation scores [P], to be maximised."""


@dataclass(frozen=True)
class Fold:
    """One problem to train on: both sides, and the rows of its parts.

    Attributes:
        x, y: [n, d] columns; problems share them without copies.
        order: [n] row of y for each row of x.
        train, valid, test: rows of each part.
        seed: of initial weights and batches.
    """

    x: Tensor
    y: Tensor
    order: Tensor
    train: np.ndarray
    valid: np.ndarray
    test: np.ndarray
    seed: int

    def part(self, rows: np.ndarray) -> tuple[Tensor, Tensor]:
        """Paired rows [1, m, d] of both sides."""
        index = torch.as_tensor(rows)
        return self.x[index][None], self.y[self.order[index]][None]


@dataclass(frozen=True)
class Budget:
    """Length and step size of a training: Adam with early stopping on the validation rows.

    Attributes:
        steps: at most.
        batch: rows in a step.
        rate: learning rate.
        patience: validation checks without improvement before a problem stops.
        averaging: decay of the moving average of the weights that is validated.
        check_every: steps between validation checks.
    """

    steps: int = 2000
    batch: int = 128
    rate: float = 2e-3
    patience: int = 6
    averaging: float = 0.98
    check_every: int = 20

    def __post_init__(self) -> None:
        for name, least in (("steps", 1), ("batch", 2), ("patience", 1)):
            read_integer(name, getattr(self, name), least)
        positive("rate", self.rate)


@dataclass(frozen=True)
class Fitted:
    """The result of `train`.

    Attributes:
        parameters: best weights [P, ...] of every problem.
        curve: validation scores [checks, P], NaN once a problem has stopped.
        steps: of the problem that was trained longest.
    """

    parameters: Parameters
    curve: np.ndarray
    steps: int

    def of(self, p: int) -> Parameters:
        """Weights [1, ...] of one problem."""
        return {name: value[p : p + 1] for name, value in self.parameters.items()}

    def curve_of(self, p: int) -> list[float]:
        """Validation scores of one problem until it stopped."""
        curve = self.curve[:, p]
        return [round(float(value), 5) for value in curve[np.isfinite(curve)]]


class BestWeights:
    """The weights of every problem with the best validation score so far.

    Args:
        weights: initial weights [P, ...] by name.
        score: their scores [P], to be maximised.
    """

    def __init__(self, weights: Parameters, score: Tensor) -> None:
        self.weights = {name: value.detach().clone() for name, value in weights.items()}
        self.score = score.clone()

    def update(self, weights: Parameters, score: Tensor, problems: Tensor) -> None:
        """Take over weights [A, ...] of those `problems` [A] whose score [A] exceeds the best so
        far.
        """
        better = score > self.score[problems]
        self.score[problems[better]] = score[better].to(self.score)
        for name, value in weights.items():
            self.weights[name][problems[better]] = value.detach()[better]


@contextmanager
def _without_denormals() -> Iterator[None]:
    """Vanishing weights of bad pairs cost a CPU a hundredfold; the caller's arithmetic is kept."""
    torch.set_flush_denormal(True)
    try:
        yield
    finally:
        torch.set_flush_denormal(False)


def train(model: Model, folds: Sequence[Fold], budget: Budget) -> Fitted:
    """Train one model for each fold, all at once; those that have stopped leave the batch.

    The untrained model is a candidate too, so that a network that learns nothing reports nothing.

    Args:
        model: of all folds.
        folds: of one shape.
        budget: length and step size.
    """
    initial = [model.initial(torch.Generator().manual_seed(fold.seed), fold) for fold in folds]
    weights = sum(value.numel() for one in initial for value in one.values())
    with _without_denormals(), limited_threads(threads_for(budget.batch * weights)):
        return _train(model, folds, budget, initial)


def _train(
    model: Model, folds: Sequence[Fold], budget: Budget, initial: Sequence[Parameters]
) -> Fitted:
    networks = _Networks(model, folds, budget, initial)
    untrained = networks.validate()
    best = BestWeights(networks.smooth, untrained)
    curve = [untrained.cpu().numpy()]
    peak = torch.full_like(untrained, -torch.inf)  # of training, which may dip before it gains
    stale = torch.zeros_like(networks.active)
    step = 0
    for step in range(1, budget.steps + 1):
        networks.step(step)
        if step % budget.check_every and step != budget.steps:
            continue
        score = networks.validate()
        stale = torch.where(score > peak, 0, stale + 1)
        peak = torch.maximum(peak, score)
        best.update(networks.smooth, score, networks.active)
        curve.append(_with_gaps(score, networks.active, len(folds)))
        going = (stale < budget.patience).nonzero()[:, 0]
        if len(going) == 0:
            break
        if len(going) < len(networks.active):
            stale, peak = stale[going], peak[going]
            networks.keep(going)
    return Fitted(best.weights, np.stack(curve), step)


class _Networks:
    """The networks that are still trained, a network per fold.

    Attributes:
        active: [A] numbers of their folds.
        smooth: moving averages [A, ...] of their weights, which are validated.
    """

    def __init__(
        self, model: Model, folds: Sequence[Fold], budget: Budget, initial: Sequence[Parameters]
    ) -> None:
        device = folds[0].x.device
        self.model, self.budget = model, budget
        self.active = torch.arange(len(folds), device=device)
        self._parameters = {
            name: torch.stack([weights[name] for weights in initial]).to(device)
            for name in initial[0]
        }
        self._learnt = [name for name in self._parameters if not name.startswith("base.")]
        learnt = [self._parameters[name].requires_grad_() for name in self._learnt]
        self._optimiser = torch.optim.Adam(learnt, lr=budget.rate, fused=True)
        self._schedule = torch.optim.lr_scheduler.LambdaLR(
            self._optimiser,
            lambda step: min(1.0, (step + 1) / 50) * max(0.1, 1 - step / budget.steps),
        )
        self._batches = _Batches(folds, budget.batch)
        self._blocks = _validation_blocks(folds)
        self._state: dict[str, Tensor] = {}
        self.smooth = {name: value.detach().clone() for name, value in self._parameters.items()}

    @torch.no_grad()
    def validate(self) -> Tensor:
        """Validation scores [A] of the averaged weights."""
        return self.model.score(self.smooth, self._blocks)

    def step(self, number: int) -> None:
        """One step of the optimiser, the `number`-th, and of the moving average."""
        x, y = self._batches.draw()
        loss = self.model.loss(self._parameters, x, y, self._state).sum()
        self._optimiser.zero_grad(set_to_none=True)
        loss.backward()
        self._optimiser.step()
        self._schedule.step()
        # Short at first: there is little to average yet.
        keep = min(self.budget.averaging, number / (number + 10))
        with torch.no_grad():
            for name in self._learnt:
                self.smooth[name].lerp_(self._parameters[name], 1 - keep)

    def keep(self, going: Tensor) -> None:
        """Go on with some of them."""
        self.active = self.active[going]
        self.smooth = {name: value[going] for name, value in self.smooth.items()}
        self._parameters = _keep(self._optimiser, self._parameters, going)
        self._state = {k: v[going] if v.dim() else v for k, v in self._state.items()}
        self._blocks = [(x[going], y[going]) for x, y in self._blocks]
        self._batches.keep(going)


def _with_gaps(score: Tensor, active: Tensor, count: int) -> np.ndarray:
    """Scores [count] of all problems, NaN for those that had stopped."""
    scores = np.full(count, np.nan, dtype=np.float32)
    scores[active.cpu().numpy()] = score.cpu().numpy()
    return scores


def _keep(optimiser: torch.optim.Adam, parameters: Parameters, going: Tensor) -> Parameters:
    """Parameters of some of the problems, and the optimiser's memory of them."""
    kept = {name: value.detach()[going] for name, value in parameters.items()}
    memory = optimiser.state
    fresh = []
    for name, value in parameters.items():
        if value not in memory:
            continue
        fresh.append(kept[name].requires_grad_())
        memory[kept[name]] = {k: v[going] if v.dim() else v for k, v in memory.pop(value).items()}
    optimiser.param_groups[0]["params"] = fresh
    return kept


class _Batches:
    """Mini-batches without replacement, an own shuffle per problem and epoch."""

    def __init__(self, folds: Sequence[Fold], batch: int) -> None:
        self.folds = list(folds)
        self.rows = min(len(fold.train) for fold in folds)
        self.size = min(batch, self.rows)
        self.random = [np.random.default_rng([fold.seed, 1]) for fold in folds]
        self.x, self.first_x = _stack([f.x for f in folds])
        self.y, self.first_y = _stack([f.y for f in folds])
        self.at = self.rows

    def draw(self) -> tuple[Tensor, Tensor]:
        if self.at + self.size > self.rows:
            epoch = [
                torch.as_tensor(r.permutation(f.train)[: self.rows]).to(self.x.device)
                for r, f in zip(self.random, self.folds, strict=True)
            ]
            orders = [f.order[i] for f, i in zip(self.folds, epoch, strict=True)]
            self.left = torch.stack(epoch) + self.first_x
            self.right = torch.stack(orders) + self.first_y
            self.at = 0
        part = slice(self.at, self.at + self.size)
        self.at += self.size
        x, y = (
            side.index_select(0, rows[:, part].flatten()).unflatten(0, (len(rows), -1))
            for side, rows in ((self.x, self.left), (self.y, self.right))
        )
        return x, y

    def keep(self, going: Tensor) -> None:
        """Go on with some of the problems."""
        self.left, self.right, self.first_x, self.first_y = (
            value[going] for value in (self.left, self.right, self.first_x, self.first_y)
        )
        self.folds, self.random = (
            [values[i] for i in going.tolist()] for values in (self.folds, self.random)
        )


def _stack(sides: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
    """Rows of all problems one below the other, and where each [P, 1] begins; shared ones once."""
    n, device = len(sides[0]), sides[0].device
    if all(side is sides[0] for side in sides):
        return sides[0], torch.zeros(len(sides), 1, dtype=torch.int64, device=device)
    return torch.cat(list(sides)), n * torch.arange(len(sides), device=device)[:, None]


def _validation_blocks(folds: Sequence[Fold]) -> list[tuple[Tensor, Tensor]]:
    """Validation rows [P, B, d] in blocks: all pairs within a block serve as negatives."""
    size = min(len(fold.valid) for fold in folds)
    edges = np.linspace(0, size, max(1, round(size / VALIDATION_BLOCK)) + 1).astype(int)
    blocks = []
    for start, stop in pairwise(edges):
        parts = [fold.part(fold.valid[start:stop]) for fold in folds]
        blocks.append((torch.cat([x for x, _ in parts]), torch.cat([y for _, y in parts])))
    return blocks
