"""Rows that pin the scale: what untrained features, pixels and the labels themselves score."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from fer_bench.backbones import BackboneConfig
from fer_bench.baselines.common.coded import CodedMethod
from fer_bench.baselines.common.heads import TaskHead, cross_entropy
from fer_bench.baselines.common.networks import Encoder, EncoderConfig
from fer_bench.errors import MethodError
from fer_bench.method import (
    Batch,
    Embeddings,
    Method,
    MethodInfo,
    Oracle,
    Player,
    Prediction,
    Stage,
    Task,
)
from fer_bench.normalisers import estimating_statistics


class Frozen(Method):
    """Features that nobody trains, with a linear head on them (standardised)."""

    dim: int

    def build_head(self, dim: int) -> None:
        """Create what is trained: scaling by the training faces, and a linear head."""
        self.dim = dim
        self.scale = nn.BatchNorm1d(dim, affine=False)
        self.head = TaskHead(self.task, dim)

    def features(self, images: Tensor) -> Tensor:
        """[B, C, H, W] -> [B, dim]."""
        raise NotImplementedError

    def frozen_modules(self) -> list[nn.Module]:
        """What must not change."""
        return []

    def stages(self) -> list[Stage]:
        """The linear head alone."""
        player = Player("head", [self.scale, self.head], self.loss, lr=1e-2)
        return [Stage("head", players=[player], frozen=self.frozen_modules(), augment=False)]

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        """The task's loss on frozen features."""
        with torch.no_grad():
            features = self.features(batch.images)
        return {"total": self.head.loss(self.head(self.scale(features)), batch)}

    def embed(self, images: Tensor) -> Embeddings:
        """The frozen features as they are."""
        return Embeddings(expression=self.features(images))

    def predict(self, images: Tensor) -> Prediction:
        """Linear head on the scaled features."""
        return self.head.prediction(self.scale(self.features(images)))


class RandomEncoder(Frozen):
    """The suite's encoder as initialised: what the architecture alone brings."""

    info = MethodInfo(name="random-encoder", title="random encoder", role="reference")

    class Config(EncoderConfig):
        """Attributes:
        backbone, dim: as for every encoder.
        """

    def __init__(self, task: Task, config: Config) -> None:
        super().__init__(task, config)
        if config.backbone.weights or config.backbone.pretrained:
            raise MethodError(
                "a random encoder has no weights: use 'frozen-backbone' for trained ones."
            )
        self.encoder = Encoder(config.backbone, task.shape, config.dim)
        self.build_head(config.dim)

    @torch.no_grad()
    def fit_arrays(self, images: Tensor) -> None:
        """Estimate the normalisation statistics, since the encoder is frozen; no weight moves."""
        self.encoder.train()
        with estimating_statistics(self.encoder):
            for chunk in images.split(256):
                self.encoder(chunk)

    def features(self, images: Tensor) -> Tensor:
        """The code."""
        return self.encoder(images)

    def frozen_modules(self) -> list[nn.Module]:
        """The encoder."""
        return [self.encoder]


class FrozenBackbone(Frozen):
    """Features of a backbone trained elsewhere (ImageNet, face recognition), never touched."""

    info = MethodInfo(name="frozen-backbone", title="frozen backbone", role="reference")

    class Config(Method.Config):
        """Attributes:
        backbone: needs `weights` (a local file) or `pretrained`; all of it is frozen.
        """

        backbone: BackboneConfig = BackboneConfig(name="resnet18")

    def __init__(self, task: Task, config: Config) -> None:
        super().__init__(task, config)
        if not (config.backbone.weights or config.backbone.pretrained):
            raise MethodError(
                "frozen-backbone needs trained weights: set parameters.backbone.weights to a "
                "file, or parameters.backbone.pretrained = true with a timm name."
            )
        self.backbone = config.backbone.build(task.shape)
        self.backbone.freeze("all")
        self.build_head(self.backbone.num_features)

    def features(self, images: Tensor) -> Tensor:
        """Backbone features."""
        return self.backbone(images)

    def frozen_modules(self) -> list[nn.Module]:
        """The backbone."""
        return [self.backbone]


class Pixels(Frozen):
    """Principal components of the images: what can be read without any features."""

    info = MethodInfo(name="pixels", title="pixels (PCA)", role="reference")

    class Config(Method.Config):
        """Attributes:
        components: number of principal components.
        """

        components: int = 64

    mean: Tensor
    axes: Tensor

    def __init__(self, task: Task, config: Config) -> None:
        super().__init__(task, config)
        pixels = task.shape[0] * task.shape[1] * task.shape[2]
        self.register_buffer("mean", torch.zeros(pixels))
        self.register_buffer("axes", torch.zeros(config.components, pixels))
        self.build_head(config.components)

    @torch.no_grad()
    def fit_arrays(self, images: Tensor) -> None:
        """Exact PCA through the Gram matrix of the faces; missing components stay zero."""
        flat = images.flatten(1).double()
        self.mean.copy_(flat.mean(0))
        flat -= flat.mean(0)
        values, vectors = torch.linalg.eigh(flat @ flat.T)
        count = min(self.config.components, len(flat) - 1)
        values, vectors = values.flip(0)[:count], vectors.flip(1)[:, :count]
        axes = (vectors.T @ flat) / values.clamp(min=1e-12).sqrt()[:, None]
        self.axes.zero_()
        self.axes[:count] = axes.to(self.axes.dtype)

    def features(self, images: Tensor) -> Tensor:
        """Scores on the principal axes."""
        return (images.flatten(1) - self.mean) @ self.axes.T


class TrueFactors(CodedMethod):
    """A positive control: what E and I should hold is the target of their loss.

    E is the predicted expression and nothing else, I the predicted attributes of the person, both
    from one trained encoder. On faces whose attributes describe the person it must separate; where
    it does not, neither the faces nor the budget can show that a method does.
    """

    info = MethodInfo(
        name="true-factors",
        title="true factors",
        needs=frozenset({"attributes"}),
        produces_identity=True,
        role="reference",
    )

    class Config(EncoderConfig):
        """Attributes:
        backbone: as for every encoder; E and I are as long as what they predict, whatever `dim`.
        """

    def __init__(self, task: Task, config: Config) -> None:
        super().__init__(task, config)
        self.levels = {name: len(levels) for name, levels in task.attributes.items()}
        if not self.levels:
            raise MethodError("'true-factors' needs data with attributes of the person.")
        self.encoder = Encoder(config.backbone, task.shape, config.dim)
        self.head = TaskHead(task, config.dim)
        self.person = nn.Linear(config.dim, sum(self.levels.values()))

    def stages(self) -> list[Stage]:
        """One stage, one player."""
        player = Player("model", [self.encoder, self.head, self.person], self.loss)
        return [Stage("train", players=[player])]

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        """The task's loss on E and the cross-entropy of every attribute on I."""
        code = self.encoder(batch.images)
        scores = self._by_attribute(code)
        task = self.head.loss(self.head(code), batch)
        parts = [cross_entropy(scores[name], batch.attributes[name]) for name in self.levels]
        attributes = torch.stack(parts).mean()
        return {"total": task + attributes, "task": task, "attributes": attributes}

    def embed(self, images: Tensor) -> Embeddings:
        """Probabilities of the expressions, and of the levels of all attributes."""
        code = self.encoder(images)
        output = self.head(code)
        person = [scores.softmax(1) for scores in self._by_attribute(code).values()]
        expression = output.softmax(1) if self.head.discrete else output
        return Embeddings(expression, torch.cat(person, 1))

    def _by_attribute(self, code: Tensor) -> dict[str, Tensor]:
        parts = self.person(code).split(list(self.levels.values()), 1)
        return dict(zip(self.levels, parts, strict=True))


class _LabelOracle(Oracle):
    """An oracle with a prediction: the true label, or the class frequencies."""

    knows_expression = True

    def embed_labelled(self, batch: Batch) -> Embeddings:
        """Subclasses say what is known."""
        raise NotImplementedError

    def predict_labelled(self, batch: Batch) -> Prediction:
        """The truth where the oracle knows it; else what the class frequencies say."""
        if self.task.target == "valence_arousal":
            if self.knows_expression:
                return Prediction(valence_arousal=torch.nan_to_num(batch.valence_arousal))
            return Prediction(valence_arousal=torch.zeros_like(batch.valence_arousal))
        if self.knows_expression:
            return Prediction(logits=10.0 * self.expression(batch))
        counts = torch.tensor(self.task.class_counts or [1] * len(self.task.classes))
        prior = torch.log(counts.float().clamp(min=0.5)).to(batch.images.device)
        return Prediction(logits=prior.expand(len(batch), -1))

    def expression(self, batch: Batch) -> Tensor:
        """One-hot expression; the target itself for valence-arousal; zeros where missing."""
        if self.task.target == "valence_arousal":
            return torch.nan_to_num(batch.valence_arousal)
        return one_hot(batch.expression, len(self.task.classes))

    def subject(self, batch: Batch) -> Tensor:
        """One-hot subject; zeros where missing."""
        return one_hot(batch.subject, max(1, len(self.task.subjects)))

    def stages(self) -> list[Stage]:
        """Nothing to train."""
        return []


class OracleLabel(_LabelOracle):
    """E is the expression, I is the subject: perfectly apart."""

    info = MethodInfo(
        name="oracle-label", title="oracle: label", role="oracle", produces_identity=True
    )

    def embed_labelled(self, batch: Batch) -> Embeddings:
        """E one-hot expression, I one-hot subject."""
        return Embeddings(self.expression(batch), self.subject(batch))


class OracleSubject(_LabelOracle):
    """E is the subject: knows who, and nothing of the expression."""

    info = MethodInfo(
        name="oracle-subject", title="oracle: subject", role="oracle", produces_identity=True
    )
    knows_expression = False

    def embed_labelled(self, batch: Batch) -> Embeddings:
        """E and I one-hot subject."""
        return Embeddings(self.subject(batch), self.subject(batch))


class OracleBoth(_LabelOracle):
    """E and I both hold everything: useful, and not disentangled at all."""

    info = MethodInfo(
        name="oracle-both", title="oracle: both", role="oracle", produces_identity=True
    )

    def embed_labelled(self, batch: Batch) -> Embeddings:
        """E and I: one-hot expression beside one-hot subject."""
        both = torch.cat([self.expression(batch), self.subject(batch)], 1)
        return Embeddings(both, both)


class Collapsed(_LabelOracle):
    """Constant embeddings: no metric may reward them."""

    info = MethodInfo(
        name="collapsed", title="oracle: collapsed", role="oracle", produces_identity=True
    )
    knows_expression = False

    def embed_labelled(self, batch: Batch) -> Embeddings:
        """E and I: ones, whatever the face."""
        constant = torch.ones(len(batch), 8, device=batch.images.device)
        return Embeddings(constant, constant)


def one_hot(codes: Tensor, levels: int) -> Tensor:
    """[B] codes -> [B, levels] float32; -1 gives zeros.

    >>> one_hot(torch.tensor([1, -1]), 2)
    tensor([[0., 1.],
            [0., 0.]])
    """
    return functional.one_hot(codes.clamp(min=0), levels).float() * (codes >= 0)[:, None]
