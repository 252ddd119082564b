"""Progress on the terminal: a bar with the time left, or plain lines where there is no terminal."""

from __future__ import annotations

import time
from typing import Any

from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bar

from fer_bench.experiment import RunSpec
from fer_bench.terminal import SILENT_S, Lines, counted, make_console


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
        self._lines = Lines(self.console)
        self._lines.doing("  starting")
        self._started = time.monotonic()
        self._bar = Bar(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(elapsed_when_finished=True),
            console=self.console,
            disable=not self._live,
        )
        self._shown: Bar | Lines = self._bar if self._live else self._lines
        self._runs = self._bar.add_task("runs", total=total)
        self._steps = self._bar.add_task("steps", total=None, visible=False)
        self._parts: dict[str, float] = {}  # run id -> how much of its training is done

    def __enter__(self) -> Progress:
        self._shown.__enter__()
        return self

    def __exit__(self, *error: Any) -> None:
        self._shown.__exit__(*error)

    def step(self, spec: RunSpec, kind: str, done: int, total: int, text: str) -> None:
        """How far one run is: which "epoch" of all, or "scoring" which metric."""
        self._parts[spec.id] = done / total if kind == "epoch" else 1.0
        line = f"{spec.label} {spec.place}: {kind} {done}/{total}: {text}"
        if self._live:
            self._bar.update(
                self._steps, description=escape(line), completed=done, total=total, visible=True
            )
            self._bar.update(self._runs, completed=self.done + sum(self._parts.values()))
        else:
            self._lines.doing(f"  {line}")
            self._lines.say(escape(f"  {line}"), after=SILENT_S)

    def finished(self, spec: RunSpec, state: str, text: str) -> None:
        """One run ended; a failure that has been told already is not told again."""
        self.done += 1
        self._parts.pop(spec.id, None)
        if state == "failed" and (spec.label, text) in self._said:
            text = "for the same reason"
        elif state == "failed":
            self._said.add((spec.label, text))
        self._bar.update(self._runs, completed=self.done + sum(self._parts.values()))
        runs = self.total - self.done
        self._lines.doing(f"  {counted(runs, 'run')} left" if runs else "")
        left = (time.monotonic() - self._started) / self.done * runs
        when = f", about {left / 60:.0f} min left" if left >= 60 else ""
        self.say(
            f"[{self.done}/{self.total}{when}] {spec.label} {spec.place}: "
            f"{'' if state in ('done', 'kept') else state + ': '}{text}"
        )

    def say(self, text: str) -> None:
        """One line."""
        self._lines.say(escape(text))
