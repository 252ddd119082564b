"""From matched files to an ordinary result folder, which every other command works on."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

import fer_bench
from fer_bench.arrays import PartArrays
from fer_bench.cautions import Caution
from fer_bench.data.decode import decode
from fer_bench.data.faces import FaceData
from fer_bench.data.splits import Fold, FoldFile
from fer_bench.data.thumbnails import SIDE, thumbnails
from fer_bench.errors import DataError, RunError, did_you_mean
from fer_bench.evaluation.contradictions import copied_rows
from fer_bench.evaluation.matching import Gathered, Model
from fer_bench.evaluation.people import divide, faces_of
from fer_bench.experiment import DataSpec, RunSpec, SplitSpec, TrainingSpec
from fer_bench.method import MethodInfo
from fer_bench.registry import EXTERNAL
from fer_bench.runs.store import RunStore, sha256, write_json, write_part
from fer_bench.sweep.plan import data_card
from fer_bench.sweep.worker import HISTORY, folds_path, info_json

MOST_FACES = 20_000
_ARRAYS = {"expression": "E", "identity": "I", "logits": "logits"}


@dataclass(frozen=True)
class Planned:
    """What will be written, before anything long starts.

    Attributes:
        gathered: rows and models.
        data: the rows as a data set.
        folds: who is in which part.
        used: the folds that become runs.
        cautions: for every run.
        seed: of the draw of people and of the scores.
        references: models that are no rivals, but show how much of a person faces tell.
    """

    gathered: Gathered
    data: FaceData
    folds: FoldFile
    used: tuple[int, ...]
    cautions: tuple[Caution, ...]
    seed: int = 0
    references: frozenset[str] = frozenset()

    def describe(self) -> list[str]:
        """What was understood, in words, for the terminal."""
        table, fold = self.gathered.table, self.folds[0]
        people = len(self.data.subjects)
        known = int(table["expression"].notna().sum())
        lines = [
            *self.gathered.said,
            f"{len(table)} rows; "
            + (
                f"{known} with one of {len(self.gathered.classes)} expressions "
                f"({', '.join(self.gathered.classes)})"
                if known
                else "no expressions"
            )
            + (f"; {people} people" if people else "; people unknown"),
            f"parts: {len(fold.train)} to fit on, {len(fold.validation)} to choose on, "
            f"{len(fold.test)} tested"
            + (f"; {len(self.used)} folds" if len(self.used) > 1 else ""),
        ]
        for model in self.gathered.models:
            shapes = ", ".join(f"{k} {a.shape[1]}" for k, a in model.arrays.items())
            seed = f" (seed {model.seed})" if model.seed else ""
            lines.append(f"{model.name}{seed}: {shapes} columns")
        models = self.gathered.models
        of_models = (
            f"{model.name}: {caution}" if len(models) > 1 else str(caution)
            for model in models
            for caution in model.cautions
        )
        said = dict.fromkeys([*map(str, self.cautions), *of_models])
        return [*lines, *(f"caution: {caution}" for caution in said)]


def plan(
    gathered: Gathered,
    *,
    name: str,
    images: Path | None = None,
    trained_on: frozenset[str] | None = None,
    folds: int = 1,
    seed: int = 0,
    references: Sequence[str] = (),
) -> Planned:
    """Divide people, look for copies, and read the faces where there are any.

    Raises:
        DataError: see `fer_bench.evaluation.people.divide`; a face cannot be read, two models
            are the same, or none has the name of a reference.
    """
    names = [model.name for model in gathered.models]
    for reference in references:
        if reference not in names:
            raise DataError(f"--reference {reference!r}: {did_you_mean(reference, names)}")
    _refuse_copies(gathered.models)
    faces = gathered.faces
    if images is not None:
        faces = _read_faces(images, gathered.table["path"])
    data = faces_of(gathered, name, faces)
    made, unknown = divide(data, trained_on=trained_on, folds=folds, seed=seed)
    used = tuple(range(len(made))) if folds > 1 or len(made) == 1 else (0,)
    cautions = [*unknown, *gathered.cautions, *made.cautions]
    for model in gathered.models:
        values = next(iter(model.arrays.values()))
        fold = made[used[0]]
        copies = copied_rows(values, np.r_[fold.train, fold.validation], fold.test)
        if len(copies):
            model.cautions.append(Caution("rows-copied", n=len(copies), of=len(fold.test)))
    return Planned(
        gathered, data, made, used, tuple(dict.fromkeys(cautions)), seed, frozenset(references)
    )


def _refuse_copies(models: Sequence[Model]) -> None:
    """One file under two names would be one run, and as two seeds show no spread."""
    seen: dict[tuple[tuple[str, str], ...], Path | str] = {}
    for model in models if len(models) > 1 else ():
        key = tuple(sorted(_hashes(model.arrays).items()))
        name = model.file if model.file.name else model.name
        if key in seen:
            raise DataError(
                f"{name} holds exactly the embeddings of {seen[key]}: name another file, or leave "
                "one out."
            )
        seen[key] = name


def write_results(planned: Planned, root: str | Path) -> RunStore:
    """Write the result folder, without scores; what it has already is kept.

    Raises:
        RunError: the folder holds something else.
    """
    store = RunStore(root)
    _refuse_others(store, planned)
    store.root.mkdir(parents=True, exist_ok=True)
    path = folds_path(store, planned.folds.hash)
    path.parent.mkdir(exist_ok=True)
    planned.folds.save(path)
    card = data_card(planned.data)
    has_faces = planned.data.shape[1] > 1
    if not has_faces:
        card["shape"] = []
    classes = planned.gathered.classes
    counts = planned.data.table["expression"].value_counts()
    card |= {"classes": list(classes), "counts": {c: int(counts.get(c, 0)) for c in classes}}
    small = thumbnails(planned.data, most=MOST_FACES) if has_faces else None
    store.save_data_card(planned.data.fingerprint, card, small)
    for model in planned.gathered.models:
        for fold in planned.used:
            _write_run(store, planned, model, fold)
    files = {str(m.file.name): sha256(m.file) for m in planned.gathered.models if m.file.is_file()}
    about = {"format": "fer-bench evaluation 1", "seed": planned.seed, "files": files}
    write_json(store.root / "evaluation.json", about)
    return store


def _refuse_others(store: RunStore, planned: Planned) -> None:
    """Do not mix results on other rows into a folder, nor scatter them over other files."""
    store.refuse_other_files()
    for record in store.records():
        spec = record.spec
        if spec.fingerprint != planned.data.fingerprint or spec.fold_hash != planned.folds.hash:
            raise RunError(
                f"{str(store.root)!r} holds results on other rows, labels or parts: name a new "
                "folder with --out."
            )


def _write_run(store: RunStore, planned: Planned, model: Model, fold: int) -> None:
    started = time.monotonic()
    spec = _spec(planned, model, fold)
    if store.is_done(spec.id):
        return
    with store.claim(spec) as working:
        if working is None:
            raise RunError(f"another process is writing {spec.id!r} into {str(store.root)!r}.")
        for part in _parts(planned, model, planned.folds[fold]):
            write_part(working / "parts", part)
        write_json(working / "spec.json", spec.model_dump(mode="json"))
        facts = _environment(planned, model) | {"wall_s": round(time.monotonic() - started, 2)}
        write_json(working / "environment.json", facts)
        pd.DataFrame(columns=HISTORY).to_csv(working / "history.csv", index=False)
        store.publish(spec, working)


def _spec(planned: Planned, model: Model, fold: int) -> RunSpec:
    return RunSpec(
        method=EXTERNAL,
        label=model.name,
        parameters={"arrays": _hashes(model.arrays)},
        data=DataSpec(name=planned.data.info.name),
        fingerprint=planned.data.fingerprint,
        split=SplitSpec(folds=max(2, len(planned.folds)), use=planned.used),
        fold=fold,
        fold_hash=planned.folds.hash,
        training=TrainingSpec(),
        seed=model.seed,
        code={"fer-bench": fer_bench.__version__},
    )


def _hashes(arrays: Mapping[str, NDArray[np.float32]]) -> dict[str, str]:
    """SHA-256 of each array, so that a run's id is that of its content."""
    return {
        name: hashlib.sha256(repr(values.shape).encode() + values.tobytes()).hexdigest()[:32]
        for name, values in arrays.items()
    }


def _parts(planned: Planned, model: Model, fold: Fold) -> Iterator[PartArrays]:
    table = planned.data.table.drop(columns="split")
    text = [c for c in table if pd.api.types.is_string_dtype(table[c]) or table[c].dtype == object]
    for name, rows in (("train", fold.train), ("validation", fold.validation), ("test", fold.test)):
        if not len(rows):
            continue
        labels = table.iloc[rows].reset_index(drop=True)
        labels = labels.astype(dict.fromkeys(text, "string")).assign(row=rows)
        arrays = {ours: model.arrays.get(key) for ours, key in _ARRAYS.items()}
        arrays["valence_arousal"] = model.arrays.get("valence_arousal")
        chosen = {key: None if a is None else a[rows] for key, a in arrays.items()}
        if chosen["expression"] is None:  # an identity embedding alone
            chosen["expression"] = chosen.pop("identity")
            chosen["identity"] = None
        yield PartArrays(name, labels=labels, classes=planned.gathered.classes, **chosen)  # type: ignore[arg-type]


def _environment(planned: Planned, model: Model) -> dict[str, Any]:
    info = MethodInfo(
        EXTERNAL,
        model.name,
        paper=f"embeddings from {model.file.name}" if model.file.name else "given embeddings",
        produces_identity="I" in model.arrays and "E" in model.arrays,
        role="reference" if model.name in planned.references else "method",
    )
    train = planned.data.subject[planned.folds[planned.used[0]].train]
    return {
        "classes": list(planned.gathered.classes),
        "method": info_json(info),
        "training_s": None,
        "device": "",
        "fer_bench": fer_bench.__version__,
        "numpy": np.__version__,
        "n_train_subjects": len(set(train.tolist()) - {-1}),
        "stages": [],
        "warnings": [c.to_json() for c in dict.fromkeys([*planned.cautions, *model.cautions])],
    }


def _read_faces(root: Path, ids: Sequence[str] | pd.Series) -> NDArray[np.uint8] | None:
    """Small squares of the pictures that the ids name below a folder; None where too many."""
    if len(ids) > MOST_FACES:
        return None
    if not root.is_dir():
        raise DataError(f"--images {root}: there is no such folder.")
    faces = np.empty((len(ids), SIDE, SIDE, 3), np.uint8)
    for i, name in enumerate(ids):
        file = _picture(root, str(name))
        if file is None:
            raise DataError(f"--images {root}: there is no picture {name!r} in it.")
        faces[i] = decode(file, size=SIDE)
    return faces


def _picture(root: Path, name: str) -> Path | None:
    ends = ("", ".jpg", ".png", ".jpeg", ".bmp", ".webp")
    return next((f for end in ends if (f := root / f"{name}{end}").is_file()), None)
