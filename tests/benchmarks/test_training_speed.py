"""The harness against a bare PyTorch loop over tensors that are in memory already.

Both train the same network on the same faces with the same optimiser, in turn. The median ratio of
neighbouring rounds is kept in `extra_info["bare_over_harness"]`. Aim: 0.95, a harness that costs
5 %.
"""

import statistics
import time

import numpy as np
import pandas as pd
import pytest
import torch
from torch.nn import functional

from fer_bench import registry
from fer_bench.data import FaceData
from fer_bench.data.augment import normalise
from fer_bench.experiment import TrainingSpec
from fer_bench.training.batches import Batcher, make_task
from fer_bench.training.loop import Trainer

N, SIZE, BATCH, EPOCHS, ROUNDS = 1024, 64, 64, 3, 31


@pytest.fixture(scope="module")
def faces():
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (N, SIZE, SIZE, 3), dtype=np.uint8)
    classes = np.array(["neutral", "happiness", "sadness", "anger"])
    table = pd.DataFrame(
        {"expression": classes[rng.integers(0, 4, N)], "subject": [f"s{i % 32}" for i in range(N)]}
    )
    return FaceData(images, table)


def harness(faces, task, training):
    erm = registry.methods.get("erm")
    batcher = Batcher(faces, task, training, torch.device("cpu"))
    rows = np.arange(N)
    trainer = Trainer(
        erm(task, erm.Config()),
        batcher=batcher,
        train=rows,
        validation=rows[:0],
        seed=0,
    )
    trainer.run()


def bare(images, labels, task, training):
    erm = registry.methods.get("erm")
    method = erm(task, erm.Config())
    optimizer = torch.optim.Adam(method.parameters(), lr=training.lr, fused=True)
    method.train()
    for _ in range(EPOCHS):
        order = torch.randperm(N)
        for start in range(0, N, BATCH):
            index = order[start : start + BATCH]
            logits = method.predict(images[index]).logits
            loss = functional.cross_entropy(logits, labels[index])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()


def test_harness_against_a_bare_loop(benchmark, faces):
    training = TrainingSpec(epochs=EPOCHS, batch_size=BATCH, augment="none", clip=0, device="cpu")
    task = make_task(faces, np.arange(N))
    pixels = torch.from_numpy(faces.gather(np.arange(N))).permute(0, 3, 1, 2)
    images, labels = normalise(pixels, training.normalise), torch.as_tensor(faces.expression)
    bare_s = []

    def alternate():
        started = time.perf_counter()
        bare(images, labels, task, training)
        bare_s.append(time.perf_counter() - started)

    # The bare loop runs before every round, so that a drifting machine hits both alike.
    benchmark.pedantic(
        lambda: harness(faces, task, training),
        setup=alternate,
        rounds=ROUNDS,
        warmup_rounds=1,
    )
    rounds = zip(bare_s[1:], benchmark.stats.stats.data, strict=True)
    ratio = statistics.median(bare / harness for bare, harness in rounds)
    benchmark.extra_info["bare_over_harness"] = round(ratio, 3)
    benchmark.extra_info["harness_faces_per_s"] = round(N * EPOCHS / benchmark.stats.stats.median)
    print(f"\nbare loop / harness: {ratio:.3f}")
