"""`fer_bench.Recorder`: a few lines around anybody's evaluation loop write a file to evaluate."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fer_bench.atomic import atomic_path
from fer_bench.errors import DataError

_NAMES = {
    "expression": "E", "identity": "I", "labels": "expression", "subjects": "subject",
    "ids": "id", "file": "id", "files": "id", "path": "id", "paths": "id",
    "predictions": "prediction", "sequences": "sequence", "frames": "frame",
}  # fmt: skip


class Recorder:
    """Collects what an evaluation loop sees and writes one .npz file for `fer-bench evaluate`.

    Nothing is written if the loop raises.

    Args:
        path: the file, ending in .npz.
        classes: expression names in the order of the class scores.
        expression, identity: modules whose output is E or I; they are watched, so that the
            loop need not return them.

    >>> import tempfile, torch
    >>> net = torch.nn.Sequential(torch.nn.Linear(8, 4), torch.nn.ReLU(), torch.nn.Linear(4, 3))
    >>> file = Path(tempfile.mkdtemp()) / "mine.npz"
    >>> with Recorder(file, expression=net[1]) as record:
    ...     for batch in range(2):
    ...         images, labels = torch.rand(5, 8), torch.tensor([0, 1, 2, 0, 1])
    ...         record(logits=net(images), labels=labels, subjects=["a"] * 5)
    >>> sorted(np.load(file)), np.load(file)["E"].shape
    (['E', 'expression', 'logits', 'subject'], (10, 4))
    """

    def __init__(
        self,
        path: str | Path,
        *,
        classes: Sequence[str] | None = None,
        expression: Any = None,
        identity: Any = None,
    ) -> None:
        self.path = Path(path)
        if self.path.suffix != ".npz":
            raise DataError(f"a recorder writes .npz files: name {str(self.path)!r} so.")
        self.classes = None if classes is None else list(classes)
        self._watched = {"E": expression, "I": identity}
        self._handles: list[Any] = []
        self._waiting: dict[str, list[NDArray[Any]]] = {}
        self._batches: dict[str, list[NDArray[Any]]] = {}

    def __enter__(self) -> Recorder:
        for name, module in self._watched.items():
            if module is not None:
                self._handles.append(module.register_forward_hook(self._hook(name)))
        return self

    def __call__(self, **values: Any) -> None:
        """Record one batch: every value has one entry (a row) an image.

        Args:
            values: `expression` and `identity` [B, d], `logits` [B, c], `predictions`, `labels`,
                `subjects`, `ids`, `split`, `sequences`, `frames`, `valence`, `arousal` [B], or
                attributes by any name; tensors, arrays or lists.

        Raises:
            DataError: values differ in length, or a name was not there in the batches before.
        """
        batch = {_NAMES.get(name, name): as_array(v, name) for name, v in values.items()}
        batch |= {name: _joined(parts) for name, parts in self._waiting.items()}
        self._waiting = {}
        lengths = {name: len(value) for name, value in batch.items()}
        if len(set(lengths.values())) > 1:
            each = ", ".join(f"{name} {length}" for name, length in lengths.items())
            raise DataError(f"a batch has values of different lengths: {each}.")
        if self._batches and set(batch) != set(self._batches):
            changed = sorted(set(batch) ^ set(self._batches))
            raise DataError(f"batches must hold the same names: {changed[0]!r} is not in all.")
        for name, value in batch.items():
            self._batches.setdefault(name, []).append(value)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        for handle in self._handles:
            handle.remove()
        self._handles.clear()
        if kind is not None:
            return
        if not self._batches:
            raise DataError(
                f"nothing was recorded for {str(self.path)!r}: call the recorder once a batch."
            )
        arrays = {name: _joined(parts) for name, parts in self._batches.items()}
        if self.classes is not None:
            arrays["classes"] = np.array(self.classes, dtype=str)
        with atomic_path(self.path) as aside, aside.open("wb") as file:
            np.savez(file, allow_pickle=False, **arrays)

    def _hook(self, name: str) -> Any:
        def keep(_module: Any, _inputs: Any, output: Any) -> None:
            value = as_array(output[0] if isinstance(output, tuple) else output, name)
            self._waiting.setdefault(name, []).append(value.reshape(len(value), -1))

        return keep


def as_array(value: Any, name: str) -> NDArray[Any]:
    """A tensor, array or list as an array without pickled objects; text as text.

    Raises:
        DataError: rows of a list differ in length.
    """
    if hasattr(value, "detach"):
        value = value.detach().cpu()
        value = (value.float() if value.is_floating_point() else value).numpy()
    try:
        array = np.asarray(value)
    except ValueError:
        raise DataError(f"{name}: its rows have different lengths.") from None
    if array.dtype == object or array.dtype.kind == "O" or hasattr(value, "isna"):
        flat = [_plain(item) for item in array.ravel()]
        if all(isinstance(item, (int, float, bool)) for item in flat):
            return np.array(flat).reshape(array.shape)
        return np.array(["" if i is None else str(i) for i in flat], dtype=str).reshape(array.shape)
    return array


def _plain(item: Any) -> Any:
    if hasattr(item, "item"):
        return item.item()
    return None if item is None or item != item else item


def _joined(parts: Sequence[NDArray[Any]]) -> NDArray[Any]:
    return np.concatenate(list(parts), axis=0)
