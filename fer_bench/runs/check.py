"""Is a result folder what was written? Every file that has a checksum is compared with it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from fer_bench.data.splits import FoldFile
from fer_bench.errors import FerBenchError
from fer_bench.runs.store import STAGE, RunStore, read_mapping, read_sealed


@dataclass(frozen=True)
class Damage:
    """Something that is not what was written.

    Attributes:
        run: id of the run; None for what belongs to the folder.
        sentence: what is wrong, and with which file.
        lost: whether the run must be trained again; scores are only computed again.
    """

    run: str | None
    sentence: str
    lost: bool = False


def check_store(store: RunStore) -> Iterator[Damage]:
    """Compare all files of a result folder with what was written."""
    for run_id in store.run_ids():
        record = store.record(run_id)
        reason = record.damage()
        if reason is not None:
            yield Damage(run_id, reason, lost=True)
        elif scores := record.verify():
            file = str(record.folder / scores[0])
            yield Damage(run_id, f"{file!r} is damaged: `fer-bench score` computes it again.")
    for path in sorted((store.root / "folds").glob("*.json")):
        try:
            FoldFile.load(path)
        except FerBenchError as error:
            yield Damage(None, str(error))
    for mark in sorted(store.stages.glob("*/*/done.json")):
        if read_sealed(mark.parent, STAGE) is None:
            folder = str(mark.parent)
            yield Damage(None, f"{folder!r} is damaged: the run that needs it trains it again.")
    again = "`fer-bench run` writes it again."
    if (store.root / "experiment.json").exists() and store.experiment() is None:
        yield Damage(None, f"{str(store.root / 'experiment.json')!r} is damaged: {again}")
    for card in sorted([*store.root.glob("data/*.json"), *store.root.glob("failures/*.json")]):
        if read_mapping(card) is None:
            yield Damage(None, f"{str(card)!r} is damaged: {again}")
    for faces in sorted(store.root.glob("data/*.npz")):
        if store.thumbnails(faces.stem) is None:
            yield Damage(None, f"{str(faces)!r} is damaged: {again}")
