"""`fer-bench verify`, `pack` and `board` as they are typed."""

import numpy as np
import pytest

import fer_bench


@pytest.fixture
def results(tmp_path):
    y, s = np.arange(160) % 4, np.arange(160) // 20
    e = np.eye(4)[y] + np.random.default_rng(0).normal(size=(160, 4))
    fer_bench.evaluate(
        expression=e, logits=e, labels=y, subjects=s, metrics=["classification"], out=tmp_path / "r"
    )
    return tmp_path / "r"


def test_verify_says_what_it_shows_and_fails_on_an_edit(invoke, results):
    status, out, _ = invoke("verify", results, "--cells", 0)
    assert status == 0
    assert "Scores follow from the arrays" in out
    assert (results / "verification.json").is_file()
    path = next(results.glob("runs/*/scores.json"))
    path.write_text(path.read_text().replace('"n": 80', '"n": 81'))
    status, out, err = invoke("verify", results, "--cells", 0)
    assert status == 1
    assert "contradiction: " in err
    assert "do not use these numbers" in out


def test_verify_of_no_results_is_one_sentence(invoke, tmp_path):
    status, out, err = invoke("verify", tmp_path)
    assert (status, out) == (2, "")
    assert err.count("\n") == 1


def test_pack_says_what_it_contains_and_board_shows_it(invoke, results, tmp_path):
    (tmp_path / "files").mkdir()
    target = tmp_path / "files" / "ours.json"
    status, out, err = invoke("pack", results, "--out", target)
    assert status == 0
    assert "contains: no faces and no embeddings" in err
    status, out, _ = invoke("board", tmp_path / "files")
    assert (status, (tmp_path / "files" / "index.html").is_file()) == (0, True)
    status, out, _ = invoke("board", tmp_path / "files", "--check")
    assert (status, out) == (0, "1 of 1 result files are sound\n")
    target.write_text(target.read_text().replace('"model"', '"models"'))
    status, out, err = invoke("board", tmp_path / "files", "--check")
    assert status == 1
    assert "was changed after it was packed" in err


def test_protocols_are_listed_with_their_hash(invoke, monkeypatch):
    monkeypatch.setenv("COLUMNS", "400")
    status, out, _ = invoke("list", "protocols")
    assert status == 0
    assert "generated 1" in out
