"""What a sweep will take, and which of its methods will fail, before anything is trained."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch

from fer_bench.experiment import RunSpec
from fer_bench.method import Oracle, infer
from fer_bench.sweep.executors import Options, needs_fresh_process
from fer_bench.sweep.job import Job
from fer_bench.sweep.plan import folds_of, load_faces, rows_of
from fer_bench.sweep.processes import Processes
from fer_bench.sweep.worker import data_of, new_session
from fer_bench.training.batches import EpochPlan
from fer_bench.training.loop import stage_epochs
from fer_bench.training.session import materialise

_PATIENCE_S = 300.0  # for one method to build itself and to see two batches


@dataclass(frozen=True)
class Forecast:
    """What the runs of one method will take.

    Attributes:
        label: of the method's row.
        runs: that are to be done.
        seconds, size: of training one of them, and bytes on disk; from a few batches.
        problem: why all of them will fail, in one sentence; None if nothing speaks for it.
    """

    label: str
    runs: int
    seconds: float = 0.0
    size: int = 0
    problem: str | None = None


def forecast(specs: Sequence[RunSpec], options: Options) -> Iterator[Forecast]:
    """Try out every method of some runs, each in a process of its own."""
    by_label: dict[str, list[RunSpec]] = {}
    for spec in specs:
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
    """Build the method of a run and let every player see one batch.

    Returns:
        Seconds of all its training, and bytes of what it will write.
    """
    data = data_of(spec)
    rows = rows_of(data, spec, folds_of(data, spec.split))
    session = new_session(spec, data, rows)
    method, batcher = session.method, session.batcher
    few = batcher.batch(rows.fold.train[:2])
    materialise(method, few)
    seconds = 0.0
    for index, stage in enumerate(method.stages()):
        plan = EpochPlan(
            data,
            rows.fold.train,
            batch_size=stage.batch_size or spec.training.batch_size,
            pairs=stage.batch == "pairs",
            balanced=spec.training.balanced,
            seed=(spec.seed, index),
        )
        chosen, partners = next(iter(plan.epoch(0)))
        steps = stage_epochs(stage, spec.training.epochs) * len(plan)
        if stage.on_start is not None:
            stage.on_start(steps)
        method.train()
        batch = batcher.batch(chosen, partners=partners)
        for player in stage.players:
            player.loss(batch)["total"].backward()  # the first call is slower than all others
            started = time.perf_counter()
            player.loss(batch)["total"].backward()
            seconds += steps * player.steps * (time.perf_counter() - started)
    faces = len(data) + sum(len(load_faces(test)) for test in spec.tests.values())
    width = 0
    if not isinstance(method, Oracle):
        with torch.no_grad():
            outputs, predictions = infer(method.eval(), few)
        parts = (outputs.expression, outputs.identity, predictions.logits)
        width = sum(part.shape[1] for part in parts if part is not None)
    weights = sum(value.numel() for value in method.state_dict().values())
    return seconds, 4 * (weights + faces * width)
