"""What a result folder says against itself, without computing anything again."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from fer_bench.arrays import PartArrays
from fer_bench.cautions import Caution
from fer_bench.data.splits import FoldFile
from fer_bench.errors import FerBenchError
from fer_bench.evaluation.contradictions import copied_rows
from fer_bench.runs.store import RunRecord, RunStore
from fer_bench.sweep.worker import folds_path

OWN_PARTS = ("train", "validation", "test")
# Written after a run was sealed.
_LATER = (
    "done.json", "scores.json", "maps.safetensors", "traversals.safetensors",
    "parts/checksums.json",
)  # fmt: skip
_DECLARED = ("fold-tests-known-subjects", "tested-people-trained-on")
_DECLARED_COPIES = ("rows-copied",)


def inspect_run(store: RunStore, record: RunRecord) -> Iterator[Caution]:
    """Checksums, ids, folds, and people or rows on both sides of one run."""
    run = record.folder.name
    yield from _files(record, run)
    try:
        spec, arrays = record.spec, record.arrays
        if spec.id != run:
            yield Caution("run-renamed", run=run, id=spec.id)
        folds = FoldFile.load(folds_path(store, spec.fold_hash))
    except FerBenchError as error:
        yield Caution("unreadable", run=run, reason=str(error))
        return
    if folds.hash != spec.fold_hash:
        yield Caution("folds-of-others", run=run)
        return
    said = {c["code"] for c in record.environment.get("warnings", ()) if isinstance(c, dict)}
    own = {name: part for name, part in arrays.parts.items() if name in OWN_PARTS}
    yield from _rows(record, own, folds)
    yield from _people(run, own, said)
    if arrays.role != "oracle":
        yield from _copies(run, own, said)


def inspect_folder(store: RunStore, records: list[RunRecord]) -> Iterator[Caution]:
    """What the runs say against each other, the plan and the data card."""
    yield from _plan(store, records)
    labels: dict[tuple[str, int], tuple[str, str]] = {}
    seen: dict[str, dict[int, tuple[str, str]]] = defaultdict(dict)
    for record in records:
        try:
            for name, part in record.arrays.parts.items():
                if name not in OWN_PARTS and name != "test:reversed":
                    continue
                columns = part.labels[["row", "expression", "subject"]].astype("string").fillna("")
                for row, expression, subject in columns.itertuples(index=False):
                    key = (record.spec.fingerprint, int(row))
                    if labels.setdefault(key, (expression, subject)) != (expression, subject):
                        yield Caution("labels-differ", run=record.folder.name, row=int(row))
                        break
                    seen[record.spec.fingerprint][int(row)] = (expression, subject)
        except (FerBenchError, KeyError, ValueError):
            continue  # said of the run itself
    for fingerprint, rows in seen.items():
        yield from _card(store, fingerprint, rows)


def _files(record: RunRecord, run: str) -> Iterator[Caution]:
    try:
        expected, changed = record.checksums, record.verify()
    except FerBenchError as error:
        yield Caution("unreadable", run=run, reason=str(error))
        return
    for name in changed:
        there = (record.folder / name).is_file()
        yield Caution("file-changed" if there else "file-missing", run=run, file=name)
    present = {
        p.relative_to(record.folder).as_posix() for p in record.folder.rglob("*") if p.is_file()
    }
    for name in sorted(present - set(expected)):
        hidden = any(piece.startswith(".") for piece in Path(name).parts)
        if name not in _LATER and not name.startswith(("scores/", "parts/test--")) and not hidden:
            yield Caution("file-added", run=run, file=name)


def _rows(record: RunRecord, own: Mapping[str, PartArrays], folds: FoldFile) -> Iterator[Caution]:
    """The rows of each part are those that the fold file names."""
    run, fold = record.folder.name, folds[record.spec.fold]
    planned = {name: getattr(fold, name) for name in OWN_PARTS}
    for name, part in own.items():
        rows = part.labels["row"].to_numpy(np.int64)
        wrong = np.setdiff1d(rows, planned[name])
        lacking = np.setdiff1d(planned[name], rows) if record.spec.tie is None else wrong[:0]
        if len(wrong) or len(lacking) or len(np.unique(rows)) < len(rows):
            yield Caution("rows-elsewhere", run=run, part=name, n=len(wrong) + len(lacking))
            continue
        if "path" in part.labels and part.labels["path"].notna().all():
            keys = np.array(folds.keys, dtype=object)[rows]
            paths = part.labels["path"].astype(str).to_numpy()
            other = [k for k, p in zip(keys, paths, strict=True) if str(k).split(" #")[0] != p]
            if other and not str(other[0]).startswith("row "):
                yield Caution("rows-elsewhere", run=run, part=name, n=len(other))
    absent = [name for name in OWN_PARTS if name not in own and len(planned[name])]
    for name in absent:
        yield Caution("rows-elsewhere", run=run, part=name, n=len(planned[name]))


def _people(run: str, own: Mapping[str, PartArrays], said: set[str]) -> Iterator[Caution]:
    """People of the test part must be in no other part, unless the run itself says so."""
    if "test" not in own:
        return
    tested = set(own["test"].subjects)
    others = {s for name, part in own.items() if name != "test" for s in part.subjects}
    if tested & others and not said & set(_DECLARED):
        yield Caution("people-across", run=run, people=len(tested & others))


def _copies(run: str, own: Mapping[str, PartArrays], said: set[str]) -> Iterator[Caution]:
    """Equal embeddings of different rows: across parts, or of two people."""
    parts = list(own.values())
    values = np.concatenate([_joined(part) for part in parts])
    names = np.concatenate([np.full(len(part), part.name) for part in parts])
    test, rest = np.flatnonzero(names == "test"), np.flatnonzero(names != "test")
    across = copied_rows(values, rest, test) if len(rest) else rest
    if len(across) and not said & set(_DECLARED_COPIES):
        yield Caution("rows-copied-across", run=run, n=len(across))
    people = np.concatenate([part.labels["subject"].astype("string").fillna("") for part in parts])
    rows = pd.util.hash_pandas_object(pd.DataFrame(values), index=False).to_numpy()
    frame = pd.DataFrame({"hash": rows, "subject": people})
    if frame["hash"].nunique() < 0.9 * len(frame):
        return  # rows repeat by design, as in a collapsed embedding
    several = frame[frame["subject"] != ""].groupby("hash")["subject"].nunique()
    twins = int((several > 1).sum())
    if twins:
        yield Caution("people-copied", run=run, n=twins)


def _joined(part: PartArrays) -> np.ndarray:
    arrays = [a for a in (part.expression, part.identity, part.logits) if a is not None]
    return np.concatenate(arrays, axis=1)


def _plan(store: RunStore, records: list[RunRecord]) -> Iterator[Caution]:
    """Every planned run is there or has failed, and none was added."""
    try:
        experiment = store.experiment()
        failures = store.failures()
    except (FerBenchError, ValueError) as error:
        yield Caution("unreadable", run="experiment.json", reason=str(error).splitlines()[0])
        return
    if experiment is None:
        if (store.root / "experiment.json").exists():
            yield Caution("unreadable", run="experiment.json", reason="it is damaged")
        return
    there: Counter[tuple[str, int, int]] = Counter()
    for record in records:
        try:
            there[record.spec.method, record.spec.seed, record.spec.fold] += 1
        except (FerBenchError, ValueError):
            continue
    for failure in failures.values():
        there[failure["method"], int(failure["seed"]), int(failure["fold"])] += 1
    planned: Counter[tuple[str, int, int]] = Counter()
    ties = len(experiment.confound.rho) if experiment.confound else 1
    for entry in experiment.methods:
        for seed in entry.seeds or experiment.seeds:
            for fold in entry.folds or experiment.split.indices:
                planned[entry.name, seed, fold] += ties
    for method, seed, fold in sorted(planned - there):
        yield Caution("run-lacking", method=method, seed=seed, fold=fold)
    for method, seed, fold in sorted(set(there) - set(planned)):
        yield Caution("run-not-planned", method=method, seed=seed, fold=fold)


def _card(
    store: RunStore, fingerprint: str, rows: Mapping[int, tuple[str, str]]
) -> Iterator[Caution]:
    """The counts of the data card are those of the labels, where all rows are in some part."""
    try:
        card: dict[str, Any] = store.data_card(fingerprint)
        if card["fingerprint"] != fingerprint:
            yield Caution("card-differs", what="fingerprint", said=str(card["fingerprint"]))
        if len(rows) != card["n"]:
            if len(rows) > card["n"]:
                yield Caution("card-differs", what="faces", said=card["n"])
            return
        people = len({subject for _, subject in rows.values()} - {""})
        if people != (card["n_subjects"] or 0):
            yield Caution("card-differs", what="people", said=card["n_subjects"] or 0)
        counts = Counter(expression for expression, _ in rows.values())
        for name, n in card["counts"].items():
            if counts.get(name, 0) != n:
                yield Caution("card-differs", what=name, said=n)
        faces = store.thumbnails(fingerprint)
        if faces is not None and len(faces) != card["n"]:
            yield Caution("card-differs", what="thumbnails", said=len(faces))
    except (FerBenchError, KeyError, TypeError, ValueError, OSError) as error:
        yield Caution("unreadable", run="data card", reason=str(error))
