"""Every format holds the same embeddings; what cannot be read is one sentence."""

import numpy as np
import pandas as pd
import pytest
from safetensors.numpy import save_file

from fer_bench.errors import DataError
from fer_bench.evaluation.files import read_contents


def write_npz(made, folder):
    np.savez(folder / "m.npz", feat=made.expression, logits=made.logits, paths=made.ids)
    return folder / "m.npz"


def write_npy(made, folder):
    np.save(folder / "m.npy", made.expression)
    pd.DataFrame({"path": made.ids}).to_csv(folder / "m.csv", index=False)
    return folder / "m.npy"


def write_csv(made, folder):
    frame = pd.DataFrame(made.expression, columns=[f"feat_{i}" for i in range(16)])
    frame.insert(0, "path", made.ids)
    frame.to_csv(folder / "m.csv", index=False)
    return folder / "m.csv"


def write_numbers_alone(made, folder):
    frame = pd.DataFrame(made.expression)
    frame["path"] = made.ids
    frame.to_csv(folder / "m.csv")
    return folder / "m.csv"


def write_parquet(made, folder):
    frame = pd.DataFrame(made.expression, columns=[f"e{i}" for i in range(16)])
    frame.assign(path=made.ids).to_parquet(folder / "m.parquet")
    return folder / "m.parquet"


def write_lists(made, folder):
    frame = pd.DataFrame({"path": made.ids, "embedding": list(made.expression)})
    frame.to_parquet(folder / "m.parquet")
    return folder / "m.parquet"


def write_safetensors(made, folder):
    about = {"ids": "\n".join(made.ids)}
    save_file({"features": made.expression}, folder / "m.safetensors", metadata=about)
    return folder / "m.safetensors"


FORMATS = [
    write_npz,
    write_npy,
    write_csv,
    write_numbers_alone,
    write_parquet,
    write_lists,
    write_safetensors,
]


@pytest.mark.parametrize("write", FORMATS)
def test_all_formats_give_the_same_rows(made, tmp_path, write):
    contents = read_contents(write(made, tmp_path), {})
    np.testing.assert_allclose(contents.arrays["E"], made.expression, rtol=1e-6)
    assert contents.columns["id"].tolist() == made.ids.tolist()
    assert any(line.startswith("E") for line in contents.said)


def test_ids_keep_leading_zeros(made, tmp_path):
    frame = pd.DataFrame(made.expression, columns=[f"e{i}" for i in range(16)])
    frame.insert(0, "id", [f"{i:05d}" for i in range(len(frame))])
    frame.to_csv(tmp_path / "m.csv", index=False)
    assert read_contents(tmp_path / "m.csv", {}).columns["id"][7] == "00007"


def test_one_dimension_describes_and_two_dimensions_embed(made, tmp_path):
    np.savez(tmp_path / "m.npz", expression=made.expression, identity=made.people, label=made.y)
    contents = read_contents(tmp_path / "m.npz", {})
    assert set(contents.arrays) == {"E"}
    assert contents.columns["subject"].tolist() == made.people.tolist()
    assert contents.columns["expression"].tolist() == made.y.tolist()


def test_probabilities_become_logits(made, tmp_path):
    shares = np.exp(made.logits) / np.exp(made.logits).sum(1, keepdims=True)
    np.savez(tmp_path / "m.npz", emb=made.expression, probs=shares)
    logits = read_contents(tmp_path / "m.npz", {}).arrays["logits"]
    assert (logits.argmax(1) == made.logits.argmax(1)).all()


REFUSED = {
    "missing": (lambda m, f: f / "no.npz", "there is no file"),
    "other format": (lambda m, f: _text(f / "m.pkl"), "embeddings are read from"),
    "noise": (lambda m, f: _bytes(f / "m.npz"), "is no npz file: write it with numpy.savez"),
    "damaged": (lambda m, f: _text(f / "m.npz"), "is no npz file"),
    "pickled": (
        lambda m, f: _npz(f, e=m.expression, ids=m.ids.astype(object)),
        "nothing is unpickled",
    ),
    "transposed": (lambda m, f: _npz(f, e=m.expression.T, ids=m.ids), "'e' is transposed"),
    "short": (lambda m, f: _npz(f, e=m.expression[:9], ids=m.ids), "9 rows and .* 240"),
    "two embeddings": (
        lambda m, f: _npz(f, a=m.expression, b=m.identity),
        r"which array .* \(a \[240, 16\], b",
    ),
    "one meaning twice": (
        lambda m, f: _npz(f, e=m.expression, label=m.y, emotion=m.y),
        "both mean 'expression'.*--map",
    ),
    "maps": (
        lambda m, f: _npz(f, e=m.expression[:, :, None] * np.ones((1, 1, 3))),
        "pool it",
    ),
    "a single number": (lambda m, f: _npz(f, e=np.float32(3)), "'e' is a single value"),
    "header alone": (lambda m, f: _table(f, "id,e0,e1\n"), "a header and no rows"),
    "ragged": (lambda m, f: _table(f, "id,e0,e1\na,1,2\nb,1,2,3,4\n"), "read as a table"),
    "text among numbers": (
        lambda m, f: _table(f, "id,e0,e1\na,1,2\nb,1,x\n"),
        "line 3: e1 is 'x', not a number",
    ),
    "words": (lambda m, f: _npz(f, e=m.expression.astype(str)), "not numbers"),
}


def _bytes(file):
    """Neither an archive nor an array: numpy takes it for a pickle."""
    file.write_bytes(bytes(range(40, 200)) * 5)
    return file


def _text(path):
    path.write_text("no archive")
    return path


def _table(folder, text):
    (folder / "m.csv").write_text(text)
    return folder / "m.csv"


def _npz(folder, **arrays):
    np.savez(folder / "m.npz", allow_pickle=True, **arrays)
    return folder / "m.npz"


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_read_is_one_sentence(made, tmp_path, case):
    write, sentence = REFUSED[case]
    with pytest.raises(DataError, match=sentence) as told:
        read_contents(write(made, tmp_path), {})
    assert "\n" not in str(told.value)


@pytest.mark.parametrize(
    ("words", "hint"),
    [
        (["Happy", "sad"], "--map expression=col"),
        (["train", "val"], "--map split=col"),
        (["glasses", "sad"], None),
        (["sad", "sad"], None),
    ],
)
def test_a_column_whose_words_tell_what_it_may_be_is_named_and_not_taken(tmp_path, words, hint):
    table = pd.DataFrame({"id": range(6), "col": words * 3, "subject": [0, 0, 1, 1, 2, 2]})
    table.to_csv(tmp_path / "t.csv", index=False)
    contents = read_contents(tmp_path / "t.csv", {})
    assert "col" in contents.columns
    said = next(line for line in contents.said if "'col'" in line)
    assert hint in said if hint else said == "attribute 'col'"
