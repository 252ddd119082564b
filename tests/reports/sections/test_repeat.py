"""BibTeX that no name can break."""

from dataclasses import replace

import pytest

from fer_bench.reports.sections.repeat import bibtex


@pytest.mark.parametrize("title", ["A sweep", "a } b { \\input{x} @misc # % ~ ^ & _ $", "表情", ""])
def test_braces_balance_and_fields_stay_fields(summary, title):
    text = bibtex(replace(summary, title=title))
    assert text.count("{") == text.count("}")
    assert "\\" not in text
    assert text.count("@") == 1
    assert len(text.splitlines()) == 6
