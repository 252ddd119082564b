"""Progress of long work: a bar on a terminal, plain lines now and then elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from contextvars import ContextVar

from fer_bench.threads import cores

EVERY = 5.0  # seconds between lines
_QUIET = ContextVar("_QUIET", default=False)


@contextmanager
def quietly(quiet: bool = True) -> Iterator[None]:
    """Inside, progress is shown only where it is asked for."""
    before = _QUIET.set(quiet)
    try:
        yield
    finally:
        _QUIET.reset(before)


@contextmanager
def progress_bar(
    what: str, total: int, show: bool | None = None
) -> Iterator[Callable[[int], None]]:
    """Yield a function that is told how many more items are done.

    Args:
        what: what is being done, such as "decoding raf-db".
        show: True draws the bar anywhere, False is silent; by default the bar is drawn on a
            terminal that no other one is drawn on, and elsewhere a line is written to the error
            stream every five seconds.
    """
    drawn_on = hasattr(sys.stderr, "rich_proxied_file")  # two bars at once garble the terminal
    if show is False or (show is None and (_QUIET.get() or drawn_on)):
        yield lambda count: None
    elif show or sys.stderr.isatty():
        from rich.progress import Progress

        from fer_bench.terminal import make_console

        with Progress(console=make_console(stderr=True), transient=True) as progress:
            task = progress.add_task(what, total=total)
            yield lambda count: progress.advance(task, count)
    else:
        yield _Lines(what, total)


def in_parts(
    work: Callable[[slice], None],
    rows: int,
    step: int,
    *,
    what: str,
    threads: int | None = None,
    progress: bool | None = None,
) -> None:
    """Do a piece of work on all rows, some at a time, in several threads.

    An error, or an interrupt, ends it as soon as the parts that have begun are done.

    Args:
        work: is given the rows of a part.
        rows: how many there are.
        step: rows of a part.
        what, progress: see `progress_bar`.
        threads: all cores by default.
    """
    parts = [slice(i, min(i + step, rows)) for i in range(0, rows, step)]
    pool = ThreadPoolExecutor(min(threads or cores(), max(1, len(parts))))
    try:
        with progress_bar(what, rows, progress) as advance:
            for part, _ in zip(parts, pool.map(work, parts), strict=True):
                advance(part.stop - part.start)
    finally:
        pool.shutdown(cancel_futures=True)


class _Lines:
    def __init__(self, what: str, total: int) -> None:
        self.what, self.total, self.done = what, total, 0
        self.start = self.last = time.monotonic()

    def __call__(self, count: int) -> None:
        self.done += count
        now = time.monotonic()
        if now - self.last < EVERY:
            return
        self.last = now
        left = (now - self.start) / self.done * (self.total - self.done)
        print(
            f"{self.what}: {self.done:,} of {self.total:,}, about {left:.0f} s left",
            file=sys.stderr,
            flush=True,
        )
