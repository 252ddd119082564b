"""A trained method in one safetensors file: weights, saved arrays, and JSON in the header."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from fer_bench.arrays import PartArrays
from fer_bench.atomic import atomic_path
from fer_bench.cautions import Caution
from fer_bench.errors import MethodError
from fer_bench.labels import read_label_table
from fer_bench.method import Task

_HEADER = "fer-bench recognizer"


@dataclass(frozen=True)
class Saved:
    """What is needed to go on with a trained method.

    Attributes:
        parameters: of the `Recognizer`.
        task: the method was built for.
        reader: fields of its `FaceReader`.
        cautions: of its training.
        state: weights and buffers.
        parts: arrays of the faces it was trained and selected on.
    """

    parameters: Mapping[str, Any]
    task: Task
    reader: Mapping[str, Any]
    cautions: tuple[Caution, ...]
    state: Mapping[str, Tensor]
    parts: Mapping[str, PartArrays]

    def write(self, path: Path) -> None:
        """Write the file, atomically."""
        tensors = {f"model/{key}": value.contiguous() for key, value in self.state.items()}
        for name, part in self.parts.items():
            tensors |= {f"part/{name}/{key}": value for key, value in _tensors(part).items()}
        about = {
            "parameters": self.parameters,
            "task": asdict(self.task),
            "reader": self.reader,
            "cautions": [caution.to_json() for caution in self.cautions],
        }
        path.parent.mkdir(parents=True, exist_ok=True)
        with atomic_path(path) as aside:
            save_file(tensors, aside, metadata={_HEADER: json.dumps(about, default=list)})

    @classmethod
    def read(cls, path: Path) -> Saved:
        """Inverse of `write`.

        Raises:
            MethodError: the file is missing, or is not one of those.
        """
        try:
            with safe_open(path, framework="pt") as file:
                about = json.loads(file.metadata()[_HEADER])
                tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
        except (OSError, SafetensorError, KeyError, TypeError, ValueError):
            raise MethodError(
                f"{path} is no saved recognizer: give a file that Recognizer.save wrote."
            ) from None
        task = _task(about["task"])
        names = dict.fromkeys(key.split("/")[1] for key in tensors if key.startswith("part/"))
        return cls(
            about["parameters"],
            task,
            about["reader"],
            tuple(map(Caution.from_json, about["cautions"])),
            _below("model", tensors),
            {name: _part(name, _below(f"part/{name}", tensors), task.classes) for name in names},
        )


def _tensors(part: PartArrays) -> dict[str, Tensor]:
    """A part as tensors, its table of labels as the bytes of a Parquet file."""
    table = BytesIO()
    part.labels.to_parquet(table, index=False)
    labels = np.frombuffer(table.getvalue(), dtype=np.uint8).copy()
    return {k: torch.from_numpy(v) for k, v in (part.stored | {"labels": labels}).items()}


def _part(name: str, tensors: Mapping[str, Tensor], classes: tuple[str, ...]) -> PartArrays:
    stored = {key: value.numpy() for key, value in tensors.items()}
    labels = read_label_table(BytesIO(stored["labels"].tobytes()))
    return PartArrays.of_stored(name, stored, labels, classes)


def _below(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    start = prefix + "/"
    return {k.removeprefix(start): v for k, v in tensors.items() if k.startswith(start)}


def _task(content: Mapping[str, Any]) -> Task:
    """Inverse of `asdict`, after JSON."""
    task: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in content.items()}
    task["attributes"] = {name: tuple(levels) for name, levels in content["attributes"].items()}
    return Task(**task)
