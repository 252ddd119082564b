"""The plugin at work: the example for continuous integration passes, and planted errors show."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLE = Path(__file__).parents[1] / "examples" / "ci"
WORKFLOW = EXAMPLE / ".github" / "workflows" / "tests.yml"


@pytest.fixture
def project(tmp_path):
    return shutil.copytree(
        EXAMPLE, tmp_path / "project", ignore=shutil.ignore_patterns("__pycache__", ".pytest_cache")
    )


def run_tests(project, *options):
    """What the workflow's last step prints, and whether it passed."""
    *_, step = re.findall(r"- run: (.*)", WORKFLOW.read_text(encoding="utf-8"))
    words = shlex.split(step)
    assert words[:3] == ["python", "-m", "pytest"]
    command = [sys.executable, *words[1:], "-p", "no:cacheprovider", *options]
    done = subprocess.run(command, cwd=project, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout + done.stderr


def slip(project):
    file = project / "my_estimator.py"
    text = file.read_text(encoding="utf-8")
    wrong = text.replace("nx + 1", "nx").replace("ny + 1", "ny")
    assert wrong != text
    file.write_text(wrong, encoding="utf-8")


def test_the_example_passes_and_an_off_by_one_is_named(project):
    status, text = run_tests(project, "-k", "agreement or independence or values")
    assert status == 0, text
    slip(project)
    status, text = run_tests(project, "-k", "agreement or values")
    assert status == 1
    summary = text[text.index("= fer-bench =") :]
    assert "likely cause: off by one in KSG: psi(n_x) stands for psi(n_x + 1)" in summary
    assert re.search(r"test_values: law broken: value rose .* \(two-sided\), and 1 more", summary)


def test_values_are_stored_on_request_and_their_absence_is_said(project):
    shutil.rmtree(project / "tests" / "fer_baselines")
    status, text = run_tests(project, "-k", "values")
    assert status == 1
    assert "--fer-baseline-write" in text
    assert run_tests(project, "-k", "values", "--fer-baseline-write")[0] == 0
    [file] = (project / "tests" / "fer_baselines").iterdir()
    assert set(json.loads(file.read_text(encoding="utf-8"))["values"]) == {"value", "error"}


def test_the_plugin_imports_nothing_heavy():
    code = (
        "import sys, fer_bench.pytest_plugin\n"
        "heavy = {'torch', 'numpy', 'pandas', 'scipy', 'pydantic'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)
