"""One file for one result folder: scores, specs, hashes, environment and verification.

The file holds no face and no embedding, and people are codes. With embeddings it is a ZIP
archive of the result folder, re-keyed so that its scores still follow from its arrays.
"""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import tempfile
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path, PureWindowsPath
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fer_bench import registry
from fer_bench.atomic import atomic_path
from fer_bench.data.splits import FoldFile
from fer_bench.errors import FerBenchError, RunError
from fer_bench.experiment import RunSpec, canonical_json
from fer_bench.metrics.metric import person_id
from fer_bench.reports.summary import summarise
from fer_bench.runs.store import (
    RunRecord,
    RunStore,
    faces_of_part,
    seal,
    sha256,
    write_json,
    write_part,
)
from fer_bench.sharing.protocols import protocol_of
from fer_bench.sweep.worker import folds_path

FORMAT = "fer-bench result 1"
_CARD = ("name", "title", "terms", "citation", "subjects_kind", "protocol", "fingerprint", "n",
         "classes", "counts", "n_subjects")  # fmt: skip
_ENVIRONMENT = ("fer_bench", "python", "torch", "numpy", "platform", "device", "threads", "wall_s",
                "n_parameters")  # fmt: skip
_MOST_LEVELS = 12  # of an attribute; more may name people
# Places on a disk: a text that is one, one in quotes (spaces may be in it), or one in a sentence.
_ROOT = r"(?:~|[A-Za-z]:)?[/\\]"
_PLACE = re.compile(
    rf"\A{_ROOT}[^\n]*[/\\][^\n]*\Z|(?<='){_ROOT}[^'\n]+|(?<=\"){_ROOT}[^\"\n]+"
    rf"|(?<![\w:/.]){_ROOT}[^/\\\s',;()]+[/\\][^\s',;()]+"
)
_NO_LABELS = frozenset({"expression", "subject", "sequence", "valence", "arousal", "path", "row"})


def pack(
    root: str | Path,
    out: str | Path | None = None,
    *,
    embeddings: bool = False,
    permitted: bool = False,
) -> Path:
    """Write one result file about a result folder.

    Args:
        root: result folder.
        out: the file; `<folder>.json` or `<folder>.zip` in the working directory by default.
        embeddings: also embeddings and labels, as a ZIP archive that can be verified.
        permitted: embeddings of data whose terms forbid publishing faces may be packed.

    Raises:
        RunError: there is no finished run, or embeddings of restricted data were asked for.
    """
    store = RunStore(root)
    content = result_of(store)
    name = store.root.resolve().name
    if not embeddings:
        target = Path(out) if out is not None else Path(f"{name}.json")
        write_json(target, content)
        return target
    if not permitted:
        _refuse_restricted(store)
    target = Path(out) if out is not None else Path(f"{name}.zip")
    with tempfile.TemporaryDirectory(prefix="fer-bench-pack-") as aside:
        copy = Path(aside) / name
        recode(store, copy)
        write_json(copy / "result.json", content)
        with atomic_path(target) as half, zipfile.ZipFile(half, "w", zipfile.ZIP_DEFLATED) as file:
            for path in sorted(p for p in copy.rglob("*") if p.is_file()):
                file.write(path, Path(name) / path.relative_to(copy))
    return target


def result_of(store: RunStore) -> dict[str, Any]:
    """The content of a result file.

    Raises:
        RunError: there is no finished run.
    """
    summary = summarise(store)
    records = store.records()
    content: dict[str, Any] = {
        "format": FORMAT,
        "title": summary.title,
        "created": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "protocol": protocol_of(records),
        "data": {key: summary.data.get(key) for key in _CARD},
        "rows": [_row(row) for row in summary.rows],
        "runs": {record.folder.name: _run(record) for record in records},
        "failures": [
            {"label": f.label, "seed": f.seed, "fold": f.fold, "kind": f.kind}
            for f in summary.failures
        ],
        "cautions": [{"level": c.level, "text": c.text} for c in summary.cautions],
        "verification": _verification(store, records),
    }
    content["contains"] = _contains(content)
    content = without_places(json.loads(json.dumps(content)))
    return content | {"sha256": self_hash(content)}


def self_hash(content: Mapping[str, Any]) -> str:
    """SHA-256 of a result file's content without the hash itself."""
    bare = {key: value for key, value in content.items() if key != "sha256"}
    return hashlib.sha256(canonical_json(json.loads(json.dumps(bare))).encode()).hexdigest()


def _row(row: Any) -> dict[str, Any]:
    return {
        "label": row.label,
        "method": row.method,
        "role": row.role,
        "paper": row.paper,
        "parameters": row.parameters,
        "training": row.training,
        "scores": {
            key: {
                "mean": score.mean,
                "low": score.low,
                "high": score.high,
                "null": score.null,
                "n": score.n,
                "n_runs": score.n_runs,
                "unit": score.unit,
                "cautions": [caution.code for caution in score.cautions],
            }
            for key, score in sorted(row.scores.items())
        },
    }


def _run(record: RunRecord) -> dict[str, Any]:
    """One run: what it was, where it ran, and its scores without their details."""
    scores = {
        f"{metric}/{key}": {
            "value": score.to_json()["value"],
            "low": score.low,
            "high": score.high,
            "n": score.n,
        }
        for metric, outcome in record.outcomes().items()
        for key, score in outcome.scores.items()
    }
    scored = record.folder / "scores.json"
    return {
        "label": record.spec.label,
        "seed": record.spec.seed,
        "fold": record.spec.fold,
        "spec": public_spec(record.spec),
        "environment": {k: record.environment.get(k) for k in _ENVIRONMENT},
        "manifest": sha256(record.folder / "done.json"),
        "scored": sha256(scored) if scored.exists() else None,
        "scores": scores,
    }


def public_spec(spec: RunSpec) -> dict[str, Any]:
    """A spec without the places of files on somebody's disk; weights are known by their hash."""
    content: dict[str, Any] = without_places(spec.model_dump(mode="json"))
    for data in (content["data"], *content["tests"].values()):
        data["root"] = None
    return content


def without_places(value: Any) -> Any:
    """JSON with files by their name alone: where they lie tells of a machine and its owner.

    >>> without_places({"text": "weights from '/home/Anna M/w.pt'", "/data/x/y.pt": "ab/cd"})
    {'text': "weights from 'w.pt'", 'y.pt': 'ab/cd'}
    """
    if isinstance(value, Mapping):
        return {without_places(key): without_places(item) for key, item in value.items()}
    if isinstance(value, list):
        return [without_places(item) for item in value]
    if isinstance(value, str):
        return _PLACE.sub(lambda place: PureWindowsPath(place[0]).name, value)
    return value


def _verification(store: RunStore, records: Sequence[RunRecord]) -> dict[str, Any] | None:
    """What `fer-bench verify` wrote, if it is about the scores as they are now."""
    path = store.root / "verification.json"
    if not path.exists():
        return None
    verification: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    now = {r.folder.name: sha256(r.folder / "scores.json") for r in records}
    then = {run: hashes.get("scores") for run, hashes in verification["runs"].items()}
    return verification if now == then else None


def contents_of(path: Path) -> list[str]:
    """What a packed file holds, in words."""
    if not zipfile.is_zipfile(path):
        return list(json.loads(path.read_text(encoding="utf-8"))["contains"])
    with zipfile.ZipFile(path) as archive:
        names = archive.namelist()
    parts = sum(name.endswith(".safetensors") and "/parts/" in name for name in names)
    return [
        f"embeddings, predictions and labels of {parts} parts of runs, with codes for people",
        "scores, what was run, hashes and versions",
        "no faces, no checkpoints, no names of people, sequences or files",
    ]


def _contains(content: Mapping[str, Any]) -> list[str]:
    people = content["data"]["n_subjects"]
    return [
        f"scores of {len(content['runs'])} runs, what was run, hashes and versions",
        "no faces and no embeddings",
        f"no names of the {people} people" if people else "no names of people",
        "a verification" if content["verification"] else "no verification",
    ]


def _refuse_restricted(store: RunStore) -> None:
    """Embeddings of data whose terms forbid publishing faces stay where they are."""
    for spec in {r.spec.data.name: r.spec for r in store.records()}.values():
        if spec.data.name not in registry.datasets.names():
            continue
        info = registry.datasets.get(spec.data.name).info
        if not info.own and not info.publish_faces and info.subjects != "generated":
            raise RunError(
                f"the terms of {info.title or info.name} do not allow its faces to be published, "
                "and embeddings are about faces: pack without --embeddings, or say --permitted "
                "if its owners agreed."
            )


def recode(store: RunStore, target: Path) -> None:
    """Copy a result folder with codes for people, sequences and pictures, and new manifests.

    Codes sort like the names, so that every score comes out as before. Faces, checkpoints, and
    metrics that look at faces are left out.

    Args:
        store: the result folder.
        target: new folder.
    """
    records = store.records()
    people = _codes(records, "subject", "person")
    sequences = _codes(records, "sequence", "sequence")
    folds: dict[str, FoldFile] = {}
    for record in records:
        old = record.spec.fold_hash
        if old not in folds:
            read = FoldFile.load(folds_path(store, old))
            keys = tuple(f"row {i:07d}" for i in range(len(read.keys)))
            folds[old] = FoldFile(keys, read.folds, read.group, read.seed, read.cautions)
        spec = RunSpec.model_validate(public_spec(record.spec) | {"fold_hash": folds[old].hash})
        _recode_run(record, spec, target / "runs" / spec.id, folds[old].keys, people, sequences)
    (target / "folds").mkdir(exist_ok=True)
    for one in folds.values():
        one.save(folds_path(RunStore(target), one.hash))
    for fingerprint in {r.spec.fingerprint for r in records}:
        card = store.data_card(fingerprint)
        kept = {n: v for n, v in card["attributes"].items() if len(v) <= _MOST_LEVELS}
        public = without_places(card | {"attributes": kept})
        write_json(target / "data" / f"{fingerprint[:16]}.json", public)
    experiment = store.experiment()
    if experiment is not None:
        about = without_places(experiment.model_dump(mode="json"))
        for data in (about["data"], *about["tests"].values()):
            data["root"] = None
        write_json(target / "experiment.json", about)
    if (store.root / "evaluation.json").exists():
        shutil.copy(store.root / "evaluation.json", target)


def _recode_run(
    record: RunRecord,
    spec: RunSpec,
    folder: Path,
    keys: Sequence[str],
    people: Mapping[str, str],
    sequences: Mapping[str, str],
) -> None:
    (folder / "parts").mkdir(parents=True)
    for name, part in record.arrays.parts.items():
        labels = part.labels.assign(
            subject=part.labels["subject"].map(people).astype("string"),
            path=[keys[row] if row < len(keys) else "" for row in part.labels["row"]],
        )
        if "sequence" in labels:
            labels["sequence"] = labels["sequence"].map(sequences).astype("string")
        labels = labels.drop(columns=_telling(labels))
        public = replace(part, labels=labels, drawn=None)  # what a decoder draws shows a person
        faces = faces_of_part(record.folder / "parts", name) or ""
        write_part(folder / "parts", public, faces=faces)
    write_json(folder / "spec.json", spec.model_dump(mode="json"))
    write_json(folder / "environment.json", without_places(record.environment))
    (folder / "history.csv").write_bytes(record.sealed("history.csv"))
    seal(folder, spec.id)
    blind = {n: o for n, o in record.outcomes().items() if not _looks_at_faces(n)}
    RunRecord(folder).save_outcomes(
        {
            n: replace(o, arrays=_recoded_effects(record.metric_arrays(n), people))
            for n, o in blind.items()
        }
    )


def _recoded_effects(
    arrays: Mapping[str, NDArray[Any]], people: Mapping[str, str]
) -> dict[str, NDArray[Any]]:
    """The arrays of a metric with the numbers of people made from their codes, not their names."""
    numbers = {person_id(name): person_id(code) for name, code in people.items()}
    return {
        key: np.array([numbers.get(int(i), int(i)) for i in values], dtype=np.int64)
        if key.startswith("effects:") and key.endswith(":people")
        else values
        for key, values in arrays.items()
    }


def _telling(labels: pd.DataFrame) -> list[str]:
    """Attributes with so many values that they may name people."""
    return [
        str(name)
        for name in labels
        if name not in _NO_LABELS
        and not str(name).startswith("factor_")
        and labels[name].nunique() > _MOST_LEVELS
    ]


def _codes(records: Sequence[RunRecord], column: str, word: str) -> dict[str, str]:
    """Codes of names, in the order of the names."""
    names: set[str] = set()
    for record in records:
        for part in record.arrays.parts.values():
            if column in part.labels:
                names |= set(part.labels[column].dropna().astype(str))
    return {name: f"{word}-{i:06d}" for i, name in enumerate(sorted(names))}


def _looks_at_faces(metric: str) -> bool:
    try:
        return "faces" in registry.metrics.get(metric).needs
    except FerBenchError:
        return True
