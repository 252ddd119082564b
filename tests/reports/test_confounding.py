"""The section on confounding: a curve a method, and a leaderboard of one strength only."""

from __future__ import annotations

import pytest

import fer_bench
from fer_bench.reports.confounding import confounding
from fer_bench.reports.figures.confounding import confounding_figure
from fer_bench.reports.figures.paper import write_figures
from fer_bench.reports.figures.style import drawing
from fer_bench.reports.page import write_report
from fer_bench.reports.summary import summarise
from fer_bench.reports.tables import RENDERERS, write_table
from fer_bench.runs.store import RunStore


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    root = tmp_path_factory.mktemp("confounded")
    content = {
        "data": {"name": "generated", "subjects": 18, "images_per_subject": 28, "size": 16},
        "split": {"folds": 3, "use": [0], "validation": 0.4},
        "training": {"epochs": 1},
        "methods": [{"name": "oracle-label"}, {"name": "pixels", "seeds": [0]}],
        "seeds": [0, 1],
        "confound": {"attribute": "gender", "rho": [0.9, 0.0]},
        "scores": {"metrics": ["classification", "groups"]},
    }
    assert fer_bench.run(content, root, quiet=True).failed == {}
    return root


def test_every_strength_has_its_numbers(folder):
    curves = confounding(RunStore(folder), ["Oracle"])
    assert curves.rhos == (0.0, 0.9)
    assert [panel.title for panel in curves.panels] == [
        "Accuracy",
        "Accuracy, reversed test",
        "Worst group × expression",
    ]
    oracle = next(label for label in curves.labels if "label" in label.lower())
    for panel in curves.panels:
        assert [curves.means[panel.key][oracle][rho].mean for rho in curves.rhos] == [1, 1]
        assert curves.cell(panel, oracle, 0.9)[0] == "100.0"
        assert curves.cell(panel, "nobody", 0.9) == ("–", "")
    assert curves.means[curves.panels[0].key][oracle][0.9].n_runs == 2


def test_the_leaderboard_is_of_one_strength(folder):
    summary = summarise(RunStore(folder))
    store = RunStore(folder)
    runs = [store.record(run) for row in summary.rows for run in row.runs]
    assert {run.spec.tie.rho for run in runs} == {0.0}
    assert len(runs) == 3
    assert not any(c.kind[0] == "older-runs" for c in summary.cautions)


@pytest.mark.parametrize("format_", RENDERERS)
def test_a_table_says_of_which_strength_it_is(folder, format_):
    text = write_table(folder, format=format_)
    assert "Tie of gender" in text
    assert ("the weakest of 0, 0.9" in text) == (format_ != "csv")


def test_the_page_has_the_section(folder, tmp_path):
    page = write_report(folder, out=tmp_path / "page.html", maps="none").read_text("utf-8")
    assert 'id="confounding"' in page
    assert "Tie of gender to expression in training" in page
    assert "gender and expression in the train part: rho 0." in page
    written = write_figures(folder, out=tmp_path / "figures", maps="none")
    assert tmp_path / "figures" / "confounding.pdf" in written


def test_lines_of_the_figure(folder):
    curves = confounding(RunStore(folder), [])
    with drawing(paper=True):
        figure = confounding_figure(curves, paper=True)
    shown = [axes for axes in figure.axes if axes.get_visible()]
    assert len(shown) == len(curves.panels)
    lines = {c.get_label(): c.lines[0] for c in shown[0].containers}
    for label, line in lines.items():
        values = [curves.means[curves.panels[0].key][label][rho].mean for rho in curves.rhos]
        assert [round(x) for x in line.get_xdata()] == [0, 1]
        assert line.get_ydata() == pytest.approx([100 * v for v in values])


def test_ordinary_folders_have_no_such_section(results):
    assert confounding(RunStore(results), []) is None
