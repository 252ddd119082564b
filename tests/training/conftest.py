from typing import NamedTuple

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from fer_bench.experiment import TrainingSpec
from fer_bench.method import Embeddings, Method, MethodInfo, Player, Prediction, Stage
from fer_bench.training.batches import Batcher, make_task
from fer_bench.training.loop import Trainer


class TwoPlayers(Method):
    """An encoder with a head, and a rival that reads the subject from the embedding."""

    info = MethodInfo(name="two-players", title="Two players")

    def __init__(self, task, config):
        super().__init__(task, config)
        channels, height, width = task.shape
        self.encoder = nn.Sequential(nn.Flatten(), nn.Linear(channels * height * width, 16))
        self.norm = nn.BatchNorm1d(16)
        self.head = nn.Linear(16, len(task.classes))
        self.rival = nn.Linear(16, max(1, task.n_train_subjects))

    def stages(self):
        rival = Player("rival", [self.rival], self.rival_loss)
        return [
            Stage("game", players=[Player("encoder", [self.encoder, self.head], self.loss), rival]),
            Stage(
                "pairs",
                players=[Player("head", [self.head], self.pair_loss)],
                batch="pairs",
                frozen=[self.encoder, self.norm],
                share=0.5,
                select="loss",
            ),
        ]

    def features(self, images):
        return self.norm(self.encoder(images))

    def loss(self, batch):
        logits = self.head(self.features(batch.images))
        return {"total": functional.cross_entropy(logits, batch.expression)}

    def rival_loss(self, batch):
        known = (batch.subject >= 0) & (batch.subject < self.task.n_train_subjects)
        logits = self.rival(self.features(batch.images))
        return {"total": functional.cross_entropy(logits[known], batch.subject[known])}

    def pair_loss(self, batch):
        assert batch.partner is not None
        both = torch.cat([batch.images, batch.partner.images])
        truth = torch.cat([batch.expression, batch.partner.expression])
        return {"total": functional.cross_entropy(self.head(self.features(both)), truth)}

    def embed(self, images):
        return Embeddings(self.features(images))

    def predict(self, images):
        return Prediction(self.head(self.features(images)))


@pytest.fixture
def two_players():
    return TwoPlayers


class Rows(NamedTuple):
    train: np.ndarray
    validation: np.ndarray


@pytest.fixture
def parts(small_faces):
    held_out = np.isin(small_faces.subject, [0, 1, 2])
    return Rows(np.flatnonzero(~held_out), np.flatnonzero(held_out))


@pytest.fixture
def make_trainer(small_faces, parts):
    """Build (method, trainer) for an adapter class on the small faces."""

    def make(adapter, *, seed=0, resume=None, on_epoch=None, data=None, **training):
        faces = data if data is not None else small_faces
        spec = TrainingSpec(**{"epochs": 4, "batch_size": 32, "device": "cpu"} | training)
        task = make_task(faces, parts.train, target=spec.target)
        torch.manual_seed(seed)
        method = adapter(task, adapter.Config())
        batcher = Batcher(faces, task, spec, torch.device("cpu"))
        trainer = Trainer(
            method,
            batcher=batcher,
            train=parts.train,
            validation=parts.validation,
            seed=seed,
            resume=resume,
            on_epoch=on_epoch,
        )
        return method, trainer

    return make
