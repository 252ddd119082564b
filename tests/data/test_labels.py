"""Words of tables mean the same everywhere, or are refused."""

import unicodedata

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from fer_bench.data import EXPRESSIONS, FaceData, load_dataset
from fer_bench.data.labels import PARTS_OF_A_SPLIT, SYNONYMS, expression_reader, plain
from fer_bench.errors import DataError

names = st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"]), min_size=1)
spaces = st.text(" \t\u00a0\u200b\ufeff", max_size=2)
forms = st.sampled_from(["NFC", "NFD"])


def faces(**columns):
    n = len(next(iter(columns.values())))
    return FaceData(np.zeros((n, 8, 8, 1), np.uint8), pd.DataFrame(columns))


@given(names, *[spaces] * 4, forms, forms)
@settings(max_examples=150)
def test_a_name_is_one_name_however_it_is_typed(name, a, b, c, d, first, second):
    typed = [
        a + unicodedata.normalize(first, name) + b,
        c + unicodedata.normalize(second, name) + d,
    ]
    data = faces(subject=typed, gender=typed, sequence=typed)
    assert len(data.subjects) == (1 if plain(name) else 0)
    for column in ("subject", "gender", "sequence"):
        assert data.table[column].nunique() == len(data.subjects)


@given(st.floats(allow_nan=True, allow_infinity=True))
def test_a_code_is_a_whole_number_or_no_code(value):
    read = expression_reader(codes={"0": "neutral", "1": "fear", "3": "happiness"})
    if value in (0, 1, 3):
        assert read(value) == {0: "neutral", 1: "fear", 3: "happiness"}[int(value)]
    else:
        with pytest.raises(DataError, match="unknown code"):
            read(value)


@given(st.text(max_size=12))
def test_a_word_is_an_expression_or_refused_with_the_option(word):
    read = expression_reader()
    if plain(word).casefold() in {*EXPRESSIONS, *SYNONYMS}:
        assert read(word) in EXPRESSIONS
    else:
        with pytest.raises(DataError, match="labels="):
            read(word)
        assert expression_reader({word: "fear"})(word) == "fear"


@pytest.mark.parametrize(
    ("labels", "reason"),
    [
        (["neutral"], "give a mapping"),
        ({"1": "fear", 1: "anger"}, "'1' two meanings: fear and anger"),
        ({"1": "feer"}, "did you mean 'fear'"),
    ],
)
def test_labels_that_mean_nothing_are_refused(labels, reason):
    with pytest.raises(DataError, match=reason):
        expression_reader(labels)


@pytest.mark.parametrize("alike", [("p1", "P01"), ("p 1", "p1"), ("1", "1.0"), ("007", "7")])
@pytest.mark.parametrize("column", ["subject", "sequence", "gender"])
def test_names_that_agree_but_for_case_or_zeros_are_said_for_every_column(tmp_path, column, alike):
    for i in range(2):
        Image.new("L", (16, 16), 99 * i).save(tmp_path / f"{i}.png")
    rows = f"0.png,happy,{alike[0]},x\n1.png,sad,{alike[1]},y\n"
    header = f"path,expression,{column},other\n"
    (tmp_path / "manifest.csv").write_text(header + rows)
    data = load_dataset("manifest", tmp_path, size=8)
    if column == "gender" and alike == ("1", "1.0"):
        return  # numbers, not names
    assert data.table[column].nunique() == 2
    assert sum("spelt in several ways" in note for note in data.info.notes) == 1


def test_different_numbers_are_not_alike(tmp_path):
    for i in range(4):
        Image.new("L", (16, 16), 50 * i).save(tmp_path / f"{i}.png")
    names = ("p10", "p1", "p100", "p1.05")
    rows = "".join(f"{i}.png,happy,{name}\n" for i, name in enumerate(names))
    (tmp_path / "manifest.csv").write_text("path,expression,subject\n" + rows)
    assert load_dataset("manifest", tmp_path, size=8).info.notes == ()


PIXELS = " ".join(["128"] * 2304)


words = st.sampled_from([*PARTS_OF_A_SPLIT, "extra", "none", "a"]) | st.text("etsv ", max_size=4)


@given(
    words,
    st.sampled_from([str, str.upper, str.title]),
    st.sampled_from(["manifest", "fer2013"]),
)
@settings(max_examples=60, deadline=None)
def test_every_reader_reads_a_split_by_the_one_table(tmp_path_factory, word, case, name):
    folder = tmp_path_factory.mktemp("set")
    Image.new("L", (16, 16)).save(folder / "a.png")
    (folder / "manifest.csv").write_text(f"path,expression,split\na.png,happy, {case(word)} \n")
    (folder / "fer2013.csv").write_text(f"emotion,pixels,Usage\n3,{PIXELS}, {case(word)} \n")
    kwargs = {"size": 8, "cache": folder / ".cache"}
    part = PARTS_OF_A_SPLIT.get(word.strip())
    if part is not None or not word.strip():
        assert load_dataset(name, folder, **kwargs).table["split"].dropna().tolist() == (
            [part] if part else []
        )
    else:
        with pytest.raises(DataError, match="line 2.*unknown split.*held-out"):
            load_dataset(name, folder, **kwargs)
