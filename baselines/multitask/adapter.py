"""Multi-task: one code from which both the expression and the person are read."""

from __future__ import annotations

from typing import Annotated

from torch import Tensor, nn

from fer_bench.baselines.common.coded import CodedMethod
from fer_bench.baselines.common.heads import TaskHead, cross_entropy, train_subjects
from fer_bench.baselines.common.networks import Encoder, EncoderConfig
from fer_bench.method import Batch, Claim, MethodInfo, Player, Stage, Task
from fer_bench.space import Between


class Multitask(CodedMethod):
    """Expression and identity heads on one code: what leaks when leaking is rewarded."""

    info = MethodInfo(
        name="multitask",
        title="multi-task",
        paper="Caruana, Multitask Learning, Machine Learning 1997",
        year=1997,
        needs=frozenset({"subjects"}),
    )

    class Config(EncoderConfig):
        """Attributes:
        identity_weight: of the cross-entropy on the training people.
        """

        identity_weight: Annotated[float, Between(0.01, 10, log=True)] = 1.0

    def __init__(self, task: Task, config: Config) -> None:
        super().__init__(task, config)
        self.encoder = Encoder(config.backbone, task.shape, config.dim)
        self.head = TaskHead(task, config.dim)
        self.identity_head = nn.Linear(config.dim, max(1, task.n_train_subjects))

    def stages(self) -> list[Stage]:
        """One stage, one player."""
        modules = [self.encoder, self.head, self.identity_head]
        claims = [
            Claim("model", "task", "lowers", self.task_error, "the task's loss"),
            Claim(
                "model",
                "identity",
                "lowers",
                lambda b: self.loss(b)["identity"],
                "cross-entropy of the identity head",
            ),
        ]
        return [Stage("train", players=[Player("model", modules, self.loss)], claims=claims)]

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        """Task loss and identity cross-entropy; held-out people count nothing."""
        code = self.encoder(batch.images)
        task = self.head.loss(self.head(code), batch)
        identity = cross_entropy(self.identity_head(code), train_subjects(batch, self.task))
        total = task + self.config.identity_weight * identity
        return {"total": total, "task": task, "identity": identity}
