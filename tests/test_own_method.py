"""The documented adapter outside the repository: installed, found, checked, run, reported."""

from pathlib import Path

import pytest

EXAMPLE = Path(__file__).parents[1] / "examples" / "own_method"


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
    done = installed(EXAMPLE)(
        ["run", file, "--out", out], ["list", "methods"], ["check-method", "centre-loss"]
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "centre-loss" in done.stdout
    assert "Centre loss" in (out / "report.html").read_text(encoding="utf-8")
