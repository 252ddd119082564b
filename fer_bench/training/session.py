"""One method with its faces: built, trained, loaded and embedded in one place."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Unpack

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from fer_bench.arrays import PartArrays
from fer_bench.data.faces import FaceData
from fer_bench.errors import MethodError
from fer_bench.experiment import TrainingSpec
from fer_bench.method import Method, Task
from fer_bench.training.batches import Batcher, Rows, make_task
from fer_bench.training.checkpoint import Position, load_weights
from fer_bench.training.devices import training_device
from fer_bench.training.extract import extract
from fer_bench.training.loop import Course, Trainer, materialise, seed_everything


@dataclass(frozen=True)
class Session:
    """A method and the batches it sees.

    Attributes:
        method: built for the task of the training faces.
        batcher: batches of the data set.
        seed: of the run.
    """

    method: Method
    batcher: Batcher
    seed: int = 0

    @classmethod
    def build(
        cls,
        adapter: type[Method],
        config: Any,
        data: FaceData,
        train: Rows,
        *,
        training: TrainingSpec,
        seed: int = 0,
        device: torch.device | None = None,
    ) -> Session:
        """A freshly initialised method on these faces.

        Args:
            adapter, config: the method and its parameters.
            data: the faces.
            train: rows that are trained on: they decide which subjects a head can know.
            training: budget, augmentation, device.
            seed: the initial weights depend on it alone.
            device: of the batches; by default the one that `training` asks for.
        """
        task = make_task(data, train, target=training.target)
        batcher = Batcher(data, task, training, device or training_device(training))
        return cls(build_method(adapter, config, task, seed=seed), batcher, seed)

    @classmethod
    def restored(
        cls,
        adapter: type[Method],
        config: Any,
        task: Task,
        state: Mapping[str, Tensor],
        *,
        training: TrainingSpec,
        seed: int = 0,
    ) -> Session:
        """A trained method again, without the faces it was trained on.

        Args:
            adapter, config, task: the method, its parameters and what it was built for.
            state: its weights and buffers.
            training: of the batches that will be embedded.
            seed: of the run.

        Raises:
            MethodError: the state does not fit the method.
        """
        channels, height, width = task.shape
        blank = FaceData(
            np.zeros((2, height, width, channels), np.uint8), pd.DataFrame(index=range(2))
        )
        batcher = Batcher(blank, task, training, training_device(training))
        session = cls(build_method(adapter, config, task, seed=seed), batcher, seed)
        session.method.to(batcher.device)
        materialise(session.method, batcher.batch(np.arange(2)))
        try:
            session.method.load_state_dict(dict(state))
        except RuntimeError as error:
            raise MethodError(
                f"the saved weights do not fit {adapter.info.title} as it is now: {error}"
            ) from None
        return session

    def train(self, train: Rows, validation: Rows, **course: Unpack[Course]) -> Position:
        """Train all stages of the method; see `Trainer`."""
        return Trainer(
            self.method,
            batcher=self.batcher,
            train=train,
            validation=validation,
            seed=self.seed,
            **course,
        ).run()

    def load(self, path: Path, rows: Rows) -> None:
        """Load published weights; `rows` are faces that give lazy modules their shapes.

        Raises:
            RunError: the weights do not fit the method.
        """
        materialise(self.method, self.batcher.batch(rows[:2]))
        load_weights(path, self.method)

    def extract(
        self, rows: Rows, *, name: str, data: FaceData | None = None, draw: bool = False
    ) -> PartArrays:
        """The saved arrays of some faces, of this data set or of another one; see `extract`."""
        batcher = self.batcher
        if data is not None:
            batcher = Batcher(data, self.method.task, batcher.training, batcher.device)
        return extract(self.method, batcher, rows, name=name, draw=draw)


def build_method(adapter: type[Method], config: Any, task: Task, *, seed: int) -> Method:
    """A freshly initialised method; its weights depend on the seed alone."""
    seed_everything(seed)
    return adapter(task, config)
