"""The notebooks of examples/ run from the first cell to the last."""

from __future__ import annotations

import ast
import sys
from pathlib import Path

import pytest

NOTEBOOKS = sorted((Path(__file__).parents[1] / "examples" / "notebooks").glob("*.ipynb"))


def run_in_kernel(notebook, folder):
    nbclient = pytest.importorskip("nbclient")
    resources = {"metadata": {"path": str(folder)}}
    nbclient.NotebookClient(notebook, timeout=280, resources=resources).execute()


def run_here(notebook):
    """Without the imports of a new process; values are shown as a notebook shows them."""
    names: dict[str, object] = {"__name__": "notebook"}
    for cell in notebook.cells:
        if cell.cell_type == "code":
            lines = ast.Interactive(ast.parse(cell.source).body)
            exec(compile(lines, "<cell>", "single"), names)


def show(value):
    if value is not None:
        getattr(value, "_repr_html_", value.__repr__)()


@pytest.mark.slow
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_runs(path, tmp_path, monkeypatch):
    nbformat = pytest.importorskip("nbformat")
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    if path.stem == "compare_methods":  # its runs are processes, started from Jupyter's
        run_in_kernel(notebook, tmp_path)
    else:
        monkeypatch.chdir(tmp_path)
        monkeypatch.setattr(sys, "displayhook", show)
        run_here(notebook)


def test_there_are_three_and_none_carries_output():
    assert len(NOTEBOOKS) == 3
    for path in NOTEBOOKS:
        assert '"outputs": []' in path.read_text(encoding="utf-8")
        assert '"output_type"' not in path.read_text(encoding="utf-8")
