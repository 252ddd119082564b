"""CAF (Kim and Song, AAAI 2021): see README.md beside this file.

Faces far from the neutral point of the valence-arousal plane are strong, the others weak. A
discriminator draws strong faces together and pushes weak ones away; the encoder makes weak
faces look strong to it, whoever shows them.
"""

from __future__ import annotations

import math
from typing import Annotated, Literal

import torch
from pydantic import NonNegativeFloat, PositiveInt
from torch import Tensor
from torch.nn import functional

from fer_bench.baselines.common.coded import CodedMethod
from fer_bench.baselines.common.heads import TaskHead, known_affect
from fer_bench.baselines.common.networks import Encoder, EncoderConfig, mlp
from fer_bench.baselines.published import published
from fer_bench.method import Batch, Claim, MethodInfo, Player, Stage, Task
from fer_bench.space import Between

_NEIGHBOURS = 10
_CONFIDENCE = 0.7  # A of the adaptive rule: k neighbours are biased beyond A / sqrt(k)
_CHANNEL_VARIANCE = 0.2
_MOST_INFORMATION = 2.5


class CAF(CodedMethod):
    """Regression, and a game in which weak emotions learn to look strong.

    >>> from fer_bench.conformance import example_task
    >>> method = CAF(example_task(), CAF.Config(backbone={"width": 8}))
    >>> [player.name for player in method.stages()[0].players]
    ['discriminator', 'model']
    """

    info = MethodInfo(
        name="caf",
        title="CAF",
        paper="Kim and Song, Contrastive Adversarial Learning for Person Independent Facial "
        "Emotion Recognition, AAAI 2021",
        year=2021,
        needs=frozenset({"valence_arousal"}),
        published=published("CAF"),
        deviations=(
            "the encoder lowers the distance of weak faces to strong ones, which the "
            "discriminator raises; the public code raises the mean output on weak faces, to which "
            "the discriminator gives no meaning, and so raises that distance "
            "(encoder_term = 'literal')",
            "a batch is split at the median of v^2 + a^2; the public code's threshold depends on "
            "the order of the faces in the batch",
            "a strong face is paired with the next strong one, never with itself",
            "the Fisher constraint on the discriminator is left out: its weight in the public "
            "code is 1e-6",
            "the discriminator reads the 64-d embedding instead of the feature map, without "
            "dropout",
            "conv4 at the run's resolution instead of AlexNet or ResNet-18; the run's learning "
            "rate",
            "squared error in place of its root, as for all methods here",
            "with classes as the target, cross-entropy takes the place of the regression loss; "
            "valence and arousal still split the batch",
        ),
    )

    class Config(EncoderConfig):
        """Attributes:
        encoder_term: what the encoder plays against the discriminator with: "gap" lowers the
            distance of weak to strong faces, "literal" raises the mean output on weak ones.
        strength: weight of that term.
        outputs: of the discriminator.
        correlation: weight of (1 - PCC) + (1 - CCC).
        """

        encoder_term: Literal["gap", "literal"] = "gap"
        strength: Annotated[NonNegativeFloat, Between(0.01, 1, log=True)] = 0.1
        outputs: PositiveInt = 16
        correlation: NonNegativeFloat = 0.5

    def __init__(self, task: Task, config: Config) -> None:
        super().__init__(task, config)
        self.encoder = Encoder(config.backbone, task.shape, config.dim)
        self.discriminator = mlp(config.dim, 2 * config.outputs, config.outputs)
        self.head = TaskHead(task, config.dim, correlation=config.correlation)

    def stages(self) -> list[Stage]:
        """One stage, two players."""
        if self.config.encoder_term == "gap":
            claim = Claim("model", "weak", "lowers", self._gap, "distance of weak to strong faces")
        else:
            claim = Claim("model", "weak", "raises", self._output, "mean output on weak faces")
        claims = [
            Claim("model", "task", "lowers", self.task_error, "the task's loss"),
            claim,
            Claim("discriminator", "push", "raises", self._contrast, "distance of weak faces"),
            Claim("discriminator", "total", "raises", self._contrast, "telling weak from strong"),
        ]
        players = [
            Player("discriminator", [self.discriminator], self.discriminator_loss),
            Player("model", [self.encoder, self.head], self.model_loss),
        ]
        return [Stage("train", players=players, claims=claims)]

    def discriminator_loss(self, batch: Batch) -> dict[str, Tensor]:
        """mean |D_i - D_i+1|^2 + mean [m_i - |D_i - D_j|^2]_+ over strong i, with weak j."""
        with torch.no_grad():
            code = self.encoder(batch.images)
        strong, weak = self._outputs(code, batch)
        if not len(strong):
            return {"total": _zero(self.discriminator(code))}
        pull = _squared(strong, strong.roll(-1, 0)).mean()
        push = functional.relu(self.margin(strong, weak) - _squared(strong, weak)).mean()
        return {"total": pull + push, "pull": pull, "push": push}

    def margin(self, strong: Tensor, weak: Tensor) -> Tensor:
        """Margins [n]: information between the outputs of a pair + adaptive-neighbour bias."""
        information = channel_information(strong, weak).clamp(0, _MOST_INFORMATION)
        is_strong = torch.arange(2 * len(strong), device=strong.device) < len(strong)
        k = adaptive_neighbours(torch.cat([strong, weak]).detach(), is_strong)[: len(strong)]
        return information + _CONFIDENCE / k.sqrt()

    def model_loss(self, batch: Batch) -> dict[str, Tensor]:
        """Task loss + strength x the term played against the discriminator."""
        code = self.encoder(batch.images)
        task = self.head.loss(self.head(code), batch)
        strong, weak = self._outputs(code, batch)
        if not len(strong):
            return {"total": task, "task": task, "weak": _zero(code)}
        if self.config.encoder_term == "gap":
            played = _squared(strong.detach(), weak).mean()  # weak ones move, not the strong
        else:
            played = -weak.mean()
        return {"total": task + self.config.strength * played, "task": task, "weak": played}

    def _outputs(self, code: Tensor, batch: Batch) -> tuple[Tensor, Tensor]:
        """Outputs [n, k] of the discriminator on strong and on as many weak faces."""
        strong, weak = strong_and_weak(batch)
        outputs = self.discriminator(code).float()
        return outputs[strong], outputs[weak]

    def _gap(self, batch: Batch) -> Tensor:
        strong, weak = self._outputs(self.encoder(batch.images), batch)
        return _squared(strong, weak).mean()

    def _output(self, batch: Batch) -> Tensor:
        return self._outputs(self.encoder(batch.images), batch)[1].mean()

    def _contrast(self, batch: Batch) -> Tensor:
        """Mean share that the distance to a weak face has; 1/2 where nothing is told apart."""
        strong, weak = self._outputs(self.encoder(batch.images), batch)
        near, far = _squared(strong, strong.roll(-1, 0)), _squared(strong, weak)
        return (far / (near + far + 1e-12)).mean()


def strong_and_weak(batch: Batch) -> tuple[Tensor, Tensor]:
    """Rows of the upper and of the lower half in v^2 + a^2, equally many; unknown ones in neither.

    Returns:
        Two index tensors [n]; empty where fewer than two faces are labelled.
    """
    rows = known_affect(batch).nonzero()[:, 0]
    intensity = batch.valence_arousal[rows].square().sum(1)
    ranked = rows[intensity.argsort(stable=True)]
    half = len(ranked) // 2
    strong, weak = ranked[len(ranked) - half :], ranked[:half]
    # Ranks would pair the strongest with the least weak in every batch: pair by position.
    return strong.sort().values, weak.sort().values


def channel_information(x: Tensor, y: Tensor) -> Tensor:
    """Mean log p(y|x) / p(y) [n] of a Gaussian channel with inputs of +-1, variance 0.2.

    Args:
        x, y: [n, k] outputs; position j of row i is one use of the channel.

    >>> channel_information(torch.ones(1, 1), torch.ones(1, 1)).round(decimals=4)
    tensor([0.6931])
    """
    scale = 2 * _CHANNEL_VARIANCE
    given = -(y - x).square() / scale
    either = torch.stack([-(y + 1).square() / scale, -(y - 1).square() / scale])
    return (given - (either.logsumexp(0) - math.log(2))).mean(1)


def adaptive_neighbours(outputs: Tensor, label: Tensor) -> Tensor:
    """Neighbourhood size [n] (1 to 10) of the adaptive rule of Balsubramani et al. (2019).

    The smallest k at which one of two labels has a share beyond 1/2 + 0.7 / sqrt(k) among the
    k nearest other rows; 10, or all others, where no k has.

    Args:
        outputs: [n, d].
        label: [n] bool.

    >>> line = torch.arange(8.0)[:, None]
    >>> adaptive_neighbours(line, line[:, 0] < 4).tolist()
    [2.0, 2.0, 2.0, 10.0, 10.0, 2.0, 2.0, 2.0]
    """
    distance = torch.cdist(outputs, outputs).fill_diagonal_(float("inf"))
    count = min(_NEIGHBOURS, len(outputs) - 1)
    nearest = distance.argsort(dim=1, stable=True)[:, :count]
    k = torch.arange(1, count + 1, device=outputs.device)
    share = label[nearest].float().cumsum(1) / k
    biased = (share - 0.5).abs() > _CONFIDENCE / k.sqrt()
    first = biased.float().argmax(1) + 1
    return torch.where(biased.any(1), first, torch.full_like(first, _NEIGHBOURS)).float()


def _squared(a: Tensor, b: Tensor) -> Tensor:
    return (a - b).square().sum(1)


def _zero(code: Tensor) -> Tensor:
    return code.sum() * 0
