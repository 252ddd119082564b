"""Arrays as people have them: what holds the same numbers reads the same, gaps are refused."""

from decimal import Decimal

import numpy as np
import pandas as pd
import pytest
import scipy.sparse
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from fer_bench.errors import FerBenchError
from fer_bench.reading import read_matrix, read_number, read_rows, read_vector

MATRICES = arrays.arrays(
    np.float64,
    arrays.array_shapes(min_dims=2, max_dims=2, max_side=5),
    elements=st.floats(allow_nan=False, allow_infinity=False),
)
CONTAINERS = {
    "list": np.ndarray.tolist,
    "objects": lambda x: x.astype(object),
    "Decimal": lambda x: [[Decimal(v) for v in row] for row in x],
    "frame": pd.DataFrame,
    "nullable frame": lambda x: pd.DataFrame(x).astype("Float64"),
    "tensor": lambda x: torch.tensor(x, requires_grad=True),
    "tensors": lambda x: list(torch.tensor(x, requires_grad=True)),
    "sparse tensor": lambda x: torch.tensor(x).to_sparse(),
    "sparse": scipy.sparse.coo_matrix,
    "sparse array": scipy.sparse.csc_array,
    "Fortran": np.asfortranarray,
    "big-endian": lambda x: x.astype(">f8"),
    "every second": lambda x: np.repeat(x, 2, axis=0)[::2],
    "unmasked": np.ma.asarray,
}


@pytest.mark.parametrize("container", CONTAINERS.values(), ids=CONTAINERS)
@given(values=MATRICES)
def test_the_container_does_not_matter(container, values):
    read = read_matrix(container(values), "x")
    assert read.dtype == np.float64
    assert read.flags.c_contiguous
    assert np.array_equal(read, values)


@given(MATRICES, st.data(), st.sampled_from([np.nan, np.inf, -np.inf]))
def test_the_first_gap_is_named(values, data, gap):
    row, column = (data.draw(st.integers(0, size - 1)) for size in values.shape)
    values[row, column] = gap
    with pytest.raises(FerBenchError, match=rf"first at row {row}, column {column}\)"):
        read_matrix(values, "x")


@given(MATRICES)
def test_gaps_may_be_kept_and_are_those_of_the_mask(values):
    mask = values > 0
    read = read_matrix(np.ma.array(values, mask=mask), "x", missing=True)
    assert np.array_equal(np.isnan(read), mask)
    assert np.array_equal(read[~mask], values[~mask])


@pytest.mark.parametrize("kind", ["float16", "float32"])
def test_short_floats_stay_short(kind):
    assert read_matrix(np.ones((2, 2), dtype=kind), "x").dtype == kind
    assert read_matrix(torch.ones(2, 2, dtype=torch.bfloat16), "x").dtype == np.float32


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (None, "x is a single value"),
        (3.0, "x is a single value"),
        ([[]], "no columns"),
        (np.zeros((0, 2)), "no rows"),
        (np.zeros(3), r"shape \(3,\): give \[n, d\]"),
        (np.zeros((2, 2, 2)), r"give \[n, d\]"),
        ([[1, 2], [3]], "rows of one length"),
        ([["a", 1.0]], r"holds text \(first at row 0, column 0\)"),
        ([[1.0, None], [2.0, "b"]], r"holds text \(first at row 1, column 1\)"),
        ([[1j, 0]], "complex"),
        (np.zeros((2, 2), "datetime64[s]"), "holds times"),
    ],
)
def test_what_is_no_matrix_gets_a_sentence(values, message):
    with pytest.raises(FerBenchError, match=message):
        read_matrix(values, "x")


def test_lengths_and_widths_are_checked():
    with pytest.raises(FerBenchError, match="x has 2 entries for 3 rows"):
        read_matrix(np.zeros((2, 2)), "x", rows=3)
    with pytest.raises(FerBenchError, match=r"give \[n, 3\]"):
        read_matrix(np.zeros((2, 2)), "x", columns=3)
    assert read_matrix([1, 2], "x", vector=True).shape == (2, 1)
    assert read_vector([[1], [2]], "x").shape == (2,)


@given(st.lists(st.integers(-2, 20)))
def test_row_numbers(rows):
    if rows and min(rows) < 0:
        with pytest.raises(FerBenchError, match="give row numbers, from 0 on"):
            read_rows(rows, "rows")
    else:
        assert read_rows(rows, "rows").tolist() == rows


def test_one_number():
    assert read_number(np.float32(0.5), "level", least=0, most=1) == 0.5
    for value in (True, "1", None, np.nan, 2, [1]):
        with pytest.raises(FerBenchError, match="give a number of at least 0 and at most 1"):
            read_number(value, "level", least=0, most=1)
    with pytest.raises(FerBenchError, match="a whole number"):
        read_number(1.5, "count", integer=True)
