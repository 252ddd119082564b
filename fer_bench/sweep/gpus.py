"""Which GPU a run has, and how many runs share one."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass

_VISIBLE = "CUDA_VISIBLE_DEVICES"


@dataclass(frozen=True)
class Gpu:
    """The GPU of one process.

    Attributes:
        name: as CUDA_VISIBLE_DEVICES has it: a number or a UUID.
        share: of its memory that the process may use.
    """

    name: str
    share: float = 1.0

    def hide_others(self) -> None:
        """Let this process, which has not used CUDA yet, see this GPU alone."""
        os.environ[_VISIBLE] = self.name

    def limit_memory(self) -> None:
        """Refuse this process more than its share: it fails, not those beside it."""
        import torch

        if self.share < 1 and torch.cuda.is_available():
            torch.cuda.set_per_process_memory_fraction(self.share)


def visible_gpus() -> tuple[str, ...]:
    """Names of the GPUs that this process may use; none of them is touched."""
    import torch

    count = torch.cuda.device_count()
    named = [name.strip() for name in os.environ.get(_VISIBLE, "").split(",")]
    return tuple(named[:count] if any(named) else map(str, range(count)))


def runs_on_one(workers: int, gpus: Sequence[str]) -> int:
    """How many runs share a GPU at most.

    >>> runs_on_one(4, ("0", "1"))
    2
    """
    return -(-workers // len(gpus))


def sharing(workers: int, gpus: Sequence[str]) -> str:
    """One sentence about how runs are spread.

    >>> sharing(4, ("0", "1"))
    '4 runs at once on 2 GPUs: up to 2 share one, each with 1/2 of its memory'
    >>> sharing(2, ("0", "1"))
    '2 runs at once on 2 GPUs: each has one of its own'
    """
    number = f"{len(gpus)} GPU{'s' if len(gpus) > 1 else ''}"
    each = runs_on_one(workers, gpus)
    if each == 1:
        return f"{workers} runs at once on {number}: each has one of its own"
    return (
        f"{workers} runs at once on {number}: up to {each} share one, each with 1/{each} of its "
        "memory"
    )
