"""The documented adapter outside the repository: installed, found, checked, run, reported."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLE = Path(__file__).parents[1] / "examples" / "own_method"


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """Environment variables under which the example package is installed."""
    target = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps"]
    command += ["--no-build-isolation", "--target", str(target), str(EXAMPLE)]
    subprocess.run(command, check=True, capture_output=True)
    return os.environ | {"PYTHONPATH": str(target)}


def fer_bench(arguments, environment, cwd):
    code = "from fer_bench.cli import main; main()"
    command = [sys.executable, "-c", code, *map(str, arguments)]
    return subprocess.run(
        command, env=environment, cwd=cwd, capture_output=True, text=True, check=False
    )


def test_it_is_short():
    assert len((EXAMPLE / "own_method.py").read_text().splitlines()) < 60


@pytest.mark.slow
def test_it_is_found_checked_and_reported(installed, tmp_path):
    listed = fer_bench(["list", "methods"], installed, tmp_path)
    assert "centre-loss" in listed.stdout
    checked = fer_bench(["check-method", "centre-loss"], installed, tmp_path)
    assert checked.returncode == 0, checked.stdout + checked.stderr
    file = tmp_path / "own.toml"
    file.write_text(
        'methods = [{ name = "centre-loss" }, { name = "oracle-label" }]\n'
        '[data]\nname = "generated"\nsubjects = 9\nimages_per_subject = 14\nsize = 32\n'
        "[split]\nfolds = 3\nuse = [0]\n[training]\nepochs = 1\n"
        '[scores]\nmetrics = ["classification"]\n'
    )
    done = fer_bench(["run", file, "--out", tmp_path / "out"], installed, tmp_path)
    assert done.returncode == 0, done.stderr
    page = Path(done.stdout.removeprefix("report:").strip())
    assert "Centre loss" in page.read_text(encoding="utf-8")
