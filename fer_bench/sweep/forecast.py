"""What a sweep will take, and which of its methods will fail, before anything is trained."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from fer_bench.experiment import RunSpec
from fer_bench.sweep.executors import Options, needs_fresh_process
from fer_bench.sweep.job import Job
from fer_bench.sweep.plan import folds_of, load_faces, rows_of
from fer_bench.sweep.processes import Processes
from fer_bench.sweep.worker import data_of, new_session
from fer_bench.training.batches import batches_in
from fer_bench.training.loop import stage_budget

_STEPS = 4  # of a rehearsal, shared by its stages
_PATIENCE_S = 600.0  # for one of them


@dataclass(frozen=True)
class Forecast:
    """What the runs of one method will take.

    Attributes:
        label: of the method's row.
        runs: that are to be done.
        seconds, size: of training one of them, and bytes on disk; from a few steps.
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
    with Processes(options.workers, options.limits.within(_PATIENCE_S)) as processes:
        for label, runs in by_label.items():
            fresh = needs_fresh_process(runs[0])
            job = Job(rehearse, {"spec": runs[0]}, threads=options.threads, fresh=fresh)
            processes.submit(label, job)
        for label, end in processes.ends():
            count = len(by_label[label])
            if end.error is not None:
                yield Forecast(label, count, problem=end.error)
            else:
                seconds, size = end.value
                yield Forecast(label, count, seconds, size)


def rehearse(spec: RunSpec) -> tuple[float, int]:
    """Train the method of a run for a few steps of every stage.

    Returns:
        Seconds of all its training, if several devices share it without loss, and bytes of what it
        will write.
    """
    data = data_of(spec)
    rows = rows_of(data, spec, folds_of(data, spec.split))
    short = spec.training.model_copy(update={"steps": _STEPS, "devices": 1})
    session = new_session(spec.model_copy(update={"training": short}), data, rows)
    spent: dict[str, float] = defaultdict(float)
    last = time.perf_counter()

    def on_epoch(done: int, total: int, text: str) -> None:
        nonlocal last
        now = time.perf_counter()
        spent[text.partition(":")[0]] += now - last
        last = now

    session.train(rows.fold.train, rows.fold.validation[:0], on_epoch=on_epoch)
    seconds = 0.0
    for stage in session.method.stages():
        size = stage.batch_size or spec.training.batch_size
        batches = batches_in(len(rows.fold.train), size)
        tried, all_of_it = (stage_budget(stage.share, t, batches) for t in (short, spec.training))
        seconds += spent[stage.name] * all_of_it.steps / tried.steps
    part = session.extract(rows.fold.train[:2], name="train")
    arrays = (part.expression, part.identity, part.logits, part.valence_arousal)
    width = sum(array.shape[1] for array in arrays if array is not None)
    faces = len(data) + sum(len(load_faces(test)) for test in spec.tests.values())
    weights = sum(value.numel() for value in session.method.state_dict().values())
    return seconds / spec.training.devices, 4 * (weights + faces * width)
