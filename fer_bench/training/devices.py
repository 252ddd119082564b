"""The devices that train a run: one, or several with a process for each ("ranks").

Every rank holds the same weights, is given the whole batch and draws the same numbers. Backbones,
which take nearly all of the time, encode a part of the faces on each rank and sum the statistics
of their batch normalisation over the ranks; the feature maps are then gathered, so that losses,
pairs, marginal pairs and moving averages are those of one device. Gradients are averaged over the
ranks before any optimiser steps. Rank 0 alone writes the state.

The backward pass of a sum over ranks is the sum of its gradients over ranks: gradients are those
of the sum of the equal losses of all ranks, and their mean is that of one loss.

Lightning Fabric sets up process group, devices and precision. Gradients are averaged here, player
by player: DDP's own hooks wait for every parameter of the module, and a player's backward pass
reaches its own alone.
"""

from __future__ import annotations

import logging
import os
import socket
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, distributed, nn
from torch.nn import functional
from torch.overrides import TorchFunctionMode

from fer_bench.backbones import Backbone
from fer_bench.backbones.backbone import Encode
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


class _SumOverRanks(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, value: Tensor) -> Tensor:
        value = value.clone(memory_format=torch.contiguous_format)
        distributed.all_reduce(value)
        return value

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        return sum_over_ranks(gradients[0])


def sum_over_ranks(value: Tensor) -> Tensor:
    """The sum of a tensor over the ranks, and in the backward pass of its gradient."""
    total: Tensor = _SumOverRanks.apply(value)
    return total


class _WholeBatchNorm(TorchFunctionMode):
    """Inside, batch normalisation in training takes mean and variance over all ranks.

    `nn.SyncBatchNorm` runs on GPUs alone, and would not take the place of layers that derive from
    `nn.BatchNorm2d`, as some of timm's do.

    Args:
        share: of the batch that this rank has.
    """

    def __init__(self, share: float) -> None:
        super().__init__()
        self.share = share

    def __torch_function__(
        self, function: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        if function is functional.batch_norm:
            function = self._batch_norm
        return function(*args, **(kwargs or {}))

    def _batch_norm(
        self,
        x: Tensor,
        running_mean: Tensor | None,
        running_var: Tensor | None,
        weight: Tensor | None = None,
        bias: Tensor | None = None,
        training: bool = False,
        momentum: float = 0.1,
        eps: float = 1e-5,
    ) -> Tensor:
        if not training:
            return functional.batch_norm(
                x, running_mean, running_var, weight, bias, False, momentum, eps
            )
        axes, shape = [0, *range(2, x.dim())], [-1] + [1] * (x.dim() - 2)
        count = x.numel() / x.shape[1] / self.share
        wide = x.to(torch.promote_types(x.dtype, torch.float32))
        mean = sum_over_ranks(wide.sum(axes)) / count
        centred = wide - mean.view(shape)
        variance = sum_over_ranks(centred.square().sum(axes)) / count
        if running_mean is not None and running_var is not None:
            running_mean.lerp_(mean.detach(), momentum)
            running_var.lerp_(variance.detach() * (count / (count - 1)), momentum)
        scale = torch.rsqrt(variance + eps)
        normed = centred * (scale if weight is None else scale * weight).view(shape)
        return (normed if bias is None else normed + bias.view(shape)).to(x.dtype)


class _Spread:
    """Features of faces, each rank encoding its part of them.

    Args:
        rank, ranks: of this process, and how many there are.
        rng: of what a backbone itself draws (dropout), another one on each rank.
    """

    def __init__(self, rank: int, ranks: int, rng: np.random.Generator) -> None:
        self.rank = rank
        self.ranks = ranks
        self.rng = rng

    def __call__(self, encode: Encode, images: Tensor) -> Tensor:
        """[B, C, H, W] images, the same on all ranks -> feature map of all of them."""
        faces = len(images)
        if faces < self.ranks:
            return encode(images)
        first, last = (faces * r // self.ranks for r in (self.rank, self.rank + 1))
        gpus = [images.device.index] if images.device.type == "cuda" else []
        with torch.random.fork_rng(devices=gpus), _WholeBatchNorm((last - first) / faces):
            torch.manual_seed(int(self.rng.integers(2**63)))
            maps = encode(images[first:last])
        beside = [0, 0] * (maps.dim() - 1) + [first, faces - last]
        return sum_over_ranks(functional.pad(maps, beside))


@contextmanager
def spread_over_ranks(fabric: Fabric, backbones: Sequence[Backbone], *seed: int) -> Iterator[None]:
    """Inside, the ranks share the work of these backbones; batches are the same on all.

    Args:
        fabric: of this process.
        backbones: of the method.
        seed: of what backbones draw.
    """
    if fabric.world_size > 1:
        rng = np.random.default_rng([*seed, fabric.global_rank])
        for backbone in backbones:
            backbone.spread = _Spread(fabric.global_rank, fabric.world_size, rng)
    try:
        yield
    finally:
        for backbone in backbones:
            backbone.spread = None


def average_gradients(fabric: Fabric, parameters: Sequence[nn.Parameter]) -> None:
    """Replace the gradients of some parameters by their means over the ranks."""
    if fabric.world_size == 1:
        return
    gradients = [p.grad for p in parameters if p.grad is not None]
    total = sum_over_ranks(torch.cat([g.flatten() for g in gradients]))
    parts = (total / fabric.world_size).split([g.numel() for g in gradients])
    for gradient, part in zip(gradients, parts, strict=True):
        gradient.copy_(part.view_as(gradient))


def share_buffers(fabric: Fabric, module: nn.Module) -> None:
    """Give every rank the running statistics and other buffers of rank 0."""
    if fabric.world_size > 1:
        for buffer in module.buffers():
            distributed.broadcast(buffer, src=0)
