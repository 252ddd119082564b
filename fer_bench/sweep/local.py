"""Runs on this machine: one after the other ("serial"), or several at once ("pool")."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from typing import Any

from fer_bench.experiment import RunSpec
from fer_bench.runs.log import RunLog
from fer_bench.runs.store import RunStore
from fer_bench.sweep.executors import (
    MOST_DEATHS,
    Executor,
    NoSpace,
    Request,
    Result,
    needs_fresh_process,
)
from fer_bench.sweep.gpus import sharing, visible_gpus
from fer_bench.sweep.job import Job
from fer_bench.sweep.processes import End, Processes
from fer_bench.sweep.progress import Progress
from fer_bench.sweep.worker import execute


class Local(Executor):
    """Executes runs on this machine, each in a process of its own.

    Args:
        request: what is asked of every run.
        progress: takes what is said meanwhile.
    """

    def __init__(self, request: Request, progress: Progress) -> None:
        self.request = request
        self.progress = progress
        self.store = RunStore(request.root)
        self._tried: dict[str, int] = {}
        self._most_devices = 0  # of a run that was told of
        options = request.options
        self._gpus = visible_gpus() if options.workers > 1 else ()
        self._processes = Processes(options.workers, options.limits, self._gpus)

    def __enter__(self) -> Local:
        self._processes.__enter__()
        return self

    def __exit__(self, *ended: object) -> None:
        self._processes.__exit__(*ended)

    def submit(self, spec: RunSpec) -> None:
        fresh = needs_fresh_process(spec)
        devices = spec.training.devices
        if fresh and self._gpus and devices > self._most_devices:
            self._most_devices = devices
            self.progress.say(sharing(self.request.options.workers, self._gpus, devices))
        self._tried[spec.id] = self._tried.get(spec.id, 0) + 1
        request = self.request
        job = Job(
            execute,
            {
                "spec": spec,
                "root": request.root,
                "metrics": request.metrics,
                "seed": request.seed,
            },
            threads=request.options.threads,
            output=self.store.log(spec.id).with_suffix(".txt"),
            wants_tell=True,
            fresh=fresh,
            devices=devices,
        )
        self._processes.submit(spec, job, lambda message: self._hear(spec, message))

    def _hear(self, spec: RunSpec, message: dict[str, Any]) -> None:
        if "here" in message:
            self.progress.say(
                f"{spec.label} {spec.place}: without a process of its own, because "
                f"{message['here']}: put it into a module to have one."
            )
        for kind in ("epoch", "scoring"):
            if kind in message:
                self.progress.step(spec, kind, *message[kind])

    def wait(self) -> Iterator[Result]:
        for spec, end in self._processes.ends():
            if end.error is None:
                state, text = end.value
                yield spec, state, text
                continue
            if end.disk_full:
                raise NoSpace
            reason = self._record(spec, end)
            if self._tried[spec.id] <= self.request.options.retry:
                self.progress.say(f"{spec.label} {spec.place}: failed: {reason} Trying again.")
                self.submit(spec)
            else:
                yield spec, "failed", reason

    def _record(self, spec: RunSpec, end: End) -> str:
        """Keep how a run failed, and say what becomes of it."""
        assert end.error is not None
        deaths = self.store.deaths(spec.id) + (end.reason is not None)
        reason = end.error
        if end.reason is not None and deaths >= MOST_DEATHS:
            reason += f" That was time {deaths}: only `--retry` starts it again."
        with suppress(OSError):  # what cannot be written down is still said
            self.store.save_failure(
                spec, reason=reason, kind="failed", deaths=deaths, traceback=end.traceback
            )
            RunLog(self.store.log(spec.id)).write("failed", reason=reason)
        return reason

    def cancel(self) -> None:
        self._processes.cancel()
