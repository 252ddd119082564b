"""Train on A, test on B, from the checkpoints of two result folders."""

import shutil

import numpy as np
import pytest
from PIL import Image

import fer_bench
from fer_bench.data import load_dataset
from fer_bench.errors import RunError
from fer_bench.reports.transfer import transfer_figure, write_transfer_page
from fer_bench.runs.store import RunStore
from fer_bench.sweep.transfer import to_text, transfer_matrix
from fer_bench.sweep.worker import load_session

BASE = {
    "split": {"folds": 3, "use": [0, 1], "validation": 0.4},
    "training": {"epochs": 1, "batch_size": 16},
    "methods": [{"name": "erm"}, {"name": "oracle-label"}],
    "scores": {"metrics": ["classification"]},
}


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """Seven expressions in colour at 24 pixels; two of them, gray on disk, at 16 pixels."""
    root = tmp_path_factory.mktemp("sets")
    first = {"name": "generated", "subjects": 9, "images_per_subject": 14, "size": 24}
    fer_bench.run(BASE | {"data": first}, root / "a", quiet=True)
    faces = load_dataset("generated", subjects=9, images_per_subject=14, size=24, seed=5)
    for row in np.flatnonzero(faces.table["expression"].isin(["anger", "happiness"])):
        about = faces.table.iloc[row]
        folder = root / "faces" / about["expression"] / about["subject"]
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(faces.gather([row])[0]).convert("L").save(folder / f"{row}.png")
    second = {"name": "folder", "root": str(root / "faces"), "size": 16, "color": False}
    fer_bench.run(BASE | {"data": second}, root / "b", quiet=True)
    return root / "a", root / "b"


@pytest.fixture(scope="module")
def matrix(folders):
    return transfer_matrix(folders, quiet=True)


def test_every_set_meets_every_other(matrix):
    assert set(zip(matrix["train"], matrix["test"], strict=True)) == {
        (a, b) for a in ("generated", "folder") for b in ("generated", "folder")
    }
    assert set(matrix["method"]) == {"ERM"}  # oracles see the labels
    cells = matrix.set_index(["train", "test"])
    assert cells.loc["generated", "folder"]["classes"] == 2
    assert cells.loc["generated", "generated"]["classes"] == 7
    assert cells.loc["generated", "folder"]["faces"] == 36
    assert cells.loc["folder", "generated"]["faces"] == 36  # the other expressions do not count
    assert (matrix["runs"] == 2).all()
    assert ((matrix["low"] <= matrix["mean"]) & (matrix["mean"] <= matrix["high"])).all()


def test_a_cell_is_what_the_checkpoint_says(folders, matrix):
    shared = []
    for record in RunStore(folders[0]).records():
        if record.spec.method != "erm":
            continue
        part = record.arrays.parts["test:folder"]
        known = [record.arrays.classes.index(c) for c in ("happiness", "anger")]
        guess = np.asarray(known)[part.logits[:, known].argmax(axis=1)]
        shared.append(np.mean(guess == part.y))
        method = load_session(record).method
        assert method.task.shape == (3, 24, 24)
        assert record.verify() == []
    cells = matrix.set_index(["train", "test"])
    assert cells.loc["generated", "folder"]["mean"] == pytest.approx(np.mean(shared))


def test_what_is_there_is_kept(folders, matrix):
    parts = sorted(folders[0].glob("runs/*/parts/test--folder.safetensors"))
    before = [path.stat().st_mtime_ns for path in parts]
    again = transfer_matrix(folders, measure="balanced_accuracy", quiet=True)
    assert [path.stat().st_mtime_ns for path in parts] == before
    assert len(again) == len(matrix)


def test_the_text_has_a_table_for_every_method(matrix):
    text = to_text(matrix)
    assert text.startswith("\n**ERM**") or "**ERM**" in text
    assert "| train \\ test | generated | folder |" in text
    assert "(2 classes)" in text


def test_two_sets_of_one_reader_have_names_of_their_own(folders, matrix, tmp_path):
    other = {"name": "generated", "subjects": 9, "images_per_subject": 14, "size": 24, "seed": 3}
    fer_bench.run(BASE | {"data": other}, tmp_path / "c d", quiet=True)
    copy = tmp_path / "a"
    shutil.copytree(folders[0], copy)
    transfers = transfer_matrix([copy, tmp_path / "c d", folders[1]], quiet=True)
    assert set(transfers["train"]) == {"generated-a", "generated-c_d", "folder"}
    assert len(transfers) == 9
    # Under another name than in the folder of two sets, the numbers are the same.
    old, new = (m[m["method"] == "ERM"].set_index(["train", "test"])["mean"]
                for m in (matrix, transfers))  # fmt: skip
    assert new["generated-a", "folder"] == old["generated", "folder"]
    (copy / "b").mkdir()
    shutil.move(tmp_path / "c d", copy / "b" / "a")
    with pytest.raises(RunError, match="would both be called 'generated-a'"):
        transfer_matrix([copy, copy / "b" / "a"], quiet=True)


def test_faces_that_changed_are_embedded_again(folders, matrix, tmp_path):
    first, second = tmp_path / "a", tmp_path / "b"
    shutil.copytree(folders[0], first)
    faces = load_dataset("generated", subjects=9, images_per_subject=14, size=24, seed=6)
    for row in np.flatnonzero(faces.table["expression"].isin(["anger", "fear", "happiness"])):
        about = faces.table.iloc[row]
        folder = tmp_path / "faces" / about["expression"] / about["subject"]
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(faces.gather([row])[0]).save(folder / f"{row}.png")
    data = {"name": "folder", "root": str(tmp_path / "faces"), "size": 16, "color": False}
    fer_bench.run(BASE | {"data": data}, second, quiet=True)
    transfers = transfer_matrix([first, second], quiet=True).set_index(["train", "test"])
    assert transfers.loc["generated", "folder"]["faces"] == 54
    assert transfers.loc["generated", "folder"]["classes"] == 3
    for record in RunStore(first).records():
        if record.spec.method == "erm":
            assert len(record.arrays.parts["test:folder"]) == 54


def test_pictures_that_both_sets_have_are_said(folders, tmp_path):
    own = load_dataset("generated", subjects=9, images_per_subject=14, size=24)
    for row in range(28):
        about = own.table.iloc[row]
        folder = tmp_path / "faces" / about["expression"] / f"{about['subject']}{row % 3}"
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(own.gather([row])[0]).save(folder / f"{row}.png")
    data = {"name": "folder", "root": str(tmp_path / "faces"), "size": 24}
    split = BASE["split"] | {"folds": 2}
    fer_bench.run(BASE | {"data": data, "split": split}, tmp_path / "b", quiet=True)
    first = tmp_path / "a"
    shutil.copytree(folders[0], first)
    matrix = transfer_matrix([first, tmp_path / "b"], quiet=True)
    cells = matrix.set_index(["train", "test"])["copies"]
    assert cells["generated", "folder"] == 28
    assert cells["generated", "generated"] == 0
    assert "28 pictures of folder are also in generated" in to_text(matrix)


def test_the_page_has_a_heat_map_and_the_numbers(matrix, tmp_path):
    page = write_transfer_page(matrix, tmp_path / "sub" / "transfer.html")
    text = page.read_text(encoding="utf-8")
    assert "<svg" in text
    assert "Transfer between generated, folder" in text
    assert text.count("<tr>") == 1 + len(matrix)
    assert "http" not in text.replace("http://www.w3.org", "")
    odd = matrix.assign(method="<b>$x$", low=np.nan, high=np.nan)
    assert "<b>$x$" not in write_transfer_page(odd, page).read_text(encoding="utf-8")


def test_a_heat_map_is_coloured_by_what_is_above_chance(matrix):
    figure = transfer_figure(matrix.assign(mean=[0.5 if c == 2 else 1 / 7 for c in matrix.classes]))
    image = figure.axes[0].collections[0].get_array()
    assert np.allclose(image, 0, atol=1e-9)


def test_bad_requests_are_clear(folders, tmp_path):
    with pytest.raises(RunError, match="are of the same faces"):
        transfer_matrix([folders[0], folders[0]], quiet=True)
    with pytest.raises(RunError, match="at least two data sets"):
        transfer_matrix([folders[0]], quiet=True)
    with pytest.raises(RunError, match="no finished run"):
        transfer_matrix([folders[0], tmp_path], quiet=True)
    with pytest.raises(RunError, match="choose one of accuracy"):
        transfer_matrix(folders, measure="f2", quiet=True)
