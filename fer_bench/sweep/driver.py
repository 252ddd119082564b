"""The driver of a sweep: what is submitted when, and what its ends mean for other runs."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from fer_bench.errors import RunError, free_space
from fer_bench.experiment import RunSpec
from fer_bench.runs.store import RunStore
from fer_bench.sweep.executors import MOST_DEATHS, Executor, NoSpace, Request, Result
from fer_bench.sweep.local import Local
from fer_bench.sweep.progress import Progress
from fer_bench.sweep.ray_cluster import Ray
from fer_bench.sweep.slurm import Slurm
from fer_bench.sweep.worker import line_if_ready

_EXECUTORS: dict[str, Callable[[Request, Progress], Executor]] = {
    "serial": Local,
    "pool": Local,
    "ray": Ray,
    "slurm": Slurm,
}


def start(request: Request, progress: Progress) -> Executor:
    """The executor that the options ask for.

    Raises:
        MissingExtraError: it needs a package that is not installed.
        ExperimentError: it needs a cluster that is not there.
    """
    return _EXECUTORS[request.options.executor](request, progress)


def run_specs(specs: Sequence[RunSpec], request: Request, progress: Progress) -> Iterator[Result]:
    """Execute all specs that the store does not have yet.

    Yields:
        (spec, how it ended, one line about it), in any order.

    Raises:
        RunError: the disk is full.
    """
    store = RunStore(request.root)
    # Rows that are made of other runs come after them.
    waiting = [s for s in specs if s.of is not None and not store.is_done(s.of)]
    rehearsed_away = {s.of for s in waiting} - {s.id for s in specs}
    for encoder in sorted(filter(None, rehearsed_away)):
        yield from _without(store, encoder, waiting)
    retry = request.options.retry > 0
    with start(request, progress) as executor:
        for spec in (s for s in specs if s not in waiting):
            ready = line_if_ready(store, spec, request.metrics)
            if ready is not None:
                yield spec, "kept", ready
            elif store.is_done(spec.id) or store.deaths(spec.id) < MOST_DEATHS or retry:
                executor.submit(spec)
            else:
                yield spec, "failed", store.failures()[spec.id]["reason"]
                yield from _without(store, spec.id, waiting)
        try:
            for spec, state, text in executor.wait():
                yield spec, state, text
                after = [s for s in waiting if s.of == spec.id]
                if state == "failed":
                    yield from _without(store, spec.id, waiting)
                elif state == "busy":
                    yield from ((later, state, text) for later in after)
                else:
                    for later in after:
                        executor.submit(later)
        except NoSpace:
            raise RunError(_no_space(store, specs)) from None


def _without(store: RunStore, failed: str, waiting: Sequence[RunSpec]) -> Iterator[Result]:
    """Keep that erased rows failed with the run whose embeddings they erase."""
    for spec in (s for s in waiting if s.of == failed):
        reason = f"the run {spec.of!r}, whose embeddings it erases, failed."
        store.save_failure(spec, reason=reason, kind="failed")
        yield spec, "failed", reason


def _no_space(store: RunStore, specs: Sequence[RunSpec]) -> str:
    left = sum(not store.is_done(spec.id) for spec in specs)
    free, size = free_space(store.root), store.run_size()
    needed = "" if size is None else f" of about {left * size / 2**20:.0f} MiB they need"
    return (
        f"no space is left in {str(store.root)!r} for {left} more runs: {free / 2**20:.0f} MiB are "
        f"free{needed}; finished runs are kept, and the same command goes on once there is space."
    )
