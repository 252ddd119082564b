"""Checkpoints as safetensors: no pickle is written, none is read.

A resume file holds the model, the best state so far, the optimisers, and, as JSON in the
header, where training stood. It is one file, replaced atomically.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from fer_bench.atomic import atomic_path
from fer_bench.cautions import Caution, as_cautions
from fer_bench.errors import RunError

State = dict[str, Tensor]
Standing = tuple[float, float]  # of an epoch: validation score, then minus the validation loss


@dataclass
class Position:
    """Where training stands; everything that is not a tensor.

    Attributes:
        stage: index of the stage being trained.
        epoch: epochs finished in it.
        best: highest standing of an epoch by the validation rule so far, None before the first.
        best_epoch: when it was reached (1-based), 0 before the first.
        history: rows (stage, epoch, split, player, term, value).
        stages: summaries of finished stages.
        images_seen: faces passed through training losses.
        seconds: time spent before this process.
        cautions: collected so far.
    """

    stage: int = 0
    epoch: int = 0
    best: Standing | None = None
    best_epoch: int = 0
    history: list[list[Any]] = field(default_factory=list)
    stages: list[dict[str, Any]] = field(default_factory=list)
    images_seen: int = 0
    seconds: float = 0.0
    cautions: list[Caution] = field(default_factory=list)

    def is_best(self, standing: Standing) -> bool:
        """Whether no earlier epoch stands higher: of equal ones the later is kept."""
        return self.best is None or standing >= self.best

    def note(self, cautions: Iterable[Caution | str]) -> None:
        """Record each of them once."""
        self.cautions = list(as_cautions([*self.cautions, *cautions]))

    def to_json(self) -> dict[str, Any]:
        """Plain JSON types."""
        return asdict(self) | {"cautions": [caution.to_json() for caution in self.cautions]}

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Position:
        """Inverse of `to_json`."""
        best, cautions = content["best"], content["cautions"]
        typed = {
            "best": tuple(best) if best else None,
            "cautions": [Caution.from_json(caution) for caution in cautions],
        }
        return cls(**{**content, **typed})


def copy_state(module: nn.Module) -> State:
    """A copy of all parameters and buffers on the CPU."""
    return {key: value.detach().cpu().clone() for key, value in module.state_dict().items()}


def save_resume(
    path: Path,
    position: Position,
    model: nn.Module,
    best: State | None,
    optimizers: Mapping[str, torch.optim.Optimizer],
) -> None:
    """Write everything needed to go on, atomically."""
    tensors = {f"model/{k}": v for k, v in copy_state(model).items()}
    tensors |= {f"best/{k}": v.clone() for k, v in (best or {}).items()}
    for name, optimizer in optimizers.items():
        for index, slots in optimizer.state_dict()["state"].items():
            for slot, value in slots.items():
                tensor = torch.as_tensor(value).detach().cpu().clone()
                tensors[f"optimizer/{name}/{index}/{slot}"] = tensor
    with atomic_path(path) as aside:
        save_file(
            {key: value.contiguous() for key, value in tensors.items()},
            aside,
            metadata={"position": json.dumps(position.to_json())},
        )


@dataclass(frozen=True)
class Resume:
    """The content of a resume file."""

    position: Position
    model: State
    best: State | None
    optimizers: dict[str, dict[int, dict[str, Tensor]]]


def load_resume(path: Path) -> Resume | None:
    """Read a resume file; None if there is none or it cannot be read (then training restarts)."""
    if not path.exists():
        return None
    try:
        with safe_open(path, framework="pt") as file:
            position = Position.from_json(json.loads(file.metadata()["position"]))
            tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
    except Exception:  # damaged by whatever killed the machine: the run simply starts afresh
        return None
    groups: dict[str, Any] = {"model": {}, "best": {}, "optimizer": {}}
    for key, tensor in tensors.items():
        kind, _, rest = key.partition("/")
        if kind != "optimizer":
            groups[kind][rest] = tensor
            continue
        name, index, slot = rest.rsplit("/", 2)
        groups[kind].setdefault(name, {}).setdefault(int(index), {})[slot] = tensor
    return Resume(position, groups["model"], groups["best"] or None, groups["optimizer"])


def restore_optimizer(
    optimizer: torch.optim.Optimizer, state: dict[int, dict[str, Tensor]]
) -> None:
    """Put saved moments back into a fresh optimiser of the same parameters."""
    fresh = optimizer.state_dict()
    optimizer.load_state_dict({"state": state, "param_groups": fresh["param_groups"]})


def load_weights(path: Path, module: nn.Module) -> None:
    """Load a published `model.safetensors` into a module built from the same spec.

    Raises:
        RunError: the file cannot be read, or its keys are not the module's.
    """
    try:
        with safe_open(path, framework="pt") as file:
            state = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
        module.load_state_dict(state)
    except Exception as error:
        raise RunError(f"the checkpoint {str(path)!r} does not fit the method: {error}.") from None
