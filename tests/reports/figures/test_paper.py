"""Figures for papers: in column widths, fonts embedded."""

from __future__ import annotations

import re

import pytest

from fer_bench.reports.figures.paper import write_figures
from fer_bench.reports.figures.style import TEXT_WIDTH


@pytest.fixture(scope="module")
def written(small_results, tmp_path_factory):
    return write_figures(small_results, out=tmp_path_factory.mktemp("figures"), maps="none")


def test_every_figure_comes_as_pdf_and_svg(written):
    names = {p.stem for p in written}
    assert {"trade-off", "dice-fer-confusion-test", "dice-fer-training", "erm-per-class"} <= names
    assert {"dice-fer-probes", "erm-probes"} <= names
    assert len(written) == 2 * len(names)
    assert all(p.stat().st_size > 2000 for p in written)


def test_pdfs_fit_their_columns_with_embedded_fonts(written):
    for path in written:
        if path.suffix == ".pdf":
            content = path.read_bytes()
            assert b"/FontFile2" in content
            assert b"/Type3" not in content
            left, _, right, _ = map(
                float, re.search(rb"/MediaBox \[ ([\d. -]+) \]", content)[1].split()
            )
            assert (right - left) / 72 < TEXT_WIDTH + 0.6


def test_svgs_of_papers_need_no_font(written):
    for path in written:
        if path.suffix == ".svg":
            assert "<text" not in path.read_text("utf-8")
