"""SupCon (Khosla et al., NeurIPS 2020) on the expression: the fair rival of DICE-FER's stage 1.

It sees the same pairs, the same labels and the same encoder, without any information bound.
"""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

import torch
from pydantic import PositiveFloat
from torch import Tensor, nn
from torch.nn import functional

from fer_bench.baselines.common.coded import CodedMethod
from fer_bench.baselines.common.heads import TaskHead
from fer_bench.baselines.common.networks import Encoder, EncoderConfig, mlp
from fer_bench.errors import MethodError
from fer_bench.method import Batch, Claim, MethodInfo, Player, Prediction, Stage, Task
from fer_bench.space import Between


class SupCon(CodedMethod):
    """Contrastive encoder, then a classifier on the frozen code.

    >>> from fer_bench.conformance import example_task
    >>> method = SupCon(example_task(), SupCon.Config(backbone={"width": 8}))
    >>> [stage.name for stage in method.stages()]
    ['contrastive', 'classifier']
    """

    info = MethodInfo(
        name="supcon",
        title="SupCon",
        paper="Khosla et al., Supervised Contrastive Learning, NeurIPS 2020",
        year=2020,
        needs=frozenset({"pairs"}),
        deviations=(
            "the second view of a face is another face of the same expression (and of another "
            "person, where known), as in DICE-FER, instead of a second augmentation",
        ),
    )

    stage_parameters: ClassVar = {"classifier": ("classifier_share",)}

    class Config(EncoderConfig):
        """Attributes:
        temperature: of the similarities.
        projection: length of the projected code that the loss sees.
        select: which epoch of the encoder is kept, the "last" or that of the least validation
            "loss".
        classifier_share: of the budget of epochs.
        """

        temperature: Annotated[PositiveFloat, Between(0.03, 1, log=True)] = 0.1
        projection: int = 128
        select: Literal["last", "loss"] = "last"
        classifier_share: float = 0.5

    def __init__(self, task: Task, config: Config) -> None:
        super().__init__(task, config)
        self.encoder = Encoder(config.backbone, task.shape, config.dim)
        self.projection = mlp(config.dim, config.dim, config.projection)
        self.scale = nn.BatchNorm1d(config.dim, affine=False)
        self.head = TaskHead(task, config.dim)

    def stages(self) -> list[Stage]:
        """Contrastive, classifier."""
        claim = Claim(
            "encoder",
            "total",
            "raises",
            self._margin,
            "similarity within over similarity between expressions",
        )
        return [
            Stage(
                "contrastive",
                players=[Player("encoder", [self.encoder, self.projection], self.contrastive_loss)],
                batch="pairs",
                select=self.config.select,
                claims=[claim],
            ),
            Stage(
                "classifier",
                players=[Player("classifier", [self.scale, self.head], self.head_loss, lr=1e-2)],
                share=self.config.classifier_share,
                frozen=[self.encoder],
            ),
        ]

    def contrastive_loss(self, batch: Batch) -> dict[str, Tensor]:
        """Eq. 2 (L_out) over all 2B faces of the batch."""
        codes, labels = self._projected(batch)
        return {"total": supervised_contrast(codes, labels, self.config.temperature)}

    def head_loss(self, batch: Batch) -> dict[str, Tensor]:
        """The task's loss on the frozen code."""
        with torch.no_grad():
            code = self.encoder(batch.images)
        return {"total": self.head.loss(self.head(self.scale(code)), batch)}

    def predict(self, images: Tensor) -> Prediction:
        """Linear head on the standardised code."""
        return self.head.prediction(self.scale(self.encoder(images)))

    def _projected(self, batch: Batch) -> tuple[Tensor, Tensor]:
        if batch.partner is None:
            raise MethodError("SupCon trains on pairs: its batch has no partner.")
        images = torch.cat([batch.images, batch.partner.images])
        labels = torch.cat([batch.expression, batch.partner.expression])
        return functional.normalize(self.projection(self.encoder(images)).float(), dim=1), labels

    def _margin(self, batch: Batch) -> Tensor:
        codes, labels = self._projected(batch)
        cosine, same = codes @ codes.T, labels[:, None] == labels[None]
        # A face is like itself whatever the loss does: only pairs of two faces count.
        pairs = same & ~torch.eye(len(codes), dtype=torch.bool, device=codes.device)
        return cosine[pairs].mean() - cosine[~same].mean()


def supervised_contrast(codes: Tensor, labels: Tensor, temperature: float) -> Tensor:
    """Supervised contrastive loss, L_out of Khosla et al. 2020, eq. 2.

    Args:
        codes: [N, d], of length 1.
        labels: [N]; a row without any other row of its label counts nothing, nor does label -1.
        temperature: of the similarities.

    >>> codes = torch.eye(2).repeat(2, 1)
    >>> supervised_contrast(codes, torch.tensor([0, 1, 0, 1]), 1.0).round(decimals=4)
    tensor(0.5514)
    """
    self_mask = torch.eye(len(codes), dtype=torch.bool, device=codes.device)
    scores = (codes @ codes.T / temperature).masked_fill(self_mask, float("-inf"))
    log_probability = scores - scores.logsumexp(1, keepdim=True)
    positive = (labels[:, None] == labels[None]) & ~self_mask & (labels >= 0)[:, None]
    count = positive.sum(1)
    per_row = -log_probability.masked_fill(~positive, 0.0).sum(1) / count.clamp(min=1)
    return per_row.sum() / (count > 0).sum().clamp(min=1)
