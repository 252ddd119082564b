"""Runs on a Ray cluster, or on one that is started on this machine.

Each worker is an actor that executes runs as `serial` does: from a server process of its own, so
that a run still has its own process. Ray decides where workers are; the run store, on a file
system that all machines share, is the only truth.
"""

from __future__ import annotations

import os
import sys
from collections import deque
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

from fer_bench.errors import ExperimentError, MissingExtraError, RunError
from fer_bench.experiment import RunSpec
from fer_bench.runs.store import RunStore
from fer_bench.sweep.executors import MOST_DEATHS, Executor, NoSpace, Request, Result
from fer_bench.sweep.job import Surroundings, Unpicklable
from fer_bench.sweep.local import Local
from fer_bench.sweep.progress import Progress

_FORWARDED = "FER_BENCH_"  # variables of the environment that every machine is to have


class Worker:
    """Executes runs where Ray puts it, one after the other.

    Args:
        request: what is asked of every run.
        surroundings: of the driver.
        path: where modules are looked for.
    """

    def __init__(self, request: Request, surroundings: Surroundings, path: list[str]) -> None:
        sys.path[:] = [*path, *(entry for entry in sys.path if entry not in path)]
        surroundings.enter(environment=False)  # Ray's own variables say where it is
        self.request = request.for_one()

    def execute(self, spec: RunSpec) -> Result:
        """Do one run, as `serial` does."""
        with Progress(1, quiet=True) as progress, Local(self.request, progress) as local:
            local.submit(spec)
            return next(iter(local.wait()))


class Ray(Executor):
    """Executes runs on the machines of a Ray cluster.

    Args:
        request: what is asked of every run.
        progress: takes what is said meanwhile.

    Raises:
        MissingExtraError: Ray is not installed.
        ExperimentError: there is no cluster at the address, or a method exists in this process
            only.
    """

    def __init__(self, request: Request, progress: Progress) -> None:
        try:
            import ray
        except ImportError:
            raise MissingExtraError("ray", "ray", "the executor 'ray'") from None
        self.ray: Any = ray
        self.request = request
        self.progress = progress
        self.store = RunStore(request.root)
        self._waiting: deque[RunSpec] = deque()
        self._idle: list[Any] = []
        self._running: dict[Any, tuple[Any, RunSpec]] = {}  # reference -> worker, run
        self._lost: dict[str, int] = {}  # run -> workers that died on it
        self._ours = not ray.is_initialized()
        if self._ours:
            self._connect()
        options = request.options
        self._worker = ray.remote(num_cpus=options.threads, num_gpus=options.gpus)(Worker)
        try:
            self._arguments = (request, Surroundings.here(), [p or os.getcwd() for p in sys.path])
        except Unpicklable as why:
            raise ExperimentError(
                f"the executor 'ray' cannot send {why} to its workers: put it into a module."
            ) from None

    def _connect(self) -> None:
        options = self.request.options
        here: dict[str, Any] = {"address": options.address}
        if options.address is None:
            here = {
                "address": "local",
                "num_cpus": options.workers * options.threads,
                "include_dashboard": False,
            }
        ours = {k: v for k, v in os.environ.items() if k.startswith(_FORWARDED)}
        try:
            self.ray.init(
                **here,
                log_to_driver=False,
                logging_level="ERROR",
                runtime_env={"env_vars": ours} if ours else None,
            )
        except (ConnectionError, ValueError, RuntimeError) as error:
            raise ExperimentError(
                f"there is no Ray cluster at {options.address!r}: {error}."
            ) from None

    def submit(self, spec: RunSpec) -> None:
        self._waiting.append(spec)

    def wait(self) -> Iterator[Result]:
        while self._waiting or self._running:
            while self._waiting and len(self._running) < self.request.options.workers:
                spec = self._waiting.popleft()
                worker = self._idle.pop() if self._idle else self._worker.remote(*self._arguments)
                self._running[worker.execute.remote(spec)] = worker, spec
            (reference,), _ = self.ray.wait(list(self._running), num_returns=1)
            worker, spec = self._running.pop(reference)
            try:
                result: Result = self.ray.get(reference)
            except self.ray.exceptions.RayActorError:
                if self._again(spec):
                    continue
                result = spec, "failed", self._give_up(spec)
            except self.ray.exceptions.RayTaskError as error:
                if isinstance(error.cause, NoSpace):
                    raise NoSpace from None
                raise RunError(f"a Ray worker failed: {error.cause}") from error
            else:
                self._idle.append(worker)
            yield result

    def _again(self, spec: RunSpec) -> bool:
        """Whether a run goes on elsewhere, because the worker it was on is gone."""
        self._lost[spec.id] = self._lost.get(spec.id, 0) + 1
        if self._lost[spec.id] >= MOST_DEATHS:
            return False
        self.progress.say(
            f"{spec.label} {spec.place}: its Ray worker is gone; it goes on elsewhere"
        )
        self._waiting.appendleft(spec)
        return True

    def _give_up(self, spec: RunSpec) -> str:
        reason = f"{self._lost[spec.id]} Ray workers ended while they were at it."
        self.store.save_failure(spec, reason=reason, kind="failed", deaths=self._lost[spec.id])
        return reason

    def cancel(self) -> None:
        workers = [*self._idle, *(worker for worker, _ in self._running.values())]
        for worker in workers:
            with suppress(Exception):  # it is gone already
                self.ray.kill(worker)
        self._idle, self._running = [], {}
        self._waiting.clear()
        if self._ours:
            self.ray.shutdown()
