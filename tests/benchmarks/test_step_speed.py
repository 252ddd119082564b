"""A training step taken apart: pair sampling and augmentation beside forward and backward.

Both sides are timed in one process, in seconds of processor time, in turn. `extra_info` holds the
median milliseconds of each part, the share of the data (aim: at most 0.10), and, for DICE-FER, what
critics cost beside the encoder alone::

    OMP_NUM_THREADS=1 pytest -q -s tests/benchmarks/test_step_speed.py --benchmark-only \
        -o addopts=--import-mode=importlib
"""

import statistics
import time
from collections import defaultdict

import numpy as np
import pytest
import torch

from fer_bench import registry
from fer_bench.data import load_dataset
from fer_bench.experiment import TrainingSpec
from fer_bench.training.batches import Batcher, EpochPlan, make_task
from fer_bench.training.loop import frozen, make_optimizer, set_modes

STEPS = 7


class Clock:
    """Processor time of named parts, over several steps."""

    def __init__(self):
        self.parts = defaultdict(list)

    def time(self, name, part):
        started = time.process_time()
        value = part()
        self.parts[name].append(time.process_time() - started)
        return value

    def ms(self):
        return {name: 1e3 * statistics.median(values) for name, values in self.parts.items()}


def steps(name, size, augment):
    """Milliseconds a step of the first image or pair stage that trains an encoder."""
    data = load_dataset("generated", size=size, subjects=32, images_per_subject=28)
    rows, spec = np.arange(len(data)), TrainingSpec(augment=augment, device="cpu")
    task = make_task(data, rows)
    batcher = Batcher(data, task, spec, torch.device("cpu"))
    adapter = registry.methods.get(name)
    method = adapter(task, adapter.Config())
    stage = next(s for s in method.stages() if s.name in ("expression", "train"))
    plan = EpochPlan(data, rows, batch_size=64, pairs=stage.batch == "pairs")
    optimizers = [make_optimizer(player, 1e-3) for player in stage.players]
    generator, clock = torch.Generator().manual_seed(0), Clock()
    with frozen(method, stage):
        set_modes(method, stage)
        batches = plan.epoch(0)
        for _ in range(STEPS):
            anchors, partners = clock.time("sampling", lambda: next(batches))
            batch = clock.time(
                "batch and augmentation",
                lambda a=anchors, p=partners: batcher.batch(a, partners=p, generator=generator),
            )
            for player, optimizer in zip(stage.players, optimizers, strict=True):
                loss = clock.time("forward", lambda p=player, b=batch: p.loss(b)["total"])
                optimizer.zero_grad()
                owned = player.parameters()
                clock.time("backward", lambda x=loss, o=owned: x.backward(inputs=o))
                clock.time("optimiser", optimizer.step)
            if name == "dice-fer":
                images = torch.cat([batch.images, batch.partner.images])
                weights = list(method.expression.parameters())
                clock.time(
                    "encoder alone",
                    lambda i=images, w=weights: method.expression(i).sum().backward(inputs=w),
                )
    return clock.ms()


@pytest.mark.parametrize("augment", ["flip", "rotations", "affine"])
@pytest.mark.parametrize("size", [48, 112])
@pytest.mark.parametrize("name", ["erm", "eif", "dice-fer"])
def test_what_a_step_takes(benchmark, name, size, augment):
    parts = benchmark.pedantic(lambda: steps(name, size, augment), rounds=1)
    network = parts["forward"] + parts["backward"]
    share = (parts["sampling"] + parts["batch and augmentation"]) / network
    benchmark.extra_info |= {part: round(ms, 2) for part, ms in parts.items()}
    benchmark.extra_info["data_over_network"] = round(share, 3)
    said = f"data {share:.1%} of forward and backward"
    if "encoder alone" in parts:
        cost = network / parts["encoder alone"] - 1
        benchmark.extra_info["critics_over_encoder"] = round(cost, 3)
        said += f", critics {cost:.0%} of the encoder"
    print(f"\n{name} {size} px {augment}: {said}")
