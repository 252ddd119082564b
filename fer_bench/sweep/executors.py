"""Executors map specs to folders; all state is in the run store, none in them.

A sweep that was started with one executor can be finished with another. All of them run every
spec in a process of its own with the same number of threads, so they leave the same bytes.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import torch

from fer_bench.errors import ExperimentError, RunError, did_you_mean, free_space
from fer_bench.experiment import RunSpec
from fer_bench.runs.log import RunLog
from fer_bench.runs.store import RunStore
from fer_bench.sweep.job import Job
from fer_bench.sweep.processes import End, Limits, Processes, memory_of_machine
from fer_bench.sweep.progress import Progress
from fer_bench.sweep.worker import State, execute
from fer_bench.threads import RUN_THREADS, cores

Result = tuple[RunSpec, State, str]

_MEMORY_SHARE = 0.9  # of the machine, for all runs at once
MOST_DEATHS = 3  # of one run, before it is no longer started by itself


@dataclass(frozen=True)
class Options:
    """How runs are executed; nothing here changes what they compute, but for `threads`.

    Attributes:
        workers: runs at once.
        threads: of every run. The number changes the last bits of a result, so it is part of the
            environment that a run records, and the same for every executor.
        time_limit: seconds for one run; None for any time.
        memory_limit: bytes for one run; None for its share of nine tenths of the machine.
        retry: how often a failed run is started again.
    """

    workers: int = 1
    threads: int = RUN_THREADS
    time_limit: float | None = None
    memory_limit: int | None = None
    retry: int = 0

    @classmethod
    def of(cls, executor: str, workers: int | None = None, **others: Any) -> Options:
        """The options of an executor: "serial" for one run after the other, "pool" for several.

        Args:
            executor: "serial" or "pool".
            workers: runs at once of the pool; by default one a core, four at most.
            others: further attributes.

        Raises:
            ExperimentError: there is no executor of that name.
        """
        return cls(workers_of(executor, workers), **others)

    @property
    def limits(self) -> Limits:
        """Of every process."""
        share = int(_MEMORY_SHARE * memory_of_machine() / self.workers)
        return Limits(self.time_limit, self.memory_limit or share)


def workers_of(executor: str, workers: int | None = None) -> int:
    """Runs at once: one for "serial"; for "pool" as asked, by default one a core, four at most.

    Raises:
        ExperimentError: there is no executor of that name.
    """
    if executor == "serial":
        return 1
    if executor == "pool":
        return workers or min(cores(), 4)
    raise ExperimentError(
        f"there is no executor {executor!r}: {did_you_mean(executor, ['serial', 'pool'])}"
    )


def run_specs(
    specs: Sequence[RunSpec],
    root: str,
    *,
    options: Options,
    metrics: tuple[str, ...] | None,
    seed: int,
    progress: Progress,
) -> Iterator[Result]:
    """Execute all specs that the store at `root` does not have yet.

    Yields:
        (spec, how it ended, one line about it), in any order.
    """
    store = RunStore(os.path.abspath(root))
    tried: dict[str, int] = {}
    with Processes(options.workers, options.limits) as processes:

        def submit(spec: RunSpec) -> None:
            tried[spec.id] = tried.get(spec.id, 0) + 1
            job = Job(
                execute,
                {"spec": spec, "root": str(store.root), "metrics": metrics, "seed": seed},
                threads=options.threads,
                output=store.log(spec.id).with_suffix(".txt"),
                wants_tell=True,
                fresh=needs_fresh_process(spec),
            )
            processes.submit(spec, job, lambda message: hear(spec, message))

        def hear(spec: RunSpec, message: dict[str, Any]) -> None:
            if "here" in message:
                progress.say(
                    f"{spec.label} {spec.place}: without a process of its own, because "
                    f"{message['here']}: put it into a module to have one."
                )
            for kind in ("epoch", "scoring"):
                if kind in message:
                    progress.step(spec, kind, *message[kind])

        waiting = [s for s in specs if s.of is not None and not store.is_done(s.of)]
        for spec in specs:
            if spec in waiting:
                continue
            if store.is_done(spec.id) or store.deaths(spec.id) < MOST_DEATHS or options.retry:
                submit(spec)
            else:
                yield spec, "failed", store.failures()[spec.id]["reason"]
                for later in (s for s in waiting if s.of == spec.id):
                    yield later, "failed", _record_without_encoder(store, later)
        for spec, end in processes.ends():
            after = [s for s in waiting if s.of == spec.id]
            if end.error is None:
                state, text = end.value
                yield spec, state, text
                for later in after:
                    if state == "busy":
                        yield later, state, text
                    else:
                        submit(later)
                continue
            if end.disk_full:
                raise RunError(_no_space(store, specs))
            reason = _record(store, spec, end)
            if tried[spec.id] <= options.retry:
                progress.say(f"{spec.label} {spec.place}: failed: {reason} Trying again.")
                submit(spec)
                continue
            yield spec, "failed", reason
            for later in after:
                yield later, "failed", _record_without_encoder(store, later)


def _record_without_encoder(store: RunStore, spec: RunSpec) -> str:
    """Keep that an erased row failed with the run whose embeddings it erases."""
    reason = f"the run {spec.of!r}, whose embeddings it erases, failed."
    store.save_failure(spec, reason=reason, kind="failed")
    return reason


def _record(store: RunStore, spec: RunSpec, end: End) -> str:
    """Keep how a run failed, and say what becomes of it."""
    assert end.error is not None
    deaths = store.deaths(spec.id) + (end.reason is not None)
    reason = end.error
    if end.reason is not None and deaths >= MOST_DEATHS:
        reason += f" That was time {deaths}: only `--retry` starts it again."
    with suppress(OSError):  # what cannot be written down is still said
        store.save_failure(
            spec, reason=reason, kind="failed", deaths=deaths, traceback=end.traceback
        )
        RunLog(store.log(spec.id)).write("failed", reason=reason)
    return reason


def _no_space(store: RunStore, specs: Sequence[RunSpec]) -> str:
    left = sum(not store.is_done(spec.id) for spec in specs)
    free, size = free_space(store.root), store.run_size()
    needed = "" if size is None else f" of about {left * size / 2**20:.0f} MiB they need"
    return (
        f"no space is left in {str(store.root)!r} for {left} more runs: {free / 2**20:.0f} MiB are "
        f"free{needed}; finished runs are kept, and the same command goes on once there is space."
    )


def needs_fresh_process(spec: RunSpec) -> bool:
    """Whether a run uses a device whose driver does not survive a fork."""
    device = spec.training.device
    return device == "cuda" or (device == "auto" and torch.cuda.is_available())
