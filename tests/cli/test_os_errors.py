"""What the system refuses is one sentence, and results that cannot be written are read."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

import fer_bench.atomic
from fer_bench.experiment import parse_experiment
from fer_bench.runs.store import RunStore
from fer_bench.sweep.plan import plan
from fer_bench.sweep.sweep import prepare
from fer_bench.sweep.worker import execute

EXPERIMENT = {
    "data": {"name": "generated", "subjects": 6, "images_per_subject": 7, "size": 16},
    "split": {"folds": 3, "use": [0], "validation": 0.4},
    "training": {"epochs": 1},
    "methods": [{"name": "oracle-label"}],
    "scores": {"metrics": ["classification"]},
}


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    root = tmp_path_factory.mktemp("results")
    experiment = parse_experiment(EXPERIMENT)
    planned = plan(experiment)
    prepare(RunStore(root), experiment, planned)
    for spec in planned.runs:
        execute(spec, root, metrics=("classification",))
    return root


def refuse(monkeypatch, root, number):
    """Let nothing be written below a folder, whoever runs the tests."""
    honest = os.replace

    def replace(source, target):
        if Path(target).is_relative_to(root):
            raise OSError(number, os.strerror(number), str(target))
        honest(source, target)

    monkeypatch.setattr(fer_bench.atomic.os, "replace", replace)


@pytest.mark.parametrize("number", [13, 30, 28], ids=["permission", "read-only", "full"])
def test_results_that_cannot_be_written_are_read(invoke, results, monkeypatch, tmp_path, number):
    refuse(monkeypatch, results, number)
    status, out, err = invoke("table", results, "--format", "csv", "--quiet")
    assert (status, err) == (0, "")
    assert len(out.splitlines()) >= 2
    page = tmp_path / "page.html"
    status, out, err = invoke("report", results, "--out", page, "--maps", "none")
    assert status == 0, err
    assert page.stat().st_size > 1000
    assert invoke("status", results)[0] == invoke("check", results)[0] == 0
    status, out, err = invoke("report", results, "--maps", "none")
    assert status == 2
    assert os.strerror(number).lower() in err.splitlines()[-1]
    assert "Traceback" not in err


def test_what_stands_in_the_way_is_named(invoke, tmp_path, results):
    file, link = tmp_path / "file", tmp_path / "link"
    file.write_text("x")
    link.symlink_to(tmp_path / "nowhere")
    long = tmp_path / ("x" * 300)
    small = tmp_path / "small.toml"
    small.write_text(
        '[data]\nname = "generated"\nsubjects = 6\nimages_per_subject = 7\nsize = 16\n'
    )
    for arguments in (
        ("run", small, "--out", file),
        ("run", small, "--out", file / "below"),
        ("run", small, "--out", link),
        ("run", small, "--out", long),
        ("table", file),
        ("table", link),
        ("table", long),
        ("status", file),
        ("check", link),
        ("report", results, "--out", file / "page.html", "--maps", "none"),
        ("table", results, "--out", long),
        ("run", tmp_path, "--out", tmp_path / "out"),
    ):
        status, out, err = invoke(*arguments, *(["--quiet"] if arguments[0] == "run" else []))
        assert (status, out) == (2, ""), arguments
        *progress, sentence = err.splitlines()
        assert sentence.startswith("fer-bench: "), arguments
        assert all(line.startswith(("report", "table")) for line in progress), arguments
    assert file.read_text() == "x"


def test_a_current_folder_that_is_gone_is_a_sentence(tmp_path):
    code = (
        "import os; os.mkdir('gone'); os.chdir('gone'); os.rmdir('../gone')\n"
        "from fer_bench.cli import main; main()"
    )
    ended = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert ended.returncode == 2
    assert ended.stderr.count("\n") == 1
    assert "the current folder no longer exists" in ended.stderr
