"""EIF (Kim, Kim, Song, IEEE Access 2024): see README.md beside this file.

Notation: z ~ N(mu, Sigma) is the facial feature of the backbone phi, z_att the aggregate of the
attributes of the face, z_exp = R(z - z_att), z_id = R(z_att).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Literal

import torch
from pydantic import NonNegativeFloat
from torch import Tensor, nn
from torch.nn import functional

from fer_bench.baselines.common.affect import correlation_loss
from fer_bench.baselines.common.heads import TaskHead, cross_entropy, known_affect
from fer_bench.baselines.common.networks import EncoderConfig
from fer_bench.baselines.eif.attributes import DEMOGRAPHIC, AttributeConfig
from fer_bench.baselines.eif.encoders import ColumnEncoder
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
from fer_bench.space import Between

Variant = Literal["literal", "cooperative", "adversarial"]


class Variational(nn.Module):
    """Backbone with two linear heads: images -> mu and sigma, each [B, dim] (eq. 10)."""

    def __init__(self, config: EncoderConfig, task: Task) -> None:
        super().__init__()
        self.backbone = config.backbone.build(task.shape)
        self.mu = nn.Linear(self.backbone.num_features, config.dim)
        self.sigma = nn.Linear(self.backbone.num_features, config.dim)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """mu and sigma; sigma starts near 0.007, as in Alemi et al. (2017)."""
        features = self.backbone(images)
        return self.mu(features), functional.softplus(self.sigma(features) - 5) + 1e-6


class EIF(Method):
    """Facial feature z with an information bottleneck, made independent of retrieved attributes.

    E is mu, the mean of z: the paper predicts from it alone at test time. I is z_id = R(z_att),
    the paper's ID feature: what the attributes of the face say. z_exp, the paper's expression
    feature, is a further embedding.

    >>> from dataclasses import replace
    >>> from fer_bench.conformance import example_task
    >>> task = replace(example_task(), attributes={"gender": ("man", "woman")})
    >>> method = EIF(task, EIF.Config(backbone={"width": 8}))
    >>> [stage.name for stage in method.stages()]
    ['attributes', 'train']
    """

    info = MethodInfo(
        name="eif",
        title="EIF",
        paper="Kim, Kim, Song, Toward Identity-Invariant Facial Expression Recognition: "
        "Disentangled Representation via Mutual Information Perspective, IEEE Access 2024",
        year=2024,
        produces_identity=True,
        published=published("EIF"),
        deviations=(
            "attributes come from the data's own columns where there are any (learned on training "
            "faces, retrieved from pixels on test faces), else from CLIP; the paper always uses "
            "CLIP ViT-B/32 (attributes = 'clip')",
            "the default encoder is conv4 at the run's resolution with a 64-d z instead of 512-d",
            "lambda and alpha are 1e-3 and beta is 1e-5: the printed 10^3, 10^3 and 10^5 have "
            "lost their minus signs",
            "f_id has one logit per training subject: the paper's single output makes its "
            "cross-entropy 0",
            "Adam at the run's learning rate and schedule instead of 4e-5 with steps of 0.8",
            "CLIP sees faces standardised one by one, so that training and test look alike",
        ),
    )

    class Config(EncoderConfig):
        """Attributes:
        variant: which way L_ii goes. "literal": as printed, z_id is trained to lose the identity.
            "cooperative": z_id is trained to tell it. "adversarial": z_exp is trained to lose it,
            against a head that learns to tell it.
        identity_term: whether L_ii is in the loss. None: as in the paper for "literal" (with
            valence-arousal, not with classes), always for the other variants.
        attributes: see `AttributeConfig`.
        kl: lambda, weight of the information bottleneck.
        alpha: weight of the squared cross-covariance of z_exp and z_id.
        beta: weight of L_ii; None is the paper's 1e-5 for "literal" and 0.1 for the others.
        gamma: weight of (1 - PCC) + (1 - CCC); no part of the loss with classes.
        attribute_share: epochs given to learning attributes from columns, as a share of the run's.
        balanced: weight classes by inverse frequency.
        """

        variant: Variant = "literal"
        identity_term: bool | None = None
        attributes: AttributeConfig = AttributeConfig()
        kl: Annotated[NonNegativeFloat, Between(1e-5, 0.1, log=True)] = 1e-3
        alpha: Annotated[NonNegativeFloat, Between(1e-5, 0.1, log=True)] = 1e-3
        beta: NonNegativeFloat | None = None
        gamma: NonNegativeFloat = 0.5
        attribute_share: float = 0.5
        balanced: bool = False

    def __init__(self, task: Task, config: Config) -> None:
        super().__init__(task, config)
        dim = config.dim
        self.attributes = config.attributes.build(task, dim=dim, width=config.backbone.width)
        self.encoder = Variational(config, task)
        self.aggregator = nn.Linear(self.attributes.width, dim)
        self.residual = nn.Sequential(nn.Linear(dim, dim), nn.LeakyReLU())
        self.head = TaskHead(task, dim, balanced=config.balanced, correlation=0)
        if self.identity_term and task.n_train_subjects < 2:
            raise MethodError(
                "EIF's L_ii classifies subjects, and these data name none: set "
                "parameters.identity_term = false."
            )
        self.identity_head = nn.Linear(dim, task.n_train_subjects) if self.identity_term else None

    @property
    def identity_term(self) -> bool:
        """Whether L_ii is in the loss."""
        config = self.config
        if config.identity_term is not None:
            return config.identity_term
        return config.variant != "literal" or self.task.target == "valence_arousal"

    @property
    def beta(self) -> float:
        """Weight of L_ii."""
        if self.config.beta is not None:
            return self.config.beta
        return 1e-5 if self.config.variant == "literal" else 0.1

    def stages(self) -> list[Stage]:
        """Attributes, where they are learned; then EIF itself."""
        stages = [self._train_stage()]
        if isinstance(self.attributes, ColumnEncoder):
            player = Player("attribute encoder", [self.attributes], self.attributes.loss)
            share = self.config.attribute_share
            stages.insert(0, Stage("attributes", players=[player], share=share, select="loss"))
        return stages

    def _train_stage(self) -> Stage:
        owned: list[nn.Module] = [self.encoder, self.head]
        claims = [
            Claim("model", "expression", "lowers", self._task_error, "the task's loss on mu"),
            Claim("model", "kl", "lowers", self._term("kl"), "KL of z from N(0, I)"),
        ]
        if self._factorises:
            owned += [self.aggregator, self.residual]
        if self.config.alpha > 0:
            claims.append(
                Claim("model", "covariance", "lowers", self._covariance, "|Cov(z_exp, z_id)|^2")
            )
        players = [Player("model", owned, self.loss)]
        if self.identity_head is not None:
            players = self._with_identity_head(owned, claims)
        return Stage("train", players=players, frozen=[self.attributes], claims=claims)

    def _with_identity_head(self, owned: list[nn.Module], claims: list[Claim]) -> list[Player]:
        """f_id plays with the model in the cooperative variant, and against it in the others."""
        assert self.identity_head is not None
        code = "z_exp" if self.config.variant == "adversarial" else "z_id"
        what = f"cross-entropy of f_id on {code}"
        if self.config.variant == "cooperative":
            claims.append(Claim("model", "identity", "lowers", self._identity_error, what))
            return [Player("model", [*owned, self.identity_head], self.loss)]
        claims += [
            Claim("model", "identity", "raises", self._identity_error, what),
            Claim("identity head", "total", "lowers", self._identity_error, what),
        ]
        return [
            Player("identity head", [self.identity_head], self.identity_head_loss),
            Player("model", owned, self.loss),
        ]

    @property
    def _factorises(self) -> bool:
        """Whether any loss reaches A and R."""
        return self.config.alpha > 0 or self.identity_head is not None

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        """L_ee + alpha L_cov + beta L_ii + gamma L_corr (eq. 13).

        L_ee and L_corr reach phi and f alone, L_cov reaches phi, A and R, L_ii all of them
        (Algorithm 1); f_id moves in a game of its own except in the cooperative variant.
        """
        config = self.config
        mu, sigma = self.encoder(batch.images)
        z = mu + sigma * torch.randn_like(mu)
        output = self.head(z)
        losses = {"expression": self.head.loss(output, batch), "kl": kl_to_normal(mu, sigma)}
        total = losses["expression"] + config.kl * losses["kl"]
        if not self.head.discrete and config.gamma > 0:
            known = known_affect(batch)
            losses["correlation"] = correlation_loss(
                output[known].float(), batch.valence_arousal[known]
            )
            total = total + config.gamma * losses["correlation"]
        if self._factorises:
            z_exp, z_id = self.factorise(z, self.attributes.of_batch(batch))
        if config.alpha > 0:
            losses["covariance"] = cross_covariance(z_exp, z_id)
            total = total + config.alpha * losses["covariance"]
        if self.identity_head is not None:
            losses["residual"] = self.head.loss(self.head(z_exp), batch)
            losses["identity"] = self._identity_loss(z_exp, z_id, batch)
            sign = 1.0 if config.variant == "cooperative" else -1.0
            total = total + self.beta * (losses["residual"] + sign * losses["identity"])
        return {"total": total, **losses}

    def identity_head_loss(self, batch: Batch) -> dict[str, Tensor]:
        """CE(s, f_id(z_id)), or of z_exp in the adversarial variant: reaches f_id alone."""
        with torch.no_grad():
            z_exp, z_id = self.factorise(
                self.encoder(batch.images)[0], self.attributes.of_batch(batch)
            )
        return {"total": self._identity_loss(z_exp, z_id, batch)}

    def factorise(self, z: Tensor, described: Tensor) -> tuple[Tensor, Tensor]:
        """z_exp = R(z - z_att) and z_id = R(z_att), with z_att = A([v; t_1; ...]) (eq. 4)."""
        z_att = self.aggregator(described)
        return self.residual(z - z_att), self.residual(z_att)

    def _identity_loss(self, z_exp: Tensor, z_id: Tensor, batch: Batch) -> Tensor:
        assert self.identity_head is not None
        code = z_exp if self.config.variant == "adversarial" else z_id
        seen = batch.subject < self.task.n_train_subjects  # validation subjects have no logit
        subject = torch.where(seen, batch.subject, -1)
        return cross_entropy(self.identity_head(code), subject)

    def embed(self, images: Tensor) -> Embeddings:
        """mu and z_id, and z_exp beside them."""
        mu, _ = self.encoder(images)
        z_exp, z_id = self.factorise(mu, self.attributes(images))
        return Embeddings(mu, z_id, {"z_exp": z_exp})

    def predict(self, images: Tensor) -> Prediction:
        """f(mu)."""
        return self.head.prediction(self.encoder(images)[0])

    def cautions(self) -> list[Caution]:
        """What the attributes were, where they are not what the paper means by them."""
        cautions = []
        names = list(self.attributes.levels)
        if names and not set(names) & set(DEMOGRAPHIC):
            cautions.append(Caution("attributes-not-demographic", names=", ".join(names)))
        if not self._factorises:
            cautions.append(Caution("identity-untrained"))
        return cautions

    def _task_error(self, batch: Batch) -> Tensor:
        return self.head.loss(self.head(self.encoder(batch.images)[0]), batch)

    def _covariance(self, batch: Batch) -> Tensor:
        return cross_covariance(*self._factors(batch))

    def _identity_error(self, batch: Batch) -> Tensor:
        return self._identity_loss(*self._factors(batch), batch)

    def _factors(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """z_exp and z_id of the means, without noise."""
        return self.factorise(self.encoder(batch.images)[0], self.attributes.of_batch(batch))

    def _term(self, name: str) -> Callable[[Batch], Tensor]:
        return lambda batch: self.loss(batch)[name]


def kl_to_normal(mu: Tensor, sigma: Tensor) -> Tensor:
    """KL(N(mu, diag sigma^2) || N(0, I)) in nats, mean over rows (eq. 8).

    >>> kl_to_normal(torch.tensor([[1.0, 0.0]]), torch.ones(1, 2))
    tensor(0.5000)
    """
    mu, sigma = mu.float(), sigma.float()
    return 0.5 * (mu**2 + sigma**2 - 1 - 2 * sigma.log()).sum(1).mean()


def cross_covariance(a: Tensor, b: Tensor) -> Tensor:
    """Squared Frobenius norm of the cross-covariance [d, e] of [B, d] and [B, e] (eq. 12).

    >>> x = torch.tensor([[-1.0], [0.0], [1.0]])
    >>> cross_covariance(x, 2 * x)
    tensor(4.)
    """
    a, b = a.float(), b.float()
    covariance = (a - a.mean(0)).T @ (b - b.mean(0)) / max(1, len(a) - 1)
    return covariance.square().sum()
