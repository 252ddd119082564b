"""How far a result folder is: done, running, failed, left, and when it will be ready."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from statistics import mean
from typing import Any

from fer_bench.errors import RunError
from fer_bench.runs.log import RunLog
from fer_bench.runs.store import RunStore

_RECENT = 20  # finished runs that an estimate rests on


@dataclass(frozen=True)
class Running:
    """A run that a process is at work on.

    Attributes:
        run: its id.
        name: label and place.
        since: when it was started (ISO 8601, UTC); None before it says so.
        epoch, epochs: finished, and in all; None before the first.
    """

    run: str
    name: str
    since: str | None
    epoch: int | None
    epochs: int | None


@dataclass(frozen=True)
class Status:
    """How far a result folder is.

    Attributes:
        planned: runs that the last command planned; 0 where that is unknown.
        done: finished runs, of any command.
        running: what processes are at work on.
        failed, skipped: run id -> reason.
        left: planned runs that are none of these.
        seconds_left: an estimate from recent runs; None where it cannot be told.
    """

    planned: int
    done: int
    running: tuple[Running, ...]
    failed: dict[str, str]
    skipped: dict[str, str]
    left: int
    seconds_left: float | None

    def to_json(self) -> dict[str, Any]:
        """Plain JSON types."""
        return asdict(self)


def status_of(store: RunStore) -> Status:
    """Look at a result folder, and read no more of it than that takes.

    Raises:
        RunError: it is no result folder.
    """
    if not store.runs.is_dir() and not (store.root / "experiment.json").exists():
        raise RunError(f"{str(store.root)!r} is no result folder.")
    planned, done = store.planned(), set(store.run_ids())
    failures = {run: f for run, f in store.failures().items() if run not in done}
    reasons = {
        kind: {run: f["reason"] for run, f in failures.items() if f["kind"] == kind}
        for kind in ("failed", "skipped")
    }
    open_runs = [run for run in planned if run not in done]
    running = tuple(
        _running(store, run, planned[run]) for run in open_runs if store.is_claimed(run)
    )
    at_work = {one.run for one in running}
    left = [run for run in open_runs if run not in at_work and run not in reasons["failed"]]
    return Status(
        planned=len(planned),
        done=len(done),
        running=running,
        failed=reasons["failed"],
        skipped=reasons["skipped"],
        left=len(left),
        seconds_left=_seconds_left(store, done, len(left), len(running)),
    )


def _running(store: RunStore, run: str, name: str) -> Running:
    events = RunLog(store.log(run)).read()
    starts = [i for i, event in enumerate(events) if event.get("event") == "start"]
    latest = events[starts[-1] :] if starts else []
    epochs = [event for event in latest if event.get("event") == "epoch"]
    last = epochs[-1] if epochs else {}
    since = latest[0].get("at") if latest else None
    return Running(run, name, since, last.get("done"), last.get("total"))


def _seconds_left(store: RunStore, done: set[str], left: int, running: int) -> float | None:
    seconds = []
    for run in sorted(done)[-_RECENT:]:
        try:
            seconds.append(float(store.record(run).environment["wall_s"]))
        except (RunError, KeyError, TypeError, ValueError):
            continue
    if not seconds or not running:
        return None
    return round(mean(seconds) * (left / running + 0.5), 1)
