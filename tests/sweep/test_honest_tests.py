"""The test part decides nothing unless asked to, and no copy of it is learned from."""

import pytest
from PIL import Image

import fer_bench
from fer_bench.cautions import Caution
from fer_bench.data import load_dataset
from fer_bench.errors import DataError, ExperimentError, FerBenchError
from fer_bench.experiment import parse_experiment
from fer_bench.sweep.search import studies_of

DATA = {"name": "generated", "subjects": 9, "images_per_subject": 14, "size": 32}
BASE = {
    "data": DATA,
    "split": {"folds": 3, "use": [0], "validation": 0.4},
    "training": {"epochs": 5, "batch_size": 16},
    "methods": [{"name": "erm"}],
    "scores": {"metrics": ["classification", "transfer"]},
}


def kept(record):
    """The kept epoch, and the value of every epoch that decided."""
    history = record.history
    values = history[(history["split"] == "validation") & (history["term"] == "balanced_accuracy")]
    return record.environment["stages"][0]["best_epoch"], values["value"].tolist()


# Oracle selection ---------------------------------------------------------------------------


def test_an_oracle_takes_the_best_epoch_of_the_test_part_and_says_so(tmp_path):
    both = [
        {"name": "erm"},
        {"name": "erm", "label": "chosen", "training": {"selection": "oracle"}},
    ]
    sweep = fer_bench.run(BASE | {"methods": both}, tmp_path, quiet=True)
    honest, oracle = sorted(sweep.records(), key=lambda r: r.spec.training.selection == "oracle")
    assert oracle.spec.label == "chosen (epochs chosen on the test part)"
    chosen = Caution("epochs-chosen-on-test").to_json()
    assert chosen in oracle.environment["warnings"]
    assert chosen not in honest.environment["warnings"]
    best, values = kept(oracle)
    score = oracle.outcomes()["classification"].scores["test.balanced_accuracy"]
    assert score.value == pytest.approx(max(values), abs=1e-6)
    assert values[best - 1] == max(values)
    # What was kept by validation people is no better on the test part than the best there.
    fair = honest.outcomes()["classification"].scores["test.balanced_accuracy"]
    assert fair.value <= score.value + 1e-9
    from fer_bench.reports.summary import summarise

    runs = {row.label: next(iter(row.runs.values())) for row in summarise(sweep.store).rows}
    assert runs["ERM"]["kept"].endswith("best validation prediction")
    assert runs[oracle.spec.label]["kept"].endswith("best test prediction")


def test_an_oracle_is_refused_where_there_is_no_test_part():
    with pytest.raises(FerBenchError, match="no test part"):
        fer_bench.Recognizer("erm", selection="oracle")
    asked = parse_experiment(BASE | {"training": {"selection": "oracle"}})
    with pytest.raises(ExperimentError, match="judges settings on validation people"):
        studies_of(asked)


# Copies in further test sets ----------------------------------------------------------------


@pytest.fixture(scope="module")
def with_copies(tmp_path_factory):
    """Faces of other people, and two of the experiment's own, in gray."""
    root = tmp_path_factory.mktemp("other")
    own = load_dataset(**DATA)
    others = load_dataset(**DATA | {"seed": 77})
    for data, rows, person in ((others, range(14), "new"), (own, (3, 40), "known")):
        for row in rows:
            folder = root / data.table["expression"][row] / person
            folder.mkdir(parents=True, exist_ok=True)
            Image.fromarray(data.gather([row])[0]).convert("L").save(folder / f"{row}.png")
    return {"name": "folder", "root": str(root), "size": 32}


def test_a_copy_in_a_further_test_set_is_an_error(with_copies, tmp_path):
    clean = DATA | {"seed": 77}
    assert fer_bench.run(BASE | {"tests": {"new": clean}}, tmp_path, quiet=True).done == 1
    with pytest.raises(DataError) as stop:
        fer_bench.run(BASE | {"tests": {"web": with_copies}}, tmp_path / "x", quiet=True)
    assert "test set 'web': 2 pictures are also learned from, the first: " in str(stop.value)
    assert 'split.duplicates = "allow"' in str(stop.value)
    assert not (tmp_path / "x" / "runs").exists()


def test_allowed_copies_are_said_in_the_run(with_copies, tmp_path):
    changes = {"tests": {"web": with_copies}, "split": BASE["split"] | {"duplicates": "allow"}}
    (record,) = fer_bench.run(BASE | changes, tmp_path, quiet=True).records()
    cautions = map(Caution.from_json, record.environment["warnings"])
    said = [c for c in cautions if "test set 'web'" in str(c)]
    assert len(said) == 1
