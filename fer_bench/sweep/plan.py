"""From an experiment to the list of runs it asks for."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from importlib.metadata import PackageNotFoundError, version
from itertools import product
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from fer_bench import registry
from fer_bench.attackers.erased import Erased, row_title
from fer_bench.cautions import Caution, as_cautions
from fer_bench.data import load_dataset
from fer_bench.data.confound import confounded_fold
from fer_bench.data.duplicates import crossing_folds, crossing_test
from fer_bench.data.faces import FaceData
from fer_bench.data.splits import Fold, FoldFile, Rows, make_folds
from fer_bench.errors import DataError, ExperimentError, RunError
from fer_bench.experiment import (
    DataSpec,
    Experiment,
    MethodSpec,
    RunSpec,
    SplitSpec,
    TieSpec,
    encoders_of,
    resolve_method,
    training_of,
    weight_sections,
)
from fer_bench.method import Method
from fer_bench.registry import ERASED
from fer_bench.runs.store import sha256
from fer_bench.training.batches import batches_in
from fer_bench.training.loop import stage_budget

OWN = "fer-bench"  # the distribution that this package is in
REVERSED = "reversed"  # the test part in which the attribute says the opposite


@dataclass(frozen=True)
class Plan:
    """The runs of an experiment, and those that its data cannot give.

    Attributes:
        runs: in the order they are started: seeds outermost, so that early results already
            compare all methods.
        skipped: (spec, reason) of what the data lack.
        data: the data sets by fingerprint, loaded.
        folds: the fold file.
    """

    runs: tuple[RunSpec, ...]
    skipped: tuple[tuple[RunSpec, str], ...]
    data: Mapping[str, FaceData]
    folds: FoldFile

    def only(self, methods: Sequence[str]) -> Plan:
        """The runs of some rows, and those whose embeddings they erase.

        Args:
            methods: labels of rows, or registered names; none for all rows.

        Raises:
            ExperimentError: the experiment has no such row.
        """
        everything = [*self.runs, *(spec for spec, _ in self.skipped)]
        labels = {spec.label for spec in everything}
        for name in methods:
            if name not in labels | {spec.method for spec in everything}:
                there = ", ".join(map(repr, sorted(labels)))
                raise ExperimentError(f"--method {name!r} is no row of the experiment: {there}.")
        if not methods:
            return self
        chosen = [spec for spec in everything if {spec.label, spec.method} & {*methods}]
        ids = {spec.id for spec in chosen} | {spec.of for spec in chosen}
        return replace(
            self,
            runs=tuple(spec for spec in self.runs if spec.id in ids),
            skipped=tuple((spec, why) for spec, why in self.skipped if spec.id in ids),
        )


class Row(NamedTuple):
    """An entry of `[[methods]]`, with its method and all its parameters."""

    entry: MethodSpec
    method: type[Method] | type[Erased]
    parameters: dict[str, Any]


def plan(experiment: Experiment) -> Plan:
    """Load the data, make the folds, resolve every parameter.

    Raises:
        FerBenchError: unknown method or data set, wrong parameter, unreadable data.
    """
    entries = [resolve_method(m, i) for i, m in enumerate(experiment.methods)]
    _check_labels(experiment, entries)
    _check_devices(experiment, entries)
    if experiment.confound is not None and REVERSED in experiment.tests:
        raise ExperimentError(
            f"tests.{REVERSED}: [confound] makes a test part of that name: choose another."
        )
    data = load_faces(experiment.data)
    tests = {name: load_faces(spec) for name, spec in experiment.tests.items()}
    folds = folds_of(data, experiment.split, tests)
    ties = _ties(experiment, data, folds)
    rows = [Row(m, *resolved) for m, resolved in zip(experiment.methods, entries, strict=True)]
    shared = {
        "data": experiment.data,
        "fingerprint": data.fingerprint,
        "tests": experiment.tests,
        "test_fingerprints": {name: test.fingerprint for name, test in tests.items()},
        "split": experiment.split,
        "fold_hash": folds.hash,
    }
    runs: list[RunSpec] = []
    skipped: list[tuple[RunSpec, str]] = []
    for seed, tie, fold in product(_all_seeds(experiment), ties, experiment.split.indices):
        cell = list(_trained(experiment, rows, shared, seed=seed, tie=tie, fold=fold))
        for row, spec in (*cell, *_erased(experiment, rows, cell)):
            reason = lacking(row.method, data, spec)
            if reason is None and spec.of is not None and spec.of not in {run.id for run in runs}:
                reason = "the run that it erases is skipped."
            if reason is None:
                runs.append(spec)
            else:
                skipped.append((spec, reason))
    _check_ids(runs)
    by_fingerprint = {faces.fingerprint: faces for faces in (data, *tests.values())}
    return Plan(tuple(runs), tuple(skipped), by_fingerprint, folds)


def _trained(
    experiment: Experiment,
    rows: Sequence[Row],
    shared: Mapping[str, Any],
    *,
    seed: int,
    tie: TieSpec | None,
    fold: int,
) -> Iterator[tuple[Row, RunSpec]]:
    """The runs of one seed, strength and fold that are trained; `shared` is what all runs have."""
    for row in rows:
        entry = row.entry
        if (
            entry.name != ERASED
            and seed in (entry.seeds or experiment.seeds)
            and fold in (entry.folds or experiment.split.indices)
        ):
            yield (
                row,
                RunSpec(
                    method=entry.name,
                    label=label_of(experiment, entry, row.method),
                    parameters=row.parameters,
                    weights=_hashes(row.parameters),
                    fold=fold,
                    tie=tie,
                    training=training_of(experiment, entry),
                    seed=seed,
                    code=code_versions(entry.name),
                    **shared,
                ),
            )


def _erased(
    experiment: Experiment, rows: Sequence[Row], cell: Sequence[tuple[Row, RunSpec]]
) -> Iterator[tuple[Row, RunSpec]]:
    """The erased rows of one cell, each made from the run of its encoder."""
    for row in rows:
        if row.entry.name != ERASED:
            continue
        encoders = encoders_of(experiment, row.entry)
        for other, run in cell:
            if other.entry in encoders:
                yield (
                    row,
                    run.model_copy(
                        update={
                            "method": ERASED,
                            "label": label_of(experiment, row.entry, Erased),
                            "parameters": row.parameters,
                            "weights": {},
                            "of": run.id,
                        }
                    ),
                )


def _ties(experiment: Experiment, data: FaceData, folds: FoldFile) -> tuple[TieSpec | None, ...]:
    """The strengths of the tie; every fold is tried, so that nothing fails after hours."""
    if experiment.confound is None:
        return (None,)
    for tie in experiment.confound.ties:
        for fold in experiment.split.indices:
            confounded_fold(data, folds[fold], **tie.model_dump())
    return experiment.confound.ties


def _all_seeds(experiment: Experiment) -> list[int]:
    """Every seed that some method asks for, in the order in which they are written."""
    own = (seed for method in experiment.methods for seed in method.seeds or ())
    return list(dict.fromkeys((*experiment.seeds, *own)))


def _hashes(parameters: dict[str, Any]) -> dict[str, str]:
    """SHA-256 of the files of weights that the parameters name; a file may change on its place."""
    paths = {Path(section["weights"]) for section in weight_sections(parameters)}
    return {str(path): sha256(path) for path in paths if path.is_file()}


def load_faces(spec: DataSpec) -> FaceData:
    """Load a data set as an experiment describes it (once a process: it is memory-mapped)."""
    return _load_faces(spec.model_dump_json())


@lru_cache(maxsize=8)
def _load_faces(spec_json: str) -> FaceData:
    spec = DataSpec.model_validate_json(spec_json)
    return load_dataset(spec.name, spec.root, size=spec.size, color=spec.color, **spec.options)


def folds_of(
    data: FaceData, split: SplitSpec, tests: Mapping[str, FaceData] | None = None
) -> FoldFile:
    """The subject-disjoint folds of a data set.

    Args:
        data: the faces.
        split: how they are divided, and whether copies are allowed.
        tests: further test sets, whose pictures must not be learned from either.

    Raises:
        DataError: a picture is both learned from and tested on, and that is not allowed.
    """
    folds = make_folds(
        data,
        n_folds=split.folds,
        seed=split.seed,
        validation=split.validation,
        official=split.official,
    )
    copies = crossing_folds(data, folds, use=split.indices)
    used = [folds[i] for i in split.indices]
    learned = np.concatenate([rows for fold in used for rows in (fold.train, fold.validation)])
    shared = (crossing_test(data, t, learned=learned, name=n) for n, t in (tests or {}).items())
    copies += [copy for copy in shared if copy]
    if copies and split.duplicates == "error":
        raise DataError(
            f"{data.info.name}: {copies[0]}. `fer-bench data audit` lists the copies within a set "
            "and what to leave out (then data.decisions names its file), or go on with them: "
            'split.duplicates = "allow".'
        )
    return replace(folds, cautions=as_cautions([*folds.cautions, *copies]))


@dataclass(frozen=True)
class RunRows:
    """The faces of one run.

    Attributes:
        fold: rows that are trained on, that decide, and that are tested.
        tests: rows of further test parts by name: "reversed", against the tie.
        cautions: what a reader must know of them.
        notes: what the tie came to in each part.
    """

    fold: Fold
    tests: Mapping[str, Rows]
    cautions: tuple[Caution, ...]
    notes: tuple[str, ...] = ()


def published_folds(path: Path, spec: RunSpec, data: FaceData) -> FoldFile:
    """The folds of a run, read from the file that its result folder publishes.

    Raises:
        RunError: the file holds other folds than those the run was planned with.
        DataError: there is no such file, it is damaged, or it names faces the data lack.
    """
    folds = FoldFile.load(path)
    if folds.hash != spec.fold_hash:
        raise RunError(
            f"{path} holds other folds (hash {folds.hash}) than the run {spec.id!r} was planned "
            f"with ({spec.fold_hash}): start the experiment again in a new folder."
        )
    return folds.match(data)


def rows_of(data: FaceData, spec: RunSpec, folds: FoldFile) -> RunRows:
    """The faces of a run: its fold, confounded if the run asks for it.

    Raises:
        DataError: the tie cannot be had on these faces.
    """
    fold = folds[spec.fold]
    if spec.tie is None:
        return RunRows(fold, {}, folds.cautions)
    fold, against, notes = confounded_fold(data, fold, **spec.tie.model_dump())
    return RunRows(fold, {REVERSED: against}, folds.cautions, notes)


def foreign_code(experiment: Experiment) -> list[str]:
    """A line for everything of an experiment that another distribution brings.

    Its code runs with the rights of whoever starts the experiment, so it is named before it does.
    """
    trained = [entry for entry in experiment.methods if entry.of is None]
    used = [("method", registry.methods, entry.name) for entry in trained]
    sets = [experiment.data, *experiment.tests.values()]
    used += [("data set", registry.datasets, spec.name) for spec in sets]
    names = experiment.scores.metrics or registry.metrics.names()
    used += [("metric", registry.metrics, name) for name in names]
    lines = []
    for kind, known, name in dict.fromkeys(used):
        origin = known.origin(name)
        if origin != OWN:
            version = f" {_version(origin)}" if _version(origin) else ""
            lines.append(f"the {kind} {name!r} is code of {origin}{version}, not of FER-Bench")
    return lines


def planned_steps(planned: Plan, spec: RunSpec) -> int:
    """Optimiser steps that a run gives to a stage of full share."""
    rows = rows_of(planned.data[spec.fingerprint], spec, planned.folds)
    per_epoch = batches_in(len(rows.fold.train), spec.training.batch_size)
    return stage_budget(1.0, spec.training, per_epoch).steps


def code_versions(method: str) -> dict[str, str]:
    """Versions of this package and of the package that brings the method."""
    names = {OWN, registry.methods.origin(method)}
    return {name: _version(name) for name in sorted(names) if _version(name)}


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return ""


def lacking(method: type[Method] | type[Erased], data: FaceData, spec: RunSpec) -> str | None:
    """Why a method cannot be trained on these data, in words, or None.

    A need for "pairs" is always met: the pair sampler falls back, and says so.
    """
    have = {
        "pairs": bool((data.expression >= 0).any()),
        "subjects": data.has_subjects,
        "attributes": bool(data.attributes),
        "valence_arousal": data.has_valence_arousal,
    }
    absent = sorted(need for need in method.info.needs if not have[need])
    if spec.training.target == "valence_arousal" and not data.has_valence_arousal:
        absent.append("valence_arousal")
    if not absent:
        return None
    wanted = " and ".join(need.replace("_", "-") for need in dict.fromkeys(absent))
    return f"{spec.label} needs {wanted}, which the data set {data.info.name!r} does not have."


def label_of(experiment: Experiment, entry: MethodSpec, method: type[Method] | type[Erased]) -> str:
    """The name of an entry's row; epochs that were chosen on the test part are named as such."""
    if entry.name == ERASED and entry.label is None:
        encoder = encoders_of(experiment, entry)[0]
        of = label_of(experiment, encoder, resolve_method(encoder)[0])
        return row_title(of, entry.parameters)
    label = entry.label or method.info.title
    if training_of(experiment, entry).selection == "oracle":
        label += " (epochs chosen on the test part)"
    return label


def _check_labels(experiment: Experiment, entries: list[tuple[type[Method], Any]]) -> None:
    """One label is one row: one method, each of its folds from one entry."""
    seen: list[tuple[str, MethodSpec]] = []
    for i, (entry, (method, _)) in enumerate(zip(experiment.methods, entries, strict=True)):
        label = label_of(experiment, entry, method)
        unknown = sorted(set(entry.folds or ()) - set(experiment.split.indices))
        if unknown:
            raise ExperimentError(
                f"methods[{i}].folds names {unknown}, and this experiment runs the folds "
                f"{list(experiment.split.indices)}."
            )
        for j, (other_label, other) in enumerate(seen):
            apart = entry.folds and other.folds and not {*entry.folds} & {*other.folds}
            if label == other_label and not (apart and entry.name == other.name):
                raise ExperimentError(
                    f"methods[{i}] and methods[{j}] would both be shown as {label!r}: "
                    "give one of them another 'label'."
                )
        seen.append((label, entry))


def _check_ids(runs: Sequence[RunSpec]) -> None:
    """Refuse two rows that would be one run."""
    labels: dict[str, str] = {}
    for spec in runs:
        other = labels.setdefault(spec.id, spec.label)
        if other != spec.label:
            raise ExperimentError(
                f"the methods {other!r} and {spec.label!r} are the same run: they differ in "
                "nothing that changes results (device and devices do not); take one of them out."
            )


def _check_devices(experiment: Experiment, entries: list[tuple[type[Method], Any]]) -> None:
    """Refuse several devices for a method that does not declare them."""
    for i, (entry, (method, _)) in enumerate(zip(experiment.methods, entries, strict=True)):
        devices = training_of(experiment, entry).devices
        if devices > 1 and entry.name != ERASED and not method.info.data_parallel:
            raise ExperimentError(
                f"methods[{i}]: {entry.name!r} trains on one device, and its training.devices is "
                f"{devices}: set it to 1 in this entry."
            )


def data_card(data: FaceData) -> dict[str, Any]:
    """What a report says of a data set: counts, terms, notes."""
    table, info = data.table, data.info
    counts = table["expression"].value_counts()
    return {
        "name": info.name,
        "title": info.title,
        "terms": info.terms,
        "citation": info.citation,
        "publish_faces": info.publish_faces,
        "subjects_kind": info.subjects,
        "protocol": info.protocol,
        "notes": list(info.notes),
        "fingerprint": data.fingerprint,
        "n": len(data),
        "shape": list(data.shape),
        "classes": list(data.classes),
        "counts": {name: int(counts.get(name, 0)) for name in data.classes},
        "n_subjects": len(data.subjects) or None,
        "attributes": {
            name: {str(k): int(v) for k, v in table[name].value_counts().items()}
            for name in data.attributes
        },
        "rejects": len(data.rejects),
    }
