"""What the processes of several devices are given to do."""

import os
import signal
from pathlib import Path

import torch
from torch import nn
from torch.nn import functional

from fer_bench.method import Embeddings, Method, MethodInfo, Player, Prediction, Stage
from fer_bench.sweep import worker
from fer_bench.training import loop


def gradient_descent(player, lr, fused=True):
    """In place of Adam, which makes steps of one size of gradients that are 0 but for rounding."""
    optimizer = torch.optim.SGD(player.parameters(), lr=lr)
    optimizer.param_groups[0]["base_lr"] = lr
    return optimizer


def descend(**arguments):
    """What the process of one of several devices does, by gradient descent."""
    loop.make_optimizer = gradient_descent
    worker._train_rank(**arguments)


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
