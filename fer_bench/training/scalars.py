"""Training figures for TensorBoard, while training goes on."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

from fer_bench.errors import MissingExtraError


class Scalars:
    """Writes rows of a training history as TensorBoard scalars, one file per run.

    `tensorboard --logdir <results>/tensorboard` shows them. The tag is
    "<stage>/<player>.<term>.<split>", the step is the epoch.

    Args:
        folder: of this run's event file.

    Raises:
        MissingExtraError: TensorBoard is not installed.
    """

    def __init__(self, folder: str | Path) -> None:
        require()
        from torch.utils.tensorboard import SummaryWriter

        self._writer = SummaryWriter(str(folder))

    def __call__(self, rows: Sequence[Sequence[Any]]) -> None:
        """Add rows (stage, epoch, split, player, term, value) and write them out."""
        for stage, epoch, split, player, term, value in rows:
            tag = re.sub(r"[^\w./ -]", "_", f"{stage}/{player}.{term}.{split}")
            self._writer.add_scalar(tag, float(value), int(epoch))
        self._writer.flush()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._writer.close()


def require() -> None:
    """Say how to get TensorBoard where it is not installed, before anything is trained."""
    try:
        import tensorboard  # noqa: F401
    except ImportError:
        raise MissingExtraError("tensorboard", "tensorboard", "report.tensorboard") from None
