"""The trained attacker: a small metric network."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from fer_bench.attackers.attacker import Form, unit
from fer_bench.attackers.columns import Columns, columns_of
from fer_bench.attackers.comparisons import compared_pairs
from fer_bench.attackers.faces import Faces
from fer_bench.metrics.common import Floats, Ints

OUTPUTS = 32
TEMPERATURE = 0.1
PEOPLE, EACH = 32, 4  # targets in a batch, and faces of each
LEAST_STEPS = 15  # an epoch, however few faces there are


@dataclass(frozen=True)
class MetricNetwork:
    """A supervised-contrastive network on embeddings: two layers beside a linear one.

    Khosla et al. (NeurIPS 2020), with positives and negatives that differ in `apart` only, as in
    the question that is asked. Every target is drawn equally often. The epoch of each seed, and
    the width of all, are chosen on the validation people; what is compared are the unit outputs of
    all seeds side by side, so that a score is the mean of their cosines.

    Attributes:
        widths: hidden units that are tried.
        epochs: at most.
        seeds: networks that are trained for each width.
        networks: the trained ones.
        columns: what it learns from; None while it sees these, and not the embedding.
    """

    name: str = "network"
    step: int = 3
    widths: tuple[int, ...] = (64, 256)
    epochs: int = 40
    seeds: int = 3
    networks: tuple[Any, ...] = field(default=(), repr=False)
    columns: Columns | None = field(default=None, repr=False)

    def fit(self, train: Faces, validation: Faces) -> MetricNetwork:
        """Train on the training people."""
        columns = columns_of(train)
        learnt, held = columns.of(train), columns.of(validation)
        inner = replace(self, columns=None)
        tried = [
            replace(
                inner,
                networks=tuple(
                    _train(inner, learnt, held, width, seed) for seed in range(self.seeds)
                ),
            )
            for width in self.widths
        ]
        best = max(tried, key=lambda each: compared_pairs(each, held).auc)
        return replace(best, columns=columns)

    def embed(self, x: Floats) -> Floats:
        """Unit outputs of all networks, [n, seeds x outputs]."""
        import torch

        seen = x if self.columns is None else self.columns(x)
        rows = torch.from_numpy(seen.astype(np.float32))
        with torch.no_grad():
            outputs = [unit(network(rows).double().numpy()) for network in self.networks]
        return np.concatenate(outputs, axis=1) / np.sqrt(len(outputs))

    def template(self, rows: Floats) -> Floats:
        """The direction of the mean."""
        return unit(rows.mean(axis=-2))

    def form(self, faces: int = 1) -> Form:
        """The mean of the cosines."""
        return Form.cosine(len(self.networks) * OUTPUTS)


def _train(attacker: MetricNetwork, train: Faces, validation: Faces, width: int, seed: int) -> Any:
    """One network, as it was in the epoch that served best; faces in the columns it learns from."""
    import torch

    rng = np.random.default_rng([seed, width])
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = _network(train.x.shape[1], width)
    x = torch.from_numpy(train.x.astype(np.float32))
    target, apart = torch.from_numpy(train.target), torch.from_numpy(train.apart)
    optimiser = torch.optim.AdamW(network.parameters(), lr=2e-3, weight_decay=1e-2)
    steps = max(LEAST_STEPS, len(train) // (PEOPLE * EACH))
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, attacker.epochs * steps)
    best, kept = -1.0, {k: v.clone() for k, v in network.state_dict().items()}
    for _ in range(attacker.epochs):
        for rows in _batches(train, steps, rng):
            loss = contrastive_loss(network(x[rows]), target[rows], apart[rows])
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            schedule.step()
        auc = compared_pairs(replace(attacker, networks=(network,)), validation).auc
        if auc > best:
            best, kept = auc, {k: v.clone() for k, v in network.state_dict().items()}
    network.load_state_dict(kept)
    return network


def contrastive_loss(outputs: Any, target: Any, apart: Any) -> Any:
    """Supervised contrastive loss of rows [b, k], over pairs that differ in `apart`.

    Rows without a positive or a negative say nothing.
    """
    import torch

    z = torch.nn.functional.normalize(outputs, dim=1)
    logits = z @ z.T / TEMPERATURE
    differ = apart[:, None] != apart
    positive = differ & (target[:, None] == target)
    log_all = torch.logsumexp(logits.masked_fill(~differ, -1e9), dim=1, keepdim=True)
    usable = positive.any(dim=1)
    each = ((logits - log_all) * positive).sum(dim=1) / positive.sum(dim=1).clamp(min=1)
    return -each[usable].sum() / usable.sum().clamp(min=1)


def _network(columns: int, width: int) -> Any:
    """A linear map beside two layers, so that what is linear need not be learnt twice."""
    from torch import nn

    class Network(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.straight = nn.Linear(columns, OUTPUTS)
            self.bent = nn.Sequential(
                nn.Linear(columns, width), nn.ReLU(), nn.Linear(width, OUTPUTS)
            )

        def forward(self, x: Any) -> Any:
            return self.straight(x) + self.bent(x)

    return Network()


def _batches(train: Faces, steps: int, rng: np.random.Generator) -> list[Ints]:
    """Rows of random targets, a few faces of each."""
    order = np.argsort(train.target, kind="stable")
    _, start, count = np.unique(train.target[order], return_index=True, return_counts=True)
    usable = count > 1
    start, count = start[usable], count[usable]
    chosen = [rng.permutation(len(start))[:PEOPLE] for _ in range(steps)]
    return [
        order[
            start[c, None] + (rng.random((len(c), EACH)) * count[c, None]).astype(np.int64)
        ].ravel()
        for c in chosen
    ]
