"""How many threads a piece of work may use.

The number of threads changes the order of sums and with it the last bits of a result, so it is
fixed for every run. Two threads on small tensors also cost more than one: they wait for each other
at every operation, and on a busy machine for the scheduler.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from threadpoolctl import ThreadpoolController

RUN_THREADS = 1  # of a run, unless the experimenter asks for more
_WORTH_ONE_MORE = 20_000_000  # multiplications that take a thread about a millisecond


def cores() -> int:
    """Cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def threads_for(multiplications: float) -> int:
    """Threads that a step of this size can keep busy, at most as many as torch uses.

    >>> threads_for(64 * 128 * 128)
    1
    """
    import torch

    return max(1, min(torch.get_num_threads(), int(multiplications // _WORTH_ONE_MORE)))


@contextmanager
def limited_threads(threads: int) -> Iterator[None]:
    """At most this many threads in torch and in the numerical libraries; then as before."""
    import torch
    from threadpoolctl import threadpool_limits

    before = torch.get_num_threads()
    most = min(threads, before)
    torch.set_num_threads(most)
    try:
        with threadpool_limits(most):
            yield
    finally:
        torch.set_num_threads(before)


@contextmanager
def starting_no_threads(environment: Mapping[str, str]) -> Iterator[None]:
    """Libraries that are imported inside read this environment, and start no thread by it.

    Afterwards they may use as many as they would have had without.
    """
    before = {name: os.environ.get(name) for name in environment}
    os.environ.update(environment)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
        asked = before.get("OMP_NUM_THREADS") or ""
        threads = int(asked) if asked.isdecimal() else cores()
        import torch

        torch.set_num_threads(threads)
        libraries().limit(limits=threads)


def fix_threads(threads: int) -> None:
    """Use exactly this many threads from here on, in this process and those it starts."""
    import torch

    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ[name] = str(threads)
    torch.set_num_threads(threads)
    libraries().limit(limits=threads)
    numba = sys.modules.get("numba")
    if numba is not None:
        numba.set_num_threads(min(threads, numba.config.NUMBA_NUM_THREADS))


@cache  # a look at every library that is loaded; those loaded later read the environment
def libraries() -> ThreadpoolController:
    """The numerical libraries of this process."""
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController()
