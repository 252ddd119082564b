"""The run store: folders that are either complete and checked, or not there.

Layout of a result folder::

    experiment.json              the validated experiment
    plan.json                    the runs that the last command planned
    data/<fingerprint>.json      data card: counts, terms, notes
    data/<fingerprint>.npz       thumbnails of the faces (uint8 [n, side, side, C])
    folds/<hash>.json            the fold file
    runs/<run id>/
        spec.json                RunSpec
        environment.json         versions, device, wall time
        history.csv              stage, epoch, split, player, term, value
        model.safetensors        the kept checkpoint
        parts/<part>.safetensors expression, identity, logits, valence_arousal, drawn
        parts/<part>.parquet     labels
        done.json                SHA-256 of every file above
        scores.json              written after, and again whenever a metric changes
        scores/checksums.json    SHA-256 of scores.json and of the arrays of metrics beside it
        maps.safetensors         2-D maps of the embeddings, where they were drawn
        traversals.safetensors   faces drawn along directions, where they were
    damaged/<run id>/            a run that was set aside, with damage.json: the reason
    failures/<run id>.json       why a run is not there
    failures/<run id>.traceback.txt
    stages/<digest>/             training that runs have in common (`fer_bench.training.shared`)
    logs/<run id>.jsonl          what happened to it and when (see `fer_bench.runs.log`)
    logs/<run id>.txt            what its process printed
    slurm/, logs/slurm/          scripts and tasks of job arrays, and what these printed

A run is written aside and renamed when complete, so a killed process leaves no half run; a claim
(`fer_bench.runs.claims`) keeps two processes off one run, on two machines as well.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cached_property, partial
from io import BytesIO
from itertools import count
from pathlib import Path
from typing import Any, TypeVar, cast

import numpy as np
import pandas as pd
import safetensors.numpy
from filelock import FileLock
from pydantic import ValidationError
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from fer_bench.arrays import PartArrays, RunArrays
from fer_bench.atomic import atomic_path, write_text
from fer_bench.errors import RunError
from fer_bench.experiment import Experiment, RunSpec
from fer_bench.labels import read_label_table
from fer_bench.runs.claims import Claim, is_claimed
from fer_bench.score import Outcome

RESUME = "resume.safetensors"  # where training stands, while it goes on
STAGE = "stage.safetensors"  # where it stands at the end of a stage that runs have in common

_SEALED = ("spec.json", "environment.json", "history.csv")  # of every run
_ADDED = "parts/checksums.json"  # of parts that came later
_HARMLESS = re.compile(r"[^/\\\x00-\x1f\x7f]+")
_PART = re.compile(r"parts/[^/]+\.safetensors")
_ASIDE = re.compile(r"\..+\.\d+-\d+")  # a file that `atomic_path` has not finished
_OLD_S = 3600.0


@dataclass(frozen=True)
class RunRecord:
    """A finished run on disk; everything is read when first asked for.

    What was sealed is compared with its checksum when it is read.

    Raises:
        RunError: from every attribute that reads a damaged file.
    """

    folder: Path

    @cached_property
    def checksums(self) -> dict[str, str]:
        """SHA-256 of every sealed file, by its path in the folder."""
        path = self.folder / "done.json"
        content = _read_json(path)
        sums = content.get("sha256") if isinstance(content, dict) else None
        if not isinstance(sums, dict) or not sums.keys() >= set(_SEALED):
            raise damaged_file(path, "it lists no checksums")
        if content.get("id") != self.folder.name:
            raise damaged_file(path, f"it is of the run {content.get('id')!r}")
        added = self.folder / _ADDED
        more = _read_json(added) if added.exists() else {}
        if not isinstance(more, dict):
            raise damaged_file(added, "it lists no checksums")
        return sums | more

    def sealed(self, name: str) -> bytes:
        """The content of a file of the run.

        Raises:
            RunError: it is missing, or is not what was written.
        """
        path = self.folder / name
        content = _read_bytes(path)
        if hashlib.sha256(content).hexdigest() != self.checksums.get(name):
            raise damaged_file(path, "its checksum is not that of the finished run")
        return content

    def add_part(self, part: PartArrays, *, faces: str) -> None:
        """Keep the part of another data set, `faces` its fingerprint, beside those of the run."""
        written = write_part(self.folder / "parts", part, faces=faces)
        added = self.folder / _ADDED
        more = _read_json(added) if added.exists() else {}
        sums = {path.relative_to(self.folder).as_posix(): sha256(path) for path in written}
        write_json(added, more | sums)

    @cached_property
    def spec(self) -> RunSpec:
        """What was run."""
        try:
            return RunSpec.model_validate(
                _parse(self.folder / "spec.json", self.sealed("spec.json"))
            )
        except ValidationError:
            raise RunError(
                f"{str(self.folder / 'spec.json')!r} is of another version of FER-Bench."
            ) from None

    @cached_property
    def environment(self) -> dict[str, Any]:
        """Versions, device, wall time, warnings, and facts about the method."""
        return _parse(self.folder / "environment.json", self.sealed("environment.json"))

    @cached_property
    def history(self) -> pd.DataFrame:
        """Columns stage, epoch, split ("train" or "validation"), player, term, value."""
        return pd.read_csv(BytesIO(self.sealed("history.csv")))

    @cached_property
    def arrays(self) -> RunArrays:
        """Embeddings, predictions and labels of every evaluated part."""
        classes = tuple(self.environment["classes"])
        there = (self.folder / "parts").glob("[!.]*.safetensors")
        files = {*self.checksums, *(f"parts/{path.name}" for path in there)}
        stems = sorted(Path(f).stem for f in files if _PART.fullmatch(f))
        parts = {name: self._part(name, classes) for name in (s.replace("--", ":") for s in stems)}
        store = RunStore(self.folder.parent.parent)
        experiment = store.experiment()
        return RunArrays(
            parts=parts,
            classes=classes,
            method=self.spec.method,
            role=self.environment["method"]["role"],
            seed=self.spec.seed,
            fold=self.spec.fold,
            facts={
                "data": self.spec.data.name,
                "label": self.spec.label,
                "size": self.environment.get("size"),
                "face_network": experiment and experiment.scores.face_network,
            },
            read_faces=partial(store.thumbnails, self.spec.fingerprint),
        )

    def _part(self, name: str, classes: tuple[str, ...]) -> PartArrays:
        file = f"parts/{name.replace(':', '--')}"
        try:
            arrays = safetensors.numpy.load(self._written(f"{file}.safetensors"))
            labels = read_label_table(BytesIO(self._written(f"{file}.parquet")))
            arrays["expression"]  # every part has one
            return PartArrays.of_stored(name, arrays, labels, classes)
        except RunError:
            raise
        except Exception as error:
            raise damaged_file(self.folder / file, error) from None

    def _written(self, name: str) -> bytes:
        """A file of the run, or a further test part from before these had checksums."""
        if name.startswith("parts/test--") and name not in self.checksums:
            return _read_bytes(self.folder / name)
        return self.sealed(name)

    def outcomes(self) -> dict[str, Outcome]:
        """Scores by metric; empty before the first scoring, and where the scores are damaged.

        Damaged scores are computed anew by the next scoring; `damage` names them.
        """
        if self._score_damage():
            return {}
        path = self.folder / "scores.json"
        if not path.exists():
            return {}
        return {name: Outcome.from_json(value) for name, value in _read_json(path).items()}

    def save_outcomes(self, outcomes: Mapping[str, Outcome]) -> None:
        """Add or replace the scores of some metrics, and their arrays; the others stay."""
        with FileLock(self.folder / ".scores.lock"):
            merged = {**self.outcomes(), **outcomes}
            for name, outcome in outcomes.items():
                path = self._arrays_path(name)
                if outcome.arrays:
                    with atomic_path(path) as aside:
                        content = {k: np.ascontiguousarray(v) for k, v in outcome.arrays.items()}
                        save_file(content, aside)
                else:
                    path.unlink(missing_ok=True)
            write_json(
                self.folder / "scores.json", {k: merged[k].to_json() for k in sorted(merged)}
            )
            files = [self.folder / "scores.json", *map(self._arrays_path, merged)]
            sums = {p.relative_to(self.folder).as_posix(): sha256(p) for p in files if p.exists()}
            write_json(self.folder / "scores" / "checksums.json", sums)

    def metric_arrays(self, metric: str) -> dict[str, np.ndarray]:
        """What a metric keeps with this run beside its scores; empty where it keeps nothing."""
        path = self._arrays_path(metric)
        if not path.exists() or self._score_damage():
            return {}
        return safetensors.numpy.load_file(path)

    def _arrays_path(self, metric: str) -> Path:
        return self.folder / "scores" / f"{file_name(metric)}.safetensors"

    def _score_damage(self) -> list[str]:
        """Names of files of the scores that are missing or are not what was written."""
        return _while_unchanged(self.folder, "scores", self._score_damage_now)

    def _score_damage_now(self) -> list[str]:
        """Scores that an earlier version wrote have no checksums: they must be readable."""
        sums = self.folder / "scores" / "checksums.json"
        try:
            if not sums.exists():
                path = self.folder / "scores.json"
                for outcome in _read_json(path).values() if path.exists() else ():
                    Outcome.from_json(outcome)
                return []
            expected = _read_json(sums)
            return [
                name for name, digest in expected.items() if _differs(self.folder, name, digest)
            ]
        except (RunError, AttributeError, KeyError, TypeError, ValueError):
            return ["scores.json"]

    def verify(self) -> list[str]:
        """Names of files that are missing or are not what was sealed or scored.

        Raises:
            RunError: `done.json` itself is damaged.
        """
        return self._changed() + self._score_damage()

    def _changed(self) -> list[str]:
        return [n for n, digest in self.checksums.items() if _differs(self.folder, n, digest)]

    def damage(self) -> str | None:
        """What is wrong with the sealed files, in one sentence; None if nothing is."""
        try:
            wrong = self._changed()
            if not wrong:
                self.spec  # noqa: B018
                return None
        except RunError as error:
            return str(error)
        more = f" and {len(wrong) - 1} more" if len(wrong) > 1 else ""
        return (
            f"{str(self.folder / wrong[0])!r}{more} is missing or not what the run wrote: "
            "`fer-bench check --set-aside` makes room to train it again."
        )


def histories(records: Sequence[RunRecord]) -> pd.DataFrame:
    """The histories of some runs, one after the other (`RunRecord.history`).

    They are parsed as one file: a thousand small ones would take a second.
    """
    parts = [record.sealed("history.csv").partition(b"\n") for record in records]
    heads = {head for head, *_ in parts}
    if len(heads) != 1:  # of a version with other columns
        return pd.concat([record.history for record in records], ignore_index=True)
    return pd.read_csv(BytesIO(b"\n".join([*heads, *(lines for *_, lines in parts)])))


class RunStore:
    """All runs of one result folder.

    >>> import tempfile
    >>> RunStore(tempfile.mkdtemp()).records()
    []
    """

    def __init__(self, root: str | Path) -> None:
        self.root = Path(root)
        self._held: dict[str, Claim] = {}

    @property
    def runs(self) -> Path:
        """The folder of the runs."""
        return self.root / "runs"

    @property
    def stages(self) -> Path:
        """The folder of stages that runs have in common (see `fer_bench.training.shared`)."""
        return self.root / "stages"

    def refuse_other_files(self, *own: str) -> None:
        """Do not scatter results over a folder that holds something else.

        Args:
            own: files that mark a folder of results even before its first run.

        Raises:
            RunError: the folder is a file, or holds files and no results.
        """
        if self.root.is_file():
            raise RunError(f"{str(self.root)!r} is a file: name a folder for the results.")
        if not self.root.is_dir() or any((self.root / n).exists() for n in (*own, "runs")):
            return
        strange = sorted(p.name for p in self.root.iterdir() if not p.name.startswith("."))
        if strange:
            raise RunError(
                f"{str(self.root)!r} holds other files ({', '.join(strange[:3])}): name a new "
                "folder or one with results."
            )

    def run_size(self, most: int = 20) -> int | None:
        """Bytes that a finished run takes, the mean of the last few; None without any."""
        folders = [self.runs / run_id for run_id in self.run_ids()[-most:]]
        sizes = [sum(p.stat().st_size for p in f.rglob("*") if p.is_file()) for f in folders]
        return round(sum(sizes) / len(sizes)) if sizes else None

    def is_done(self, run_id: str) -> bool:
        """Whether a run is complete."""
        return (self.runs / file_name(run_id) / "done.json").is_file()

    def record(self, run_id: str) -> RunRecord:
        """One finished run, as it is: its files are checked when they are read.

        Raises:
            RunError: there is none of that id.
        """
        if not self.is_done(run_id):
            raise RunError(f"there is no finished run {run_id!r} in {str(self.runs)!r}.")
        return RunRecord(self.runs / run_id)

    def run_ids(self) -> list[str]:
        """The ids of all finished runs, sorted, unread."""
        try:
            names = sorted(entry.name for entry in os.scandir(self.runs))
        except OSError:
            return []
        return [name for name in names if not name.startswith(".") and self.is_done(name)]

    def records(self) -> list[RunRecord]:
        """All finished runs whose files are what was written, by id; see `damaged`."""
        everything = map(self.record, self.run_ids())
        return [record for record in everything if self._damage(record) is None]

    def damaged(self) -> dict[str, str]:
        """What is wrong with finished runs: run id -> one sentence."""
        reasons = {run_id: self._damage(self.record(run_id)) for run_id in self.run_ids()}
        return {run_id: reason for run_id, reason in reasons.items() if reason is not None}

    def _damage(self, record: RunRecord) -> str | None:
        return _while_unchanged(record.folder, "parts", record.damage)

    def set_aside(self, run_id: str, reason: str) -> Path:
        """Move a damaged run out of the way, with the reason, so that it can be trained again."""
        names = (f"{run_id}-{i}" if i else run_id for i in count())
        place = next(p for p in (self.root / "damaged" / n for n in names) if not p.exists())
        place.parent.mkdir(parents=True, exist_ok=True)
        os.replace(self.runs / run_id, place)
        write_json(place / "damage.json", {"run": run_id, "reason": reason})
        return place

    def remove_leftovers(self) -> list[Path]:
        """Remove what killed processes left: half-written files, and folders of finished runs.

        What is younger than an hour may be in use, on this machine or on another.
        """
        places = [self.root, *(self.root / name for name in ("data", "folds", "failures", "runs"))]
        places += [self.runs / run_id for run_id in self.run_ids()]
        places += [self.runs / run_id / "scores" for run_id in self.run_ids()]
        places += self.stages.glob("*/*/")
        removed = []
        for place in filter(Path.is_dir, places):
            for entry in os.scandir(place):
                path = Path(entry.path)
                finished = path.parent == self.runs and self.is_done(path.stem[1:])
                if not (_ASIDE.fullmatch(entry.name) or (finished and entry.name[0] == ".")):
                    continue
                if time.time() - entry.stat(follow_symlinks=False).st_mtime > _OLD_S:
                    remove(path)
                    removed.append(path)
        return removed

    def failures(self) -> dict[str, dict[str, Any]]:
        """Why planned runs are not there: run id -> {"label", "reason", "kind", ...}."""
        return {
            p.stem: self._read_failure(p) for p in sorted((self.root / "failures").glob("*.json"))
        }

    def _read_failure(self, path: Path) -> dict[str, Any]:
        unknown = {"label": path.stem, "method": "", "seed": 0, "fold": 0, "kind": "failed"}
        unknown |= {"fingerprint": "", "fold_hash": ""}
        unknown |= {
            "reason": f"why it failed cannot be read: {str(path)!r} is damaged.",
            "deaths": 0,
        }
        content = read_mapping(path) or {}
        return {k: content[k] if type(content.get(k)) is type(v) else v for k, v in unknown.items()}

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
            "fingerprint": spec.fingerprint,
            "fold_hash": spec.fold_hash,
            "kind": kind,
            "reason": reason,
            "deaths": deaths,
        }
        path = self.failure_path(spec.id)
        write_json(path, content)
        trace = path.with_suffix(".traceback.txt")
        if traceback is None:
            trace.unlink(missing_ok=True)
        else:
            write_text(trace, traceback)

    def forget_failure(self, run_id: str) -> None:
        """Remove the record of a failure, once the run is there."""
        path = self.failure_path(run_id)
        path.unlink(missing_ok=True)
        path.with_suffix(".traceback.txt").unlink(missing_ok=True)

    def deaths(self, run_id: str) -> int:
        """How often the process of a run that is not there ended before it could say why."""
        path = self.failure_path(run_id)
        return self._read_failure(path)["deaths"] if path.exists() else 0

    def failure_path(self, run_id: str) -> Path:
        """The record of a failure, where there is one (see `save_failure`)."""
        return self.root / "failures" / f"{file_name(run_id)}.json"

    def log(self, run_id: str) -> Path:
        """The log of a run (see `fer_bench.runs.log`)."""
        return self.root / "logs" / f"{file_name(run_id)}.jsonl"

    def experiment(self) -> Experiment | None:
        """The experiment that made this folder; None if it is not known or damaged."""
        path = self.root / "experiment.json"
        try:
            return Experiment.model_validate(_read_json(path))
        except (RunError, ValidationError):
            return None

    def save_experiment(self, experiment: Experiment) -> None:
        """Keep the validated experiment beside its results."""
        write_json(self.root / "experiment.json", experiment.model_dump(mode="json"))

    def data_card(self, fingerprint: str) -> dict[str, Any]:
        """The card of a data set used here (see `fer_bench.sweep.plan.data_card`).

        Where it is damaged or missing, one that says so.
        """
        path = self.root / "data" / f"{fingerprint[:16]}.json"
        return self._read_card(path) or {
            "name": "unknown",
            "title": "A data set whose card is damaged",
            "terms": "unknown",
            "citation": "",
            "publish_faces": False,
            "subjects_kind": "",
            "protocol": "",
            "notes": [f"{str(path)!r} cannot be read: `fer-bench run` writes it again."],
            "fingerprint": fingerprint,
            "n": 0,
            "shape": [0, 0, 0],
            "classes": [],
            "counts": {},
            "n_subjects": None,
            "attributes": {},
            "rejects": 0,
        }

    def _read_card(self, path: Path) -> dict[str, Any] | None:
        content = read_mapping(path) or {}
        return content if "fingerprint" in content else None

    def has_data_card(self, fingerprint: str) -> bool:
        """Whether card and thumbnails of a data set are there, as far as there are any."""
        base = self.root / "data" / fingerprint[:16]
        card = self._read_card(base.with_suffix(".json"))
        faces = base.with_suffix(".npz")
        return card is not None and (not faces.exists() or self.thumbnails(fingerprint) is not None)

    def thumbnails(self, fingerprint: str) -> np.ndarray | None:
        """Small faces uint8 [n, side, side, C], row for row of the data set; None without any."""
        path = self.root / "data" / f"{fingerprint[:16]}.npz"
        try:
            with np.load(path, allow_pickle=False) as content:
                faces = content["faces"]
        except Exception:  # there are none, or whatever numpy and zipfile make of damaged ones
            return None
        return faces if faces.ndim == 4 and faces.dtype == np.uint8 else None

    def save_data_card(
        self, fingerprint: str, card: Mapping[str, Any], faces: np.ndarray | None
    ) -> None:
        """Keep the card and the thumbnails of a data set."""
        base = self.root / "data" / fingerprint[:16]
        if faces is not None:
            with atomic_path(base.with_suffix(".npz")) as aside, aside.open("wb") as file:
                np.savez(file, faces=faces)
        write_json(base.with_suffix(".json"), card)

    def save_plan(self, planned: Mapping[str, str]) -> None:
        """Keep what the last command planned: run id -> label and place."""
        write_json(self.root / "plan.json", dict(planned))

    def planned(self) -> dict[str, str]:
        """What the last command planned: run id -> label and place; empty where it is unknown."""
        return read_mapping(self.root / "plan.json") or {}

    def is_claimed(self, run_id: str) -> bool:
        """Whether a process is at work on a run."""
        return is_claimed(self._claims(run_id))

    def _claims(self, run_id: str) -> Path:
        return self.runs / f".{file_name(run_id)}.claims"

    @contextmanager
    def claim(self, spec: RunSpec) -> Iterator[Path | None]:
        """Work on one run in a folder of its own; None if another process has it.

        The folder survives a kill, so that the next claim finds the checkpoints in it.
        """
        claim = Claim(self._claims(spec.id))
        if not claim.acquire():
            yield None
            return
        try:
            working = self.runs / f".{spec.id}.partial"
            working.mkdir(parents=True, exist_ok=True)
            for left in working.iterdir():  # by a kill while it was written
                if left.name != RESUME:
                    remove(left)
            (working / "parts").mkdir()
            self._held[spec.id] = claim
            yield working
        finally:
            self._held.pop(spec.id, None)
            claim.release()

    def publish(self, spec: RunSpec, working: Path) -> RunRecord:
        """Seal a complete working folder with checksums and move it into place.

        Raises:
            RunError: another process has taken the run over.
        """
        claim = self._held.get(spec.id)
        if claim is not None and not claim.holds():
            raise RunError(
                f"another process has taken over the run {spec.id!r}, because this one gave no "
                "sign of life: the result of the other one counts."
            )
        seal(working, spec.id)
        final = self.runs / spec.id
        if final.exists():  # a folder without `done.json`: foreign or damaged
            self.set_aside(spec.id, "it had no done.json.")
        os.replace(working, final)
        self.forget_failure(spec.id)
        return RunRecord(final)


def file_name(name: str) -> str:
    """A name, if it can be that of a file and leads nowhere else.

    Raises:
        RunError: it cannot.
    """
    if not name or name.startswith(".") or not _HARMLESS.fullmatch(name):
        raise RunError(
            f"{name!r} cannot name a file of the results: write it without slashes, control "
            "characters and a dot in front."
        )
    return name


def seal(folder: Path, run_id: str) -> None:
    """Write the checksums of a complete run: what is not listed there is not part of it."""
    files = [p for p in sorted(folder.rglob("*")) if p.is_file() and p.name[0] != "."]
    sums = {p.relative_to(folder).as_posix(): sha256(p) for p in files if p.name != "done.json"}
    write_json(folder / "done.json", {"id": run_id, "sha256": sums})


def read_sealed(folder: Path, name: str) -> bytes | None:
    """The content of a file of a sealed folder; None if it is not there, or not what was sealed."""
    try:
        content = (folder / name).read_bytes()
        digest = _read_json(folder / "done.json")["sha256"][name]
    except (OSError, RunError, KeyError, TypeError):
        return None
    return content if hashlib.sha256(content).hexdigest() == digest else None


def write_part(folder: Path, part: PartArrays, *, faces: str = "") -> list[Path]:
    """Save one part as arrays and a label table.

    Args:
        folder: of the run's parts.
        part: to save.
        faces: fingerprint of the embedded faces, where they are not those of the run's spec.

    Returns:
        The files.
    """
    stem = file_name(part.name.replace(":", "--"))
    folder.mkdir(parents=True, exist_ok=True)
    arrays = {k: v if k == "drawn" else v.astype(np.float32) for k, v in part.stored.items()}
    table, file = folder / f"{stem}.parquet", folder / f"{stem}.safetensors"
    with atomic_path(table) as aside:
        part.labels.to_parquet(aside, index=False)
    with atomic_path(file) as aside:
        save_file(arrays, aside, metadata={"faces": faces} if faces else None)
    return [table, file]


def faces_of_part(folder: Path, name: str) -> str | None:
    """The fingerprint that a saved part was written with: "" for none, None without the part."""
    path = folder / f"{name.replace(':', '--')}.safetensors"
    if not path.exists():
        return None
    try:
        with safe_open(path, framework="numpy") as content:
            return (content.metadata() or {}).get("faces", "")
    except (SafetensorError, OSError):  # damaged: it is written anew
        return None


def write_json(path: Path, content: Any, *, indent: int | None = 1) -> None:
    """Write JSON so that a reader sees the old file or the new one, never a half.

    Large content is written several times as fast without indent.
    """
    write_text(path, json.dumps(content, indent=indent, ensure_ascii=False))


def damaged_file(path: Path, why: object) -> RunError:
    """The error for a file that is not what was written."""
    return RunError(f"{str(path)!r} cannot be used ({why}): the file is damaged.")


def _read_bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        raise RunError(f"{str(path)!r} is missing: the result folder is incomplete.") from None
    except OSError as error:
        raise RunError(f"{str(path)!r} cannot be read: {error.strerror or error}.") from None


def _parse(path: Path, content: bytes) -> Any:
    try:
        return json.loads(content)
    except (ValueError, RecursionError) as error:
        raise damaged_file(path, error) from None


def _read_json(path: Path) -> Any:
    return _parse(path, _read_bytes(path))


def read_mapping(path: Path) -> dict[str, Any] | None:
    """The JSON object of a file; None where there is no such file, or it is damaged."""
    try:
        content = _read_json(path)
    except RunError:
        return None
    return content if isinstance(content, dict) else None


def sha256(path: Path) -> str:
    """Hex digest of a file."""
    digest = hashlib.sha256()
    with path.open("rb") as file:  # `file_digest` clears 256 KiB first, and most files are small
        while block := file.read(1 << 16):
            digest.update(block)
    return digest.hexdigest()


def _differs(folder: Path, name: str, digest: str) -> bool:
    try:
        return sha256(folder / name) != digest
    except (OSError, ValueError):
        return True


_VERDICTS: dict[tuple[Path, str], tuple[int, Any]] = {}
Judged = TypeVar("Judged")


def _while_unchanged(folder: Path, inner: str, judge: Callable[[], Judged]) -> Judged:
    """What `judge` says of a run's files; asked anew when one changes its name, size or time."""
    stamps = []
    for place in (folder, folder / inner):
        with suppress(OSError):
            for entry in os.scandir(place):
                state = entry.stat(follow_symlinks=False)
                stamps.append((entry.name, state.st_size, state.st_mtime_ns))
    now = hash(tuple(sorted(stamps)))
    known, verdict = _VERDICTS.get((folder, inner), (None, None))
    if known != now:
        verdict = judge()
        _VERDICTS[folder, inner] = (now, verdict)
    return cast(Judged, verdict)


def remove(path: Path) -> None:
    """Remove a file, or a folder and all in it."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)
