"""A small decoder from frozen embeddings to faces."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from fer_bench.metrics.common import Floats, standardise
from fer_bench.reading import read_matrix

if TYPE_CHECKING:
    import torch

COMPONENTS = 256
HIDDEN = 512
STEPS = 640
BATCH = 64


@dataclass(frozen=True)
class Basis:
    """Principal components of the training faces.

    Attributes:
        mean: [p] mean face.
        axes: [k, p] components, of length 1, by falling spread.
        spread: [k] standard deviations along them.
    """

    mean: Floats
    axes: Floats
    spread: Floats

    @classmethod
    def of(cls, faces: Floats, components: int = COMPONENTS) -> Basis:
        """The leading components of faces [n, p]."""
        mean = faces.mean(axis=0)
        centred = faces - mean
        # The smaller Gram matrix; faces have more pixels than a set has rows.
        values, vectors = np.linalg.eigh(centred @ centred.T)
        order = np.argsort(values)[::-1][: min(components, len(faces) - 1)]
        order = order[values[order] > 1e-9 * values[-1]]
        axes = (vectors[:, order] / np.sqrt(values[order])).T @ centred
        return cls(mean, axes, np.sqrt(values[order] / len(faces)))

    def coordinates(self, faces: Floats) -> Floats:
        """Standardised coordinates [n, k] of faces [n, p]."""
        return (faces - self.mean) @ self.axes.T / self.spread

    def faces(self, coordinates: Floats) -> Floats:
        """Inverse of `coordinates`, up to what lies outside the components."""
        return self.mean + (coordinates * self.spread) @ self.axes


@dataclass(frozen=True)
class Decoder:
    """A fitted decoder: embeddings [n, d] -> faces [n, p].

    Attributes:
        basis: in which it draws.
        like: [m, d] embeddings whose mean and spread standardise all others.
        weights: of the two layers.
        validation: share of the variance of validation faces it draws, NaN without any.
    """

    basis: Basis
    like: Floats
    weights: tuple[Floats, Floats, Floats, Floats]
    validation: float = float("nan")

    def __call__(self, x: ArrayLike) -> Floats:
        """Draw faces [n, p]."""
        x = read_matrix(x, "x", columns=self.like.shape[1])
        w1, b1, w2, b2 = self.weights
        # Beyond a few spreads there was nothing to learn from: the drawing stays as it is there.
        z = np.clip(standardise(x, self.like), -6.0, 6.0)
        return self.basis.faces(np.maximum(z @ w1.T + b1, 0.0) @ w2.T + b2)


def fit_decoder(
    x: ArrayLike,
    faces: ArrayLike,
    *,
    basis: Basis | None = None,
    held: tuple[ArrayLike, ArrayLike] | None = None,
    hidden: int = HIDDEN,
    steps: int = STEPS,
    seed: int = 0,
) -> Decoder:
    """Learn to draw faces from embeddings.

    AdamW with decoupled weight decay, dropout of 0.2 and a fixed number of steps; of the states
    it passes (looked at 20 times), the one with the least loss on `held` is kept. The error of a
    component weighs as its spread, not its variance, so that a mouth counts beside a background.

    Args:
        x: [n, d] embeddings.
        faces: [n, p] pixels in [0, 1].
        basis: of the drawings; that of `faces` by default.
        held: embeddings and faces of other people, to choose the state.
        hidden, steps, seed: of the network.

    Raises:
        DataError: gaps, or not as many faces as embeddings.

    >>> rng = np.random.default_rng(0)
    >>> x = rng.normal(size=(200, 2))
    >>> faces = 0.5 + 0.1 * x @ rng.normal(size=(2, 12))
    >>> decoder = fit_decoder(x, faces, hidden=32, steps=300)
    >>> bool(np.abs(decoder(x) - faces).mean() < 0.03)
    True
    """
    import torch

    like = read_matrix(x, "x", least=2)
    faces = read_matrix(faces, "faces", rows=len(like)).astype(np.float64)
    if held is not None:
        x = read_matrix(held[0], "held embeddings", columns=like.shape[1])
        shown = read_matrix(held[1], "held faces", rows=len(x), columns=faces.shape[1])
        held = x, shown.astype(np.float64)
    basis = basis or Basis.of(faces)

    def tensors(x: ArrayLike, faces: Floats) -> tuple[torch.Tensor, torch.Tensor]:
        z = np.clip(standardise(x, like), -6.0, 6.0)
        return torch.tensor(z).float(), torch.tensor(basis.coordinates(faces)).float()

    weight = torch.tensor(basis.spread / basis.spread[0]).float()
    w1, b1, w2, b2 = _fit_layers(
        tensors(like, faces), None if held is None else tensors(*held), weight,
        hidden=hidden, steps=steps, seed=seed,
    )  # fmt: skip
    decoder = Decoder(basis, like, (w1, b1, w2, b2))
    if held is None:
        return decoder
    return Decoder(basis, like, (w1, b1, w2, b2), explained(held[1], decoder(held[0]), basis.mean))


def _fit_layers(
    train: tuple[torch.Tensor, torch.Tensor],
    held: tuple[torch.Tensor, torch.Tensor] | None,
    weight: torch.Tensor,
    *,
    hidden: int,
    steps: int,
    seed: int,
) -> list[Floats]:
    """Weights and biases of two layers, as they served best on the held-out pairs."""
    import torch
    from torch import nn
    from torch.nn import functional

    def loss(output: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        return ((output - target).square() * weight).sum(1).mean() / weight.sum()

    inputs, targets = train
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        first = nn.Linear(inputs.shape[1], hidden)
        second = nn.Linear(hidden, targets.shape[1])
        parameters = [*first.parameters(), *second.parameters()]
        optimiser = torch.optim.AdamW(parameters, lr=1e-3, weight_decay=0.1)
        best, least = [p.detach().clone() for p in parameters], float("inf")
        for step in range(1, steps + 1):
            rows = torch.randint(len(inputs), (min(BATCH, len(inputs)),))
            code = functional.dropout(torch.relu(first(inputs[rows])), 0.2)
            error = loss(second(code), targets[rows])
            optimiser.zero_grad(set_to_none=True)
            error.backward()
            optimiser.step()
            if held is not None and (step % max(1, steps // 20) == 0 or step == steps):
                with torch.no_grad():
                    now = float(loss(second(torch.relu(first(held[0]))), held[1]))
                if now < least:
                    least, best = now, [p.detach().clone() for p in parameters]
    kept = best if held is not None else [p.detach() for p in parameters]
    return [p.double().numpy() for p in kept]


def explained(faces: Floats, drawn: Floats, mean: Floats) -> float:
    """1 - |faces - drawn|^2 / |faces - mean|^2: 0 for the mean face, 1 for the faces themselves."""
    return float(1 - np.square(faces - drawn).sum() / np.square(faces - mean).sum())
