"""Progress on the terminal: a bar with the time left, or plain lines where there is no terminal."""

from __future__ import annotations

import sys
import time
from types import TracebackType

from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bar

from fer_bench.experiment import RunSpec
from fer_bench.terminal import make_console, printable
from fer_bench.training.loop import OnEpoch

_PLAIN_EVERY_S = 15.0


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
        self._epochs = self._bar.add_task("epochs", total=None, visible=False)

    def __enter__(self) -> Progress:
        self._bar.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._bar.stop()

    def epochs_of(self, spec: RunSpec) -> OnEpoch:
        """The callback for the epochs of one run."""

        def on_epoch(done: int, total: int, text: str) -> None:
            name = f"{spec.label} {spec.place}"
            if self._live:
                self._bar.update(
                    self._epochs,
                    description=escape(f"{name}: {text}"),
                    completed=done,
                    total=total,
                    visible=True,
                )
                self._bar.update(self._runs, completed=self.done + done / total)
            elif not self.quiet and time.monotonic() - self._last > _PLAIN_EVERY_S:
                self._last = time.monotonic()
                line = printable(f"  {name}: epoch {done}/{total}: {text}")
                print(line, file=sys.stderr, flush=True)

        return on_epoch

    def finished(self, spec: RunSpec, state: str, text: str) -> None:
        """One run ended; a failure that has been told already is not told again."""
        self.done += 1
        if state == "failed" and (spec.label, text) in self._said:
            text = "for the same reason"
        elif state == "failed":
            self._said.add((spec.label, text))
        self._bar.update(self._runs, completed=self.done)
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
