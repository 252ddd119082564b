"""Labels to codes and their entropy, against a dictionary and scipy."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from fer_bench.labels import entropy_of_counts, label_codes, label_entropy


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
