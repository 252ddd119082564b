"""Colours differ."""

from __future__ import annotations

import pytest

from fer_bench.reports.figures.style import colours


@pytest.mark.parametrize("n", [1, 8, 9, 200])
def test_colours_differ(n):
    assert len(set(colours(n))) == n
