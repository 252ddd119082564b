"""Adversarial branch (Halawa et al. 2020): see README.md beside this file.

Two branches stand on a shared trunk: f_exp, from which the expression is recognised, and f_non,
from which it must not be. W_T classifies f_exp, W_P tries to classify f_non.
"""

from __future__ import annotations

from typing import Annotated

import torch
from pydantic import NonNegativeFloat, PositiveInt
from torch import Tensor, nn
from torch.nn import functional

from fer_bench.baselines.common.heads import TaskHead, cross_entropy
from fer_bench.baselines.common.networks import Decoder, EncoderConfig, mlp
from fer_bench.baselines.published import published
from fer_bench.cautions import Caution
from fer_bench.errors import MethodError
from fer_bench.method import (
    Batch,
    Claim,
    Embeddings,
    Method,
    MethodInfo,
    Player,
    Prediction,
    Stage,
    Task,
)
from fer_bench.space import Among, Between

_COLLAPSED_RANK = 2.0
_COLLAPSED_SHARE = 1e-3


class AdversarialBranch(Method):
    """Expression and non-expression branch on one trunk; E is f_exp, I is f_non.

    I holds whatever is not the expression: nothing makes it the identity.

    >>> from fer_bench.conformance import example_task
    >>> method = AdversarialBranch(
    ...     example_task(), AdversarialBranch.Config(backbone={"width": 8})
    ... )
    >>> [player.name for player in method.stages()[0].players]
    ['adversary', 'encoder']
    """

    info = MethodInfo(
        name="adversarial-branch",
        title="adversarial branch",
        paper="Halawa, Wöllhaf, Vellasques, Sánchez Sanz, Hellwich, Learning Disentangled "
        "Expression Representations from Facial Images, arXiv 2008.07001, 2020",
        year=2020,
        produces_identity=True,
        published=published("adversarial branch"),
        deviations=(
            "only a summary of the paper was at hand: the losses and their routing are those of "
            "D2AE (Liu et al., CVPR 2018) with the expression in the place of the identity",
            "the branches are two-layer nets on the backbone's features instead of copies of its "
            "last block, so that any backbone can be the trunk",
            "the default encoder is conv4 at the run's resolution with 64-d branches",
        ),
    )

    class Config(EncoderConfig):
        """Attributes:
        hidden: width of the hidden layer of each branch.
        adversarial: weight of both adversarial losses.
        beta1: weight of the reconstruction; 0 builds no decoder.
        decoder: with beta1 = 0, whether a decoder learns to draw afterwards, from branches that
            stay as they are.
        trunk_gradient: whether the uniform loss may change the trunk, where it works against the
            recognition of expressions.
        decoder_width: channels of the decoder.
        balanced: weight classes by inverse frequency in both classifiers.
        correlation: weight of (1 - PCC) + (1 - CCC) for valence-arousal.
        """

        later_keys = ("decoder",)
        hidden: PositiveInt = 256
        adversarial: Annotated[NonNegativeFloat, Between(0.01, 1, log=True)] = 0.1
        beta1: Annotated[NonNegativeFloat, Among(0.0, 0.03, 0.3)] = 0.0
        decoder: bool = False
        trunk_gradient: Annotated[bool, Among(True, False)] = True
        decoder_width: PositiveInt = 16
        balanced: bool = False
        correlation: NonNegativeFloat = 0.5

    non_rank: Tensor
    non_share: Tensor

    def __init__(self, task: Task, config: Config) -> None:
        super().__init__(task, config)
        if len(task.classes) < 2:
            raise MethodError(
                "adversarial-branch keeps expression classes out of its second branch, and these "
                "data have none: use another method, such as 'eif', for valence-arousal alone."
            )
        self.trunk = config.backbone.build(task.shape)
        features, dim = self.trunk.num_features, config.dim
        self.expression = mlp(features, config.hidden, dim)
        self.rest = mlp(features, config.hidden, dim)
        self.classifier = TaskHead(
            task, dim, balanced=config.balanced, correlation=config.correlation
        )
        self.adversary = nn.Linear(dim, len(task.classes))
        self.decoder = (
            Decoder(2 * dim, task.shape, config.decoder_width)
            if config.beta1 > 0 or config.decoder
            else None
        )
        # What the latest training batch said about f_non; part of a checkpoint.
        self.register_buffer("non_rank", torch.tensor(float("nan")))
        self.register_buffer("non_share", torch.tensor(float("nan")))

    def stages(self) -> list[Stage]:
        """One stage, in which the adversary moves before the encoder.

        With beta1 = 0 a decoder that is asked for has a stage of its own.
        """
        encoder: list[nn.Module] = [self.trunk, self.expression, self.rest, self.classifier]
        claims = [
            Claim("adversary", "total", "lowers", self._adversary_error, "reading y from f_non"),
            Claim("encoder", "uniform", "raises", self._doubt, "W_P's doubt about f_non"),
            Claim("encoder", "expression", "lowers", self._task_error, "the task's loss on f_exp"),
        ]
        afterwards = []
        if self.decoder is not None and self.config.beta1 > 0:
            encoder.append(self.decoder)
            claims.append(self._sharper("encoder"))
        elif self.decoder is not None:
            afterwards = [
                Stage(
                    "decoder",
                    players=[Player("decoder", [self.decoder], self.decoder_loss)],
                    frozen=[*encoder, self.adversary],
                    select="loss",
                    claims=[self._sharper("decoder")],
                )
            ]
        return [
            Stage(
                "train",
                players=[
                    Player("adversary", [self.adversary], self.adversary_loss),
                    Player("encoder", encoder, self.encoder_loss),
                ],
                claims=claims,
            ),
            *afterwards,
        ]

    def adversary_loss(self, batch: Batch) -> dict[str, Tensor]:
        """CE(W_P sg(f_non), y): reaches W_P alone."""
        with torch.no_grad():
            f_non = self.rest(self.trunk(batch.images))
        loss = cross_entropy(self.adversary(f_non), batch.expression, self.classifier.class_weight)
        return {"total": self.config.adversarial * loss, "cross_entropy": loss}

    def encoder_loss(self, batch: Batch) -> dict[str, Tensor]:
        """CE(W_T f_exp, y) + 0.1 CE(W_P f_non, uniform) + beta1 MSE / 2; W_P does not move."""
        config = self.config
        features = self.trunk(batch.images)
        f_exp, f_non = self.expression(features), self.rest(features)
        losses = {"expression": self.classifier.loss(self.classifier(f_exp), batch)}
        doubted = f_non if config.trunk_gradient else self.rest(features.detach())
        losses["uniform"] = uniform_cross_entropy(self.adversary(doubted))
        total = losses["expression"] + config.adversarial * losses["uniform"]
        if config.beta1 > 0:
            losses["reconstruction"] = self._reconstruction(Embeddings(f_exp, f_non), batch)
            total = total + config.beta1 * losses["reconstruction"]
        return {"total": total, **losses, **self._diagnostics(f_exp, f_non)}

    def decoder_loss(self, batch: Batch) -> dict[str, Tensor]:
        """MSE / 2: reaches the decoder alone, where everything else is frozen."""
        loss = self._reconstruction(self.embed(batch.images), batch)
        return {"total": loss, "reconstruction": loss}

    def _reconstruction(self, embeddings: Embeddings, batch: Batch) -> Tensor:
        """Half the mean squared error of the drawn pixels."""
        images = self.decode(embeddings)
        assert images is not None
        return functional.mse_loss(images.float(), batch.images) / 2

    @torch.no_grad()
    def _diagnostics(self, f_exp: Tensor, f_non: Tensor) -> dict[str, Tensor]:
        """Whether f_non is on its way to a constant: effective rank, and variance beside f_exp."""
        rank = effective_rank(f_non)
        variance = f_non.float().var(0).sum()
        share = variance / f_exp.float().var(0).sum().clamp_min(1e-12)
        if self.training:
            self.non_rank.copy_(rank)
            self.non_share.copy_(share)
        return {"non_rank": rank, "non_variance": variance}

    def cautions(self) -> list[Caution]:
        """Says so where f_non has collapsed."""
        rank, share = float(self.non_rank), float(self.non_share)
        if not (rank < _COLLAPSED_RANK or share < _COLLAPSED_SHARE):
            return []
        without = "-without-decoder" if self.config.beta1 == 0 else ""
        return [Caution(f"branch-collapsed{without}", rank=rank, share=share)]

    def embed(self, images: Tensor) -> Embeddings:
        """f_exp and f_non."""
        features = self.trunk(images)
        return Embeddings(self.expression(features), self.rest(features))

    def predict(self, images: Tensor) -> Prediction:
        """W_T on f_exp."""
        return self.classifier.prediction(self.expression(self.trunk(images)))

    def decode(self, embeddings: Embeddings) -> Tensor | None:
        """The decoder on [f_exp; f_non], where there is one."""
        if self.decoder is None or embeddings.identity is None:
            return None
        return self.decoder(torch.cat([embeddings.expression, embeddings.identity], 1))

    def _sharper(self, player: str) -> Claim:
        return Claim(player, "reconstruction", "lowers", self._blur, "squared error of pixels")

    def _adversary_error(self, batch: Batch) -> Tensor:
        return self.adversary_loss(batch)["cross_entropy"]

    def _task_error(self, batch: Batch) -> Tensor:
        return self.encoder_loss(batch)["expression"]

    def _blur(self, batch: Batch) -> Tensor:
        return self._reconstruction(self.embed(batch.images), batch)

    @torch.no_grad()
    def _doubt(self, batch: Batch) -> Tensor:
        """Mean entropy of W_P's answers on f_non, in nats."""
        scores = self.adversary(self.rest(self.trunk(batch.images))).float()
        return torch.distributions.Categorical(logits=scores).entropy().mean()


def uniform_cross_entropy(scores: Tensor) -> Tensor:
    """Cross-entropy of class scores [B, C] against equal probabilities; at least ln C.

    >>> uniform_cross_entropy(torch.zeros(5, 4)).exp()
    tensor(4.)
    """
    return -functional.log_softmax(scores.float(), 1).mean()


def effective_rank(code: Tensor) -> Tensor:
    """exp(entropy) of the normalised variances along the principal axes of [B, d]; at least 1.

    `fer_bench.spectrum.effective_rank` of variances, on the device of the code.

    >>> effective_rank(torch.tensor([[1.0, 0.0], [-1.0, 0.0], [0.0, 1.0], [0.0, -1.0]]))
    tensor(2.)
    """
    centred = code.float() - code.float().mean(0)
    variances = torch.linalg.svdvals(centred).square()
    shares = variances / variances.sum().clamp_min(1e-30)
    return torch.exp(torch.special.entr(shares).sum())
