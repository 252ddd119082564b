"""The experiment files that `fer-bench init` writes are valid, and can be planned and run."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from fer_bench.data import DataInfo
from fer_bench.data.layouts import Layout
from fer_bench.data.reader import Reject
from fer_bench.errors import DataError
from fer_bench.experiment import load_experiment
from fer_bench.starter import describe, experiment_name, starter


def layout(root: Path, *, classes=("neutral", "anger"), people=6, each=2, **columns) -> Layout:
    rows = [(c, p) for c in classes or (None,) for p in range(max(people, 1)) for _ in range(each)]
    table = pd.DataFrame(rows, columns=["expression", "subject"])
    table["subject"] = [f"p{p}" if people else None for p in table["subject"]]
    table["path"] = [f"{i}.png" for i in range(len(table))]
    table = table.assign(**{"valence": np.nan, "arousal": np.nan, "split": None, **columns})
    return Layout("folder", root, DataInfo("folder", title="Class folders"), table, side=48)


def written(found: Layout, file: Path):
    file.write_text(starter(found, file), encoding="utf-8")
    return load_experiment(file)


@pytest.mark.parametrize("people", [0, 3, 4, 40])
def test_people_decide_folds_and_methods(tmp_path, people):
    experiment = written(layout(tmp_path / "faces", people=people), tmp_path / "my faces.toml")
    names = {method.name for method in experiment.methods}
    assert ("erased" in names) == ("adversarial-branch" in names) == (people > 0)
    assert experiment.split.folds == (min(people, 5) if people else 5)
    assert experiment.name == "my-faces"
    assert Path(experiment.data.root) == tmp_path / "faces"


def test_the_sets_own_split_is_taken(tmp_path):
    found = layout(tmp_path, split=["train"] * 12 + ["test"] * 12)
    assert written(found, tmp_path / "a.toml").split.official


def test_rare_expressions_are_drawn_equally(tmp_path):
    found = layout(tmp_path, expression=["neutral"] * 22 + ["anger"] * 2)
    assert written(found, tmp_path / "a.toml").training.balanced


@pytest.mark.parametrize(
    ("each", "steps", "batch"), [(2, 600, 32), (400, 1125, 64), (4000, 6000, 64)]
)
def test_steps_follow_the_number_of_faces(tmp_path, each, steps, batch):
    training = written(layout(tmp_path, each=each), tmp_path / "a.toml").training
    assert (training.steps, training.batch_size) == (steps, batch)


def test_valence_and_arousal_alone_are_the_target(tmp_path):
    found = layout(tmp_path, classes=(), valence=0.1, arousal=0.2)
    experiment = written(found, tmp_path / "a.toml")
    assert experiment.training.target == "valence_arousal"
    assert {method.name for method in experiment.methods} >= {"erm", "caf"}


def test_what_cannot_be_compared_is_refused(tmp_path):
    with pytest.raises(DataError, match="at least two expressions"):
        starter(layout(tmp_path, classes=("anger",)), tmp_path / "a.toml")
    with pytest.raises(DataError, match="2 people are too few"):
        starter(layout(tmp_path, people=2), tmp_path / "a.toml")


def test_every_choice_has_a_comment(tmp_path):
    text = starter(layout(tmp_path), tmp_path / "a.toml")
    keys = [line for line in text.splitlines() if re.match(r"(seeds|root|size|folds|steps)", line)]
    assert len(keys) >= 5
    assert all("#" in line for line in keys)


def test_odd_names_are_written_as_toml(tmp_path):
    found = layout(tmp_path / 'a "b" \\ c')
    found = Layout(**{**vars(found), "options": {"labels": {'x"y': "anger"}, "file": "ä.csv"}})
    data = tomllib.loads(starter(found, tmp_path / "a.toml"))["data"]
    assert data["labels"] == {'x"y': "anger"}
    assert data["file"] == "ä.csv"
    assert data["root"] == 'a "b" \\ c'


@pytest.mark.parametrize(
    ("stem", "name"), [("a b", "a-b"), (".x", "x"), ("ü", "ü"), ("--", "experiment")]
)
def test_names_of_experiments(stem, name):
    assert experiment_name(Path(f"{stem}.toml")) == name


def test_what_was_seen_is_said(tmp_path):
    found = layout(tmp_path)
    found = Layout(**{**vars(found), "rejects": (Reject("x.png", "x.png", "is no face."),)})
    text = "\n".join(describe(found))
    assert "24 images" in text
    assert "people: 6, 4 images each" in text
    assert "set aside: 1 images, such as x.png: is no face" in text
