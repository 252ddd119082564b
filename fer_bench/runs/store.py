"""The run store: folders that are either complete and checked, or not there.

Layout of a result folder::

    experiment.json              the validated experiment
    data/<fingerprint>.json      data card: counts, terms, notes
    data/<fingerprint>.npz       thumbnails of the faces (uint8 [n, side, side, C])
    folds/<hash>.json            the fold file
    runs/<run id>/
        spec.json                RunSpec
        environment.json         versions, device, wall time
        history.csv              stage, epoch, split, player, term, value
        model.safetensors        the kept checkpoint
        parts/<part>.safetensors expression, identity, logits, valence_arousal
        parts/<part>.parquet     labels
        done.json                SHA-256 of every file above
        scores.json              written after, and again whenever a metric changes
        maps.safetensors         2-D maps of the embeddings, where they were drawn
    failures/<run id>.json       why a run is not there
    failures/<run id>.traceback.txt
    logs/<run id>.jsonl          what happened to it and when (see `fer_bench.runs.log`)
    logs/<run id>.txt            what its process printed

A run is written aside and renamed when complete, so a killed process leaves no half run; a lock
per run keeps two processes off one folder.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from filelock import FileLock, Timeout
from safetensors import safe_open
from safetensors.numpy import load_file, save_file

from fer_bench.arrays import Part, RunArrays
from fer_bench.errors import RunError
from fer_bench.experiment import Experiment, RunSpec
from fer_bench.score import Outcome

_ARRAYS = ("expression", "identity", "logits", "valence_arousal")


@dataclass(frozen=True)
class RunRecord:
    """A finished run on disk; everything is read when first asked for."""

    folder: Path

    @cached_property
    def spec(self) -> RunSpec:
        """What was run."""
        return RunSpec.model_validate(read_json(self.folder / "spec.json"))

    @cached_property
    def environment(self) -> dict[str, Any]:
        """Versions, device, wall time, warnings, and facts about the method."""
        return read_json(self.folder / "environment.json")

    @cached_property
    def history(self) -> pd.DataFrame:
        """Columns stage, epoch, split ("train" or "validation"), player, term, value."""
        return pd.read_csv(self.folder / "history.csv")

    @cached_property
    def arrays(self) -> RunArrays:
        """Embeddings, predictions and labels of every evaluated part."""
        classes = tuple(self.environment["classes"])
        names = sorted(p.stem for p in (self.folder / "parts").glob("*.safetensors"))
        parts = {}
        for stem in names:
            name = stem.replace("--", ":")
            parts[name] = _read_part(self.folder / "parts", stem, name, classes)
        return RunArrays(
            parts=parts,
            classes=classes,
            method=self.spec.method,
            role=self.environment["method"]["role"],
            seed=self.spec.seed,
            fold=self.spec.fold,
            facts={"data": self.spec.data.name, "label": self.spec.label},
            read_faces=partial(
                RunStore(self.folder.parent.parent).thumbnails, self.spec.fingerprint
            ),
        )

    def outcomes(self) -> dict[str, Outcome]:
        """Scores by metric; empty before the first scoring."""
        path = self.folder / "scores.json"
        if not path.exists():
            return {}
        return {name: Outcome.from_json(value) for name, value in read_json(path).items()}

    def save_outcomes(self, outcomes: Mapping[str, Outcome]) -> None:
        """Add or replace the scores of some metrics, and their arrays; the others stay."""
        with FileLock(self.folder / ".scores.lock"):
            for name, outcome in outcomes.items():
                path = self._arrays_path(name)
                if outcome.arrays:
                    with atomic_path(path) as aside:
                        content = {k: np.ascontiguousarray(v) for k, v in outcome.arrays.items()}
                        save_file(content, aside)
                else:
                    path.unlink(missing_ok=True)
            merged = {**self.outcomes(), **outcomes}
            write_json(
                self.folder / "scores.json", {k: merged[k].to_json() for k in sorted(merged)}
            )

    def metric_arrays(self, metric: str) -> dict[str, np.ndarray]:
        """What a metric keeps with this run beside its scores; empty where it keeps nothing."""
        path = self._arrays_path(metric)
        return load_file(path) if path.exists() else {}

    def _arrays_path(self, metric: str) -> Path:
        return self.folder / "scores" / f"{metric}.safetensors"

    def verify(self) -> list[str]:
        """Names of files that are missing or differ from their checksum in `done.json`."""
        expected = read_json(self.folder / "done.json")["sha256"]
        return [
            name
            for name, digest in expected.items()
            if not (self.folder / name).is_file() or sha256(self.folder / name) != digest
        ]


class RunStore:
    """All runs of one result folder.

    >>> import tempfile
    >>> RunStore(tempfile.mkdtemp()).records()
    []
    """

    def __init__(self, root: str | Path) -> None:
        self.root = Path(root)

    @property
    def runs(self) -> Path:
        """The folder of the runs."""
        return self.root / "runs"

    def is_done(self, run_id: str) -> bool:
        """Whether a run is complete."""
        return (self.runs / run_id / "done.json").is_file()

    def record(self, run_id: str) -> RunRecord:
        """One finished run.

        Raises:
            RunError: there is none of that id.
        """
        if not self.is_done(run_id):
            raise RunError(f"there is no finished run {run_id!r} in {str(self.runs)!r}.")
        return RunRecord(self.runs / run_id)

    def records(self) -> list[RunRecord]:
        """All finished runs, by id."""
        return [RunRecord(done.parent) for done in sorted(self.runs.glob("*/done.json"))]

    def failures(self) -> dict[str, dict[str, Any]]:
        """Why planned runs are not there: run id -> {"label", "reason", "kind"}."""
        found = sorted((self.root / "failures").glob("*.json"))
        return {path.stem: read_json(path) for path in found}

    def save_failure(
        self,
        spec: RunSpec,
        *,
        reason: str,
        kind: str,
        deaths: int = 0,
        traceback: str | None = None,
    ) -> None:
        """Record a run that failed ("failed") or cannot be done on these data ("skipped").

        Args:
            spec: the run.
            reason: one sentence.
            kind: "failed" or "skipped".
            deaths: how often its process ended before it could say why.
            traceback: for the author of the method.
        """
        content = {
            "label": spec.label,
            "method": spec.method,
            "seed": spec.seed,
            "fold": spec.fold,
            "kind": kind,
            "reason": reason,
            "deaths": deaths,
        }
        path = self._failure(spec.id)
        write_json(path, content)
        trace = path.with_suffix(".traceback.txt")
        if traceback is None:
            trace.unlink(missing_ok=True)
        else:
            with atomic_path(trace) as aside:
                aside.write_text(traceback, encoding="utf-8")

    def forget_failure(self, run_id: str) -> None:
        """Remove the record of a failure, once the run is there."""
        path = self._failure(run_id)
        path.unlink(missing_ok=True)
        path.with_suffix(".traceback.txt").unlink(missing_ok=True)

    def deaths(self, run_id: str) -> int:
        """How often the process of a run that is not there ended before it could say why."""
        path = self._failure(run_id)
        return int(read_json(path).get("deaths", 0)) if path.exists() else 0

    def _failure(self, run_id: str) -> Path:
        return self.root / "failures" / f"{run_id}.json"

    def log(self, run_id: str) -> Path:
        """The log of a run (see `fer_bench.runs.log`)."""
        return self.root / "logs" / f"{run_id}.jsonl"

    def experiment(self) -> Experiment | None:
        """The experiment that made this folder, if it is known."""
        path = self.root / "experiment.json"
        return Experiment.model_validate(read_json(path)) if path.exists() else None

    def save_experiment(self, experiment: Experiment) -> None:
        """Keep the validated experiment beside its results."""
        write_json(self.root / "experiment.json", experiment.model_dump(mode="json"))

    def data_card(self, fingerprint: str) -> dict[str, Any]:
        """The card of a data set used here (see `fer_bench.sweep.card`)."""
        return read_json(self.root / "data" / f"{fingerprint[:16]}.json")

    def thumbnails(self, fingerprint: str) -> np.ndarray | None:
        """Small faces uint8 [n, side, side, C], row for row of the data set, or None."""
        path = self.root / "data" / f"{fingerprint[:16]}.npz"
        if not path.exists():
            return None
        with np.load(path, allow_pickle=False) as content:
            return content["faces"]

    def save_data_card(
        self, fingerprint: str, card: Mapping[str, Any], faces: np.ndarray | None
    ) -> None:
        """Keep the card and the thumbnails of a data set."""
        base = self.root / "data" / fingerprint[:16]
        if faces is not None:
            with atomic_path(base.with_suffix(".npz")) as aside, aside.open("wb") as file:
                np.savez(file, faces=faces)
        write_json(base.with_suffix(".json"), card)

    @contextmanager
    def claim(self, spec: RunSpec) -> Iterator[Path | None]:
        """Work on one run in a folder of its own; None if another process has it.

        The folder survives a kill, so that the next claim finds the checkpoints in it.
        """
        self.runs.mkdir(parents=True, exist_ok=True)
        lock = FileLock(self.runs / f".{spec.id}.lock")
        try:
            lock.acquire(timeout=0)
        except Timeout:
            yield None
            return
        try:
            working = self.runs / f".{spec.id}.partial"
            (working / "parts").mkdir(parents=True, exist_ok=True)
            yield working
        finally:
            lock.release()
            if self.is_done(spec.id):  # whoever waits for the lock looks for `done.json` first
                Path(lock.lock_file).unlink(missing_ok=True)

    def publish(self, spec: RunSpec, working: Path) -> RunRecord:
        """Seal a complete working folder with checksums and move it into place."""
        files = [p for p in sorted(working.rglob("*")) if p.is_file()]
        checksums = {p.relative_to(working).as_posix(): sha256(p) for p in files}
        write_json(working / "done.json", {"id": spec.id, "sha256": checksums})
        final = self.runs / spec.id
        if final.exists():  # a folder without `done.json`: foreign or damaged
            os.replace(final, _free_name(final.with_name(f".{spec.id}.damaged")))
        os.replace(working, final)
        self.forget_failure(spec.id)
        return RunRecord(final)


def write_part(folder: Path, part: Part, *, faces: str = "") -> None:
    """Save one part as arrays and a label table.

    Args:
        folder: of the run's parts.
        part: to save.
        faces: fingerprint of the embedded faces, where they are not those of the run's spec.
    """
    stem = part.name.replace(":", "--")
    folder.mkdir(parents=True, exist_ok=True)
    arrays = {
        name: np.ascontiguousarray(getattr(part, name), dtype=np.float32)
        for name in _ARRAYS
        if getattr(part, name) is not None
    }
    part.labels.to_parquet(folder / f"{stem}.parquet", index=False)
    save_file(arrays, folder / f"{stem}.safetensors", metadata={"faces": faces} if faces else None)


def faces_of_part(folder: Path, name: str) -> str | None:
    """The fingerprint that a saved part was written with: "" for none, None without the part."""
    path = folder / f"{name.replace(':', '--')}.safetensors"
    if not path.exists():
        return None
    with safe_open(path, framework="numpy") as content:
        return (content.metadata() or {}).get("faces", "")


def _read_part(folder: Path, stem: str, name: str, classes: tuple[str, ...]) -> Part:
    arrays = load_file(folder / f"{stem}.safetensors")
    labels = pd.read_parquet(folder / f"{stem}.parquet")
    loaded = {key: arrays.get(key) for key in _ARRAYS[1:]}
    return Part(name, arrays["expression"], labels=labels, classes=classes, **loaded)


@contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """Yield a name to write to; it becomes `path` only if nothing was raised."""
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(f".{path.name}.{os.getpid()}-{threading.get_ident()}")
    try:
        yield aside
        os.replace(aside, path)
    except BaseException:
        aside.unlink(missing_ok=True)
        raise


def write_json(path: Path, content: Any) -> None:
    """Write JSON so that a reader sees the old file or the new one, never a half."""
    with atomic_path(path) as aside:
        aside.write_text(json.dumps(content, indent=1, ensure_ascii=False), encoding="utf-8")


def read_json(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise RunError(f"{str(path)!r} is missing: the result folder is incomplete.") from None
    except (OSError, ValueError) as error:
        raise RunError(f"{str(path)!r} cannot be read ({error}): the file is damaged.") from None


def sha256(path: Path) -> str:
    """Hex digest of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _free_name(path: Path) -> Path:
    for i in range(1000):
        candidate = path.with_name(f"{path.name}{i or ''}")
        if not candidate.exists():
            return candidate
    shutil.rmtree(path)
    return path
