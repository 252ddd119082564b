"""Runs of a confounding experiment are ordinary runs; folds that share pictures are refused."""

import numpy as np
import pandas as pd
import pytest
from PIL import Image

import fer_bench
from fer_bench.cautions import Caution
from fer_bench.errors import DataError, ExperimentError, FerBenchError
from fer_bench.sweep.plan import plan
from fer_bench.sweep.worker import load_session

DATA = {"name": "generated", "subjects": 18, "images_per_subject": 28, "size": 16, "seed": 3}


def experiment(**changes):
    return {
        "data": DATA,
        "split": {"folds": 3, "use": [0], "validation": 0.4},
        "training": {"epochs": 1, "batch_size": 16},
        "methods": [{"name": "oracle-label"}, {"name": "erm"}],
        "confound": {"attribute": "gender", "rho": [0.0, 0.9]},
        "scores": {"metrics": ["classification", "transfer", "groups"]},
    } | changes


@pytest.fixture(scope="module")
def swept(tmp_path_factory):
    return fer_bench.run(experiment(), tmp_path_factory.mktemp("confounded"), quiet=True)


def test_every_strength_is_a_run_of_its_own(swept):
    assert swept.failed == {}
    by_name = {(r.spec.method, r.spec.tie.rho): r for r in swept.records()}
    assert len(by_name) == 4
    weak, strong = by_name["erm", 0.0], by_name["erm", 0.9]
    assert "erm-r0.9-s0-f0-" in strong.spec.id
    for record in (weak, strong):
        assert set(record.arrays.parts) == {"train", "validation", "test", "test:reversed"}
    same = [
        [r.arrays.parts[name].labels["row"].tolist() for name in ("test", "test:reversed")]
        for r in (weak, strong)
    ]
    assert same[0] == same[1]
    assert len(weak.arrays.parts["train"]) == len(strong.arrays.parts["train"])
    tied = pd.crosstab(
        strong.arrays.parts["train"].labels["gender"],
        strong.arrays.parts["train"].labels["expression"],
    )
    assert (tied.max() / tied.sum()).mean() > 0.9
    assert any("rho 0.9" in note for note in strong.environment["tie"])
    oracle = by_name["oracle-label", 0.9].outcomes()
    assert oracle["classification"].scores["test:reversed.accuracy"].value == 1
    assert oracle["transfer"].scores["reversed.drop"].value == 0
    assert oracle["groups"].scores["gender.worst_cell"].value == 1


def test_a_stronger_tie_is_added_to_the_same_folder(swept):
    wider = experiment(confound={"attribute": "gender", "rho": [0.0, 0.9, 1.0]})
    again = fer_bench.run(wider, swept.root, quiet=True)
    assert (again.done, again.kept) == (2, 4)


def test_a_confounded_run_can_be_loaded(swept):
    record = next(r for r in swept.records() if r.spec.method == "erm")
    session = load_session(record)
    part = record.arrays.test
    rows = part.labels["row"].to_numpy()[:8]
    embedded = session.method.embed(session.batcher.batch(rows).images).expression.detach().numpy()
    np.testing.assert_allclose(embedded, part.expression[:8], rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize(
    ("confound", "said"),
    [
        ({"attribute": "gendr"}, "did you mean 'gender'"),
        ({"attribute": "gender", "rho": [0.5, 2.0]}, "confound.rho"),
        ({"attribute": "gender", "rho": [0.5, 0.5]}, "differ from each other"),
        ({"rho": [0.5]}, "'confound.attribute' is missing"),
    ],
)
def test_bad_requests_are_refused_before_anything_runs(tmp_path, confound, said):
    with pytest.raises(FerBenchError, match=said):
        fer_bench.run(experiment(confound=confound), tmp_path / "out", quiet=True)
    assert not (tmp_path / "out").exists()


def test_the_name_of_the_reversed_part_is_taken(tmp_path):
    with pytest.raises(ExperimentError, match=r"tests\.reversed"):
        fer_bench.run(experiment(tests={"reversed": DATA}), tmp_path / "out", quiet=True)


def test_ids_of_ordinary_runs_know_of_no_tie():
    ordinary = experiment()
    del ordinary["confound"]
    spec = plan(fer_bench.experiment.parse_experiment(ordinary)).runs[0]
    content = spec.model_dump(mode="json")
    del content["tie"]
    assert fer_bench.experiment.RunSpec.model_validate(content).id == spec.id
    assert "-r" not in spec.id


# ------------------------------------------------------------------ duplicates across folds


@pytest.fixture
def with_a_copy(tmp_path):
    """A folder in which one picture is shown as of two people."""
    rng = np.random.default_rng(0)
    root = tmp_path / "faces"
    for expression in ("anger", "neutral"):
        for subject in range(6):
            folder = root / expression / f"s{subject}"
            folder.mkdir(parents=True)
            for take in range(3):
                smooth = np.kron(rng.integers(0, 255, (8, 8, 3)), np.ones((5, 5, 1)))
                Image.fromarray(smooth.astype(np.uint8)).save(folder / f"{take}.png")
    picture = (root / "anger" / "s0" / "0.png").read_bytes()
    for subject in range(1, 6):
        (root / "anger" / f"s{subject}" / "0.png").write_bytes(picture)
    return {
        "data": {"name": "folder", "root": str(root), "size": 32},
        "split": {"folds": 3, "validation": 0.5},
        "training": {"epochs": 1},
        "methods": [{"name": "oracle-label"}],
        "scores": {"metrics": ["classification"]},
    }


def test_a_picture_on_both_sides_of_a_fold_is_refused(tmp_path, with_a_copy):
    with pytest.raises(DataError, match="both learned from and tested on") as stop:
        fer_bench.run(with_a_copy, tmp_path / "out", quiet=True)
    assert "anger/s" in str(stop.value)
    assert 'split.duplicates = "allow"' in str(stop.value)
    assert not (tmp_path / "out").exists()


def test_copies_may_be_allowed_and_are_told(tmp_path, with_a_copy):
    with_a_copy["split"]["duplicates"] = "allow"
    sweep = fer_bench.run(with_a_copy, tmp_path / "out", quiet=True)
    assert (sweep.done, sweep.failed) == (3, {})
    for record in sweep.records():
        assert any(
            "both learned from" in str(Caution.from_json(c)) for c in record.environment["warnings"]
        )
