"""One file for one folder: what it holds, what it does not, and a board of many."""

import json
import shutil
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from safetensors.numpy import load

import fer_bench
from fer_bench.cautions import Caution
from fer_bench.errors import RunError
from fer_bench.experiment import load_experiment
from fer_bench.metrics.metric import load_metrics
from fer_bench.reports.board import check_file, write_board
from fer_bench.reports.pack import contents_of, pack, result_of, self_hash, without_places
from fer_bench.runs.store import RunStore, seal, write_json, write_part
from fer_bench.sharing.protocols import card, cards, protocol_of
from fer_bench.sharing.verify import verify, write_verification


def evaluated(root, *, strength=1.0, name="ours", labels=None):
    rng = np.random.default_rng(0)
    y, s = rng.integers(0, 4, 160), np.repeat(np.arange(8), 20)
    e = 2 * strength * np.eye(8)[y] + rng.normal(size=(160, 8))
    fer_bench.evaluate(
        expression=e,
        logits=e[:, :4],
        labels=y if labels is None else labels,
        subjects=[f"Anna Secret-{i}" for i in s],
        ids=[f"Anna Secret-{i}/face_{n}.png" for n, i in enumerate(s)],
        sequences=[f"Anna Secret-{i}-{n // 4}" for n, i in enumerate(s)],
        attributes={"nickname": [f"nick{n}" for n in range(160)], "hat": np.where(s % 2, "a", "b")},
        metrics=["classification", "groups"],
        out=root,
        name=name,
    )
    return root


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    return evaluated(tmp_path_factory.mktemp("pack") / "r")


def test_a_result_file_names_nobody_and_holds_no_arrays(results, tmp_path):
    path = pack(results, tmp_path / "ours.json")
    text = path.read_text(encoding="utf-8")
    for secret in ("Anna", "nick", str(results.parent)):
        assert secret not in text
    content = json.loads(text)
    assert content["contains"] == contents_of(path)
    assert "no faces and no embeddings" in content["contains"]
    assert content["sha256"] == self_hash(content)
    assert check_file(path) == []
    assert path.stat().st_size < 200_000


def test_an_archive_with_embeddings_names_nobody_and_verifies(results, tmp_path):
    path = pack(results, tmp_path / "ours.zip", embeddings=True)
    with zipfile.ZipFile(path) as archive:
        everything = b"".join(archive.read(name) for name in archive.namelist())
        names = "".join(archive.namelist())
        table = next(name for name in archive.namelist() if name.endswith("test.parquet"))
        archive.extract(table, tmp_path)
    assert b"Anna" not in everything
    assert b"nick" not in everything
    assert "Anna" not in names
    labels = pd.read_parquet(tmp_path / table)
    assert labels["subject"].str.startswith("person-").all()
    assert "hat" in labels
    result = verify(path, cells=0, workers=0)
    assert result.contradictions == ()
    assert result.scores > 20


FOLDERS = st.lists(st.sampled_from(["home", "Anna", "data-2", ".cache"]), min_size=1, max_size=4)
SENTENCES = st.sampled_from(["{}", "307 of '{}'", '307 of "{}"', "in {}"])


@given(FOLDERS, st.sampled_from(["/", "~/", "C:\\"]), SENTENCES)
def test_places_on_a_disk_are_names_of_files_alone(folders, root, sentence):
    separator = "\\" if "\\" in root else "/"
    place = root + separator.join([*folders, "w.pt"])
    assert without_places([{sentence.format(place): sentence.format(place)}]) == [
        {sentence.format("w.pt"): sentence.format("w.pt")}
    ]


def test_what_a_decoder_draws_stays_here(results, tmp_path):
    copy = Path(shutil.copytree(results, tmp_path / "copy"))
    record = RunStore(copy).records()[0]
    part = record.arrays.parts["test"]
    faces = np.zeros((len(part.labels), 4, 4, 3), np.uint8)
    write_part(record.folder / "parts", replace(part, drawn=faces))
    seal(record.folder, record.spec.id)
    with zipfile.ZipFile(pack(copy, tmp_path / "copy.zip", embeddings=True)) as archive:
        held = {n: load(archive.read(n)) for n in archive.namelist() if n.endswith(".safetensors")}
    assert any("expression" in arrays for arrays in held.values())
    assert not [name for name, arrays in held.items() if "drawn" in arrays]


@pytest.mark.parametrize("text", ["valence/arousal", "https://doi.org/10.1/x", "runs/a/b", "1/2"])
def test_what_is_no_place_on_a_disk_stays(text):
    assert without_places(text) == without_places([text])[0] == text


def test_a_caution_that_names_a_place_leaves_it_out(results, tmp_path):
    copy = Path(shutil.copytree(results, tmp_path / "copy"))
    said = [Caution("backbone-weights", report="3 tensors from '/home/Anna M/w.pt'").to_json()]
    for record in RunStore(copy).records():
        record.environment["warnings"] += said
        write_json(record.folder / "environment.json", record.environment)
        seal(record.folder, record.spec.id)
    text = pack(copy, tmp_path / "copy.json").read_text(encoding="utf-8")
    assert "3 tensors from 'w.pt'" in text
    assert "Anna" not in text
    with zipfile.ZipFile(pack(copy, tmp_path / "copy.zip", embeddings=True)) as archive:
        assert not [name for name in archive.namelist() if b"Anna" in archive.read(name)]


def test_embeddings_of_restricted_data_stay_local(results, tmp_path, monkeypatch):
    class Restricted:
        class info:
            own, publish_faces, subjects, title, name = False, False, "real", "RAF-DB", "raf-db"

    monkeypatch.setattr(
        "fer_bench.registry.datasets._local", {"model": Restricted, "ours": Restricted}
    )
    with pytest.raises(RunError, match="the terms of RAF-DB"):
        pack(results, tmp_path / "x.zip", embeddings=True)
    assert pack(results, tmp_path / "x.zip", embeddings=True, permitted=True).is_file()


def test_a_verification_travels_with_the_scores_it_is_about(results, tmp_path):
    store = RunStore(results)
    assert result_of(store)["verification"] is None
    write_verification(verify(results, cells=0, workers=0, by="A. Reader"), results)
    assert result_of(store)["verification"]["by"] == "A. Reader"
    content = json.loads((results / "verification.json").read_text())
    run = next(iter(content["runs"]))
    content["runs"][run]["scores"] = "0" * 64
    (results / "verification.json").write_text(json.dumps(content))
    assert result_of(store)["verification"] is None
    (results / "verification.json").unlink()


@pytest.fixture
def files(results, tmp_path):
    """Two models on the same rows, one of them twice, and one on other labels."""
    folder = tmp_path / "board"
    folder.mkdir()
    pack(results, folder / "ours.json")
    again = json.loads((folder / "ours.json").read_text())
    again["created"] = "2020-01-01 00:00 UTC"
    again["sha256"] = self_hash(again)
    (folder / "ours-old.json").write_text(json.dumps(again))
    pack(evaluated(tmp_path / "weak", strength=0.3, name="weak"), folder / "weak.json")
    other = evaluated(tmp_path / "other", labels=np.arange(160) % 4, name="elsewhere")
    pack(other, folder / "elsewhere.json")
    return folder


def test_rows_of_one_protocol_stand_in_one_table(files):
    page = write_board(files).read_text(encoding="utf-8")
    assert page.count("<h2>") == 2
    first, second = page.split("<h2>")[1:]
    assert first.index("ours") < first.index("weak")
    assert "1 older rows" in first
    assert "elsewhere" in second
    assert "not verified" in page


EDITS = {
    "was changed after": lambda c: c["rows"][0].update(label="better"),
    "another protocol": lambda c: c["protocol"].update(used=[0, 1]),
    "its runs give": lambda c: c["rows"][0]["scores"]["classification/test.accuracy"].update(
        mean=0.99, high=1.0
    ),
    "outside its own interval": lambda c: c["rows"][0]["scores"][
        "classification/test.accuracy"
    ].update(high=0.0),
    "without a run": lambda c: c["rows"].append(c["rows"][0] | {"label": "nobody"}),
    "lacks": lambda c: c.pop("runs"),
    "is no result file": lambda c: c.update(format="x"),
}


@pytest.mark.parametrize("sentence", EDITS)
def test_files_that_contradict_themselves_are_refused(files, sentence):
    path = files / "weak.json"
    content = json.loads(path.read_text())
    EDITS[sentence](content)
    if sentence != "was changed after":
        content["sha256"] = self_hash(content)
    path.write_text(json.dumps(content))
    assert any(sentence in problem for problem in check_file(path))
    with pytest.raises(RunError, match=r"weak\.json"):
        write_board(files)


def test_a_folder_without_files_is_one_sentence(tmp_path):
    with pytest.raises(RunError, match="no result file"):
        write_board(tmp_path)
    (tmp_path / "x.json").write_text("[")
    assert "cannot be read" in check_file(tmp_path / "x.json")[0]


def test_protocol_hashes_follow_the_facts(results, files):
    records = RunStore(results).records()
    same = protocol_of(records)
    assert same == protocol_of(records)
    contents = [json.loads(path.read_text()) for path in files.glob("*.json")]
    hashes = {c["title"]: c["protocol"]["hash"] for c in contents}
    assert len(set(hashes.values())) == 2


ROOT = Path(__file__).parents[2]


def test_the_results_of_the_baselines_are_sound():
    """Adding a row is one file; what continuous integration checks holds here, too."""
    for path in sorted((ROOT / "baselines" / "results").glob("*.json")):
        assert check_file(path) == []


def test_the_experiment_of_the_baselines_follows_its_protocol():
    experiment = load_experiment(ROOT / "baselines" / "generated.toml")
    protocol = card("generated")
    assert protocol.describes(experiment.data, experiment.split)
    assert experiment.scores.metrics == protocol.metrics
    assert experiment.seeds == protocol.seeds


def test_cards_are_complete_and_told_apart():
    assert len({one.hash for one in cards()}) == len(cards())
    for one in cards():
        assert one.title
        assert one.nulls
        assert one.attackers
        assert set(load_metrics(one.metrics)) == set(one.metrics)
    assert card("generated").describes(card("generated").data, card("generated").split)
    assert not card("generated").describes(card("london").data, card("generated").split)
