"""Methods for several devices: without batch statistics, so that parts of a batch add up."""

import os
import signal
from pathlib import Path

from torch import nn
from torch.nn import functional

from fer_bench.method import Embeddings, Method, MethodInfo, Player, Prediction, Stage


class Linear(Method):
    """Two stages; at the start of the second, the second rank may die."""

    info = MethodInfo(name="linear", title="Linear", data_parallel=True)

    class Config(Method.Config):
        """Attributes:
        fatal: file that must be there, or else the second rank makes it and dies.
        """

        fatal: str = ""

    def __init__(self, task, config):
        super().__init__(task, config)
        self.encoder = nn.Sequential(nn.Flatten(), nn.LazyLinear(8))
        self.head = nn.Linear(8, len(task.classes))

    def stages(self):
        modules = [self.encoder, self.head]
        return [
            Stage("first", players=[Player("all", modules, self.loss)]),
            Stage("second", players=[Player("head", modules[1:], self.loss)], on_start=self.die),
        ]

    def die(self, steps):
        second_rank = os.environ.get("LOCAL_RANK") == "1"
        if self.config.fatal and second_rank and not Path(self.config.fatal).exists():
            Path(self.config.fatal).touch()
            os.kill(os.getpid(), signal.SIGKILL)

    def loss(self, batch):
        logits = self.head(self.encoder(batch.images))
        return {"total": functional.cross_entropy(logits, batch.expression)}

    def embed(self, images):
        return Embeddings(self.encoder(images))

    def predict(self, images):
        return Prediction(self.head(self.encoder(images)))
