"""ELIM (Kim and Song, NeurIPS 2022): see README.md beside this file.

People of a batch are matched by optimal transport; what the matching says of a person, the
identity shift mu, is taken out of the features before the head sees them a second time.
"""

from __future__ import annotations

from typing import Annotated

import torch
from pydantic import Field, NonNegativeFloat, PositiveFloat, PositiveInt
from torch import Tensor, nn
from torch.nn import functional

from fer_bench.baselines.common.coded import CodedMethod, need_people
from fer_bench.baselines.common.heads import TaskHead, train_subjects
from fer_bench.baselines.common.networks import Encoder, EncoderConfig
from fer_bench.baselines.published import published
from fer_bench.method import Batch, Claim, MethodInfo, Player, Stage, Task
from fer_bench.space import Between

_TINY = 1e-6


class ELIM(CodedMethod):
    """Task loss on the features, and again on features without each person's shift.

    >>> from fer_bench.conformance import example_task
    >>> method = ELIM(example_task(), ELIM.Config(backbone={"width": 8}))
    >>> [stage.name for stage in method.stages()]
    ['train']
    """

    info = MethodInfo(
        name="elim",
        title="ELIM",
        paper="Kim and Song, Optimal Transport-based Identity Matching for Identity-invariant "
        "Facial Expression Recognition, NeurIPS 2022",
        year=2022,
        needs=frozenset({"subjects"}),
        published=published("ELIM"),
        deviations=(
            "every face has a shift of its own; the public code takes that of a person's first "
            "face for all of them",
            "both terms are minimised in one step instead of one after the other, and gradients "
            "are not clipped",
            "node weights sum to 1 on both sides of a matching: with the public code's they sum "
            "to the numbers of faces, and no flow satisfies both where these differ",
            "the matched term is ramped over a tenth of the run instead of 50 iterations",
            "conv4 at the run's resolution and a 64-d feature instead of AlexNet, ResNet-18 or "
            "MLP-Mixer with 512; a head of 256 hidden units without normalisation instead of "
            "20 x 512 with it",
            "the run's learning rate and schedule instead of 5e-5 with steps of 0.8",
            "predictions are never re-ranked: the public code does it with validation labels",
        ),
    )

    class Config(EncoderConfig):
        """Attributes:
        people: N, how many people of a batch are matched; the first drawn is the reference.
        strength: weight of the summed losses of the matched people.
        sharpness: lambda of the matching; the larger, the closer to the cheapest matching.
        iterations: of Sinkhorn and Knopp.
        warmup: share of the run over which the matched term grows to its weight.
        hidden: units of the head's hidden layer.
        """

        people: int = Field(10, ge=2)
        strength: Annotated[NonNegativeFloat, Between(0.05, 5, log=True)] = 0.5
        sharpness: PositiveFloat = 5.0
        iterations: PositiveInt = 5
        warmup: NonNegativeFloat = 0.1
        hidden: PositiveInt = 256

    def __init__(self, task: Task, config: Config) -> None:
        super().__init__(task, config)
        need_people("elim", task)
        self.encoder = Encoder(config.backbone, task.shape, config.dim)
        self.normalise = nn.BatchNorm1d(config.dim)
        self.head = TaskHead(task, config.dim, hidden=config.hidden)
        self.ramp = 1.0

    def stages(self) -> list[Stage]:
        """One stage, one player."""
        owned = [self.encoder, self.normalise, self.head]
        claims = [
            Claim("model", "task", "lowers", self.task_error, "the task's loss"),
            Claim("model", "matched", "lowers", self._matched_error, "its loss without the shift"),
        ]
        return [
            Stage(
                "train",
                players=[Player("model", owned, self.loss, betas=(0.5, 0.99))],
                claims=claims,
                on_step=self._warm_up,
            )
        ]

    def _warm_up(self, progress: float) -> None:
        """Nothing for a tenth of the warm-up, then in proportion to it (public code: 5 and 50)."""
        share = progress / self.config.warmup if self.config.warmup else 1.0
        self.ramp = 0.0 if share < 0.1 else min(1.0, share)

    def code(self, images: Tensor) -> Tensor:
        """z [B, dim] >= 0, of about unit scale: what the head and the matching see."""
        return torch.relu(self.normalise(self.encoder(images)))

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        """L(z) + ramp x strength x sum over matched people of the mean L((z - mu) / rms)."""
        z = self.code(batch.images)
        task = self.head.loss(self.head(z), batch)
        matched = self.matched_loss(z, batch)
        total = task + self.ramp * self.config.strength * matched
        return {"total": total, "task": task, "matched": matched}

    def matched_loss(self, z: Tensor, batch: Batch) -> Tensor:
        """Sum over people of their mean loss on shifted features; the reference is not shifted."""
        people = self._drawn(batch)
        if len(people) < 2:
            return z.sum() * 0
        reference = z[people[0]]
        features = [reference]
        for rows in people[1:]:
            shift = identity_shift(
                reference.detach().float(),
                z[rows].detach().float(),
                sharpness=self.config.sharpness,
                iterations=self.config.iterations,
            )
            features.append(unit_rms(z[rows] - shift[:, None]))
        # One pass of the head over all of them; row_losses looks at labels by position.
        rows = torch.cat(people)
        aligned = torch.zeros_like(z).index_copy(0, rows, torch.cat(features).to(z.dtype))
        losses, known = self.head.row_losses(self.head(aligned), batch)
        means = [losses[own].sum() / known[own].sum().clamp(min=1) for own in people]
        return torch.stack(means).sum()

    def _drawn(self, batch: Batch) -> list[Tensor]:
        """Rows of each of at most N people of the batch, in random order."""
        subject = train_subjects(batch, self.task)
        present = subject[subject >= 0].unique()
        order = torch.randperm(len(present))[: self.config.people].to(present.device)
        return [(subject == code).nonzero()[:, 0] for code in present[order]]

    def _matched_error(self, batch: Batch) -> Tensor:
        return self.matched_loss(self.code(batch.images), batch)


def identity_shift(
    reference: Tensor, person: Tensor, *, sharpness: float = 5.0, iterations: int = 5
) -> Tensor:
    """How far each face of a person lies from the matched faces of the reference person.

    mu_j = m sum_i X_ij C_ij with the cost C = 1 - cosine and the flow X of the matching. Node
    weights are the similarity of a face to the other person's mean face, cut at 0.

    Args:
        reference, person: [n, d], [m, d] features.
        sharpness, iterations: see `transport`.

    Returns:
        [m] shifts, 0 where the person looks as the reference does.

    >>> face = torch.tensor([[1.0, 0.0]])
    >>> identity_shift(face, torch.tensor([[2.0, 0.0], [0.0, 2.0]])).round(decimals=2)
    tensor([0., 0.])
    >>> identity_shift(face, torch.tensor([[1.0, 1.0]])).round(decimals=2)
    tensor([0.2900])
    """
    cost = 1 - functional.normalize(reference, dim=1) @ functional.normalize(person, dim=1).T
    weights = (
        torch.relu(reference @ person.mean(0)),
        torch.relu(person @ reference.mean(0)),
    )
    a, b = (w / w.sum() if w.sum() > _TINY else torch.full_like(w, 1 / len(w)) for w in weights)
    flow = transport(cost, a, b, sharpness=sharpness, iterations=iterations)
    return len(person) * (flow * cost).sum(0)


def transport(
    cost: Tensor, a: Tensor, b: Tensor, *, sharpness: float = 5.0, iterations: int = 5
) -> Tensor:
    """Entropic optimal transport by Sinkhorn and Knopp (Cuturi 2013).

    Args:
        cost: [n, m].
        a, b: [n], [m] weights, each of sum 1.
        sharpness: lambda; the flow minimises <X, C> - H(X) / lambda.
        iterations: after them columns sum to b exactly, rows to a approximately.

    Returns:
        Flow [n, m].

    >>> half = torch.tensor([0.5, 0.5])
    >>> transport(1 - torch.eye(2), half, half, sharpness=50.0).round(decimals=3).tolist()
    [[0.5, 0.0], [0.0, 0.5]]
    """
    kernel = torch.exp(-sharpness * cost)
    v = torch.ones_like(b)
    for _ in range(iterations):
        u = a / (kernel @ v).clamp(min=1e-30)
        v = b / (kernel.T @ u).clamp(min=1e-30)
    return u[:, None] * kernel * v


def unit_rms(x: Tensor) -> Tensor:
    """Rows [B, d] divided by their root mean square.

    >>> unit_rms(torch.tensor([[3.0, 3.0]]))
    tensor([[1.0000, 1.0000]])
    """
    return x / (x.square().mean(1, keepdim=True).sqrt() + _TINY)
