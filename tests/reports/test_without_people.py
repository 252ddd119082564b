"""Class folders without people: every command goes through, and the page says what is lost."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from typer.testing import CliRunner

from fer_bench.cli.app import app
from fer_bench.reports.material import Material
from fer_bench.reports.sections.differences import SECTION
from fer_bench.reports.tables import LAYOUTS
from fer_bench.runs.store import RunStore

EMPTY = {
    "va": "no scores of the layout 'va'",
    "mig": "have no MIG",
    "ablation": "no method appears twice",
}
EXPERIMENT = """
name = "no-people"
[data]
name = "folder"
root = "{root}"
size = 24
[split]
folds = 3
use = [0]
[training]
epochs = 1
batch_size = 16
[scores]
metrics = ["classification", "leakage"]
[[methods]]
name = "erm"
[[methods]]
name = "oracle-label"
"""


def call(*arguments: object):
    return CliRunner().invoke(app, [str(a) for a in arguments])


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """A result folder that `fer-bench run` made of class folders, its page written."""
    base = tmp_path_factory.mktemp("no_people")
    rng = np.random.default_rng(0)
    for place, name in enumerate(("happiness", "sadness", "surprise")):
        (base / "faces" / name).mkdir(parents=True)
        for i in range(15):
            face = rng.integers(60, 120, (24, 24, 3)).astype(np.uint8)
            face[3 + 6 * place : 9 + 6 * place, 6:18] += 100
            Image.fromarray(face).save(base / "faces" / name / f"{i}.png")
    experiment = base / "experiment.toml"
    experiment.write_text(EXPERIMENT.format(root=base / "faces"), "utf-8")
    done = call("run", experiment, "--out", base / "results", "--no-report")
    assert done.exit_code == 0, (done.output, done.exception)
    return base / "results"


@pytest.fixture(scope="module")
def page(folder) -> Path:
    """Its page, written without faces."""
    done = call("report", folder, "--maps", "none", "--faces", "none")
    assert done.exit_code == 0, (done.output, done.exception)
    return folder / "report.html"


def test_subjects_are_missing_values_of_string_columns(folder):
    for record in RunStore(folder).records():
        subjects = record.arrays.test.labels["subject"]
        assert isinstance(subjects.dtype, pd.StringDtype)
        assert subjects.isna().all()


def test_the_page_says_what_cannot_be_asked(page):
    text = page.read_text("utf-8")
    assert "the data name no people" in text
    assert "What cannot be asked without subject labels" in text
    assert "Test subjects were never seen in training" not in text
    assert "&lt;NA&gt;" not in text
    assert "data:image/webp" not in text


@pytest.mark.parametrize(("people", "unit"), [(24, "person"), (0, "face")])
def test_differences_are_paired_by_what_there_is(small_results, people, unit):
    page = Material(small_results, maps="none")
    page.summary.data["n_subjects"] = people
    _, text = SECTION.render(page)
    assert f"Paired by test {unit}" in text
    assert ("over people" in text) == (unit == "person")


def test_the_page_is_written_with_faces_and_maps(folder, tmp_path):
    done = call("report", folder, "--maps", "tsne", "--faces", "show", "--out", tmp_path / "p.html")
    assert done.exit_code == 0, (done.output, done.exception)
    assert "data:image/webp" in (tmp_path / "p.html").read_text("utf-8")


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_layout_prints_or_says_why_not(folder, layout):
    done = call("table", folder, "--layout", layout)
    if layout in EMPTY:
        assert EMPTY[layout] in str(done.exception) + done.output
    else:
        assert done.exit_code == 0, (done.output, done.exception)
        assert "NA" not in done.output


def test_figures_export_and_scores_go_through(folder, tmp_path):
    for command in (
        ("figures", folder, "--maps", "none", "--out", tmp_path / "figures"),
        ("export", folder, "--out", tmp_path / "export"),
        ("score", folder),
    ):
        done = call(*command)
        assert done.exit_code == 0, (command, done.output, done.exception)
    assert any((tmp_path / "figures").glob("*.pdf"))
    for file in (tmp_path / "export" / "projector").glob("*.metadata.tsv"):
        assert "NA" not in file.read_text("utf-8")


def test_compare_goes_through(folder, tmp_path):
    other = tmp_path / "other"
    shutil.copytree(folder, other)
    page = tmp_path / "changed.html"
    done = call("report", folder, "--against", other, "--maps", "none", "--out", page)
    assert done.exit_code == 0, (done.output, done.exception)
    assert "What changed" in page.read_text("utf-8")
