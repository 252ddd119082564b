"""What methods with one code and one head have in common."""

from __future__ import annotations

from torch import Tensor, nn

from fer_bench.baselines.common.heads import TaskHead
from fer_bench.errors import MethodError
from fer_bench.method import Batch, Embeddings, Method, Prediction, Task


class CodedMethod(Method):
    """A method that embeds a face as one code, from which a head reads what the task asks for.

    Subclasses make `encoder`, images [B, C, H, W] -> code [B, dim], and `head`.
    """

    encoder: nn.Module
    head: TaskHead

    def code(self, images: Tensor) -> Tensor:
        """Images [B, C, H, W] -> code [B, dim]: what is embedded and what the head sees."""
        return self.encoder(images)

    def embed(self, images: Tensor) -> Embeddings:
        """The code."""
        return Embeddings(expression=self.code(images))

    def predict(self, images: Tensor) -> Prediction:
        """The head on the code."""
        return self.head.prediction(self.code(images))

    def task_error(self, batch: Batch) -> Tensor:
        """The task's loss on the code."""
        return self.head.loss(self.head(self.code(batch.images)), batch)


def need_people(name: str, task: Task) -> None:
    """Refuse training faces of fewer than two people.

    Raises:
        MethodError: names the method.
    """
    if task.n_train_subjects < 2:
        raise MethodError(
            f"{name} needs at least two people among the training faces: these data name "
            f"{task.n_train_subjects or 'none'}."
        )
