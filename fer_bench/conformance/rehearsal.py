"""Trains a stage on one batch, without the training loop."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import replace

import torch

from fer_bench.method import Batch, Method, Player, Stage
from fer_bench.normalisers import estimating_statistics
from fer_bench.training.loop import frozen, set_modes


def copied(method: Method, stage: Stage) -> tuple[Method, Stage]:
    """A copy of the method, with the same stage of that copy."""
    copy = deepcopy(method)
    return copy, next(s for s in copy.stages() if s.name == stage.name)


def play(
    method: Method,
    stage: Stage,
    batch: Batch,
    *,
    steps: int,
    players: Sequence[Player] | None = None,
) -> None:
    """Train the players of a stage on one batch, each on its own parameters.

    Args:
        method, stage, batch: what is trained, in place, and on which faces.
        steps: rounds, in which every player takes one step.
        players: to train; all of the stage by default.
    """
    players = stage.players if players is None else players
    batch = batch if stage.batch == "pairs" else replace(batch, partner=None)
    optimizers = [torch.optim.Adam(p.parameters(), lr=1e-3) for p in players]
    if stage.on_start is not None:
        stage.on_start(steps)
    with training_mode(method, stage):
        for step in range(steps):
            if stage.on_step is not None:
                stage.on_step(step / steps)
            for player, optimizer in zip(players, optimizers, strict=True):
                player.loss(batch)["total"].backward(inputs=player.parameters())
                optimizer.step()
                optimizer.zero_grad(set_to_none=True)


@torch.no_grad()
def estimate_statistics(method: Method, stage: Stage, batch: Batch) -> None:
    """Estimate the running statistics of the modules that a stage trained, from one batch."""
    set_modes(method, stage)
    with estimating_statistics(method):
        for player in stage.players:
            player.loss(batch)


@contextmanager
def training_mode(method: Method, stage: Stage) -> Iterator[None]:
    """Put a method into training mode, with the frozen modules of the stage in evaluation mode."""
    with frozen(method, stage):
        set_modes(method, stage)
        try:
            yield
        finally:
            method.eval()
