"""`fer-bench evaluate` as a new user types it."""

import numpy as np
import pandas as pd
import pytest


@pytest.fixture
def files(tmp_path):
    rng = np.random.default_rng(0)
    y, s = np.arange(240) % 4, np.arange(240) // 24
    e = 3 * np.eye(8)[y] + rng.normal(size=(240, 8))
    ids = [f"{i}.png" for i in range(240)]
    np.savez(tmp_path / "net.npz", feat=e, logits=e[:, :4], id=ids)
    words = np.array(["happy", "sad", "angry", "neutral"])[y]
    table = pd.DataFrame({"id": ids, "emo": words, "who": [f"p{i}" for i in s]})
    table.to_csv(tmp_path / "labels.csv", index=False)
    return tmp_path


def test_from_files_to_a_table_and_a_page(invoke, files):
    status, out, err = invoke(
        "evaluate",
        files / "net.npz",
        *("--labels", files / "labels.csv", "--map", "subject=who"),
        *("--classes", "happy,sad,angry,neutral", "--metrics", "classification"),
        *("--out", files / "r", "--no-report", "-q"),
    )
    assert status == 0
    assert "E = 'feat' [240, 8]" in err
    assert "240 of 240 rows matched by id" in err
    assert err.index("unknown whether the encoder") > 0
    assert "| net | " in out
    status, out, _ = invoke("table", files / "r")
    assert (status, "net" in out) == (0, True)


def test_a_dry_run_shows_what_was_understood_and_writes_nothing(invoke, files):
    status, out, err = invoke(
        "evaluate", files / "net.npz", "--labels", files / "labels.csv", "--dry-run",
        "--out", files / "r", "--map", "subject=who",
    )  # fmt: skip
    assert (status, out) == (0, "")
    assert "say in which order" in err
    assert not (files / "r").exists()


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["nowhere.npz"], "there is no file nowhere.npz."),
        (["{}/net.npz", "--metrics", "leakge"], "did you mean 'leakage'"),
        (["{}/net.npz", "--map", "emo"], "write it as OURS=THEIRS"),
        (["{}/net.npz"], "neither expressions nor people"),
    ],
)
def test_bad_input_is_one_sentence_and_status_2(invoke, files, arguments, sentence):
    status, out, err = invoke("evaluate", *(a.format(files) for a in arguments))
    assert (status, out) == (2, "")
    assert err.startswith("fer-bench: ")
    assert sentence in err
    assert err.count("\n") == 1
