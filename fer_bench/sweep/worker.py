"""One run: a pure function of its spec that leaves a sealed folder in the store."""

from __future__ import annotations

import errno
import os
import platform
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal, Unpack

import numpy as np
import pandas as pd
import safetensors.numpy
import torch
from safetensors.torch import save_file

import fer_bench
from fer_bench import registry
from fer_bench.arrays import PartArrays
from fer_bench.atomic import atomic_path
from fer_bench.attackers.erased import erase_run
from fer_bench.cautions import Caution
from fer_bench.data.faces import FaceData
from fer_bench.data.splits import FoldFile
from fer_bench.data.thumbnails import MOST
from fer_bench.errors import MethodError, RunError
from fer_bench.experiment import RunSpec
from fer_bench.method import Method, MethodInfo
from fer_bench.metrics.metric import Metric, load_metrics, score_run
from fer_bench.runs.log import RunLog
from fer_bench.runs.store import RESUME, RunRecord, RunStore, write_json, write_part
from fer_bench.sweep.gpus import Gpus
from fer_bench.sweep.job import Job, Tell
from fer_bench.sweep.plan import RunRows, load_faces, published_folds, rows_of
from fer_bench.sweep.processes import Processes
from fer_bench.training.checkpoint import Position, copy_state
from fer_bench.training.devices import check_devices, free_port, rank_fabric, training_device
from fer_bench.training.loop import Course, OnEpoch, OnHistory
from fer_bench.training.outcome import CODES, prediction_cautions
from fer_bench.training.session import Session
from fer_bench.training.shared import SharedStages
from fer_bench.training.size import model_size
from fer_bench.training.stages import training_plan

State = Literal["done", "kept", "failed", "busy"]

HISTORY = ["stage", "epoch", "split", "player", "term", "value"]


def execute(
    spec: RunSpec,
    root: str | Path,
    *,
    metrics: tuple[str, ...] | None = None,
    seed: int = 0,
    tell: Tell = lambda **message: None,
) -> tuple[State, str]:
    """Train and score one run unless the store has it already.

    Args:
        spec: the run.
        root: of the store.
        metrics: names; by default all default ones.
        seed: of bootstrap, permutations and probes.
        tell: takes epoch=(done, in all, text) after each epoch, scoring=(number, in all, name)
            before each metric, and waiting=True and False around a wait for another run.

    Returns:
        ("done" | "kept" | "busy", one line about it).

    Raises:
        BaseException: whatever the method raises; the store then holds no half of a run.
    """
    store = RunStore(root)
    state: State = "kept"
    log = RunLog(store.log(spec.id))

    def on_epoch(done: int, total: int, text: str) -> None:
        log.write("epoch", done=done, total=total, text=text)
        tell(epoch=(done, total, text))

    if not store.is_done(spec.id):
        with store.claim(spec) as working:
            if working is None:
                return "busy", "another process is working on it"
            if not store.is_done(spec.id):
                log.write("start", run=spec.id, label=spec.label, threads=torch.get_num_threads())
                with _scalars(store, spec) as on_history:
                    _train_into(spec, store, working, tell, on_epoch, on_history)
                store.publish(spec, working)
                log.write("trained")
                state = "done"
    record = store.record(spec.id)
    if metrics_to_do(record, metrics=metrics):
        score_record(record, metrics=metrics, seed=seed, tell=tell)
        log.write("scored", metrics=sorted(record.outcomes()))
    store.forget_failure(spec.id)
    return state, headline(record)


@dataclass(frozen=True)
class Trained:
    """A method trained for one spec, with what it was trained on."""

    session: Session
    rows: RunRows
    position: Position


def _scalars(store: RunStore, spec: RunSpec) -> AbstractContextManager[OnHistory | None]:
    """A writer of TensorBoard scalars where the experiment asks for them."""
    experiment = store.experiment()
    if experiment is None or not experiment.report.tensorboard:
        return nullcontext()
    from fer_bench.training.scalars import Scalars

    return Scalars(store.root / "tensorboard" / spec.id)


def _train_into(
    spec: RunSpec,
    store: RunStore,
    working: Path,
    tell: Tell,
    on_epoch: OnEpoch | None,
    on_history: OnHistory | None,
) -> None:
    started = time.monotonic()
    if spec.of is not None:
        write_erased(spec, store.record(spec.of), working, started=started)
        return
    resume = working / RESUME
    folds = published_folds(folds_path(store, spec.fold_hash), spec, data_of(spec))
    shared = SharedStages(store.stages, spec, lambda waiting: tell(waiting=waiting))
    trained = train(
        spec, folds, resume=resume, shared=shared, on_epoch=on_epoch, on_history=on_history
    )
    write_run(spec, trained, working, started=started)
    resume.unlink(missing_ok=True)


def train(spec: RunSpec, folds: FoldFile, **course: Unpack[Course]) -> Trained:
    """Train the method of a spec, on as many devices as it asks for; the test part is not read.

    Args:
        spec: the run.
        folds: of its data set.
        course: see `fer_bench.training.loop.Course`; several devices train all stages themselves.

    Raises:
        RunError: the data are not those the run was planned for.
    """
    if spec.training.devices == 1:
        return _train_here(spec, folds, **course)
    on_epoch, on_history = course.get("on_epoch"), course.get("on_history")

    def hear(message: dict[str, Any]) -> None:
        if "here" in message:
            raise MethodError(
                f"several devices cannot train what one process has: {message['here']}: put it "
                "into a module."
            )
        if "epoch" in message and on_epoch is not None:
            on_epoch(*message["epoch"])
        if "history" in message and on_history is not None:
            on_history(message["history"])

    with tempfile.TemporaryDirectory() as folder:
        state = course.get("resume") or Path(folder) / RESUME
        _train_ranks(spec, folds, state, hear)
        return _train_here(spec, folds, resume=state)  # all that is left is to read the state


def _train_ranks(
    spec: RunSpec, folds: FoldFile, resume: Path, hear: Callable[[dict[str, Any]], None]
) -> None:
    """Train on several devices, a process each; what they have learned is in the resume file."""
    check_devices(spec.training)
    devices, port = spec.training.devices, free_port()
    fresh = training_device(spec.training).type != "cpu"
    with Processes(devices) as ranks:
        for rank in range(devices):
            job = Job(
                _train_rank,
                {"rank": rank, "port": port, "spec": spec, "folds": folds, "resume": resume},
                threads=torch.get_num_threads(),
                wants_tell=True,
                fresh=fresh,
                gpus=Gpus.here(),
            )
            ranks.submit(rank, job, hear)
        for rank, end in ranks.ends():  # the first that fails ends all
            if end.disk_full:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(resume))
            if end.error is not None:
                print(end.traceback or "", file=sys.stderr)
                raise MethodError(f"device {rank + 1} of {devices}: {end.error}")


def _train_rank(
    rank: int, port: int, spec: RunSpec, folds: FoldFile, resume: Path, tell: Tell
) -> None:
    """What the process of one of several devices does."""

    def on_epoch(done: int, total: int, text: str) -> None:
        tell(epoch=(done, total, text))

    def on_history(rows: Sequence[Sequence[Any]]) -> None:
        tell(history=rows)

    fabric = rank_fabric(spec.training, rank, port)
    first = rank == 0
    _train_here(
        spec,
        folds,
        resume=resume,
        on_epoch=on_epoch if first else None,
        on_history=on_history if first else None,
        fabric=fabric,
    )
    torch.distributed.destroy_process_group()


def _train_here(spec: RunSpec, folds: FoldFile, **course: Unpack[Course]) -> Trained:
    data = data_of(spec)
    rows = rows_of(data, spec, folds)
    validation = rows.fold.validation
    if spec.training.selection == "oracle":
        rows = replace(rows, cautions=(*rows.cautions, Caution("epochs-chosen-on-test")))
        validation = rows.fold.test
    fabric = course.get("fabric")
    session = new_session(spec, data, rows, fabric.device if fabric is not None else None)
    position = session.train(rows.fold.train, validation, **course)
    return Trained(session, rows, position)


def data_of(spec: RunSpec) -> FaceData:
    """The data set of a run.

    Raises:
        RunError: it has changed since the run was planned.
    """
    data = load_faces(spec.data)
    if data.fingerprint != spec.fingerprint:
        raise RunError(
            f"the data set {spec.data.name!r} has changed since this run was planned: "
            "start the experiment again."
        )
    return data


def new_session(
    spec: RunSpec, data: FaceData, rows: RunRows, device: torch.device | None = None
) -> Session:
    """The untrained method of a run, with its faces."""
    adapter = registry.methods.get(spec.method)
    config = adapter.Config.model_validate(spec.parameters)
    return Session.build(
        adapter,
        config,
        data,
        rows.fold.train,
        training=spec.training,
        seed=spec.seed,
        device=device,
    )


def folds_path(store: RunStore, fold_hash: str) -> Path:
    """Where a result folder keeps the folds of this hash."""
    return store.root / "folds" / f"{fold_hash[:16]}.json"


def parts_of(spec: RunSpec, trained: Trained) -> Iterator[PartArrays]:
    """The evaluated parts of a trained run: of its fold, then of the further test sets."""
    session, fold = trained.session, trained.rows.fold
    rows = {"train": fold.train, "validation": fold.validation, "test": fold.test}
    rows |= {f"test:{name}": against for name, against in trained.rows.tests.items()}
    for name, chosen in rows.items():
        if len(chosen):
            draw = name == "test" and len(session.batcher.data) <= MOST
            yield session.extract(chosen, name=name, draw=draw)
    for name, test in spec.tests.items():
        data = load_faces(test)
        yield session.extract(np.arange(len(data)), name=f"test:{name}", data=data)


def write_run(spec: RunSpec, trained: Trained, working: Path, *, started: float) -> None:
    """Write all files of a trained run into `working`; `started` is when work on it began."""
    method, position = trained.session.method, trained.position
    learned: list[Caution] = []
    for part in parts_of(spec, trained):
        write_part(working / "parts", part)
        if part.name in ("train", "test") and method.info.role != "oracle":
            learned += prediction_cautions(part)
    with atomic_path(working / "model.safetensors") as aside:
        save_file({k: v.contiguous() for k, v in copy_state(method).items()}, aside)
    write_json(working / "spec.json", spec.model_dump(mode="json"))
    write_json(
        working / "environment.json",
        environment(
            method,
            position,
            [*trained.rows.cautions, *position.cautions, *learned],
            str(trained.session.batcher.device),
            time.monotonic() - started,
        )
        | {
            "tie": list(trained.rows.notes),
            "size": model_size(method, trained.session.batcher),
            "plan": training_plan(method),
        },
    )
    pd.DataFrame(position.history, columns=HISTORY).to_csv(working / "history.csv", index=False)


def write_erased(spec: RunSpec, encoder: RunRecord, working: Path, *, started: float) -> None:
    """Write an erased run: the arrays of its encoder's run without identity, and a new head."""
    erased = erase_run(encoder.arrays, spec.parameters)
    for part in erased.parts:
        write_part(working / "parts", part)
    with atomic_path(working / "model.safetensors") as aside:
        safetensors.numpy.save_file(
            {name: np.ascontiguousarray(array) for name, array in erased.state.items()}, aside
        )
    write_json(working / "spec.json", spec.model_dump(mode="json"))
    said = [Caution.from_json(caution) for caution in encoder.environment["warnings"]]
    environment = encoder.environment | {
        "method": info_json(erased.info),
        "warnings": [caution.to_json() for caution in (*said, *erased.cautions)],
        "stages": [],
        "training_s": 0.0,
        "wall_s": round(time.monotonic() - started, 2),
        "of": encoder.spec.id,
    }
    write_json(working / "environment.json", environment)
    pd.DataFrame([], columns=HISTORY).to_csv(working / "history.csv", index=False)


def load_session(record: RunRecord) -> Session:
    """The trained method of a finished run with its faces, ready to embed on the CPU.

    Raises:
        RunError: the data or the folds are not those the run was trained on, or it is an erased
            row, which has no network of its own.
    """
    spec = record.spec
    if spec.of is not None:
        raise RunError(
            f"the run {spec.id!r} is an erased row and has no network of its own: use {spec.of!r}."
        )
    data = data_of(spec)
    store = RunStore(record.folder.parent.parent)
    folds = published_folds(folds_path(store, spec.fold_hash), spec, data)
    rows = rows_of(data, spec, folds)
    session = new_session(spec, data, rows, torch.device("cpu"))
    record.sealed("model.safetensors")  # compared with its checksum
    session.load(record.folder / "model.safetensors", rows.fold.train)
    return session


def score_record(
    record: RunRecord,
    *,
    metrics: tuple[str, ...] | None = None,
    seed: int = 0,
    again: bool = False,
    tell: Tell = lambda **message: None,
) -> None:
    """Score a finished run into its folder: only what is missing, failed or of another version.

    Args:
        metrics: names; by default all default ones.
        seed: of bootstrap, permutations and probes.
        again: compute all of them anew.
        tell: takes scoring=(number, in all, name) before each metric.
    """
    todo = metrics_to_do(record, metrics=metrics, again=again)
    if todo:
        outcomes = score_run(
            record.arrays, todo, seed=seed, on_metric=lambda *step: tell(scoring=step)
        )
        record.save_outcomes(outcomes)


def metrics_to_do(
    record: RunRecord, *, metrics: tuple[str, ...] | None = None, again: bool = False
) -> dict[str, Metric]:
    """The metrics that a run lacks, that failed on it, or that have another version by now."""
    have = {} if again else record.outcomes()
    return {
        name: metric
        for name, metric in load_metrics(metrics).items()
        if name not in have or have[name].version != metric.version or have[name].failed is not None
    }


def headline(record: RunRecord) -> str:
    """One line about a finished run for the terminal."""
    scores = {k: s for o in record.outcomes().values() for k, s in o.scores.items()}
    accuracy, ccc = scores.get("test.accuracy"), scores.get("test.ccc.mean")
    parts = []
    if accuracy is not None:
        parts.append(f"accuracy {accuracy}")
    elif ccc is not None:
        parts.append(f"CCC {ccc}")
    if steps := record.environment.get("steps"):
        parts.append(f"{steps:,} steps")
    said = map(Caution.from_json, record.environment["warnings"])
    parts += [str(caution) for caution in said if caution.code in CODES]
    failed = [name for name, outcome in record.outcomes().items() if outcome.failed]
    if failed:
        parts.append(f"metrics failed: {', '.join(failed)}")
    return "; ".join(parts) or "scored"


def line_if_ready(
    store: RunStore, spec: RunSpec, metrics: tuple[str, ...] | None = None
) -> str | None:
    """The line about a run that is trained and scored; None if something is left to do."""
    if not store.is_done(spec.id):
        return None
    record = store.record(spec.id)
    try:
        return None if metrics_to_do(record, metrics=metrics) else headline(record)
    except RunError:  # damaged: whoever executes it says what is wrong
        return None


def environment(
    method: Method, position: Position, cautions: list[Caution], device: str, seconds: float
) -> dict[str, Any]:
    """What a reader needs to repeat a run or to doubt it."""
    return {
        "classes": list(method.task.classes),
        "method": info_json(method.info),
        "wall_s": round(seconds, 2),
        "training_s": round(position.seconds, 2),
        "device": device,
        "threads": torch.get_num_threads(),
        "fer_bench": fer_bench.__version__,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "numpy": np.__version__,
        "platform": platform.platform(),
        "n_parameters": sum(p.numel() for p in method.parameters()),
        "n_train_subjects": method.task.n_train_subjects,
        "stages": position.stages,
        "steps": sum(stage["steps"] for stage in position.stages),
        "images_seen": position.images_seen,
        "warnings": [caution.to_json() for caution in dict.fromkeys(cautions)],
    }


def info_json(info: MethodInfo) -> dict[str, Any]:
    """A `MethodInfo` as plain JSON types."""
    content = asdict(info)
    content["needs"] = sorted(info.needs)
    return content
