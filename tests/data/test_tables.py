"""Tables of any dialect are read alike, or refused in one sentence."""

import csv
import io
import string

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from fer_bench.data import FaceData, load_dataset
from fer_bench.data.readers.manifest import MEANINGS
from fer_bench.data.tables import read_table, read_text, with_meanings
from fer_bench.errors import DataError

ENCODINGS = ("utf-8", "utf-8-sig", "utf-16", "utf-32")
cells = st.text(string.ascii_letters + string.digits + " éあ\"'\n,;\t|", max_size=8)
PIXELS = " ".join(["128"] * 2304)


def spelt(name: str, how: int) -> str:
    """A name of a column as people write it."""
    return [name, name.upper(), f" {name.title()} ", name.replace(" ", "_"), name.replace(" ", "")][
        how
    ]


@given(
    rows=st.lists(st.tuples(cells, cells, cells), min_size=1, max_size=5),
    delimiter=st.sampled_from(",;\t|"),
    encoding=st.sampled_from(ENCODINGS),
    end=st.sampled_from(["\n", "\r\n"]),
    excel=st.booleans(),
)
@settings(max_examples=60, deadline=None)
def test_every_dialect_gives_the_same_cells(
    tmp_path_factory, rows, delimiter, encoding, end, excel
):
    stream = io.StringIO(newline="")
    writer = csv.writer(stream, delimiter=delimiter, lineterminator=end, quoting=csv.QUOTE_ALL)
    writer.writerows([["", "path", "note"], *rows])
    text = f"sep={delimiter}{end}" * excel + stream.getvalue()
    file = tmp_path_factory.mktemp("table") / "t.csv"
    file.write_bytes(text.encode(encoding))
    table, lines = read_table(file)
    assert table.to_numpy().tolist() == [list(row[1:]) for row in rows]  # no unnamed column
    assert lines[0] == 2 + excel


@given(st.binary(max_size=300))
@settings(max_examples=150, deadline=None)
def test_any_bytes_are_a_table_or_one_sentence(tmp_path_factory, content):
    file = tmp_path_factory.mktemp("table") / "t.csv"
    file.write_bytes(content)
    try:
        table, lines = read_table(file)
    except DataError:
        return
    assert len(table) == len(lines)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("path,expression\n".encode("utf-16-le"), "zero bytes.*save it as UTF-8"),
        ("path\nMüller.png\n".encode("cp1252"), "is not UTF-8 .byte 6.: save it as UTF-8"),
        (b'path\n"' + b"x" * 200_000, "field larger than.*check its quotes"),
        (b"path,path\na,b\n", "two columns are named 'path'"),
        (b"path,note, note\na,b,c\n", "two columns are named 'note'"),
        (b"\n \n", "is empty"),
    ],
)
def test_what_is_wrong_with_a_file_is_said(tmp_path, content, reason):
    file = tmp_path / "t.csv"
    file.write_bytes(content)
    with pytest.raises(DataError, match=reason):
        read_table(file)
    if "UTF" in reason:
        with pytest.raises(DataError, match=reason):
            read_text(file)


names = st.sampled_from([(name, word) for name, more in MEANINGS.items() for word in (name, *more)])
hows = st.integers(0, 4)


@given(names, names, hows, hows)
@settings(max_examples=150)
def test_columns_of_one_meaning_are_refused_by_name(first, second, how, other):
    words = [spelt(first[1], how), spelt(second[1], other)]
    table = pd.DataFrame([["a", "b"]], columns=[*words]) if words[0] != words[1] else None
    if table is None:
        return
    if first[0] == second[0]:
        with pytest.raises(DataError, match="both mean"):
            with_meanings(table, "t.csv", MEANINGS)
    else:
        assert list(with_meanings(table, "t.csv", MEANINGS)) == [first[0], second[0]]


def test_faces_with_two_columns_of_one_name_are_refused():
    table = pd.DataFrame([["a", "b"]], columns=["note", "note"])
    with pytest.raises(DataError, match="two columns of the table are named 'note'"):
        FaceData(np.zeros((1, 8, 8, 1), np.uint8), table)


# ------------------------------------------------------------------ through the readers


def picture(folder, path="a.png"):
    (folder / path).parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (40, 40), "gray").save(folder / path)


@pytest.mark.parametrize("column", ["image", "FileName", "file_path", "Image Path", "img", "File"])
def test_a_column_of_paths_goes_by_many_names(tmp_path, column):
    picture(tmp_path)
    (tmp_path / "manifest.csv").write_text(f"{column},Label\na.png,happy\n")
    assert load_dataset("manifest", tmp_path, size=8).classes == ("happiness",)


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("delimiter", ",;\t")
def test_official_lists_are_read_in_every_dialect(tmp_path, delimiter, encoding):
    def write(path, *rows):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        lines = [delimiter.join(row) for row in rows]
        (tmp_path / path).write_bytes(("\r\n".join(lines) + "\r\n").encode(encoding))

    write("basic/EmoLabel/list_patition_label.txt", ["train_1.jpg", "4"], ["test_1.jpg", "4.0"])
    picture(tmp_path, "basic/Image/aligned/train_1_aligned.jpg")
    picture(tmp_path, "basic/Image/aligned/test_1_aligned.jpg")
    write("fer2013.csv", ["Emotion", "Usage", "Pixels"], ["3.0", " training", PIXELS])
    write("Manually_Annotated_file_lists/training.csv", ["1\\a.jpg", *"5555", "x", "1", "0", "0"])
    box = ["1\\a.jpg", "5", "5", "30", "30", "x", "1", "0", "0"]
    write("Manually_Annotated_file_lists/training.csv", box)
    picture(tmp_path, "Manually_Annotated_Images/1/a.jpg")
    for name, count in (("raf-db", 2), ("fer2013", 1), ("affectnet", 1)):
        faces = load_dataset(name, tmp_path, size=8)
        assert faces.table["expression"].tolist() == ["happiness"] * count
        assert faces.table["split"][0] == "train"


@pytest.mark.parametrize("label", ["0", "0_surprise", "7.5", "gladd"])
@pytest.mark.parametrize("name", ["raf-db", "affectnet", "fer2013", "manifest", "folder"])
def test_the_option_that_helps_is_named_and_helps(tmp_path, name, label):
    row = {
        "raf-db": ("basic/EmoLabel/list_patition_label.txt", f"train_1.jpg {label}"),
        "affectnet": (
            "Manually_Annotated_file_lists/training.csv",
            f"a.png,5,5,30,30,x,{label}9,0,0",
        ),
        "fer2013": ("fer2013.csv", f"emotion,pixels,Usage\n{label}9,{PIXELS},Training"),
        "manifest": ("manifest.csv", f"path,expression\na.png,{label}"),
        "folder": ("notes.txt", ""),
    }[name]
    (tmp_path / row[0]).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / row[0]).write_text(row[1] + "\n")
    picture(tmp_path, "basic/Image/aligned/train_1_aligned.jpg" if name == "raf-db" else "a.png")
    if name == "folder":
        (tmp_path / "a.png").unlink()
        picture(tmp_path, f"{label}/a.png")
    picture(tmp_path, "Manually_Annotated_Images/a.png") if name == "affectnet" else None
    label = f"{label}9" if name in ("affectnet", "fer2013") else label
    with pytest.raises(DataError, match=f"labels={{'{label}': <expression>}}"):
        load_dataset(name, tmp_path, size=8)
    assert load_dataset(name, tmp_path, size=8, labels={label: "fear"}).classes == ("fear",)


def test_pictures_inside_a_table_are_no_paths(tmp_path):
    table = pd.DataFrame({"image": [{"bytes": b"x", "path": "a.png"}], "label": [3]})
    table.to_parquet(tmp_path / "m.parquet")
    with pytest.raises(DataError, match="the column of paths holds pictures"):
        load_dataset("manifest", tmp_path / "m.parquet")


def test_labels_of_all_faces_are_never_lost_in_silence(tmp_path):
    (tmp_path / "fer2013.csv").write_text(f"feeling,pixels,Usage\n3,{PIXELS},Training\n")
    with pytest.raises(DataError, match="no column 'emotion' .it reads: feeling, pixels, Usage"):
        load_dataset("fer2013", tmp_path)


@pytest.mark.parametrize(
    ("path", "hint"),
    [
        ("A.PNG", "did you mean 'a.png'"),
        ("a", "did you mean 'a.png'"),
        ("a.jpg", "did you mean 'a.png'"),
        ("C:\\faces\\a.png", "not from a Windows drive"),
        ("faces\\b.png", "with / instead of"),
        ("x" * 5000, "is no path of a file"),
    ],
)
def test_a_path_without_a_file_says_what_may_help(tmp_path, path, hint):
    picture(tmp_path)
    (tmp_path / "manifest.csv").write_text(f"path,expression\n{path},happy\n")
    with pytest.raises(DataError, match=hint):
        load_dataset("manifest", tmp_path, size=8)


def test_one_picture_under_two_paths_is_listed_twice(tmp_path):
    picture(tmp_path, "s/a.png")
    text = "path,expression\ns/a.png,happy\n{},sad\n"
    for again in ("./s/a.png", "s//a.png", "s\\a.png", "s/a.png ", "s/../s/a.png"):
        (tmp_path / "manifest.csv").write_text(text.format(again))
        with pytest.raises(DataError, match="listed twice"):
            load_dataset("manifest", tmp_path, size=8)
