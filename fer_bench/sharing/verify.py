"""Do the scores follow from the arrays, and do runs train again to what they say?

Three questions, from cheap to dear: does the folder contradict itself (checksums, folds, people on
both sides), do the scores come out again from the saved arrays, and does a run, drawn at random,
train again to the same result from its seed. What no folder can show is in docs/verify.md.
"""

from __future__ import annotations

import json
import platform
import random
import shutil
import tempfile
import time
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import torch

import fer_bench
from fer_bench import registry
from fer_bench.arrays import PartArrays
from fer_bench.cautions import Caution
from fer_bench.errors import FerBenchError, RunError
from fer_bench.metrics.metric import score_run
from fer_bench.runs.store import RunRecord, RunStore, sha256, write_json
from fer_bench.sharing.differences import differences
from fer_bench.sharing.inspect import inspect_folder, inspect_run
from fer_bench.sweep.executors import workers_of
from fer_bench.sweep.job import Job
from fer_bench.sweep.plan import published_folds
from fer_bench.sweep.processes import Processes
from fer_bench.sweep.worker import data_of, folds_path, parts_of, train
from fer_bench.terminal import counted
from fer_bench.threads import RUN_THREADS, limited_threads

FORMAT = "fer-bench verification 1"
# The same seed on other threads or another machine; reseeding moves accuracy by five points.
ACCURACY_NOISE = 0.02
AGREEMENT = 0.95  # of predicted classes
EMBEDDING_NOISE = 0.2  # relative root mean square difference of E
_MOST_SHOWN = 20  # differences of one metric of one run


@dataclass(frozen=True)
class Cell:
    """A run that was trained again.

    Attributes:
        run: its id.
        consistent: whether the result is that of the same seed.
        difference: relative root mean square difference of the test part's E.
        agreement: share of test rows with the same predicted class, or None.
        accuracy: recorded and again, or None.
        seconds: it took.
        reason: why it could not be trained again, or "".
    """

    run: str
    consistent: bool
    difference: float | None = None
    agreement: float | None = None
    accuracy: tuple[float, float] | None = None
    seconds: float = 0.0
    reason: str = ""


@dataclass(frozen=True)
class Verification:
    """What came of a verification.

    Attributes:
        source: name of the folder or archive.
        by: who verified, as they say themselves.
        created: time.
        runs: ids of all runs with the SHA-256 of their manifest and of their scores.
        contradictions: what cannot be true together.
        not_checked: what could not be computed again, and why.
        scores: how many score numbers were computed again.
        cells: runs that were trained again.
        environment: versions and machine of the verification.
    """

    source: str
    by: str
    created: str
    runs: Mapping[str, Mapping[str, str]]
    contradictions: tuple[Caution, ...] = ()
    not_checked: tuple[Caution, ...] = ()
    scores: int = 0
    cells: tuple[Cell, ...] = ()
    seconds: float = 0.0
    environment: Mapping[str, str] = field(default_factory=dict)

    @property
    def passed(self) -> bool:
        """Whether nothing contradicts and every cell that was trained again is consistent."""
        return not self.contradictions and all(c.consistent or c.reason for c in self.cells)

    @property
    def verdict(self) -> list[str]:
        """What is shown and what is not, in words."""
        lines = []
        if self.contradictions:
            lines.append(
                f"{counted(len(self.contradictions), 'contradiction')}: do not use these numbers."
            )
        elif self.scores:
            lines.append(
                f"Scores follow from the arrays ({counted(self.scores, 'number')} of "
                f"{counted(len(self.runs), 'run')})."
            )
        else:
            lines.append("No score was computed again.")
        trained = [cell for cell in self.cells if not cell.reason]
        for word, ok in (("consistent", True), ("not consistent", False)):
            names = ", ".join(cell.run for cell in trained if cell.consistent is ok)
            if names:
                lines.append(f"{word.capitalize()} with retraining from the same seed: {names}.")
        if not trained:
            lines.append("No run was trained again: whether the arrays come from it is not shown.")
        return lines

    def to_json(self) -> dict[str, Any]:
        """Plain JSON types."""
        return {
            "format": FORMAT,
            "source": self.source,
            "by": self.by,
            "created": self.created,
            "passed": self.passed,
            "verdict": self.verdict,
            "contradictions": [c.to_json() for c in self.contradictions],
            "not_checked": [c.to_json() for c in self.not_checked],
            "scores": self.scores,
            "cells": [vars(cell) for cell in self.cells],
            "runs": {run: dict(hashes) for run, hashes in self.runs.items()},
            "seconds": round(self.seconds, 1),
            "environment": dict(self.environment),
        }


def verify(
    source: str | Path,
    *,
    cells: int = 1,
    seed: int | None = None,
    by: str = "",
    workers: int | None = None,
) -> Verification:
    """Check a result folder or an archive of one.

    Args:
        source: a folder, or a ZIP archive of one.
        cells: runs, drawn at random, that are trained again; 0 trains none.
        seed: of the scores; by default the one the folder names.
        by: who verifies, for the record.
        workers: runs computed again at once; 0 computes in this process.

    Raises:
        RunError: there is no result folder.
    """
    started = time.monotonic()
    path = Path(source)
    with _opened(path) as root:
        store = RunStore(root)
        records = [store.record(run_id) for run_id in store.run_ids()]
        loose = sorted(p.name for p in store.runs.glob("[!.]*") if not (p / "done.json").is_file())
        if not records and not loose:
            raise RunError(f"there is no finished run in {str(path)!r}: is it a result folder?")
        bad = [Caution("file-missing", run=name, file="done.json") for name in loose]
        for record in records:
            bad += _guarded(inspect_run(store, record), record.folder.name)
        bad += _guarded(inspect_folder(store, records), "the folder")
        score_seed = _score_seed(store) if seed is None else seed
        rescored = _rescored(records, score_seed, workers)
        trained = _trained_again(store, records, cells)
    return Verification(
        source=path.resolve().name,
        by=by,
        created=datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        runs={r.folder.name: _hashes(r) for r in records} if path.is_dir() else rescored.hashes,
        contradictions=tuple(dict.fromkeys([*bad, *rescored.contradictions])),
        not_checked=tuple(dict.fromkeys(rescored.not_checked)),
        scores=rescored.scores,
        cells=tuple(trained),
        seconds=time.monotonic() - started,
        environment={
            "fer_bench": fer_bench.__version__,
            "python": platform.python_version(),
            "torch": torch.__version__,
            "numpy": np.__version__,
            "platform": platform.platform(),
        },
    )


def write_verification(result: Verification, source: str | Path) -> Path:
    """Write `verification.json` and a readable page into the folder, or beside the archive.

    Returns:
        The path of the page.
    """
    from fer_bench.sharing.pages import write_verification_page

    path = Path(source)
    base = path / "verification" if path.is_dir() else path.with_suffix(".verification")
    write_json(base.with_name(base.name + ".json"), result.to_json())
    return write_verification_page(result, base.with_name(base.name + ".html"))


@contextmanager
def _opened(path: Path) -> Iterator[Path]:
    """The result folder of a path; an archive is unpacked aside."""
    if path.is_dir():
        yield path
        return
    if not path.is_file() or not zipfile.is_zipfile(path):
        raise RunError(f"{str(path)!r} is no result folder and no ZIP archive of one.")
    aside = Path(tempfile.mkdtemp(prefix="fer-bench-verify-"))
    try:
        with zipfile.ZipFile(path) as archive:
            size = sum(member.file_size for member in archive.infolist())
            if size > shutil.disk_usage(aside).free:
                raise RunError(f"{str(path)!r} unpacks to {size / 1e9:.0f} GB: no room for it.")
            for member in archive.infolist():
                target = (aside / member.filename).resolve()
                if not target.is_relative_to(aside.resolve()):
                    raise RunError(f"{str(path)!r} holds a file outside: {member.filename!r}.")
            archive.extractall(aside)
        roots = sorted(p.parent for p in aside.rglob("runs") if p.is_dir())
        if not roots:
            raise RunError(f"there is no result folder in {str(path)!r}: it holds no runs.")
        yield roots[0]
    except (zipfile.BadZipFile, NotImplementedError) as error:
        raise RunError(f"{str(path)!r} is damaged: {error}.") from None
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def _guarded(cautions: Iterator[Caution], run: str) -> list[Caution]:
    """What an inspection yields; what it cannot read is one more contradiction."""
    out: list[Caution] = []
    try:
        out.extend(cautions)
    except Exception as error:  # a planted file may break any reader
        out.append(Caution("unreadable", run=run, reason=f"{type(error).__name__}: {error}"))
    return out


def _score_seed(store: RunStore) -> int:
    try:
        experiment = store.experiment()
        if experiment is not None:
            return experiment.scores.seed
        about = store.root / "evaluation.json"
        return int(json.loads(about.read_text(encoding="utf-8"))["seed"]) if about.exists() else 0
    except (FerBenchError, OSError, ValueError, KeyError, TypeError):
        return 0


@dataclass
class _Rescored:
    contradictions: list[Caution] = field(default_factory=list)
    not_checked: list[Caution] = field(default_factory=list)
    scores: int = 0
    hashes: dict[str, dict[str, str]] = field(default_factory=dict)


def _rescored(records: Sequence[RunRecord], seed: int, workers: int | None) -> _Rescored:
    """Every score of every run computed again from its arrays."""
    total = _Rescored()
    for record in records:
        total.hashes[record.folder.name] = _hashes(record)
    for record, answer in _answers(records, seed, workers):
        if isinstance(answer, str):
            bad = Caution("unreadable", run=record.folder.name, reason=answer)
            total.contradictions.append(bad)
            continue
        total.scores += answer["scores"]
        total.contradictions += map(Caution.from_json, answer["contradictions"])
        total.not_checked += map(Caution.from_json, answer["not_checked"])
    return total


def _answers(
    records: Sequence[RunRecord], seed: int, workers: int | None
) -> Iterator[tuple[RunRecord, dict[str, Any] | str]]:
    if workers == 0:
        for record in records:
            try:
                with limited_threads(RUN_THREADS):
                    yield record, rescore(record, seed=seed)
            except Exception as error:  # damaged arrays may break anything
                yield record, f"{type(error).__name__}: {error}"
        return
    with Processes(min(workers_of("pool", workers), max(1, len(records)))) as processes:
        for record in records:
            arguments = {"record": record, "seed": seed}
            processes.submit(record, Job(rescore, arguments, threads=RUN_THREADS))
        for record, end in processes.ends():
            yield record, end.value if end.error is None else end.error


def rescore(record: RunRecord, *, seed: int) -> dict[str, Any]:
    """Compute the recorded metrics of a run again and compare them, as a job.

    Returns:
        {"contradictions", "not_checked": JSON of cautions, "scores": numbers compared}.
    """
    run = record.folder.name
    path = record.folder / "scores.json"
    text = path.read_text(encoding="utf-8") if path.exists() else "{}"
    recorded: dict[str, Any] = json.loads(text)
    bad: list[Caution] = []
    skipped: list[Caution] = []
    if not recorded:
        skipped.append(Caution("never-scored", run=run))
    scores = 0
    for name, outcome in recorded.items():
        if name not in registry.metrics.names():
            skipped.append(Caution("metric-unknown", metric=name))
            continue
        metric = registry.metrics.get(name)
        if outcome.get("version") != metric.version:
            version = str(outcome.get("version"))
            skipped.append(
                Caution("metric-version", metric=name, recorded=version, here=metric.version)
            )
            continue
        again = score_run(record.arrays, {name: metric}, seed=seed)[name]
        differing = list(differences(outcome, again.to_json(), at=name))
        bad += [Caution(c.code, run=run, **c.values) for c in differing[:_MOST_SHOWN]]
        kept = record.metric_arrays(name)
        for key in sorted(set(kept) | set(again.arrays)):
            if not _equal(kept.get(key), again.arrays.get(key)):
                bad.append(Caution("metric-arrays-differ", run=run, metric=name, array=key))
        scores += len(again.scores)
    return {
        "contradictions": [c.to_json() for c in bad],
        "not_checked": [c.to_json() for c in skipped],
        "scores": scores,
    }


def _equal(a: Any, b: Any) -> bool:
    if a is None or b is None:
        return False
    a, b = np.asarray(a), np.asarray(b)
    return a.shape == b.shape and bool(np.allclose(a, b, rtol=1e-5, atol=1e-6, equal_nan=True))


def _trained_again(store: RunStore, records: Sequence[RunRecord], cells: int) -> list[Cell]:
    """Some runs, drawn at random, trained again from their seeds."""
    able = []
    for record in records:
        try:
            if record.spec.method in registry.methods.names():
                able.append(record)
        except (FerBenchError, ValueError):
            continue
    chosen = random.SystemRandom().sample(able, min(cells, len(able)))
    out = []
    for record in chosen:
        started = time.monotonic()
        with Processes(1) as processes:
            threads = int(record.environment.get("threads") or RUN_THREADS)
            processes.submit(record, Job(retrain, {"record": record}, threads=threads))
            (_, end), *_ = processes.ends()
        seconds = time.monotonic() - started
        if end.error is not None:
            out.append(Cell(record.folder.name, False, reason=end.error, seconds=seconds))
        else:
            out.append(_judged(record.folder.name, end.value, seconds))
    return out


def _judged(run: str, cell: Mapping[str, Any], seconds: float) -> Cell:
    """Whether differences are those of the same seed on other threads or another machine."""
    accuracy = tuple(cell["accuracy"]) if cell["accuracy"] else None
    agreement = cell["agreement"]
    consistent = cell["difference"] <= EMBEDDING_NOISE
    if accuracy is not None:
        consistent = consistent and abs(accuracy[0] - accuracy[1]) <= ACCURACY_NOISE
    if agreement is not None:
        consistent = consistent and agreement >= AGREEMENT
    return Cell(run, consistent, cell["difference"], agreement, accuracy, seconds)


def retrain(record: RunRecord) -> dict[str, Any]:
    """Train a run again from its seed and compare its test part, as a job.

    Returns:
        {"difference", "agreement", "accuracy": (recorded, again)}; see `Cell`.
    """
    spec = record.spec
    store = RunStore(record.folder.parent.parent)
    folds = published_folds(folds_path(store, spec.fold_hash), spec, data_of(spec))
    again = next(p for p in parts_of(spec, train(spec, folds)) if p.name == "test")
    kept = record.arrays.test
    if again.expression.shape != kept.expression.shape:
        raise RunError("the test part has another shape than when it was trained.")
    return distance(kept, again)


def distance(kept: PartArrays, again: PartArrays) -> dict[str, Any]:
    """How far the arrays of a second training are from the first, for the same faces.

    Returns:
        {"difference", "agreement", "accuracy": (first, second)}; see `Cell`.
    """
    scale = float(np.sqrt(np.mean(np.square(kept.expression, dtype=np.float64)))) or 1.0
    apart = np.asarray(again.expression, np.float64) - kept.expression
    out: dict[str, Any] = {
        "difference": float(np.sqrt(np.mean(apart**2))) / scale,
        "agreement": None,
        "accuracy": None,
    }
    if kept.logits is not None and again.logits is not None:
        before, now = kept.logits.argmax(1), again.logits.argmax(1)
        known = kept.y >= 0
        out["agreement"] = float((before == now).mean())
        if known.any():
            both = (float((p[known] == kept.y[known]).mean()) for p in (before, now))
            out["accuracy"] = list(both)
    return out


def _hashes(record: RunRecord) -> dict[str, str]:
    files = {"manifest": "done.json", "scores": "scores.json"}
    return {
        key: sha256(record.folder / name)
        for key, name in files.items()
        if (record.folder / name).is_file()
    }
