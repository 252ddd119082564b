"""Figures: the same on page and paper, in column widths, fonts embedded."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pytest

from fer_bench.reports import figures
from fer_bench.reports.aggregate import Estimate, Ranking
from fer_bench.reports.style import COLUMN_WIDTH, TEXT_WIDTH, colours, drawing
from fer_bench.runs.store import RunStore


@pytest.fixture(scope="module")
def written(build, two_methods, tmp_path_factory):
    folder = tmp_path_factory.mktemp("figures")
    root = build(folder / "r", methods=two_methods, seeds=1, folds=2, n_subjects=8, per_subject=8)
    return figures.write_figures(root, out=folder / "out", maps="none")


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


def test_page_figures_take_the_page_s_ink(summary):
    with drawing(paper=False):
        svg = figures.inline_svg(figures.trade_off(summary), alt='a "b" <c>')
    assert "currentColor" in svg
    assert "#010203" not in svg
    assert 'aria-label="a &quot;b&quot; &lt;c&gt;"' in svg
    assert "<text" in svg  # words stay words
    assert "DejaVu" not in svg


def test_trade_off_names_every_row_once(summary):
    with drawing(paper=False):
        svg = figures.inline_svg(figures.trade_off(summary), alt="trade-off")
    for row in summary.rows:
        assert svg.count(f">{row.label}</text>") == 1


def test_names_never_hide_each_other(summary):
    with drawing(paper=False):
        figure = figures.trade_off(summary)
        axes = figure.axes[0]
        renderer = figure.canvas.get_renderer()
        boxes = [t.get_window_extent(renderer) for t in axes.texts]
    for i, box in enumerate(boxes):
        assert not any(box.overlaps(other) for other in boxes[i + 1 :])


def test_rank_diagram_only_where_allowed(summary):
    verdict = summary.verdicts[0]
    assert verdict.ranking.critical_difference is None
    assert figures.rank_diagram(verdict) is None
    ranking = Ranking(
        {"A": 1.1, "B": 2.0, "C": 2.9}, 10, 0.001, 1.05, None, (("A", "B"), ("B", "C")), ()
    )
    with drawing(paper=False):
        svg = figures.inline_svg(
            figures.rank_diagram(replace(verdict, ranking=ranking)), alt="ranks of three methods"
        )
    assert all(words in svg for words in ("A (1.10)", "B (2.00)", "(2.90) C"))


def test_curves_show_each_player_and_stage(results, summary):
    store = RunStore(results)
    records = [store.record(run) for run in summary.row("DICE-FER").runs]
    with drawing(paper=False):
        figure = figures.training_curves(records)
    assert [axes.get_title(loc="left") for axes in figure.axes[:2]] == ["expression", "identity"]
    line = figure.axes[0].lines[0]
    history = records[0].history
    assert list(line.get_xdata()) == sorted(history["epoch"].unique())
    words = [t.get_text() for t in figure.axes[0].get_legend().get_texts()]
    assert words == ["encoder", "critic", "validation"]
    styles = {(line.get_label(), line.get_linestyle()) for line in figure.axes[0].lines}
    assert ("encoder", "-") in styles
    assert sum(style == "--" for _, style in styles) >= 1


def test_confusion_rows_are_shares_of_the_true_class():
    figure = figures.confusion_figure([[3, 1], [0, 0]], ["a", "b"])
    image = figure.axes[0].images[0].get_array()
    np.testing.assert_allclose(image, [[0.75, 0.25], [0, 0]])
    assert figure.get_size_inches()[0] == COLUMN_WIDTH


@pytest.mark.parametrize("n", [1, 8, 9, 200])
def test_colours_differ(n):
    assert len(set(colours(n))) == n


def test_probe_curves_show_the_scores_by_capacity(summary):
    with drawing(paper=False):
        figure = figures.probe_curves(summary.row("DICE-FER"))
        alone = figures.probe_curves(summary.row("ERM"))
    panels = figure.get_axes()
    assert [axes.get_xlabel() for axes in panels] == ["Components seen", "Network width"] * 2
    cells = [(target, kind) for target in ("identity", "expression") for kind in ("dims", "mlp")]
    for axes, (target, kind) in zip(panels, cells, strict=True):
        prefix = f"capacity/E.{target}.{kind}"
        expected = [
            (int(key.removeprefix(prefix)), 100 * found.mean)
            for key, found in summary.row("DICE-FER").scores.items()
            if key.startswith(prefix)
        ]
        drawn = axes.containers[0].lines[0].get_xydata()
        np.testing.assert_allclose(drawn, sorted(expected))
        assert len(axes.containers) == 2  # E and I
    assert all(len(axes.containers) == 1 for axes in alone.get_axes())
    row = replace(summary.row("ERM"), scores={})
    assert figures.probe_curves(row) is None


def test_stages_without_a_measure_leave_no_empty_panel(results):
    records = [r for r in RunStore(results).records() if r.spec.label == "DICE-FER"]
    for record in records:
        history = record.history
        keep = (history["player"] != "prediction") | (history["stage"] != "identity")
        record.__dict__["history"] = history[keep]
    with drawing(paper=False):
        figure = figures.training_curves(records)
    shown = [axes for axes in figure.get_axes() if axes.get_visible()]
    assert len(shown) == 3
    assert all(axes.get_lines() for axes in shown)


def accuracy(mean, chance):
    return Estimate(mean, None, None, 0.0, chance, 1, 50, "fraction", "", (mean,))


def test_transfer_heat_shows_kappa_and_writes_accuracy(summary):
    erm, dice = summary.row("ERM"), summary.row("DICE-FER")
    own = "classification/test.accuracy"
    changed = [
        replace(erm, scores={own: accuracy(0.8, 0.2), "transfer/CK.accuracy": accuracy(0.5, 0.5)}),
        replace(dice, scores={own: accuracy(0.6, 0.2), "transfer/MMI.accuracy": accuracy(0.3, 0)}),
    ]
    figure = figures.transfer_heat(replace(summary, rows=changed))
    axes = figure.axes[0]
    shown = axes.images[0].get_array()
    np.testing.assert_allclose(shown.filled(np.nan), [[0.75, 0, np.nan], [0.5, np.nan, 0.3]])
    assert [t.get_text() for t in axes.texts] == ["80", "50", "60", "30"]
    assert [t.get_text() for t in axes.get_xticklabels()] == ["own people", "CK", "MMI"]
    assert figures.transfer_heat(summary) is None  # no further test set
