"""Frozen attacker: an encoder trained to fool one recogniser of people that never learns again.

Semi-adversarial networks and much of face privacy after them are trained so: against a fixed
recogniser, by which they are then measured too. See README.md beside this file.
"""

from __future__ import annotations

from typing import Annotated, ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from fer_bench.arrays import FROZEN_ATTACKER
from fer_bench.baselines.adversarial_branch.adapter import uniform_cross_entropy
from fer_bench.baselines.common.coded import need_people
from fer_bench.baselines.common.heads import cross_entropy, train_subjects
from fer_bench.baselines.common.networks import mlp
from fer_bench.baselines.erm.adapter import ERM
from fer_bench.method import Batch, Claim, Embeddings, MethodInfo, Player, Stage, Task
from fer_bench.space import Between

TEMPERATURE = 0.1


class FrozenAttacker(ERM):
    """ERM, then its encoder against an attacker that was trained on ERM's code and is frozen.

    >>> from fer_bench.conformance import example_task
    >>> method = FrozenAttacker(example_task(), FrozenAttacker.Config(backbone={"width": 8}))
    >>> [[player.name for player in stage.players] for stage in method.stages()]
    [['model', 'attacker'], ['model']]
    """

    info = MethodInfo(
        name="frozen-attacker",
        title="frozen attacker",
        paper="Mirjalili, Raschka, Namboodiri, Ross, Semi-Adversarial Networks: Convolutional "
        "Autoencoders for Imparting Privacy to Face Images, ICB 2018",
        year=2018,
        needs=frozenset({"subjects"}),
        deviations=(
            "the code is protected, not the image: there is no decoder",
            "the recogniser of people is fooled, where the source fools one of gender and keeps "
            "the people",
            "the recogniser is trained on the training people's codes instead of being bought in",
        ),
    )

    stage_parameters: ClassVar = {"protect": ("strength",)}

    class Config(ERM.Config):
        """Attributes:
        strength: weight of the loss against the frozen attacker.
        hidden: width of the attacker's hidden layer.
        attacker_dim: length of what the attacker compares.
        attacker_share: of the epochs, in which encoder and attacker are trained; then the
            attacker is frozen.
        """

        strength: Annotated[float, Between(0.01, 100, log=True)] = 1.0
        hidden: int = 256
        attacker_dim: int = 64
        attacker_share: float = 0.5

    config: Config

    def __init__(self, task: Task, config: Config) -> None:
        super().__init__(task, config)
        need_people("frozen-attacker", task)
        self.attacker = mlp(config.dim, config.hidden, config.attacker_dim)
        self.people = nn.Linear(config.attacker_dim, task.n_train_subjects, bias=False)

    def stages(self) -> list[Stage]:
        """The encoder with an attacker that watches; then the encoder against it."""
        share, attacker = self.config.attacker_share, [self.attacker, self.people]
        model = [self.encoder, self.head]
        skill = Claim("attacker", "total", "lowers", self._error, "the attacker's error")
        doubt = Claim("model", "person", "raises", self._doubt, "the frozen attacker's doubt")
        return [
            Stage(
                "attacker",
                players=[
                    Player("model", model, self.loss),
                    Player("attacker", attacker, self.attacker_loss),
                ],
                share=share,
                claims=[skill],
            ),
            Stage(
                "protect",
                players=[Player("model", model, self.protected_loss)],
                share=1 - share,
                frozen=attacker,
                select="last",  # the best epoch for expressions would be the least protected one
                claims=[doubt],
            ),
        ]

    def attacker_loss(self, batch: Batch) -> dict[str, Tensor]:
        """Cross-entropy over the training people; the encoder is not reached."""
        with torch.no_grad():
            code = self.encoder(batch.images)
        subject = train_subjects(batch, self.task)
        return {"total": cross_entropy(self.answers(code), subject)}

    def protected_loss(self, batch: Batch) -> dict[str, Tensor]:
        """Task loss + strength x cross-entropy of the attacker's answers with equal ones."""
        code = self.encoder(batch.images)
        task = self.head.loss(self.head(code), batch)
        person = uniform_cross_entropy(self.answers(code))
        return {"total": task + self.config.strength * person, "task": task, "person": person}

    def answers(self, code: Tensor) -> Tensor:
        """Scores of the training people [B, people]: cosines over a temperature of .1."""
        seen = functional.normalize(self.attacker(code).float(), dim=1)
        return (
            functional.linear(seen, functional.normalize(self.people.weight, dim=1)) / TEMPERATURE
        )

    def embed(self, images: Tensor) -> Embeddings:
        """The code, and what the frozen attacker compares of it."""
        code = self.encoder(images)
        return Embeddings(expression=code, further={FROZEN_ATTACKER: self.attacker(code)})

    def _error(self, batch: Batch) -> Tensor:
        return self.attacker_loss(batch)["total"]

    @torch.no_grad()
    def _doubt(self, batch: Batch) -> Tensor:
        """Mean entropy of the attacker's answers, in nats."""
        scores = self.answers(self.encoder(batch.images))
        return torch.distributions.Categorical(logits=scores).entropy().mean()
