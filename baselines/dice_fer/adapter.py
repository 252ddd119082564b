"""DICE-FER (Aquib, Verma, Akhtar, CVPR Workshops 2025): see README.md beside this file.

Notation: M and N are two faces of one expression, E the expression code, I the identity code,
T = [E; I]. Ig and Il are bounds with a global and a local critic.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Annotated, Any, ClassVar, Literal, NamedTuple

import torch
from pydantic import NonNegativeInt, model_validator
from torch import Tensor, nn
from torch.nn import functional

from fer_bench.baselines.common.bounds import (
    Bound,
    BoundName,
    class_aware_negatives,
    derangements,
    label_ceiling,
)
from fer_bench.baselines.common.dependence import distance_correlation
from fer_bench.baselines.common.heads import TaskHead
from fer_bench.baselines.common.networks import (
    Critic,
    Encoder,
    EncoderConfig,
    SeparableCritic,
    as_positions,
    mlp,
)
from fer_bench.baselines.published import published
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

CriticName = Literal["separable", "concat"]

REPORTS: dict[str, Any] = {
    "bound": "dv",
    "critic": "concat",
    "standardise": False,
    "negatives": 1,
    "class_aware": False,
    "select": "loss",
    "classifier_scale": False,
}
"""The parameters of `variant = "reports"`."""


class MutualInformation(nn.Module):
    """Global and local bounds on the information between faces and codes, with own critics.

    Args:
        encoder: whose feature maps stand for the image.
        shape: of a face.
        code: length of the code.
        bound, critic, hidden: of the critics.
        weight_global, weight_local: mu and nu; a term of weight 0 has no critic.
        standardise: give critics features and codes of mean 0 and variance 1. Information does
            not change, but without it critics see hardly any difference between the codes of an
            untrained encoder, and nothing is learned within few epochs.
    """

    def __init__(
        self,
        encoder: Encoder,
        shape: tuple[int, int, int],
        code: int,
        *,
        bound: BoundName,
        critic: CriticName,
        hidden: int,
        weight_global: float,
        weight_local: float,
        standardise: bool,
    ) -> None:
        super().__init__()
        self.name = bound
        self.weights = {"global": weight_global, "local": weight_local}
        features = {
            "global": encoder.backbone.num_features,
            "local": encoder.backbone.map_channels,
        }
        positions = {"global": 1, "local": encoder.positions(shape)}
        used = [scope for scope, weight in self.weights.items() if weight > 0]
        make = SeparableCritic if critic == "separable" else Critic
        self.critics = nn.ModuleDict({s: make(features[s], code, hidden) for s in used})
        self.bounds = nn.ModuleDict({s: Bound(bound, positions=positions[s]) for s in used})
        self.scalers = nn.ModuleDict(
            {s: _scaler(features[s], standardise) for s in used}
            | {"code": _scaler(code, standardise)}
        )

    @property
    def terms(self) -> list[str]:
        """Names of the bounds, such as "global_jsd"."""
        return [f"{scope}_{self.name}" for scope in self.critics]

    def forward(
        self, faces: Encoded, codes: Tensor, negatives: Callable[[], Tensor]
    ) -> dict[str, Tensor]:
        """Named bounds, summed over the M and the N half of the batch.

        Args:
            faces: 2B encoded faces, M first.
            codes: [2B, d]; code i goes with face i.
            negatives: draws [K, B] rows within a half.
        """
        codes = self.scalers["code"](codes)
        tokens = {"global": faces.pooled[:, None], "local": as_positions(faces.maps)}
        values = {}
        for scope, critic in self.critics.items():
            scaled = self.scalers[scope](tokens[scope].flatten(0, 1)).view_as(tokens[scope])
            halves = zip(scaled.chunk(2), codes.chunk(2), strict=True)
            values[f"{scope}_{self.name}"] = sum(
                self.bounds[scope](*critic(of_faces, of_codes, negatives()))
                for of_faces, of_codes in halves
            )
        return values

    def weighted(self, values: dict[str, Tensor]) -> Tensor:
        """mu Ig + nu Il."""
        terms = [self.weights[name.split("_")[0]] * value for name, value in values.items()]
        return torch.stack(terms).sum()


class Encoded(NamedTuple):
    """Feature maps, pooled features and codes of the same faces."""

    maps: Tensor
    pooled: Tensor
    code: Tensor


def _scaler(width: int, standardise: bool) -> nn.Module:
    return nn.BatchNorm1d(width, affine=False) if standardise else nn.Identity()


class DiceFER(Method):
    """Stage 1 learns E from swapped pairs, stage 2 learns I with E frozen, stage 3 classifies E.

    >>> from fer_bench.conformance import example_task
    >>> method = DiceFER(example_task(), DiceFER.Config(backbone={"width": 8}))
    >>> [stage.name for stage in method.stages()]
    ['expression', 'identity', 'classifier']
    """

    info = MethodInfo(
        name="dice-fer",
        title="DICE-FER",
        paper="Aquib, Verma, Akhtar, Decoupling Identity Confounders for Enhanced Facial "
        "Expression Recognition: An Information-Theoretic Approach, CVPR Workshops 2025",
        year=2025,
        needs=frozenset({"pairs"}),
        produces_identity=True,
        data_parallel=True,
        published=published("DICE-FER"),
        deviations=(
            "the default encoder is conv4 at the run's resolution; the paper's is ResNet-18 at "
            "112 pixels (backbone = 'resnet18')",
            "the default critics are inner products of two two-layer nets on standardised features "
            "and codes, with all other faces of the batch as marginal pairs, and the default bound "
            "is Jensen-Shannon: with the reports' critics (two layers on the concatenation, one "
            "marginal pair, no standardisation) the bound does not leave 0 within 8 epochs of 64-"
            "pixel faces; variant = 'reports' is the reports' setting",
            "the marginal pairs of stage 1 are of other classes, and its last epoch is kept: the "
            "validation loss is least for near-untrained encoders",
            "Adam at the run's learning rate instead of 1e-4, for budgets far below 100 epochs",
            "stages 2 and 3 take half of the epoch budget each; the paper gives 100 to each stage",
            "the classifier standardises E and has a learning rate of 0.01",
        ),
    )

    stage_parameters: ClassVar = {
        "identity": (
            "mu_id",
            "nu_id",
            "zeta",
            "discriminator_hidden",
            "joint_label",
            "discriminator_steps",
            "identity_share",
        ),
        "classifier": ("classifier_hidden", "classifier_scale", "classifier_share"),
    }

    class Config(EncoderConfig):
        """Attributes:
        variant: "reports" takes what the course reports write for every parameter that is not
            given: concatenating critics on raw features and codes, one marginal pair, the
            Donsker-Varadhan bound, and the epoch of least validation loss.
        bound: "jsd" or "dv" (see `Bound`).
        critic: "separable" (inner product) or "concat" (two layers on [features; code]).
        standardise: see `MutualInformation`.
        mu, nu: weights of the global and the local term in stage 1.
        delta: weight of the L1 distance between E_M and E_N.
        mu_id, nu_id: weights of the global and the local term in stage 2.
        zeta: weight of the adversarial term in stage 2; not searched, since it cannot move the
            validation score: E is frozen by then.
        critic_hidden, discriminator_hidden, classifier_hidden: widths.
        classifier_scale: whether the classifier sees E standardised.
        negatives: marginal pairs per joint pair; 0 takes all others of the batch.
        class_aware: take the marginal pairs of stage 1 from other classes (a contrast, no estimate
            of MI): against all others a pair that shares the label alone can raise the
            Jensen-Shannon bound to 0.43 for 2 classes and 0.96 for 7, against these to 1.39.
        select: which epoch of stage 1 is kept, the "last" or that of the least validation "loss".
        joint_label: what the discriminator calls a true (E, I) pair; both are the same game.
        discriminator_steps: per encoder step.
        expression_share, identity_share, classifier_share: of the budget of epochs.
        """

        variant: Literal["default", "reports"] = "default"
        bound: Annotated[BoundName, Among("jsd", "dv")] = "jsd"
        critic: CriticName = "separable"
        standardise: bool = True
        mu: Annotated[float, Between(0.1, 2, log=True)] = 0.5
        nu: float = 1.0
        delta: Annotated[float, Between(0.01, 1, log=True)] = 0.1
        mu_id: float = 0.5
        nu_id: float = 1.0
        zeta: float = 0.025
        critic_hidden: int = 512
        discriminator_hidden: int = 512
        classifier_hidden: int = 64
        classifier_scale: bool = True
        negatives: NonNegativeInt = 0
        class_aware: Annotated[bool, Among(True, False)] = True
        select: Literal["last", "loss"] = "last"
        joint_label: Literal["fake", "real"] = "fake"
        discriminator_steps: int = 1
        expression_share: float = 1.0
        identity_share: float = 0.5
        classifier_share: float = 0.5

        @model_validator(mode="before")
        @classmethod
        def _fill_variant(cls, values: Any) -> Any:
            if isinstance(values, dict) and values.get("variant") == "reports":
                return REPORTS | values
            return values

    def __init__(self, task: Task, config: Config) -> None:
        super().__init__(task, config)
        dim = config.dim
        self.expression = Encoder(config.backbone, task.shape, dim)
        self.identity = Encoder(config.backbone, task.shape, dim)
        critics: dict[str, Any] = {
            "bound": config.bound,
            "critic": config.critic,
            "standardise": config.standardise,
            "hidden": config.critic_hidden,
        }
        self.expression_information = MutualInformation(
            self.expression,
            task.shape,
            dim,
            weight_global=config.mu,
            weight_local=config.nu,
            **critics,
        )
        self.identity_information = MutualInformation(
            self.identity,
            task.shape,
            2 * dim,
            weight_global=config.mu_id,
            weight_local=config.nu_id,
            **critics,
        )
        hidden = config.discriminator_hidden
        self.discriminator = mlp(2 * dim, hidden, hidden, 1)
        self.scale = _scaler(dim, config.classifier_scale)
        self.classifier = TaskHead(task, dim, hidden=config.classifier_hidden)
        self._frozen_code: tuple[Tensor, Tensor] | None = None

    def stages(self) -> list[Stage]:
        """Expression, identity, classifier."""
        return [self._expression_stage(), self._identity_stage(), self._classifier_stage()]

    def _expression_stage(self) -> Stage:
        player = "encoder and critics"
        claims = [
            Claim(player, term, "raises", _term(self.expression_loss, term), "the bound")
            for term in self.expression_information.terms
        ]
        if self.config.delta > 0:
            measure = _term(self.expression_loss, "l1")
            claims.append(Claim(player, "l1", "lowers", measure, "|E_M - E_N|"))
        return Stage(
            "expression",
            players=[
                Player(
                    player,
                    [self.expression, self.expression_information.critics],
                    self.expression_loss,
                )
            ],
            batch="pairs",
            share=self.config.expression_share,
            select=self.config.select,
            claims=claims,
            ceilings=self._expression_ceilings(),
        )

    def _expression_ceilings(self) -> dict[str, float]:
        """What the bounds of both halves of a batch can reach: a pair shares no more than y."""
        config, counts = self.config, self.task.class_counts
        ceiling = 2 * label_ceiling(config.bound, counts, class_aware=config.class_aware)
        if not 0 < ceiling < math.inf:
            return {}
        return dict.fromkeys(self.expression_information.terms, ceiling)

    def _identity_stage(self) -> Stage:
        player = "encoder and critics"
        claims = [
            Claim(player, term, "raises", _term(self.identity_loss, term), "the bound")
            for term in self.identity_information.terms
        ]
        claims += [
            Claim(player, "adversarial", "lowers", self.dependence, "dependence of E and I"),
            Claim("discriminator", "total", "raises", self._separation, "telling E, I pairs apart"),
        ]
        return Stage(
            "identity",
            players=[
                Player(
                    "discriminator",
                    [self.discriminator],
                    self.discriminator_loss,
                    steps=self.config.discriminator_steps,
                ),
                Player(
                    player,
                    [self.identity, self.identity_information.critics],
                    self.identity_loss,
                ),
            ],
            batch="pairs",
            share=self.config.identity_share,
            frozen=[self.expression],
            select="last",  # a game has no loss that falls: the last epoch is kept
            claims=claims,
        )

    def _classifier_stage(self) -> Stage:
        return Stage(
            "classifier",
            players=[
                Player("classifier", [self.scale, self.classifier], self.classifier_loss, lr=1e-2)
            ],
            share=self.config.classifier_share,
            frozen=[self.expression],
            select="prediction",
        )

    def expression_loss(self, batch: Batch) -> dict[str, Tensor]:
        """-(mu [Ig(M; E_N) + Ig(N; E_M)] + nu [Il ...] - delta |E_M - E_N|), the swap."""
        faces = Encoded(*self.expression.with_features(_both_images(batch)))
        e_m, e_n = faces.code.chunk(2)
        swapped = torch.cat([e_n, e_m])
        bounds = self.expression_information(faces, swapped, partial(self._contrasts, batch))
        l1 = (e_m - e_n).abs().mean()
        total = self.config.delta * l1 - self.expression_information.weighted(bounds)
        return {"total": total, **bounds, "l1": l1}

    def identity_loss(self, batch: Batch) -> dict[str, Tensor]:
        """-(mu [Ig(M; T_M) + Ig(N; T_N)] + nu [Il ...]) + zeta (V_M + V_N), T = [E; I]."""
        images = _both_images(batch)
        faces = Encoded(*self.identity.with_features(images))
        e = self._frozen_expression(batch, images)
        own = torch.cat([e, faces.code], 1)
        bounds = self.identity_information(faces, own, partial(self._negatives, batch))
        adversarial = self.value(e, faces.code)
        total = self.config.zeta * adversarial - self.identity_information.weighted(bounds)
        return {"total": total, **bounds, "adversarial": adversarial}

    def discriminator_loss(self, batch: Batch) -> dict[str, Tensor]:
        """-(V_M + V_N): the discriminator maximises what the encoder minimises."""
        images = _both_images(batch)
        e = self._frozen_expression(batch, images)
        with torch.no_grad():
            i = self.identity(images)
        return {"total": -self.value(e, i)}

    def _frozen_expression(self, batch: Batch, images: Tensor) -> Tensor:
        """E of a batch; both players of stage 2 ask for it, and it is frozen: computed once."""
        if self._frozen_code is None or self._frozen_code[0] is not batch.images:
            with torch.no_grad():
                self._frozen_code = (batch.images, self.expression(images))
        return self._frozen_code[1]

    def value(self, e: Tensor, i: Tensor) -> Tensor:
        """V_M + V_N, each V = E_marginal log D + E_joint log(1 - D); 2 JSD - 2 ln 2 at the best D.

        With `joint_label` "real" the labels change places, and D with them: the same game.
        """
        shuffled = torch.cat([half[derangements(len(half), 1)[0]] for half in i.chunk(2)])
        joint = self.discriminator(torch.cat([e, i], 1)).float()
        marginal = self.discriminator(torch.cat([e, shuffled], 1)).float()
        if self.config.joint_label == "real":
            joint, marginal = -joint, -marginal
        # Means over all 2B rows are half the sum of the means over the two halves.
        return 2 * (functional.logsigmoid(marginal).mean() + functional.logsigmoid(-joint).mean())

    def classifier_loss(self, batch: Batch) -> dict[str, Tensor]:
        """Cross-entropy on the frozen E."""
        with torch.no_grad():
            code = self.expression(batch.images)
        return {"total": self.classifier.loss(self.classifier(self.scale(code)), batch)}

    def dependence(self, batch: Batch) -> Tensor:
        """Distance correlation of E and I, which knows nothing of the discriminator."""
        with torch.no_grad():
            return distance_correlation(self.expression(batch.images), self.identity(batch.images))

    def embed(self, images: Tensor) -> Embeddings:
        """E and I."""
        return Embeddings(self.expression(images), self.identity(images))

    def predict(self, images: Tensor) -> Prediction:
        """The classifier on E."""
        return self.classifier.prediction(self.scale(self.expression(images)))

    def _contrasts(self, batch: Batch) -> Tensor:
        """Marginal pairs of stage 1. In stage 2, E alone would tell other classes apart."""
        if self.config.class_aware:
            return class_aware_negatives(batch.expression, self._count(batch))
        return self._negatives(batch)

    def _negatives(self, batch: Batch) -> Tensor:
        return derangements(len(batch), self._count(batch), device=batch.images.device)

    def _count(self, batch: Batch) -> int:
        return self.config.negatives or len(batch) - 1

    def _separation(self, batch: Batch) -> Tensor:
        """V_M + V_N as the discriminator stands."""
        return -self.discriminator_loss(batch)["total"]


def _both_images(batch: Batch) -> Tensor:
    """M and N in one pass, so that both see the same batch statistics."""
    if batch.partner is None:
        raise MethodError("DICE-FER trains on pairs: its batch has no partner.")
    return torch.cat([batch.images, batch.partner.images])


def _term(loss: Callable[[Batch], dict[str, Tensor]], name: str) -> Callable[[Batch], Tensor]:
    """One term of a loss as a measure of the sign audit."""
    return lambda batch: loss(batch)[name]
