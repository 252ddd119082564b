"""Which GPUs a run has, and how many runs share one."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass

_VISIBLE, _SHARE = "CUDA_VISIBLE_DEVICES", "FER_BENCH_GPU_SHARE"
_NUMBER = {1: "one"}


@dataclass(frozen=True)
class Gpus:
    """The GPUs of one run.

    Attributes:
        names: as CUDA_VISIBLE_DEVICES has them: numbers or UUIDs.
        share: of the memory of each that the run may use.
    """

    names: tuple[str, ...]
    share: float = 1.0

    @classmethod
    def here(cls) -> Gpus | None:
        """Those that this process was given, for the processes that it starts."""
        if _SHARE not in os.environ:
            return None
        return cls(tuple(os.environ[_VISIBLE].split(",")), float(os.environ[_SHARE]))

    def hide_others(self) -> None:
        """Let this process, which has not used CUDA yet, see these GPUs alone."""
        os.environ |= {_VISIBLE: ",".join(self.names), _SHARE: str(self.share)}

    def limit_memory(self) -> None:
        """Refuse this process more than its share: it fails, not those beside it."""
        import torch

        if self.share < 1 and torch.cuda.is_available():
            for index in range(len(self.names)):
                torch.cuda.set_per_process_memory_fraction(self.share, index)


def visible_gpus() -> tuple[str, ...]:
    """Names of the GPUs that this process may use; none of them is touched."""
    import torch

    count = torch.cuda.device_count()
    named = [name.strip() for name in os.environ.get(_VISIBLE, "").split(",")]
    return tuple(named[:count] if any(named) else map(str, range(count)))


def runs_on_one(workers: int, gpus: Sequence[str], each: int = 1) -> int:
    """How many runs share a GPU at most, where a run has `each`.

    >>> runs_on_one(4, ("0", "1")), runs_on_one(2, ("0", "1"), each=2)
    (2, 2)
    """
    return -(-workers * min(each, len(gpus)) // len(gpus))


def sharing(workers: int, gpus: Sequence[str], each: int = 1) -> str:
    """One sentence about how runs are spread.

    >>> sharing(4, ("0", "1"))
    '4 runs at once on 2 GPUs: up to 2 share one, each with 1/2 of its memory'
    >>> sharing(2, ("0", "1"))
    '2 runs at once on 2 GPUs: each has one of its own'
    >>> sharing(2, ("0", "1", "2", "3"), each=2)
    '2 runs at once on 4 GPUs: each has 2 of its own'
    """
    number = f"{len(gpus)} GPU{'s' if len(gpus) > 1 else ''}"
    sharers = runs_on_one(workers, gpus, each)
    if sharers == 1:
        return f"{workers} runs at once on {number}: each has {_NUMBER.get(each, each)} of its own"
    return (
        f"{workers} runs at once on {number}: up to {sharers} share one, each with 1/{sharers} of "
        "its memory"
    )
