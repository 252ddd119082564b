"""Labels to codes and their entropy, against a dictionary and scipy; tables against pandas."""

from io import BytesIO

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from fer_bench.errors import FerBenchError
from fer_bench.labels import (
    entropy_of_counts,
    groups_of_codes,
    label_codes,
    label_entropy,
    read_classes,
    read_groups,
    read_label_table,
    read_labels,
    renumbered,
)

NAMES = ("a", "b", "c")
CODES = st.lists(st.none() | st.integers(0, 2), min_size=1)
AS_LABELS = {
    "codes": lambda codes: codes,
    "floats": lambda codes: [np.nan if c is None else float(c) for c in codes],
    "minus one": lambda codes: [-1 if c is None else c for c in codes],
    "names": lambda codes: [None if c is None else NAMES[c] for c in codes],
    "categories": lambda codes: pd.Categorical([None if c is None else NAMES[c] for c in codes]),
    "Int64": lambda codes: pd.Series(codes, dtype="Int64"),
    "string": lambda codes: pd.Series(
        [None if c is None else NAMES[c] for c in codes], dtype="string"
    ),
    "masked": lambda codes: np.ma.array(
        [c or 0 for c in codes], mask=[c is None for c in codes], dtype=int
    ),
    "column": lambda codes: np.array([codes], dtype=object).T,
}


@pytest.mark.parametrize("kind", AS_LABELS)
@given(CODES)
def test_labels_are_read_alike_however_they_are_written(kind, codes):
    expected = [-1 if code is None else code for code in codes]
    assert read_labels(AS_LABELS[kind](codes), "y", classes=NAMES).tolist() == expected


@pytest.mark.parametrize("kind", ["names", "categories", "string", "column of str"])
@settings(max_examples=30)
@given(st.lists(st.none() | st.integers(0, 2)), st.permutations([*NAMES, "d"]))
def test_codes_are_places_in_the_names_however_labels_are_kept(kind, codes, names):
    words = [None if code is None else NAMES[code] for code in codes]
    values = pd.Series(words, dtype="str") if kind == "column of str" else AS_LABELS[kind](codes)
    expected = [-1 if word is None else names.index(word) for word in words]
    assert label_codes(values, names).tolist() == expected
    assert label_codes(values, names[:0]).tolist() == [-1] * len(words)


def test_codes_of_numbers_and_booleans_are_read_as_text():
    assert label_codes(pd.Categorical([2, None, 1]), ["1", "2"]).tolist() == [1, -1, 0]
    assert label_codes([True, None, False], ["False", "True"]).tolist() == [1, -1, 0]


@given(st.lists(st.floats(-1, 2), min_size=1))
def test_fractions_are_no_labels(values):
    if all(value == int(value) for value in values):
        assert read_labels(values, "y").tolist() == values
    else:
        row = next(i for i, value in enumerate(values) if value != int(value))
        with pytest.raises(FerBenchError, match=rf"first at row {row}\), which is no label"):
            read_labels(values, "y")


@given(st.lists(st.integers(-3, 5), min_size=1))
def test_codes_of_no_class_are_named_by_row(codes):
    odd = [i for i, code in enumerate(codes) if not -1 <= code <= 2]
    if not odd:
        assert read_labels(codes, "y", classes=3).tolist() == codes
    else:
        with pytest.raises(FerBenchError, match=rf"row {odd[0]}\): give codes 0 to 2"):
            read_labels(codes, "y", classes=3)


def test_names_of_no_class_are_named_with_the_nearest():
    with pytest.raises(FerBenchError, match="holds 'angry', which is no class: did you mean"):
        read_labels(["angry"], "y", classes=("anger", "fear"))
    with pytest.raises(FerBenchError, match="names 'a' twice"):
        read_classes(["a", "b", "a"])


@given(st.lists(st.none() | st.sampled_from("abcd"), min_size=1), st.permutations([-7, -1, 0, 99]))
def test_groups_may_have_any_ids(names, ids):
    """A person is one whatever the id, and those without one are nobody else."""
    other = dict(zip("abcd", ids, strict=True))
    first, count = read_groups(names, len(names))
    second, again = read_groups([None if n is None else other[n] for n in names], len(names))
    assert count == again == len({n for n in names if n is not None}) + names.count(None)
    assert sorted(set(first)) == list(range(count))
    for i, a in enumerate(names):
        for j, b in enumerate(names):
            same = i == j or (a is not None and a == b)
            assert (first[i] == first[j]) == (second[i] == second[j]) == same


def test_one_group_a_row():
    with pytest.raises(FerBenchError, match="groups has 2 entries for 3 rows"):
        read_groups([1, 2], 3)


@given(st.lists(st.integers(-1, 10**12), min_size=1))
def test_renumbered_codes_keep_their_order(codes):
    codes = np.array(codes)
    dense = renumbered(codes)
    assert np.array_equal(dense < 0, codes < 0)
    assert np.array_equal(np.argsort(dense, kind="stable"), np.argsort(codes, kind="stable"))
    assert set(dense) - {-1} == set(range(len(set(codes) - {-1})))


@given(st.lists(st.integers(-1, 3), min_size=1))
def test_unknown_codes_are_groups_of_their_own(codes):
    groups = groups_of_codes(np.array(codes))
    assert len(set(groups)) == len(set(codes) - {-1}) + codes.count(-1)


@given(st.lists(st.sampled_from(["a", "b", "c", "d", None, float("nan")])))
def test_missing_and_unknown_labels_have_no_code(values):
    expected = [{"a": 0, "b": 1, "c": 2}.get(value, -1) for value in values]
    assert label_codes(values, ("a", "b", "c")).tolist() == expected


@pytest.mark.parametrize("dtype", ["object", "string", "category", "int64", "Int64"])
def test_labels_are_compared_as_text_whatever_the_column(dtype):
    column = pd.Series([3, 1, 3]).astype(dtype if "nt" in dtype else "object")
    column = column if "nt" in dtype else column.astype(str).astype(dtype)
    assert label_codes(column, ("1", "3")).tolist() == [1, 0, 1]


@given(st.lists(st.integers(-1, 5), min_size=1))
def test_entropy_is_that_of_scipy_over_known_labels(codes):
    known = [code for code in codes if code >= 0]
    expected = stats.entropy(np.bincount(known)) if known else 0.0
    assert label_entropy(codes) == pytest.approx(expected, abs=1e-9)
    assert entropy_of_counts(np.bincount(known, minlength=1)) == pytest.approx(expected, abs=1e-9)


COLUMNS = {
    "text": st.none() | st.text(st.characters(exclude_categories=["Cs"]), max_size=3),
    "number": st.none() | st.floats(width=32),
    "whole": st.integers(-(2**63), 2**63 - 1),
    "flag": st.none() | st.booleans(),
    "missing": st.none(),
}


@given(st.lists(st.fixed_dictionaries(COLUMNS), max_size=4), st.booleans())
def test_a_table_is_read_as_pandas_reads_it(rows, as_objects):
    table = pd.DataFrame(rows, columns=list(COLUMNS), dtype=object)
    if not as_objects:
        table = table.astype({"text": "str", "number": "float64", "whole": "int64"})
    file = BytesIO()
    table.to_parquet(file, index=False)
    theirs = pd.read_parquet(BytesIO(file.getvalue()))
    pd.testing.assert_frame_equal(read_label_table(BytesIO(file.getvalue())), theirs)
