"""Whatever happens to a file of a result folder: one sentence, and the other runs go on."""

import json
import os
import pickle
import shutil

import numpy as np
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from safetensors.numpy import load_file, save_file

from fer_bench.errors import FerBenchError, RunError
from fer_bench.experiment import parse_experiment
from fer_bench.reports.summary import summarise
from fer_bench.reports.tables import write_table
from fer_bench.runs.check import check_store
from fer_bench.runs.status import status_of
from fer_bench.runs.store import RunStore
from fer_bench.sweep.plan import plan
from fer_bench.sweep.sweep import prepare
from fer_bench.sweep.worker import execute, load_session

EXPERIMENT = {
    "data": {"name": "generated", "subjects": 6, "images_per_subject": 7, "size": 16},
    "split": {"folds": 3, "use": [0, 1], "validation": 0.4},
    "training": {"epochs": 1},
    "methods": [{"name": "oracle-label"}],
    "scores": {"metrics": ["classification"]},
}


class Bomb:
    """A pickle that leaves a mark when it is read."""

    def __init__(self, mark):
        self.mark = str(mark)

    def __reduce__(self):
        return os.mkdir, (self.mark,)


@pytest.fixture(scope="module")
def original(tmp_path_factory):
    root = tmp_path_factory.mktemp("original") / "results"
    experiment = parse_experiment(EXPERIMENT)
    planned = plan(experiment)
    prepare(RunStore(root), experiment, planned)
    for spec in planned.runs:
        execute(spec, root, metrics=("classification",))
    return root


NAMES = [  # of every kind of file; {run} is the first run
    "experiment.json",
    "plan.json",
    "data/card.json",
    "data/faces.npz",
    "folds/folds.json",
    *(
        f"runs/run/{name}"
        for name in (
            "done.json",
            "spec.json",
            "environment.json",
            "history.csv",
            "model.safetensors",
            "scores.json",
            "scores/checksums.json",
            "parts/test.safetensors",
            "parts/test.parquet",
            "parts/train.safetensors",
        )
    ),
]


def place(root, name):
    store = RunStore(root)
    kinds = {
        "data/card.json": "data/*.json",
        "data/faces.npz": "data/*.npz",
        "folds/folds.json": "folds/*.json",
    }
    if name in kinds:
        return next(root.glob(kinds[name]))
    return root / name.replace("runs/run", f"runs/{store.run_ids()[0]}")


def truncate(path, share, mark):
    path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])


def flip(path, share, mark):
    content = bytearray(path.read_bytes())
    content[int(share * (len(content) - 1))] ^= 0x10
    path.write_bytes(content)


def delete(path, share, mark):
    path.unlink()


def wrong_json(path, share, mark):
    choices = ["[]", "{}", "null", "3", '"text"', '{"sha256": []}', '{"a": 1}', "[" * 5000]
    path.write_text(choices[int(share * (len(choices) - 1))])


def plant_pickle(path, share, mark):
    path.write_bytes(pickle.dumps(Bomb(mark)))


def folder_instead(path, share, mark):
    path.unlink()
    path.mkdir()


def dangling(path, share, mark):
    path.unlink()
    path.symlink_to(path.with_name("nowhere"))


def roll(path, share, mark):
    content = path.read_bytes()
    k = max(1, int(share * len(content) / 2))
    path.write_bytes(content[:-k][-k:] + content[k:])


DAMAGES = [truncate, flip, delete, wrong_json, plant_pickle, folder_instead, dangling, roll]


@settings(max_examples=100, phases=[Phase.generate])
@given(name=st.sampled_from(NAMES), damage=st.sampled_from(DAMAGES), share=st.floats(0, 0.99))
def test_damage_is_a_sentence_and_stays_where_it_is(
    original, tmp_path_factory, name, damage, share
):
    root = tmp_path_factory.mktemp("damaged") / "results"
    shutil.copytree(original, root)
    path, mark = place(root, name), root.parent / "pickle-was-read"
    hit, other = RunStore(original).run_ids()
    damage(path, share, mark)
    changed = (
        not path.is_file() or path.read_bytes() != (original / path.relative_to(root)).read_bytes()
    )

    store = RunStore(root)
    damages = list(check_store(store))
    assert all(one.sentence.endswith(".") for one in damages)
    assert status_of(store).done in (1, 2)
    sound = {record.folder.name: record for record in store.records()}
    assert other in sound
    sealed = name.startswith("runs/") and "scores" not in name
    assert (hit in sound) == (not (sealed and changed))
    if sealed and changed and store.is_done(hit):
        assert [one.run for one in damages if one.lost] == [hit]
        with pytest.raises(FerBenchError):
            record = store.record(hit)
            record.arrays, record.history, load_session(record)
    if hit in sound:
        known = RunStore(original).record(hit).outcomes()
        assert sound[hit].outcomes() in ({}, known)
    assert "\n" in write_table(root, format="csv")
    assert not mark.exists()
    shutil.rmtree(root)


def test_a_broken_score_file_is_computed_again(original, tmp_path):
    root = tmp_path / "results"
    shutil.copytree(original, root)
    store = RunStore(root)
    spec = store.records()[0].spec
    known = store.record(spec.id).outcomes()
    for content in ("", "[]", '{"classification": 3}'):
        (store.runs / spec.id / "scores.json").write_text(content)
        assert store.record(spec.id).outcomes() == {}
        assert "lack scores" in _said(store)
        assert "fer-bench score" in write_table(root)
        execute(spec, root, metrics=("classification",))
        assert store.record(spec.id).outcomes() == known
    assert "damaged" not in _said(store)
    (store.runs / spec.id / "spec.json").write_text("")
    assert "files are damaged" in _said(store)
    assert f"{spec.id}, seed 0, fold 0 damaged:" in write_table(root)


def _said(store):
    return " ".join(remark.text for remark in summarise(store).cautions)


def test_rolled_logits_are_not_believed(original, tmp_path):
    """The damage that once changed an accuracy without a word."""
    root = tmp_path / "results"
    shutil.copytree(original, root)
    store = RunStore(root)
    record = store.records()[0]
    file = record.folder / "parts" / "test.safetensors"
    arrays = load_file(file)
    save_file({**arrays, "logits": np.roll(arrays["logits"], 1, axis=0)}, file)
    with pytest.raises(RunError, match=r"test.safetensors' cannot be used .* damaged"):
        _ = store.record(record.folder.name).arrays


def test_a_damaged_run_is_set_aside_and_trained_again(original, tmp_path):
    root = tmp_path / "results"
    shutil.copytree(original, root)
    store = RunStore(root)
    spec = store.records()[0].spec
    (store.runs / spec.id / "history.csv").write_text("")
    ((run_id, reason),) = store.damaged().items()
    place = store.set_aside(run_id, reason)
    assert json.loads((place / "damage.json").read_text()) == {"run": spec.id, "reason": reason}
    assert execute(spec, root, metrics=("classification",))[0] == "done"
    assert store.damaged() == {}
    assert len(store.records()) == 2


def test_leftovers_of_a_kill_are_removed_once_they_are_old(original, tmp_path):
    root = tmp_path / "results"
    shutil.copytree(original, root)
    store = RunStore(root)
    run_id = store.run_ids()[0]
    old = [
        root / ".summary.json.123-456",
        store.runs / run_id / ".maps.safetensors.123-456",
        store.runs / run_id / "scores" / ".checksums.json.1-2",
        store.runs / f".{run_id}.partial",
    ]
    for path in old[:-1]:
        path.write_text("half")
    old[-1].mkdir()
    assert store.remove_leftovers() == []
    kept = [root / ".summary.json.9-9", store.runs / ".another-run.partial"]
    kept[0].write_text("half")
    kept[1].mkdir()
    for path in (*old, kept[1]):
        os.utime(path, (0, 0))
    assert sorted(store.remove_leftovers()) == sorted(old)
    assert all(path.exists() for path in kept)
