"""What a sweep will take, and which of its methods will fail, before anything is trained."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import mean

from fer_bench.experiment import RunSpec
from fer_bench.sweep.executors import Options, needs_fresh_process
from fer_bench.sweep.job import Job
from fer_bench.sweep.plan import folds_of, load_faces, rows_of
from fer_bench.sweep.processes import Processes
from fer_bench.sweep.worker import data_of, new_session
from fer_bench.training.batches import batches_in
from fer_bench.training.loop import backbones_of, stage_budget
from fer_bench.training.shared import first_own_stages

_STEPS = 4  # of every stage of a rehearsal
_PATIENCE_S = 600.0  # for one of them


@dataclass(frozen=True)
class Forecast:
    """What the runs of one method will take.

    Attributes:
        label: of the method's row.
        runs: that are to be done.
        seconds, size: of training one of them, the mean, and bytes on disk; from a few steps.
            A stage that others have in common counts in the run that trains it.
        problem: why all of them will fail, in one sentence; None if nothing speaks for it.
    """

    label: str
    runs: int
    seconds: float = 0.0
    size: int = 0
    problem: str | None = None


def forecast(specs: Sequence[RunSpec], options: Options) -> Iterator[Forecast]:
    """Try out every method of some runs, each in a process of its own.

    Rows made of other runs train nothing, and have no forecast.
    """
    by_label: dict[str, list[RunSpec]] = {}
    for spec in (spec for spec in specs if spec.of is None):
        by_label.setdefault(spec.label, []).append(spec)
    begins = first_own_stages(specs)
    with Processes(options.workers, options.limits.within(_PATIENCE_S)) as processes:
        for label, runs in by_label.items():
            fresh = needs_fresh_process(runs[0])
            job = Job(rehearse, {"spec": runs[0]}, threads=options.threads, fresh=fresh)
            processes.submit(label, job)
        for label, end in processes.ends():
            runs = by_label[label]
            if end.error is not None:
                yield Forecast(label, len(runs), problem=end.error)
            else:
                stages, size = end.value
                seconds = mean(_seconds_from(begins.get(run.id), stages) for run in runs)
                yield Forecast(label, len(runs), seconds, size)


def _seconds_from(first: str | None, stages: Mapping[str, float]) -> float:
    """Of the stages that a run trains itself: from `first` on, or all of them."""
    names = list(stages)
    begin = 0 if first is None else names.index(first)
    return math.fsum(stages[name] for name in names[begin:])


def rehearse(spec: RunSpec) -> tuple[dict[str, float], int]:
    """Train the method of a run for a few steps of every stage.

    Returns:
        Seconds of its training by stage, and bytes of what it will write. A step counts as the
        quickest of those tried, in CPU time where it runs on the CPU, so that neither a first
        batch nor a busy neighbour is multiplied; several devices are taken to share all of it.
    """
    data = data_of(spec)
    rows = rows_of(data, spec, folds_of(data, spec.split))
    short = spec.training.model_copy(update={"steps": _STEPS, "devices": 1})
    session = new_session(spec.model_copy(update={"training": short}), data, rows)
    stages = list(session.method.stages())
    clock = time.thread_time if session.batcher.device.type == "cpu" else time.perf_counter
    watches = {stage.name: _Watch(clock, stage.on_step) for stage in stages}
    session.method.stages = lambda: [  # type: ignore[method-assign]
        replace(stage, share=1.0, on_step=watches[stage.name].see) for stage in stages
    ]
    # What a frozen network made of the faces of a batch is kept: the second pass is the usual one.
    frozen = any(b.frozen and b.caches for b in backbones_of(session.method))
    for _ in range(2 if frozen else 1):
        session.train(rows.fold.train, rows.fold.validation[:0])
    seconds = {}
    for stage in stages:
        batches = batches_in(len(rows.fold.train), stage.batch_size or spec.training.batch_size)
        budget = stage_budget(stage.share, spec.training, batches)
        steps = budget.steps / spec.training.devices
        seconds[stage.name] = steps * watches[stage.name].least
    part = session.extract(rows.fold.train[:2], name="train")
    arrays = (part.expression, part.identity, part.logits, part.valence_arousal)
    width = sum(array.shape[1] for array in arrays if array is not None)
    faces = len(data) + sum(len(load_faces(test)) for test in spec.tests.values())
    weights = sum(value.numel() for value in session.method.state_dict().values())
    return seconds, 4 * (weights + faces * width)


class _Watch:
    """Takes the time between the steps of a stage.

    Attributes:
        least: seconds of the quickest step.
    """

    def __init__(self, clock: Callable[[], float], on_step: Callable[[float], None] | None) -> None:
        self.clock = clock
        self.on_step = on_step
        self.least = math.inf
        self._last: float | None = None

    def see(self, progress: float) -> None:
        """A step begins."""
        now = self.clock()
        if progress > 0 and self._last is not None:
            self.least = min(self.least, now - self._last)
        self._last = now
        if self.on_step is not None:
            self.on_step(progress)
