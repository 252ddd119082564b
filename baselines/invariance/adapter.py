"""DANN, CDANN, CORAL, IRM and group DRO with people as environments, after DomainBed.

Formulas and defaults follow Gulrajani and Lopez-Paz, In Search of Lost Domain Generalization,
ICLR 2021; so do the ranges of a search. See README.md beside this file for what differs.
"""

from __future__ import annotations

import math
from typing import Annotated, Any

import torch
from pydantic import NonNegativeInt
from torch import Tensor, nn
from torch.nn import functional

from fer_bench.baselines.common.coded import CodedMethod, need_people
from fer_bench.baselines.common.dependence import distance_correlation
from fer_bench.baselines.common.heads import TaskHead, cross_entropy, train_subjects
from fer_bench.baselines.common.networks import Encoder, EncoderConfig, mlp
from fer_bench.baselines.references.adapter import one_hot
from fer_bench.errors import MethodError
from fer_bench.method import Batch, Claim, MethodInfo, Player, Stage, Task
from fer_bench.space import Between


class _Invariant(CodedMethod):
    """An encoder and a linear head; subclasses add what keeps the person out."""

    def __init__(self, task: Task, config: Any) -> None:
        super().__init__(task, config)
        need_people(self.info.name, task)
        self.encoder = Encoder(config.backbone, task.shape, config.dim)
        self.head = TaskHead(task, config.dim)


# Adversarial: DANN and CDANN ----------------------------------------------------------------


class DANN(_Invariant):
    """The encoder is trained against a discriminator of people (Ganin et al., JMLR 2016).

    >>> from fer_bench.conformance import example_task
    >>> method = DANN(example_task(), DANN.Config(backbone={"width": 8}))
    >>> [player.name for player in method.stages()[0].players]
    ['discriminator', 'model']
    """

    info = MethodInfo(
        name="dann",
        title="DANN",
        paper="Ganin et al., Domain-Adversarial Training of Neural Networks, JMLR 2016",
        year=2016,
        needs=frozenset({"subjects"}),
        deviations=(
            "no gradient penalty on the discriminator; 1 step a batch; strength ramped over the "
            "run as in Ganin et al.",
        ),
    )

    class Config(EncoderConfig):
        """Attributes:
        strength: lambda, reached by the ramp 2 / (1 + exp(-10 p)) - 1.
        hidden: width of the two hidden layers of the discriminator.
        discriminator_steps: per batch.
        """

        strength: Annotated[float, Between(0.01, 100, log=True)] = 1.0
        hidden: int = 256
        discriminator_steps: int = 1

    def __init__(self, task: Task, config: Config) -> None:
        super().__init__(task, config)
        self.discriminator = mlp(config.dim, config.hidden, config.hidden, task.n_train_subjects)
        self.strength = config.strength

    def stages(self) -> list[Stage]:
        """One stage, two players."""
        discriminator = Player(
            "discriminator",
            self._adversaries(),
            self.discriminator_loss,
            steps=self.config.discriminator_steps,
        )
        model = Player("model", [self.encoder, self.head], self.model_loss)
        claims = [
            Claim("model", "person", "lowers", self._dependence, "dependence of E on the person"),
            Claim("discriminator", "total", "raises", self._skill, "telling people apart"),
        ]
        return [Stage("train", players=[discriminator, model], claims=claims, on_step=self._ramp)]

    def _adversaries(self) -> list[nn.Module]:
        return [self.discriminator]

    def _ramp(self, progress: float) -> None:
        self.strength = self.config.strength * (2 / (1 + math.exp(-10 * progress)) - 1)

    def person_loss(self, code: Tensor, batch: Batch) -> Tensor:
        """Cross-entropy of the discriminator on the training people."""
        return cross_entropy(self.discriminator(code), train_subjects(batch, self.task))

    def discriminator_loss(self, batch: Batch) -> dict[str, Tensor]:
        """The discriminator learns who is seen."""
        with torch.no_grad():
            code = self.encoder(batch.images)
        return {"total": self.person_loss(code, batch)}

    def model_loss(self, batch: Batch) -> dict[str, Tensor]:
        """Task loss minus strength x what the discriminator loses."""
        code = self.encoder(batch.images)
        task = self.head.loss(self.head(code), batch)
        person = self.person_loss(code, batch)
        return {"total": task - self.strength * person, "task": task, "person": person}

    def _dependence(self, batch: Batch) -> Tensor:
        return distance_correlation(
            self.encoder(batch.images), one_hot(batch.subject, len(self.task.subjects))
        )

    def _skill(self, batch: Batch) -> Tensor:
        return -self.discriminator_loss(batch)["total"]


class CDANN(DANN):
    """DANN within each expression (Li et al., ECCV 2018): the discriminator knows y."""

    info = MethodInfo(
        name="cdann",
        title="CDANN",
        paper="Li et al., Deep Domain Generalization via Conditional Invariant Adversarial "
        "Networks, ECCV 2018",
        year=2018,
        needs=frozenset({"subjects"}),
        deviations=DANN.info.deviations,
    )

    class Config(DANN.Config):
        """As DANN."""

    def __init__(self, task: Task, config: Config) -> None:
        super().__init__(task, config)
        if task.target != "expression":
            raise MethodError("cdann conditions on the expression: set training.target to it.")
        self.condition = nn.Embedding(len(task.classes), config.dim)

    def _adversaries(self) -> list[nn.Module]:
        return [self.discriminator, self.condition]

    def person_loss(self, code: Tensor, batch: Batch) -> Tensor:
        """Cross-entropy given the expression, each expression of a batch weighing the same."""
        subject = train_subjects(batch, self.task)
        known = (subject >= 0) & (batch.expression >= 0)
        if not known.any():
            return code.sum() * 0
        y = batch.expression[known]
        counts = torch.bincount(y, minlength=len(self.task.classes))
        weight = 1 / (counts[y] * (counts > 0).sum())
        scores = self.discriminator(code[known] + self.condition(y)).float()
        losses = functional.cross_entropy(scores, subject[known], reduction="none")
        return (weight * losses).sum()


# Penalties over environments: CORAL, IRM, group DRO -----------------------------------------


class _Environments(_Invariant):
    """Methods that compare groups of people within a batch."""

    class Config(EncoderConfig):
        """Attributes:
        environments: groups that the training people are dealt into; 0 makes everybody one.
        """

        environments: NonNegativeInt = 8

    def __init__(self, task: Task, config: Config) -> None:
        super().__init__(task, config)
        groups = config.environments or task.n_train_subjects
        self.environments = min(groups, task.n_train_subjects)

    def stages(self) -> list[Stage]:
        """One stage, one player."""
        return [
            Stage(
                "train",
                players=[Player("model", [self.encoder, self.head], self.loss)],
                claims=self.claims(),
                on_step=self.on_step,
            )
        ]

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        """Subclasses combine the losses of the environments."""
        raise NotImplementedError

    def claims(self) -> list[Claim]:
        """What the penalty claims."""
        return []

    def on_step(self, progress: float) -> None:
        """Schedules of subclasses."""

    def groups(self, batch: Batch, *, at_least: int = 1) -> list[tuple[int, Tensor]]:
        """Environments present in the batch, each with its rows."""
        subject = train_subjects(batch, self.task)
        codes = torch.where(subject >= 0, subject % self.environments, subject)
        groups = [(int(g), (codes == g).nonzero()[:, 0]) for g in codes.unique() if g >= 0]
        return [(g, rows) for g, rows in groups if len(rows) >= at_least]


class CORAL(_Environments):
    """Environments share the mean and covariance of their codes (Sun and Saenko, 2016)."""

    info = MethodInfo(
        name="coral",
        title="CORAL",
        paper="Sun and Saenko, Deep CORAL, ECCV Workshops 2016",
        year=2016,
        needs=frozenset({"subjects"}),
        deviations=("people are dealt into 8 environments: a batch shows each only once or twice",),
    )

    class Config(_Environments.Config):
        """Attributes:
        gamma: weight of the penalty.
        """

        gamma: Annotated[float, Between(0.1, 10, log=True)] = 1.0

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        """Task loss + gamma x mean over pairs of environments of both differences."""
        code = self.encoder(batch.images)
        task = self.head.loss(self.head(code), batch)
        penalty = self.penalty(code, batch)
        return {"total": task + self.config.gamma * penalty, "task": task, "penalty": penalty}

    def penalty(self, code: Tensor, batch: Batch) -> Tensor:
        """Mean squared difference of means and of covariances, over pairs of environments."""
        moments = []
        for _, rows in self.groups(batch, at_least=2):
            part = code[rows].float()
            centred = part - part.mean(0)
            moments.append((part.mean(0), centred.T @ centred / (len(part) - 1)))
        pairs = [(a, b) for i, a in enumerate(moments) for b in moments[i + 1 :]]
        if not pairs:
            return code.sum() * 0
        gaps = [(a - c).square().mean() + (b - d).square().mean() for (a, b), (c, d) in pairs]
        return torch.stack(gaps).mean()

    def claims(self) -> list[Claim]:
        """The penalty falls."""
        measure = self._gap
        return [Claim("model", "penalty", "lowers", measure, "differences of environments")]

    def _gap(self, batch: Batch) -> Tensor:
        return self.penalty(self.encoder(batch.images), batch)


class IRM(_Environments):
    """One head is best in every environment (Arjovsky et al. 2019, IRMv1)."""

    info = MethodInfo(
        name="irm",
        title="IRM",
        paper="Arjovsky et al., Invariant Risk Minimization, 2019",
        year=2019,
        needs=frozenset({"subjects"}),
        deviations=(
            "people are dealt into 8 environments",
            "the penalty sets in after half of the run instead of after 500 steps; the total is "
            "then divided by its weight instead of resetting Adam",
            "the penalty is the squared gradient of an environment's risk, as in the paper; "
            "DomainBed's product over two halves of a batch falls below zero where some faces are "
            "read well and others badly, and at weight 100 that is what it trains: eight faces "
            "could not be fitted",
        ),
    )

    class Config(_Environments.Config):
        """Attributes:
        strength: weight of the penalty once it has set in; 1 before.
        anneal: share of the run before it does.
        """

        strength: Annotated[float, Between(0.1, 1e5, log=True)] = 100.0
        anneal: float = 0.5

    def __init__(self, task: Task, config: Config) -> None:
        super().__init__(task, config)
        self.weight = 1.0

    def claims(self) -> list[Claim]:
        """The penalty falls."""
        what = "gradients of a scale of the head, squared"
        return [Claim("model", "penalty", "lowers", lambda b: self.loss(b)["penalty"], what)]

    def on_step(self, progress: float) -> None:
        """Switch the penalty on."""
        self.weight = self.config.strength if progress >= self.config.anneal else 1.0

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        """Mean task loss + weight x mean squared gradient of a dummy scale."""
        output = self.head(self.encoder(batch.images)).float()
        risks, penalties = [], []
        for _, rows in self.groups(batch, at_least=2):
            scale = torch.ones((), device=output.device, requires_grad=True)
            with torch.enable_grad():
                losses, known = self.head.row_losses(output * scale, batch)
                risk = _mean(losses, known, rows)
                gradient = torch.autograd.grad(risk, scale, create_graph=True)[0]
            risks.append(risk)
            penalties.append(gradient.square())
        if not risks:
            task = self.head.loss(output, batch)
            return {"total": task, "task": task, "penalty": output.sum() * 0}
        task, penalty = torch.stack(risks).mean(), torch.stack(penalties).mean()
        total = (task + self.weight * penalty) / max(1.0, self.weight)
        return {"total": total, "task": task, "penalty": penalty}


class GroupDRO(_Environments):
    """The worst environment counts most (Sagawa et al., ICLR 2020)."""

    info = MethodInfo(
        name="group-dro",
        title="Group DRO",
        paper="Sagawa et al., Distributionally Robust Neural Networks for Group Shifts, ICLR 2020",
        year=2020,
        needs=frozenset({"subjects"}),
        deviations=("people are dealt into 8 environments",),
    )

    class Config(_Environments.Config):
        """Attributes:
        eta: step of the weights of environments.
        """

        eta: Annotated[float, Between(1e-3, 0.1, log=True)] = 0.01

    share: Tensor

    def __init__(self, task: Task, config: Config) -> None:
        super().__init__(task, config)
        start = torch.full((self.environments,), 1 / self.environments)
        self.register_buffer("share", start)

    def claims(self) -> list[Claim]:
        """The worst environment gets better."""
        what = "the loss of the worst environment"
        return [Claim("model", "total", "lowers", lambda b: self.loss(b)["worst"], what)]

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        """Sum over environments of q x loss, q raised where the loss is high."""
        output = self.head(self.encoder(batch.images))
        losses, known = self.head.row_losses(output, batch)
        groups = self.groups(batch)
        if not groups:
            return {"total": self.head.loss(output, batch)}
        risks = torch.stack([_mean(losses, known, rows) for _, rows in groups])
        where = torch.tensor([g for g, _ in groups], device=risks.device)
        if self.training:
            with torch.no_grad():
                self.share[where] *= torch.exp(self.config.eta * risks)
                self.share /= self.share.sum()
        # A batch may lack environments: those present share the whole weight.
        q = self.share[where] / self.share[where].sum()
        return {"total": (q * risks).sum(), "worst": risks.max()}


def _mean(losses: Tensor, known: Tensor, rows: Tensor) -> Tensor:
    """Mean loss over the labelled ones among `rows`."""
    return losses[rows].sum() / known[rows].sum().clamp(min=1)
