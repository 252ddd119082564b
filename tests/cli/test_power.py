"""`fer-bench plan`, from stated spreads and from a pilot."""

from __future__ import annotations

import numpy as np
import pytest

from fer_bench.cli import power
from fer_bench.errors import FerBenchError
from fer_bench.experiment import load_experiment
from fer_bench.runs.paired import run_scores
from fer_bench.sweep.sweep import run_experiment

OVERRIDES = (
    "data={name='generated', subjects=12, images_per_subject=7, size=32}",
    "methods=[{name='erm'}, {name='supcon'}]",
    "seeds=[0, 1]",
    "split={folds=3, use=[0]}",
    "training={epochs=1, batch_size=32}",
    "scores={metrics=['classification']}",
)


@pytest.fixture(scope="module")
def pilot(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pilot")
    experiment = load_experiment(None, overrides=OVERRIDES)
    return run_experiment(experiment, folder, quiet=True)


def test_runs_keep_what_each_person_changes(pilot) -> None:
    runs = run_scores(pilot.records(), "classification/test.accuracy")
    assert len(runs) == 4
    for run, record in zip(runs, pilot.records(), strict=True):
        test = record.arrays.test
        right = test.logits.argmax(axis=1) == test.y
        assert len(run.people) == len(test.subjects)
        for code, subject in enumerate(test.subjects):
            assert run.faces[code] == (test.labels["subject"] == subject).sum()
            left = right[(test.labels["subject"] != subject).to_numpy()].mean()
            np.testing.assert_allclose(run.effects[code], right.mean() - left, atol=1e-12)


def test_a_pilot_gives_the_spreads(pilot, capsys) -> None:
    power.plan(pilot=pilot.store.root)
    out = capsys.readouterr().out
    assert "design: 2 trained methods, 2 seeds, 1 folds, 4 test people" in out
    assert "median of 1 pairs" in out
    assert out.count("\n") > 6


def test_stated_spreads_and_an_experiment(tmp_path, capsys) -> None:
    file = tmp_path / "experiment.toml"
    file.write_text(
        "name = 'x'\nseeds = [0, 1, 2]\n[data]\nname = 'generated'\nsubjects = 20\n"
        "images_per_subject = 7\nsize = 32\n[split]\nfolds = 4\nuse = [0]\n"
        "[[methods]]\nname = 'erm'\n[[methods]]\nname = 'dice-fer'\n"
    )
    power.plan(file, sd_people=0.2, sd_seeds=0.01)
    out = capsys.readouterr().out
    assert "2 trained methods, 3 seeds, 1 folds, 5 test people" in out
    assert "    3  165" in out


def test_a_pilot_tells_how_many_faces_the_mig_takes(tmp_path, capsys) -> None:
    faces = "data={name='generated', subjects=24, images_per_subject=14, size=32}"
    overrides = [faces, "methods=[{name='supcon'}]", "seeds=[0]", *OVERRIDES[3:]]
    sweep = run_experiment(load_experiment(None, overrides=overrides), tmp_path, quiet=True)
    with pytest.raises(FerBenchError, match="with an identity embedding and people"):
        power.plan(pilot=sweep.store.root, mig=True)
    overrides[1] = "methods=[{name='eif', parameters={dim=1}}]"
    sweep = run_experiment(load_experiment(None, overrides=overrides), tmp_path, quiet=True)
    power.plan(pilot=sweep.store.root, mig=True)
    said = capsys.readouterr()
    counts = {
        int(line.split()[0]): line.split()[1] for line in said.out.splitlines() if " of 1" in line
    }
    assert list(counts) == [28, 56, 112]
    verdict = "were enough" if counts[112] == "1" else "were not enough"
    (line,) = [line for line in said.out.splitlines() if line.startswith("I(E_M; E_N): ")]
    assert line.endswith(verdict)
    assert "112 test faces, run 1 of 1" in said.err


def test_what_cannot_be_planned_is_said(tmp_path) -> None:
    with pytest.raises(FerBenchError, match="--mig takes the results"):
        power.plan(mig=True)
    with pytest.raises(FerBenchError, match="nothing to plan"):
        power.plan()
    with pytest.raises(FerBenchError, match="there is no folder"):
        power.plan(pilot=tmp_path / "nowhere", mig=True)
    with pytest.raises(FerBenchError, match="as --pilot"):
        power.plan(tmp_path)
    with pytest.raises(FerBenchError, match="give both --sd-people"):
        power.plan(tmp_path / "x.toml", sd_people=0.1)
    with pytest.raises(FerBenchError, match="a pilot needs two of each"):
        power.plan(pilot=tmp_path)
