"""Sizes against closed forms: a network whose parameters and products can be counted by hand."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from fer_bench import registry
from fer_bench.experiment import TrainingSpec
from fer_bench.method import Embeddings, Method, MethodInfo, Prediction
from fer_bench.training.batches import Batcher, make_task
from fer_bench.training.size import model_size


class Counted(Method):
    """A convolution, a linear layer, and a critic that no prediction needs."""

    info = MethodInfo(name="counted", title="Counted")
    predicts = True

    def __init__(self, task, config):
        super().__init__(task, config)
        self.conv = nn.Conv2d(3, 4, 3, padding=1, bias=False)
        self.head = nn.Linear(4, len(task.classes))
        self.critic = nn.Linear(100, 100)
        self.requires_grad_(False)  # frozen parameters count as well

    def embed(self, images):
        return Embeddings(self.conv(images).mean((2, 3)))

    def predict(self, images):
        code = self.embed(images).expression
        return Prediction(self.head(code)) if self.predicts else Prediction()


@pytest.fixture
def batcher(small_faces):
    task = make_task(small_faces, np.arange(len(small_faces)))
    return Batcher(small_faces, task, TrainingSpec(), torch.device("cpu"))


def test_size_of_a_network_counted_by_hand(batcher):
    task = make_task(batcher.data, np.arange(len(batcher.data)))
    size = model_size(Counted(task, None), batcher)
    _, height, width = batcher.data.shape
    classes = len(task.classes)
    assert size["parameters"] == 4 * 27 + 4 * classes + classes
    assert size["multiply_adds"] == 4 * 27 * height * width + 4 * classes
    assert size["images_per_s"] > 0


def test_an_oracle_has_no_parameters(batcher):
    oracle = registry.methods.get("oracle-label")
    method = oracle(make_task(batcher.data, np.arange(7)), oracle.Config())
    assert model_size(method, batcher)["parameters"] == 0


def test_without_a_prediction_the_embedding_is_measured(batcher):
    method = Counted(make_task(batcher.data, np.arange(7)), None)
    method.predicts = False
    assert model_size(method, batcher)["parameters"] == 4 * 27
