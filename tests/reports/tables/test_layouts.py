"""Tables: the same numbers in four formats, and LaTeX that compiles."""

from __future__ import annotations

import csv
import io
import re
import shutil
import subprocess
from dataclasses import replace

import pytest

from fer_bench.cautions import Caution
from fer_bench.errors import FerBenchError, RunError
from fer_bench.reports.summary import summarise
from fer_bench.reports.tables import LAYOUTS, RENDERERS, write_table
from fer_bench.reports.tables.latex import _latex
from fer_bench.reports.tables.layouts import leaderboard_table
from fer_bench.reports.tables.model import Head, Number, Table
from fer_bench.runs.store import RunStore

PRESENT = [name for name in LAYOUTS if name != "ablation"]
NASTY = 'a_b & 5% $x^2$ #1 {z} ~ \\frac{1}{2} <b>"q"</b> \u202eevil\u202c 表情 ★'


def render(summary, layout, format_, method=None):
    return RENDERERS[format_](LAYOUTS[layout](summary, method))


# The page of a two-column CVPR article: 6.875 inches of text, columns 3.25 inches wide.
PREAMBLE = r"""\documentclass[10pt,twocolumn,letterpaper]{article}
\usepackage[T1]{fontenc}
\usepackage{lmodern,amssymb,booktabs,graphicx,siunitx,threeparttable}
\setlength{\textwidth}{6.875in}
\setlength{\columnsep}{0.3125in}
\setlength{\oddsidemargin}{-0.1875in}
\begin{document}
"""


@pytest.mark.parametrize("layout", PRESENT)
@pytest.mark.parametrize("format_", ["latex", "markdown", "csv", "html"])
def test_every_layout_in_every_format(summary, layout, format_):
    text = render(summary, layout, format_)
    assert len(text.splitlines()) > 3
    assert "nan" not in re.sub(r"[a-z]nan|nan[a-z]", "", text.lower())


def test_formats_agree_on_the_numbers(summary):
    rows = list(csv.DictReader(io.StringIO(render(summary, "overall", "csv"))))
    markdown = render(summary, "overall", "markdown")
    latex = render(summary, "overall", "latex")
    for row in rows:
        mean, spread = float(row["Accuracy (%)"] or "nan"), row["Accuracy (%) spread"]
        if mean == mean:
            assert f"{mean:.1f} ± {float(spread):.1f}" in markdown
            assert f"{mean:.1f} +- {float(spread):.1f}" in latex


def test_best_is_bold_and_second_underlined_among_methods_only(summary):
    lines = render(summary, "overall", "markdown").splitlines()
    best = next(line for line in lines if line.startswith("| DICE-FER"))
    second = next(line for line in lines if line.startswith("| EIF"))
    oracle = next(line for line in lines if line.startswith("| Oracle: label"))
    assert "**" in best
    assert "<u>" in second
    assert "**" not in oracle
    assert "<u>" not in oracle


def test_warned_numbers_have_footnotes(summary):
    text = render(summary, "overall", "markdown")
    assert "<sup>a</sup> The estimate is within 5 % of ln(batch): saturated." in text
    assert "not finite in batch 3" in text


@pytest.mark.parametrize("layout", PRESENT)
def test_every_footnote_is_called_and_fits_a_page(summary, layout):
    table = LAYOUTS[layout](summary, None)
    cells = [cell for _, rows in table.groups for row in rows for cell in row]
    called = {i for cell in cells for i in getattr(cell, "notes", ())}
    assert called == set(range(len(table.notes)))
    assert len(table.heads) <= 11
    for format_ in RENDERERS:
        text = render(summary, layout, format_)
        for remark in table.remarks if format_ in ("html", "markdown") else ():
            assert remark.split(":")[0] in text


def test_per_class_table_is_that_of_the_report(summary):
    text = render(summary, "per-class", "markdown", "ERM")
    assert text.splitlines()[0].startswith(
        "| Expression | Accuracy (%) | Precision (%) | Recall (%) | F1 (%) | Su"
    )
    assert sum(line.startswith("| ") for line in text.splitlines()) == 2 + 7


def test_ablation_shows_what_differs(summary):
    with pytest.raises(RunError, match="several"):
        render(summary, "ablation", "csv")
    eif = summary.row("EIF")
    without = replace(eif, label="EIF, no covariance", parameters=eif.parameters | {"alpha": 0.0})
    text = render(replace(summary, rows=(*summary.rows, without)), "ablation", "markdown")
    head, _, group, *rows = text.splitlines()
    assert head.startswith("| Variant | alpha | CCC V ↑ | CCC A ↑ | Accuracy (%) ↑")
    assert "dim" not in head  # the same in both
    assert "*EIF*" in group
    assert rows[1].startswith("| EIF, no covariance | 0.0 |")
    planned = {"methods": [{"label": "EIF, no covariance"}, {"label": "EIF"}]}
    text = render(
        replace(summary, rows=(*summary.rows, without), experiment=planned), "ablation", "markdown"
    )
    assert text.splitlines()[3].startswith("| EIF, no covariance | 0.0 |")  # as it was planned
    erm = summary.row("ERM")
    other = replace(erm, label="ERM, batch", training={**erm.training, "batch_size": 5})
    text = render(replace(summary, rows=(*summary.rows, without, other)), "ablation", "markdown")
    # Settings in which variants of one method differ, not those that another method lacks.
    assert text.startswith("| Variant | training.batch\\_size | alpha | CCC V")
    assert "| ERM, batch | 5 |  |" in text


def _variant(skill):
    import types

    return types.SimpleNamespace(
        title="EIF", skill=skill, leak=0.5, role="method", identity=True,
        warnings=(), deviations=(), published=(),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("kwargs", "words"),
    [
        ({"format": "latx"}, "did you mean 'latex'"),
        ({"layout": "overal"}, "did you mean 'overall'"),
    ],
)
def test_wrong_names_are_helped(results, kwargs, words):
    with pytest.raises(FerBenchError, match=words):
        write_table(results, **kwargs)


def test_wrong_row_is_helped(summary):
    with pytest.raises(FerBenchError, match="there is no row 'ERMA': did you mean 'ERM'"):
        render(summary, "per-class", "csv", "ERMA")


def test_table_is_written_where_asked(results, tmp_path):
    text = write_table(results, format="csv", out=tmp_path / "table.csv")
    assert (tmp_path / "table.csv").read_text("utf-8") == text


def nasty_table():
    rows = [[NASTY, Number(0.5, 0.01, "percent", "best", (0,))], ["x" * 10_000, Number(None)]]
    return Table(NASTY, [Head(NASTY), Head("Acc_%", "high")], [(NASTY, rows)], (NASTY,))


def test_hostile_text_cannot_leave_its_cell():
    html = RENDERERS["html"](nasty_table())
    assert "<b>&quot;" not in html
    assert "&lt;b&gt;" in html
    assert "\u202e" not in html
    markdown = RENDERERS["markdown"](nasty_table())
    assert all(len(line) < 2000 for line in markdown.splitlines())
    assert {line.replace("\\|", "").count("|") for line in markdown.splitlines()[:4]} == {3}


@pytest.mark.parametrize("text", ["=1+1", "+x", "-x", "@x"])
def test_no_spreadsheet_takes_a_name_for_a_formula(text):
    table = Table("", [Head("Method")], [("", [[text]])])
    assert f"'{text}" in RENDERERS["csv"](table)


@pytest.mark.parametrize("c", list('\\{}$&#_%~^<>|"'))
def test_latex_specials_are_escaped(c):
    assert _latex(c) != c


def compile_latex(text, folder):
    """Compile with a local TeX; the log of the first error otherwise."""
    if shutil.which("pdflatex") is None:
        pytest.skip("no pdflatex here (Debian: texlive-science, texlive-latex-extra, lmodern)")
    (folder / "main.tex").write_text(PREAMBLE + text + "\\end{document}\n", "utf-8")
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "main.tex"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=120)
    if "not found" in done.stdout and ".sty" in done.stdout:
        pytest.skip("this TeX lacks a package the tables need")
    assert done.returncode == 0, done.stdout[-2000:]
    return done.stdout


@pytest.mark.slow
def test_latex_of_every_layout_fits_the_page_of_a_paper(summary, tmp_path):
    tables = [render(summary, layout, "latex") for layout in PRESENT]
    assert "Overfull \\hbox" not in compile_latex("\n\\clearpage\n".join(tables), tmp_path)
    assert "Overfull \\hbox" in compile_latex(r"\noindent\vrule width 300pt\par", tmp_path)


@pytest.mark.slow
def test_latex_of_hostile_text_compiles(tmp_path):
    compile_latex(RENDERERS["latex"](nasty_table()), tmp_path)


def test_latex_has_three_footnotes_at_most(summary):
    for layout in PRESENT:
        assert render(summary, layout, "latex").count(r"\item[") <= 3


def test_neither_a_guess_nor_what_is_unsound_is_marked_best(summary):
    use = summary.use

    def marked(changed):
        known = [row for row in summary.rows if use.key in row.scores]
        rows = [
            replace(row, scores={use.key: changed(value) if row.label == "DICE-FER" else value})
            for row in known
            for value in (row.scores[use.key],)
        ]
        table = leaderboard_table(replace(summary, rows=tuple(rows)))
        return {
            row[0]
            for _, group in table.groups
            for row in group
            if any(isinstance(cell, Number) and cell.mark for cell in row)
        }

    assert "DICE-FER" in marked(lambda value: value)
    guess = {"floor": None, "low": 0.0}
    assert "DICE-FER" not in marked(lambda value: replace(value, null=0.14, **guess))
    for caution in (Caution("collapsed", side="E", rank=1.0), Caution("not-calibrated")):
        assert "DICE-FER" not in marked(lambda v, c=caution: replace(v, cautions=(c,)))


def test_chosen_columns_make_a_table(results):
    keys = ["mig/normalised", "classification/test.accuracy"]
    head = write_table(results, format="csv", columns=keys).splitlines()[0]
    assert '"MIG, normalised"' in head
    assert "Accuracy (%)" in head
    assert "leak" not in head.lower()
    with pytest.raises(FerBenchError, match="did you mean 'mig/normalised'"):
        write_table(results, columns=["mig/normalized"])


def test_table_of_no_second_method_marks_none(build, tmp_path):
    root = build(tmp_path, methods={"erm": _variant(1.0)}, seeds=1, folds=2, failure=False)
    table = leaderboard_table(summarise(RunStore(root)))
    numbers = [c for _, rows in table.groups for row in rows for c in row if isinstance(c, Number)]
    assert {n.mark for n in numbers} == {""}
