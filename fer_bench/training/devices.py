"""The devices that train a run: one, or several with a process for each ("ranks").

Every rank holds the same weights. It computes its players' losses on its part of each batch; the
gradients are averaged over the ranks before any optimiser steps. Rank 0 alone writes the state.

Lightning Fabric sets up process group, devices and precision. Gradients are averaged here, player
by player: DDP's own hooks wait for every parameter of the module, and a player's backward pass
reaches its own alone.
"""

from __future__ import annotations

import logging
import os
import socket
from collections.abc import Sequence
from functools import cache
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, distributed, nn

from fer_bench.errors import MethodError
from fer_bench.experiment import TrainingSpec

if TYPE_CHECKING:
    from lightning_fabric import Fabric


def training_device(training: TrainingSpec) -> torch.device:
    """The device that is asked for; "auto" takes CUDA where there is one, else the CPU.

    Raises:
        MethodError: CUDA is asked for and there is none.
    """
    there = training.device != "cpu" and torch.cuda.is_available()
    if training.device == "cuda" and not there:
        raise MethodError("training.device is 'cuda' but this machine has no CUDA device.")
    return torch.device("cuda", 0) if there else torch.device("cpu")


def make_fabric(training: TrainingSpec) -> Fabric:
    """Fabric on one device of the kind that is asked for.

    Raises:
        MethodError: CUDA is asked for and there is none.
    """
    return _fabric(training_device(training).type, _precision(training))


@cache  # making one reads the metadata of every installed package
def _fabric(accelerator: str, precision: Any) -> Fabric:
    from lightning_fabric import Fabric  # and with it torch's compiler: who plans needs neither
    from lightning_fabric.plugins.environments.lightning import LightningEnvironment

    _quiet()
    here = LightningEnvironment()  # else it takes a Slurm job for its own
    return Fabric(accelerator=accelerator, devices=1, precision=precision, plugins=here)


def _precision(training: TrainingSpec) -> Any:
    return {"32": "32-true"}.get(training.precision, training.precision)


def _quiet() -> None:
    logging.getLogger("lightning_fabric").setLevel(logging.WARNING)  # our history says it all


def check_devices(training: TrainingSpec) -> None:
    """Refuse more devices than this process sees.

    Raises:
        MethodError: there are not as many GPUs.
    """
    there = torch.cuda.device_count()
    if training_device(training).type == "cuda" and there < training.devices:
        raise MethodError(
            f"training.devices is {training.devices}, and the GPUs that this run sees are {there}: "
            "set it to that, or give the run more of them."
        )


def free_port() -> int:
    """A port of this machine at which ranks can meet."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()[1]


def rank_fabric(training: TrainingSpec, rank: int, port: int) -> Fabric:
    """Fabric in one of the processes of a run, once all of them have met.

    Args:
        training: devices and precision.
        rank: of this process.
        port: where the ranks of this run meet.
    """
    from lightning_fabric import Fabric
    from lightning_fabric.plugins.environments.lightning import LightningEnvironment
    from lightning_fabric.strategies.ddp import DDPStrategy

    os.environ.update(LOCAL_RANK=str(rank), MASTER_ADDR="127.0.0.1", MASTER_PORT=str(port))
    _quiet()
    fabric = Fabric(
        accelerator=training_device(training).type,
        devices=training.devices,
        strategy=DDPStrategy(broadcast_buffers=False),
        precision=_precision(training),
        plugins=LightningEnvironment(),
    )
    fabric.launch()
    return fabric


def rank_mean(fabric: Fabric, value: Tensor) -> Tensor:
    """The mean of a tensor over the ranks."""
    mean = fabric.all_reduce(value)
    assert isinstance(mean, Tensor)
    return mean


def average_gradients(fabric: Fabric, parameters: Sequence[nn.Parameter]) -> None:
    """Replace the gradients of some parameters by their means over the ranks.

    A parameter that the part of one rank does not reach has a gradient of 0 there.
    """
    if fabric.world_size == 1:
        return
    for parameter in parameters:
        if parameter.grad is None:
            parameter.grad = torch.zeros_like(parameter)
    gradients = [p.grad for p in parameters if p.grad is not None]
    mean = rank_mean(fabric, torch.cat([g.flatten() for g in gradients]))
    parts = mean.split([g.numel() for g in gradients])
    for gradient, part in zip(gradients, parts, strict=True):
        gradient.copy_(part.view_as(gradient))


def share_buffers(fabric: Fabric, module: nn.Module) -> None:
    """Give every rank the running statistics and other buffers of rank 0."""
    if fabric.world_size > 1:
        for buffer in module.buffers():
            distributed.broadcast(buffer, src=0)
