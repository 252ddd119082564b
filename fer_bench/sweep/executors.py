"""Where runs are executed: one small interface, and what all executors share.

All state is in the run store, none in an executor, so a sweep that was started on one is finished
on another, and two may be at one folder. All of them give every run a process of its own with the
same number of threads, so they leave the same bytes.

| executor | runs | `fer_bench.sweep` |
| --- | --- | --- |
| serial | one after the other, on this machine | `local` |
| pool | several at once, on this machine | `local` |
| ray | several at once, on the machines of a Ray cluster | `ray_cluster` |
| slurm | by the tasks of a Slurm job array | `slurm` |
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, Self

import torch

from fer_bench.errors import ExperimentError, did_you_mean
from fer_bench.experiment import RunSpec
from fer_bench.sweep.processes import Limits, memory_of_machine
from fer_bench.sweep.worker import State
from fer_bench.threads import RUN_THREADS, cores

Result = tuple[RunSpec, State, str]  # a run, how it ended, one line about it

NAMES = ("serial", "pool", "ray", "slurm")
MOST_DEATHS = 3  # of one run, before it is no longer started by itself
_MEMORY_SHARE = 0.9  # of the machine, for all runs at once


@dataclass(frozen=True)
class Options:
    """How runs are executed; nothing here changes what they compute, but for `threads`.

    Attributes:
        executor: "serial", "pool", "ray" or "slurm".
        workers: runs at once.
        threads: of every run. The number changes the last bits of a result, so it is part of the
            environment that a run records, and the same for every executor.
        time_limit: seconds for one run; None for any time.
        memory_limit: bytes for one run; None for its share of nine tenths of the machine.
        retry: how often a failed run is started again.
        address: of a Ray cluster that is there; None starts one on this machine.
        gpus: that Ray gives to a run, such as 0.25.
        sbatch: further options of `sbatch`, such as "--partition=gpu".
    """

    executor: str = "serial"
    workers: int = 1
    threads: int = RUN_THREADS
    time_limit: float | None = None
    memory_limit: int | None = None
    retry: int = 0
    address: str | None = None
    gpus: float = 0.0
    sbatch: tuple[str, ...] = ()

    @classmethod
    def of(cls, executor: str, workers: int | None = None, **others: Any) -> Options:
        """The options of an executor.

        Args:
            executor: "serial" for one run after the other; "pool", "ray", "slurm" for several.
            workers: runs at once; see `workers_of`.
            others: further attributes.

        Raises:
            ExperimentError: there is no executor of that name.
        """
        return cls(executor, workers_of(executor, workers), **others)

    @property
    def limits(self) -> Limits:
        """Of every process."""
        share = int(_MEMORY_SHARE * memory_of_machine() / self.workers)
        return Limits(self.time_limit, self.memory_limit or share)

    @property
    def is_local(self) -> bool:
        """Whether runs are executed on this machine, so that it can say what they take."""
        return self.executor != "slurm" and self.address is None


def workers_of(executor: str, workers: int | None = None) -> int:
    """Runs at once: one for "serial"; else as asked, by default one a core, four at most.

    For "slurm" it is the number of tasks of a job array, by default 64.

    Raises:
        ExperimentError: there is no executor of that name.
    """
    if executor not in NAMES:
        raise ExperimentError(f"there is no executor {executor!r}: {did_you_mean(executor, NAMES)}")
    if executor == "serial":
        return 1
    return workers or (64 if executor == "slurm" else min(cores(), 4))


@dataclass(frozen=True)
class Request:
    """What is asked of every run.

    Attributes:
        root: the result folder; absolute, as an executor may work elsewhere.
        metrics: names; None for all default ones.
        seed: of bootstrap, permutations and probes.
        options: how runs are executed.
    """

    root: str
    metrics: tuple[str, ...] | None
    seed: int
    options: Options

    def for_one(self) -> Request:
        """The same of a single run on the machine where it is executed."""
        return replace(self, options=replace(self.options, executor="serial", workers=1))


class NoSpace(Exception):
    """There is no space left for results."""


class Executor(ABC):
    """Has runs done. Use it in a `with` block: leaving it early ends what is not done."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.cancel()

    @abstractmethod
    def submit(self, spec: RunSpec) -> None:
        """Have a run trained and scored, unless the store has it already."""

    @abstractmethod
    def wait(self) -> Iterator[Result]:
        """How runs ended, in any order, until none is left; more may be submitted meanwhile.

        A failure is in the store by then.

        Raises:
            NoSpace: the disk is full.
        """

    @abstractmethod
    def cancel(self) -> None:
        """End the runs that are not done; the store keeps how far they came."""


def needs_fresh_process(spec: RunSpec) -> bool:
    """Whether a run uses a device whose driver does not survive a fork."""
    device = spec.training.device
    return device == "cuda" or (device == "auto" and torch.cuda.is_available())
