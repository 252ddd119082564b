"""Words and numbers: one line, one form."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fer_bench.reports.text import file_names, formatted, listed, plain


@pytest.mark.parametrize(
    ("value", "style", "text"),
    [
        (0.12345, "percent", "12.3"),
        (-0.0001, "percent", "0.0"),
        (float("nan"), "nats", "–"),
        (-1.5, "nats", "−1.50"),
    ],
)
def test_numbers_are_printed_alike_everywhere(value, style, text):
    assert formatted(value, style) == text


@given(st.text(), st.integers(1, 30))
def test_plain_text_is_one_short_visible_line(text, longest):
    assert len(plain(text, longest)) <= longest
    assert plain(text).isprintable()
    assert plain(plain(text)) == plain(text)


@given(st.lists(st.text(), unique=True, max_size=8))
def test_file_names_differ_and_stay_in_their_folder(labels):
    names = file_names(labels)
    assert len(set(names.values())) == len(labels)
    assert all(name.strip("-") == name and "/" not in name and name for name in names.values())


def test_long_lists_are_cut():
    assert listed(["a"]) == "a"
    assert listed(map(str, range(9)), most=2) == "0, 1 and 7 more"
