"""Jinja as the page uses it."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jinja2 import UndefinedError

from fer_bench.reports.rendering import environment, heat, svg, to_json_text


@given(st.dictionaries(st.text(), st.text()))
def test_settings_are_read_back_as_they_were(value):
    text = to_json_text(value)
    assert json.loads(text) == value
    assert all(c == "\n" or c.isprintable() or c.isspace() for c in text)


@given(st.text())
def test_whatever_is_shown_is_escaped(text):
    shown = environment().from_string("{{ x }}").render(x=text)
    assert not set("<>\"'") & set(shown)


def test_a_name_that_is_missing_is_an_error():
    with pytest.raises(UndefinedError):
        environment().from_string("{{ nobody.home }}").render()


@pytest.mark.parametrize(("share", "text"), [(-1, "0.000"), (0.25, "0.250"), (7, "1.000")])
def test_a_share_stays_within_its_bar(share, text):
    assert heat(share) == text


def test_no_figure_is_none():
    assert svg(None, "nothing") is None
