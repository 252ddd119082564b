"""The probe of most capacity: a network of two hidden layers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor
from torch.nn import functional

from fer_bench.errors import DataError
from fer_bench.information.training import BestWeights, Parameters
from fer_bench.metrics.common import random_rows, standardise
from fer_bench.metrics.probes import Probed, Split, read_problem

ROWS = 50_000  # that the network is fitted on at most (a random subset, stated)
VALIDATION_ROWS = 10_000
CHECKS = 24  # looks at the validation rows
OUTLIER = 10.0  # standard deviations: one far row must not rule the fit


def mlp_probes(
    xs: Sequence[ArrayLike],
    ys: Sequence[ArrayLike],
    split: Split,
    *,
    hidden: int = 256,
    steps: int = 120,
    batch: int = 256,
    learning_rate: float = 2e-3,
    seed: int = 0,
) -> list[Probed]:
    """Networks of two hidden layers, several problems on the same rows trained in one pass.

    Adam with decoupled weight decay and a cosine schedule for a fixed number of steps; the
    weights with the best validation loss (looked at 24 times) make the predictions. Without
    validation rows the last weights do.

    Args:
        xs: P embeddings [n, d_p] (dimensions may differ).
        ys: P class labels [n], known in the rows of the split.
        split: rows to fit, tune and test on, the same for all problems.
        hidden: units of each hidden layer.
        steps: of the optimiser.
        batch: rows a step.
        learning_rate: of Adam.
        seed: of the weights and batches.

    Raises:
        DataError: as in `linear_probe`, or there are not as many labels as embeddings.
    """
    if len(xs) != len(ys) or not len(xs):
        raise DataError(f"there are {len(xs)} embeddings and {len(ys)} labels: give one for each.")
    problems = [read_problem(x, y, split) for x, y in zip(xs, ys, strict=True)]
    labels = torch.from_numpy(np.stack([codes for _, codes, _ in problems]))
    train, _ = random_rows(split.train, ROWS, seed=0)
    held, _ = random_rows(split.validation, VALIDATION_ROWS, seed=0)
    inputs = _stacked([standardise(values, values[train]) for values, _, _ in problems])
    generator = torch.Generator().manual_seed(seed)
    classes = int(labels[:, split.fit].max()) + 1
    weights = _initial(len(xs), [inputs.shape[2], hidden, hidden, classes], generator)
    weights = _trained(
        weights,
        (inputs[:, train], labels[:, train]),
        (inputs[:, held], labels[:, held]),
        steps=steps, batch=batch, rate=learning_rate, generator=generator,
    )  # fmt: skip
    predicted = _scores(weights, inputs[:, split.test]).argmax(dim=2).numpy()
    right = _scores(weights, inputs[:, held]).argmax(dim=2) == labels[:, held]
    accuracy = right.float().mean(dim=1).tolist()  # NaN without validation rows
    setting = f"2 x {hidden}, {steps} steps"
    return [
        Probed(given[p], float(a), setting)
        for p, a, (_, _, given) in zip(predicted, accuracy, problems, strict=True)
    ]


def _stacked(sides: Sequence[np.ndarray]) -> Tensor:
    """Inputs [P, n, d] of all problems, columns of zeros where one has fewer."""
    width = max(side.shape[1] for side in sides)
    out = np.zeros((len(sides), len(sides[0]), width), dtype=np.float32)
    for p, side in enumerate(sides):
        out[p, :, : side.shape[1]] = side
    return torch.from_numpy(np.clip(out, -OUTLIER, OUTLIER, out=out))


def _initial(problems: int, sizes: Sequence[int], generator: torch.Generator) -> Parameters:
    """He initialisation, a small last layer; one draw for all: equal inputs give equal probes."""
    weights = {}
    for layer, (fan_in, fan_out) in enumerate(pairwise(sizes)):
        w = torch.randn(1, fan_in, fan_out, generator=generator) * (2.0 / fan_in) ** 0.5
        w *= 0.1 if layer == len(sizes) - 2 else 1.0
        weights[f"{layer}.w"] = w.repeat(problems, 1, 1).requires_grad_()
        weights[f"{layer}.b"] = torch.zeros(problems, 1, fan_out, requires_grad=True)
    return weights


def _scores(weights: Parameters, x: Tensor) -> Tensor:
    """Class scores [P, B, classes] of rows [P, B, d]."""
    last = len(weights) // 2 - 1
    for layer in range(last + 1):
        x = torch.baddbmm(weights[f"{layer}.b"], x, weights[f"{layer}.w"])
        x = x if layer == last else functional.relu(x)
    return x


def _losses(weights: Parameters, x: Tensor, y: Tensor) -> Tensor:
    """Mean cross-entropies [P]."""
    scores = _scores(weights, x).flatten(0, 1)
    return functional.cross_entropy(scores, y.flatten(), reduction="none").view(y.shape).mean(1)


def _trained(
    weights: Parameters,
    train: tuple[Tensor, Tensor],
    held: tuple[Tensor, Tensor],
    *,
    steps: int,
    batch: int,
    rate: float,
    generator: torch.Generator,
) -> Parameters:
    """The weights that served best on the held-out rows, the last ones without any."""
    x, y = train
    optimiser = torch.optim.AdamW(list(weights.values()), lr=rate, weight_decay=1e-2, fused=True)
    best = BestWeights(weights, torch.full((len(x),), -torch.inf))
    everybody = torch.arange(len(x))
    every = max(1, steps // CHECKS)
    for step, rows in zip(
        range(1, steps + 1), _batches(x.shape[1], batch, generator), strict=False
    ):
        optimiser.param_groups[0]["lr"] = (
            0.5 * rate * (1 + float(np.cos(np.pi * (step - 1) / steps)))
        )
        optimiser.zero_grad(set_to_none=True)
        _losses(weights, x[:, rows], y[:, rows]).sum().backward()
        optimiser.step()
        if held[0].shape[1] and (step % every == 0 or step == steps):
            with torch.no_grad():
                best.update(weights, -_losses(weights, *held), everybody)
    if held[0].shape[1]:
        return best.weights
    return {name: value.detach() for name, value in weights.items()}


def _batches(rows: int, size: int, generator: torch.Generator) -> Iterator[Tensor | slice]:
    """Rows of one batch after another without replacement; all rows where they fit in one."""
    queue = torch.empty(0, dtype=torch.int64)
    while True:
        if rows <= size:
            yield slice(None)
            continue
        if len(queue) < size:
            queue = torch.cat([queue, torch.randperm(rows, generator=generator)])
        yield queue[:size]
        queue = queue[size:]
