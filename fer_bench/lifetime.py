"""Lifetimes: of a process when the one that started it ends (Linux alone can say), of objects."""

from __future__ import annotations

import ctypes
import gc
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager

_PR_SET_PDEATHSIG, _PR_SET_CHILD_SUBREAPER = 1, 36


def end_with(parent: int) -> None:
    """Let this process be killed when its parent ends, however that comes about.

    Args:
        parent: its process id; if it has ended already, so does this process.
    """
    _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)


def adopt_orphans() -> None:
    """Let descendants whose parent ends become children of this process."""
    _prctl(_PR_SET_CHILD_SUBREAPER)


@contextmanager
def garbage_kept() -> Iterator[None]:
    """No search for circles of garbage inside: among many new objects it takes a while."""
    was = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was:
            gc.enable()


@contextmanager
def objects_frozen() -> Iterator[None]:
    """What is there now is not garbage: searches inside look at new objects alone."""
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()


def _prctl(option: int, value: int = 1) -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(option, int(value), 0, 0, 0)
