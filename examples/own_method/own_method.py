"""A method of one's own: cross-entropy plus centre loss (Wen et al., ECCV 2016), in one file."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from fer_bench.backbones import build_backbone
from fer_bench.method import (
    Batch,
    Embeddings,
    Method,
    MethodInfo,
    Player,
    Prediction,
    Stage,
    Task,
)


class CentreLoss(Method):
    """Pulls each expression embedding to a learnt centre of its class."""

    info = MethodInfo(
        name="centre-loss",
        title="Centre loss",
        paper="A Discriminative Feature Learning Approach for Deep Face Recognition",
        year=2016,
        deviations=("The centres are trained by Adam with the rest.",),
    )

    class Config(Method.Config):
        """Parameters, with defaults; a wrong key in an experiment file is named."""

        dim: int = 64
        weight: float = 0.1

    def __init__(self, task: Task, config: Config) -> None:
        super().__init__(task, config)
        channels, size, _ = task.shape
        self.backbone = build_backbone("conv4", channels=channels, size=size)
        self.project = nn.Linear(self.backbone.num_features, config.dim)
        self.head = nn.Linear(config.dim, len(task.classes))
        self.centres = nn.Parameter(torch.zeros(len(task.classes), config.dim))

    def stages(self) -> list[Stage]:
        owned = [self.backbone, self.project, self.head, self.centres]
        return [Stage("train", players=[Player("all", owned, self.loss)])]

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        features = self.project(self.backbone(batch.images))
        entropy = functional.cross_entropy(self.head(features), batch.expression)
        centre = (features - self.centres[batch.expression]).pow(2).sum(1).mean() / 2
        return {"total": entropy + self.config.weight * centre, "entropy": entropy}

    def embed(self, images: Tensor) -> Embeddings:
        return Embeddings(self.project(self.backbone(images)))

    def predict(self, images: Tensor) -> Prediction:
        return Prediction(logits=self.head(self.embed(images).expression))
