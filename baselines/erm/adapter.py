"""ERM: an encoder and a linear head, trained on the label alone."""

from __future__ import annotations

from typing import Annotated

from torch import Tensor

from fer_bench.baselines.common.coded import CodedMethod
from fer_bench.baselines.common.heads import TaskHead
from fer_bench.baselines.common.networks import Encoder, EncoderConfig
from fer_bench.method import Batch, Claim, MethodInfo, Player, Stage, Task
from fer_bench.space import Among


class ERM(CodedMethod):
    """Cross-entropy (or squared error with a correlation term) on encoder and linear head.

    >>> from fer_bench.conformance import example_task
    >>> method = ERM(example_task(), ERM.Config(backbone={"width": 8}))
    >>> [stage.name for stage in method.stages()]
    ['train']
    """

    info = MethodInfo(
        name="erm",
        title="ERM",
        paper="Vapnik, Principles of risk minimization for learning theory, NeurIPS 1991",
        year=1991,
        data_parallel=True,
    )

    class Config(EncoderConfig):
        """Attributes:
        balanced: weight classes by inverse frequency in the loss.
        correlation: weight of (1 - PCC) + (1 - CCC) for valence-arousal.
        """

        balanced: Annotated[bool, Among(False, True)] = False
        correlation: float = 0.5

    def __init__(self, task: Task, config: Config) -> None:
        super().__init__(task, config)
        self.encoder = Encoder(config.backbone, task.shape, config.dim)
        self.head = TaskHead(
            task, config.dim, balanced=config.balanced, correlation=config.correlation
        )

    def stages(self) -> list[Stage]:
        """One stage, one player."""
        player = Player("model", [self.encoder, self.head], self.loss)
        error = Claim("model", "total", "lowers", self.task_error, "the task's loss")
        return [Stage("train", players=[player], claims=[error])]

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        """The task's loss."""
        return {"total": self.task_error(batch)}
