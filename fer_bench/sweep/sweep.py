"""The main job: plan, run what is missing, score."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from fer_bench.data.progress import quietly
from fer_bench.data.thumbnails import thumbnails
from fer_bench.errors import RunError, free_space
from fer_bench.experiment import Experiment, RunSpec
from fer_bench.metrics.metric import metric_names
from fer_bench.runs.store import RunRecord, RunStore
from fer_bench.sweep.driver import run_specs
from fer_bench.sweep.executors import Options, Request, workers_of
from fer_bench.sweep.forecast import Forecast, forecast
from fer_bench.sweep.job import Job
from fer_bench.sweep.plan import Plan, data_card, plan
from fer_bench.sweep.processes import Processes
from fer_bench.sweep.progress import Progress
from fer_bench.sweep.worker import folds_path, metrics_to_do, score_record
from fer_bench.terminal import counted, duration
from fer_bench.threads import RUN_THREADS
from fer_bench.training.scalars import require as require_tensorboard
from fer_bench.training.shared import announce, first_own_stages


@dataclass(frozen=True)
class Sweep:
    """What came of a sweep.

    Attributes:
        root: the result folder.
        done, kept: runs trained now, and runs that were there already.
        busy: runs that another process is working on.
        failed: run id -> reason; skipped: the same for what the data cannot give.
    """

    root: Path
    done: int
    kept: int
    busy: int
    failed: dict[str, str]
    skipped: dict[str, str]

    @property
    def store(self) -> RunStore:
        """The run store of the sweep."""
        return RunStore(self.root)

    def records(self) -> list[RunRecord]:
        """All finished runs."""
        return self.store.records()


def run_experiment(
    experiment: Experiment,
    out: str | Path,
    *,
    options: Options = Options(),  # noqa: B008
    methods: Sequence[str] = (),
    rehearse: bool = False,
    quiet: bool = False,
) -> Sweep:
    """Run an experiment into a folder: only what the folder does not have yet.

    Args:
        experiment: see `fer_bench.experiment.load_experiment`.
        out: result folder; made if absent. Giving the same folder again goes on where a killed
            sweep was.
        options: how the runs are executed; by default one after the other.
        methods: labels or names of the only rows that are run; all by default.
        rehearse: first let every method see a batch. One that fails does not fail in each of its
            runs again, and the longest runs are started first.
        quiet: no progress on the terminal.

    Raises:
        FerBenchError: the experiment cannot be planned. A run that fails does not raise: it is
            in `Sweep.failed` and in the report.
    """
    store = RunStore(out)
    store.refuse_other_files("experiment.json")
    if experiment.report.tensorboard:
        require_tensorboard()
    with quietly(quiet):
        planned = plan(experiment).only(methods)
    prepare(store, experiment, planned)
    counts = {"done": 0, "kept": 0, "busy": 0}
    failed: dict[str, str] = {}
    with Progress(len(planned.runs), quiet=quiet) as progress:
        specs: Sequence[RunSpec] = planned.runs
        if rehearse:
            specs, failed = _rehearsed(store, specs, options, progress)
        specs = _announced(store, specs, options)
        scores = experiment.scores
        request = Request(
            root=os.path.abspath(store.root),
            metrics=metric_names(scores.metrics, attackers=scores.attackers),
            seed=scores.seed,
            options=options,
        )
        for spec, state, text in run_specs(specs, request, progress):
            progress.finished(spec, state, text)
            if state in counts:
                counts[state] += 1
            else:
                failed[spec.id] = text
    return Sweep(
        root=store.root,
        done=counts["done"],
        kept=counts["kept"],
        busy=counts["busy"],
        failed=failed,
        skipped={spec.id: reason for spec, reason in planned.skipped},
    )


def _rehearsed(
    store: RunStore, specs: Sequence[RunSpec], options: Options, progress: Progress
) -> tuple[Sequence[RunSpec], dict[str, str]]:
    """The runs that may succeed, the longest first, and the others with the reason."""
    todo = [spec for spec in specs if not store.is_done(spec.id)]
    counts = Counter(spec.label for spec in todo)
    # One run says it itself; rows made of other runs are not trained.
    several = [spec for spec in todo if counts[spec.label] > 1 and spec.of is None]
    known = {one.label: one for one in forecast(several, options)}
    failed: dict[str, str] = {}
    for spec in several:
        problem = known[spec.label].problem
        if problem is not None:
            deaths = store.deaths(spec.id)
            store.save_failure(spec, reason=problem, kind="failed", deaths=deaths)
            failed[spec.id] = problem
            progress.finished(spec, "failed", problem)
    if known:
        progress.say(outlook(list(known.values()), store, options))
    left = [spec for spec in specs if spec.id not in failed]
    if options.workers > 1:
        left.sort(key=lambda s: -known[s.label].seconds if s.label in known else 0.0)
    return left, failed


def _announced(store: RunStore, specs: Sequence[RunSpec], options: Options) -> Sequence[RunSpec]:
    """Make room for what runs have in common; where several run at once, the others come later."""
    todo = [spec for spec in specs if not store.is_done(spec.id)]
    announce(store.stages, todo)
    later = first_own_stages(todo) if options.workers > 1 else {}
    return sorted(specs, key=lambda spec: spec.id in later)


def outlook(forecasts: Sequence[Forecast], store: RunStore, options: Options) -> str:
    """How long some runs will take and how much space, in one line."""
    able = [one for one in forecasts if one.problem is None]
    if not able:
        return "no run can be trained"
    runs = sum(one.runs for one in able)
    seconds = sum(one.runs * one.seconds for one in able) / min(options.workers, max(1, runs))
    size = sum(one.runs * one.size for one in able)
    return (
        f"{counted(runs, 'run')} to train: at least {duration(seconds)} and "
        f"{size / 2**20:.1f} MiB, of {free_space(store.root) / 2**20:.0f} MiB that are free"
    )


def prepare(store: RunStore, experiment: Experiment, planned: Plan) -> None:
    """Write what belongs to the sweep as a whole: experiment, folds, data cards, skips."""
    store.root.mkdir(parents=True, exist_ok=True)
    store.remove_leftovers()
    store.save_experiment(experiment)
    path = folds_path(store, planned.folds.hash)
    path.parent.mkdir(exist_ok=True)
    planned.folds.save(path)  # the same rows with today's cautions: tests may have been added
    for fingerprint, data in planned.data.items():
        if not store.has_data_card(fingerprint):
            store.save_data_card(fingerprint, data_card(data), thumbnails(data))
    store.save_plan({spec.id: f"{spec.label} {spec.place}" for spec in planned.runs})
    for spec, reason in planned.skipped:
        store.save_failure(spec, reason=reason, kind="skipped")


def score_store(
    store: RunStore,
    *,
    metrics: Sequence[str] | None = None,
    seed: int = 0,
    again: bool = False,
    workers: int | None = None,
    quiet: bool = False,
) -> list[RunRecord]:
    """Score all finished runs of a folder from their saved arrays: only what is missing.

    Args:
        store: the result folder.
        metrics: names; by default all default ones.
        seed: of bootstrap, permutations and probes.
        again: compute all anew.
        workers: runs scored at once; by default as many as `Pool` trains at once.
        quiet: no progress.

    Raises:
        RunError: there is no finished run.
        UnknownNameError: there is no metric of a name.
    """
    records = store.records()
    if not records:
        raise RunError(f"there is no finished run in {str(store.root)!r}: is it a result folder?")
    names = tuple(metrics) if metrics is not None else None
    todo = [r for r in records if metrics_to_do(r, metrics=names, again=again)]
    workers = min(workers_of("pool", workers), max(1, len(todo)))
    with Progress(len(records), quiet=quiet) as progress, Processes(workers) as processes:
        for record in records:
            if record in todo:
                arguments = {"record": record, "metrics": names, "seed": seed, "again": again}
                job = Job(score_record, arguments, threads=RUN_THREADS, wants_tell=True)
                processes.submit(record, job, partial(_scoring, progress, record))
            else:
                progress.finished(record.spec, "kept", "scored already")
        for record, end in processes.ends():
            if end.error is None:
                progress.finished(record.spec, "done", "scored")
            else:
                progress.finished(record.spec, "failed", end.error)
    return records


def _scoring(progress: Progress, record: RunRecord, message: Mapping[str, Any]) -> None:
    if "scoring" in message:
        progress.step(record.spec, "scoring", *message["scoring"])
