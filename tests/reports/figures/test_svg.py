"""A figure of the page takes its ink from the page."""

from __future__ import annotations

from fer_bench.reports.figures.style import drawing
from fer_bench.reports.figures.svg import inline_svg
from fer_bench.reports.figures.trade_off import trade_off


def test_page_figures_take_the_page_s_ink(summary):
    with drawing(paper=False):
        svg = inline_svg(trade_off(summary), alt='a "b" <c>')
    assert "currentColor" in svg
    assert "#010203" not in svg
    assert 'aria-label="a &quot;b&quot; &lt;c&gt;"' in svg
    assert "<text" in svg  # words stay words
    assert "DejaVu" not in svg
