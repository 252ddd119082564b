"""Runs by the tasks of a Slurm job array: an `sbatch` script that calls our own worker command.

The driver writes the runs to a file on the shared file system and hands in a script. Every task of
the array takes the next run that nobody has claimed, until none is left. Before its time limit a
task stops at its checkpoint and is queued again; what Slurm preempts, it queues again itself. The
driver looks at the queue and at the run store, which alone says how a run ended.
"""

from __future__ import annotations

import json
import os
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import count
from pathlib import Path
from typing import Any

from fer_bench.errors import ExperimentError, RunError
from fer_bench.experiment import RunSpec
from fer_bench.runs.store import RunStore, write_json
from fer_bench.sweep.executors import MOST_DEATHS, Executor, NoSpace, Options, Request, Result
from fer_bench.sweep.local import Local
from fer_bench.sweep.progress import Progress
from fer_bench.sweep.worker import line_if_ready
from fer_bench.terminal import counted

_POLL_S = 5.0
_GRACE_S = 60.0  # until files of another machine are seen on this one
_STOP_S = 120  # before its time limit, a task is told to stop

_SCRIPT = """\
#!/bin/bash
#SBATCH --job-name=fer-bench
#SBATCH --array=0-{last}
#SBATCH --cpus-per-task={threads}
#SBATCH --output={output}
#SBATCH --open-mode=append
#SBATCH --requeue
#SBATCH --signal=B:USR1@{stop}
{further}
# Shortly before the time limit: stop at the checkpoint, and wait in the queue for another turn.
again() {{
    kill -TERM $(jobs -p)
    wait
    scontrol requeue "${{SLURM_ARRAY_JOB_ID}}_${{SLURM_ARRAY_TASK_ID}}"
    exit 0
}}
trap again USR1
cd {folder} || exit
{command} "$SLURM_ARRAY_TASK_ID" &
wait $!
"""


@dataclass(frozen=True)
class Tasks:
    """What a job array is to do.

    Attributes:
        specs: the runs.
        request: what is asked of every run.
        since: when they were written, by the clock of the file system.
    """

    specs: tuple[RunSpec, ...]
    request: Request
    since: float = 0.0

    @property
    def workers(self) -> int:
        """How many tasks the array has."""
        return min(self.request.options.workers, len(self.specs))

    def save(self, path: Path) -> Tasks:
        """Write them where every machine can read them."""
        content = asdict(self.request) | {"specs": [s.model_dump(mode="json") for s in self.specs]}
        write_json(path, content)
        return replace(self, since=path.stat().st_mtime)

    @classmethod
    def load(cls, path: Path) -> Tasks:
        """Read what `save` wrote.

        Raises:
            RunError: it is no such file.
        """
        try:
            content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
            specs = tuple(map(RunSpec.model_validate, content.pop("specs")))
            metrics = content.pop("metrics")
            content["metrics"] = None if metrics is None else tuple(metrics)
            options = Options(**content.pop("options"))
            request = Request(**content, options=options)
            return cls(specs, request, path.stat().st_mtime)
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise RunError(f"{str(path)!r} is no list of tasks of a sweep: {error}.") from None

    def result(self, store: RunStore, spec: RunSpec) -> Result | None:
        """How a run has ended since they were written; None if it has not."""
        line = line_if_ready(store, spec, self.request.metrics)
        if line is not None:
            return spec, "done", line
        failure = store.failure_path(spec.id)
        if failure.exists() and failure.stat().st_mtime >= self.since:
            return spec, "failed", store.failures()[spec.id]["reason"]
        return None


def work(path: Path, index: int) -> int:
    """Be one task of an array: do runs that nobody has claimed, until none is left.

    Args:
        path: of the list of tasks.
        index: of this task; each begins at another run.

    Returns:
        The exit status: 1 if a run failed.

    Raises:
        RunError: there is no such task, or no space for results.
    """
    tasks = Tasks.load(path)
    if not 0 <= index < tasks.workers:
        raise RunError(f"{str(path)!r} has {tasks.workers} tasks, and none is number {index}.")
    store, request = RunStore(tasks.request.root), tasks.request.for_one()
    first = index * len(tasks.specs) // tasks.workers
    failed = 0
    with Progress(len(tasks.specs)) as progress, Local(request, progress) as local:
        for spec in (*tasks.specs[first:], *tasks.specs[:first]):
            if tasks.result(store, spec) is not None or store.is_claimed(spec.id):
                continue
            local.submit(spec)
            try:
                ((_, state, text),) = local.wait()
            except NoSpace:
                raise RunError(
                    f"no space is left in {request.root!r}: once there is, the command goes on."
                ) from None
            progress.finished(spec, state, text)
            failed += state == "failed"
    return int(failed > 0)


def script(path: Path, workers: int, root: Path, options: Options) -> str:
    """The script that is handed to `sbatch`.

    Args:
        path: of the list of tasks.
        workers: tasks of the array.
        root: the result folder.
        options: how runs are executed.
    """
    return _SCRIPT.format(
        last=workers - 1,
        threads=options.threads,
        output=shlex.quote(str(root / "logs" / "slurm" / "%A_%a.txt")),
        stop=_STOP_S,
        further="".join(f"#SBATCH {option}\n" for option in options.sbatch),
        folder=shlex.quote(os.getcwd()),
        command=shlex.join([sys.executable, "-m", "fer_bench", "work", str(path)]),
    )


@dataclass
class _Array:
    """A job array that was handed in, and its runs that are not done."""

    job: str
    tasks: Tasks
    open: list[RunSpec]
    empty_since: float | None = None  # when its last task left the queue


class Slurm(Executor):
    """Executes runs by the tasks of Slurm job arrays.

    Args:
        request: what is asked of every run.
        progress: takes what is said meanwhile.

    Raises:
        ExperimentError: there is no Slurm on this machine.
    """

    def __init__(self, request: Request, progress: Progress) -> None:
        if shutil.which("sbatch") is None:
            raise ExperimentError(
                "the executor 'slurm' calls `sbatch`, and this machine has none: give the command "
                "on a machine that hands in jobs, or take --executor pool."
            )
        self.request = request
        self.progress = progress
        self.store = RunStore(request.root)
        self._new: list[RunSpec] = []
        self._turns: dict[str, int] = {}  # run -> how often it was handed in
        self._arrays: list[_Array] = []

    def submit(self, spec: RunSpec) -> None:
        self._new.append(spec)
        self._turns[spec.id] = self._turns.get(spec.id, 0) + 1

    def wait(self) -> Iterator[Result]:
        while self._new or self._arrays:
            if self._new:
                self._arrays.append(self._hand_in(self._new))
                self._new = []
            ended = [result for array in self._arrays for result in self._ended(array)]
            self._arrays = [array for array in self._arrays if array.open]
            yield from ended
            if self._arrays and not ended:
                time.sleep(_POLL_S)

    def _hand_in(self, specs: Sequence[RunSpec]) -> _Array:
        root = Path(self.request.root)
        (root / "logs" / "slurm").mkdir(parents=True, exist_ok=True)
        path = next(p for n in count(1) if not (p := root / "slurm" / f"tasks-{n}.json").exists())
        tasks = Tasks(tuple(specs), self.request).save(path)
        file = path.with_suffix(".sh")
        file.write_text(script(path, tasks.workers, root, self.request.options), encoding="utf-8")
        job = _call("sbatch", "--parsable", str(file)).strip().partition(";")[0]
        self.progress.say(
            f"{counted(len(specs), 'run')} with {counted(tasks.workers, 'task')} of the Slurm job "
            f"{job}: {file}"
        )
        return _Array(job, tasks, list(specs))

    def _ended(self, array: _Array) -> list[Result]:
        """How runs of an array have ended since the last look."""
        queued = _is_queued(array.job)
        results = {
            spec.id: result
            for spec in array.open
            if (result := array.tasks.result(self.store, spec)) is not None
        }
        array.open = [spec for spec in array.open if spec.id not in results]
        # A claim of a machine that was lost lasts for minutes.
        if queued or any(self.store.is_claimed(spec.id) for spec in array.open):
            array.empty_since = None
        elif array.empty_since is None:
            array.empty_since = time.monotonic()
        elif time.monotonic() - array.empty_since > _GRACE_S:
            lost, array.open = array.open, []
            results |= {spec.id: one for spec in lost if (one := self._lost(spec, array.job))}
        return list(results.values())

    def _lost(self, spec: RunSpec, job: str) -> Result | None:
        """Hand a run in again whose task ended before it; or give it up."""
        if self._turns[spec.id] < MOST_DEATHS:
            self.submit(spec)
            return None
        logs = str(self.store.root / "logs" / "slurm" / f"{job}_*.txt")
        reason = f"no task of Slurm came to its end in {MOST_DEATHS} jobs: see {logs!r}."
        self.store.save_failure(spec, reason=reason, kind="failed")
        return spec, "failed", reason

    def cancel(self) -> None:
        for array in self._arrays:
            _call("scancel", array.job)
        self._arrays, self._new = [], []


def _is_queued(job: str) -> bool:
    """Whether a task of an array waits or runs; true where Slurm does not answer."""
    try:
        return bool(_call("squeue", "--noheader", "--format=%i", f"--jobs={job}").strip())
    except RunError as error:
        return "Invalid job id" not in str(error)


def _call(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        said = done.stderr.strip() or f"exit status {done.returncode}"
        raise RunError(f"`{shlex.join(command)}` failed: {said}")
    return done.stdout
