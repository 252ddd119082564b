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


def commands(environment, cwd, *lines):
    """What several commands print, in one process."""
    code = f"""
import sys
from fer_bench.cli import main
for line in {[list(map(str, line)) for line in lines]!r}:
    sys.argv[1:] = line
    try:
        main()
    except SystemExit as end:
        assert not end.code, line
"""
    run = subprocess.run(
        [sys.executable, "-c", code],
        env=environment,
        cwd=cwd,
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stdout + run.stderr
    return run.stdout


def test_it_is_short():
    assert len((EXAMPLE / "own_method.py").read_text().splitlines()) < 60


@pytest.mark.slow
def test_it_is_found_checked_and_reported(installed, tmp_path):
    file = tmp_path / "own.toml"
    file.write_text(
        'methods = [{ name = "centre-loss" }, { name = "oracle-label" }]\n'
        '[data]\nname = "generated"\nsubjects = 9\nimages_per_subject = 14\nsize = 32\n'
        "[split]\nfolds = 3\nuse = [0]\n[training]\nepochs = 1\n"
        '[scores]\nmetrics = ["classification"]\n'
    )
    out = tmp_path / "out"
    printed = commands(
        installed,
        tmp_path,
        ["run", file, "--out", out],
        ["list", "methods"],
        ["check-method", "centre-loss"],
    )
    assert "centre-loss" in printed
    assert "Centre loss" in (out / "report.html").read_text(encoding="utf-8")
