"""Progress on the terminal: a bar with the time left, or plain lines where there is no terminal."""

from __future__ import annotations

import sys
import time

from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bar

from fer_bench.experiment import RunSpec
from fer_bench.terminal import make_console, printable

_PLAIN_EVERY_S = 5.0


class Progress:
    """Shows how far a sweep is.

    Args:
        total: number of runs to come.
        quiet: show nothing.
    """

    def __init__(self, total: int, *, quiet: bool = False) -> None:
        self.total = total
        self.done = 0
        self.quiet = quiet
        self._said: set[tuple[str, str]] = set()
        self.console = make_console(stderr=True, highlight=False, quiet=quiet)
        self._live = self.console.is_terminal and not quiet
        self._last = 0.0
        self._started = time.monotonic()
        self._bar = Bar(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(elapsed_when_finished=True),
            console=self.console,
            disable=not self._live,
        )
        self._runs = self._bar.add_task("runs", total=total)
        self._steps = self._bar.add_task("steps", total=None, visible=False)
        self._parts: dict[str, float] = {}  # run id -> how much of its training is done

    def __enter__(self) -> Progress:
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()

    def step(self, spec: RunSpec, kind: str, done: int, total: int, text: str) -> None:
        """How far one run is: which "epoch" of all, or "scoring" which metric."""
        self._parts[spec.id] = done / total if kind == "epoch" else 1.0
        line = f"{spec.label} {spec.place}: {kind} {done}/{total}: {text}"
        if self._live:
            self._bar.update(
                self._steps, description=escape(line), completed=done, total=total, visible=True
            )
            self._bar.update(self._runs, completed=self.done + sum(self._parts.values()))
        elif not self.quiet and time.monotonic() - self._last > _PLAIN_EVERY_S:
            self._last = time.monotonic()
            print(printable(f"  {line}"), file=sys.stderr, flush=True)

    def finished(self, spec: RunSpec, state: str, text: str) -> None:
        """One run ended; a failure that has been told already is not told again."""
        self.done += 1
        self._parts.pop(spec.id, None)
        if state == "failed" and (spec.label, text) in self._said:
            text = "for the same reason"
        elif state == "failed":
            self._said.add((spec.label, text))
        self._bar.update(self._runs, completed=self.done + sum(self._parts.values()))
        left = (time.monotonic() - self._started) / self.done * (self.total - self.done)
        when = f", about {left / 60:.0f} min left" if left >= 60 else ""
        self.say(
            f"[{self.done}/{self.total}{when}] {spec.label} {spec.place}: "
            f"{'' if state in ('done', 'kept') else state + ': '}{text}"
        )

    def say(self, text: str) -> None:
        """One line."""
        self._last = time.monotonic()
        self.console.print(escape(text), soft_wrap=True)
