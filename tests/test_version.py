"""The version stands in one place, and everything that tells it reads it there."""

import re
import tomllib
from pathlib import Path

from setuptools.config.pyprojecttoml import read_configuration

import fer_bench

ROOT = Path(__file__).parents[1]


def test_the_project_takes_its_version_from_the_package():
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    assert "version" in tomllib.loads(text)["project"]["dynamic"]
    assert (
        read_configuration(ROOT / "pyproject.toml")["project"]["version"] == fer_bench.__version__
    )


def test_no_other_file_repeats_it():
    literal = re.compile(rf"version\s*[:=]\s*[\"']?{re.escape(fer_bench.__version__)}\b")
    files = [ROOT / "pyproject.toml", ROOT / "CITATION.cff", *(ROOT / "fer_bench").glob("*.py")]
    files = [file for file in files if file.name != "__init__.py"]
    assert not [file.name for file in files if literal.search(file.read_text(encoding="utf-8"))]
