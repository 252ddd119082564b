"""Executors map specs to folders; all state is in the run store, none in them.

A sweep that was started with one executor can be finished with another.
"""

from __future__ import annotations

import multiprocessing
import os
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from multiprocessing.connection import wait
from typing import Protocol

import torch

from fer_bench.errors import ExperimentError, RunError, did_you_mean
from fer_bench.experiment import RunSpec
from fer_bench.sweep.progress import Progress
from fer_bench.sweep.worker import State, execute

Result = tuple[RunSpec, State, str]


class Executor(Protocol):
    """Runs specs and yields how each one ended, in any order."""

    def run(
        self,
        specs: Sequence[RunSpec],
        root: str,
        *,
        metrics: tuple[str, ...] | None,
        seed: int,
        progress: Progress,
    ) -> Iterator[Result]:
        """Execute all specs that the store at `root` does not have yet."""
        ...


class Serial:
    """One run after another in this process, with every core inside the run."""

    def run(
        self,
        specs: Sequence[RunSpec],
        root: str,
        *,
        metrics: tuple[str, ...] | None,
        seed: int,
        progress: Progress,
    ) -> Iterator[Result]:
        """See `Executor.run`."""
        for spec in specs:
            state, text = execute(
                spec, root, metrics=metrics, seed=seed, on_epoch=progress.epochs_of(spec)
            )
            yield spec, state, text


class Pool:
    """Several runs at once, each in a process with its share of the cores.

    Small networks do not keep several cores busy, so this is the faster one for sweeps of them.

    Args:
        workers: processes; by default one per core, four at most.
    """

    def __init__(self, workers: int | None = None) -> None:
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
        self.cores = cores or 1
        self.workers = workers or min(self.cores, 4)

    def run(
        self,
        specs: Sequence[RunSpec],
        root: str,
        *,
        metrics: tuple[str, ...] | None,
        seed: int,
        progress: Progress,
    ) -> Iterator[Result]:
        """See `Executor.run`."""
        threads = max(1, self.cores // self.workers)
        with ProcessPoolExecutor(
            self.workers,
            mp_context=multiprocessing.get_context("spawn"),
            initializer=start_worker,
            initargs=(threads,),
        ) as pool:
            futures = {
                pool.submit(execute, spec, root, metrics=metrics, seed=seed): spec for spec in specs
            }
            try:
                for future in as_completed(futures):
                    state, text = future.result()
                    yield futures[future], state, text
            except BrokenProcessPool:
                raise RunError(
                    "a worker process died (killed, or out of memory): finished runs are kept; "
                    "give the same command again to go on."
                ) from None
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                raise


def start_worker(threads: int) -> None:
    """What every worker process does first: its share of the cores, and not to outlive us."""
    torch.set_num_threads(threads)
    os.environ["OMP_NUM_THREADS"] = str(threads)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    """A killed parent cannot stop its workers, and they would keep their runs locked."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os._exit(1)


def make_executor(name: str, *, workers: int | None = None) -> Executor:
    """An executor by name: "serial" or "pool".

    Raises:
        ExperimentError: there is none of that name.
    """
    if name == "serial":
        return Serial()
    if name == "pool":
        return Pool(workers)
    raise ExperimentError(
        f"there is no executor {name!r}: {did_you_mean(name, ['serial', 'pool'])}"
    )
