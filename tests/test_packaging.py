"""What is built holds everything, from trees with and without links, and runs anywhere."""

import os
import re
import shutil
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
HOMES = {"fer_bench.baselines": "baselines", "fer_bench.reports": "reports"}
README = re.compile(r"```python\n(.*?)```", re.DOTALL)


def copy_of_the_tree(folder: Path, *, links: bool) -> Path:
    """The checkout without build leftovers; on file systems without links, a file stands there."""
    ignore = shutil.ignore_patterns(".*", "*.egg-info", "build", "dist", "__pycache__")
    shutil.copytree(ROOT, folder, ignore=ignore, symlinks=True)
    for name in HOMES.values():
        link = folder / "fer_bench" / name
        if not links:
            link.unlink()
            link.write_text(f"../{name}")  # what git writes where links are not supported
        else:
            assert link.is_symlink()
    return folder


def build(tree: Path, what: str, out: Path) -> Path:
    code = (
        f"import os, sys; os.chdir({str(tree)!r}); from setuptools.build_meta import build_{what}; "
        f"print(build_{what}({str(out)!r}))"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    return out / run.stdout.split()[-1]


@pytest.fixture(scope="module", params=[True, False], ids=["links", "no links"])
def wheel(request, tmp_path_factory):
    """A wheel, from a tree with links directly, and without them by way of an sdist."""
    folder = tmp_path_factory.mktemp("wheel")
    tree = copy_of_the_tree(folder / "tree", links=request.param)
    if not request.param:
        sdist = build(tree, "sdist", folder)
        with tarfile.open(sdist) as archive:
            archive.extractall(folder / "sdist", filter="data")
        [tree] = (folder / "sdist").iterdir()
    return build(tree, "wheel", folder)


def test_everything_is_in_the_wheel_and_nothing_else(wheel):
    names = set(zipfile.ZipFile(wheel).namelist())
    tops = {name.split("/")[0] for name in names}
    assert len(tops) == 2, f"only fer_bench and its metadata belong in site-packages: {tops}"
    expected = set()
    for home in ("fer_bench", *HOMES.values()):
        for path in (ROOT / home).rglob("*"):
            relative = path.relative_to(ROOT)
            linked = any((ROOT / parent).is_symlink() for parent in (relative, *relative.parents))
            hidden = "__pycache__" in path.parts or path.name.startswith(".")
            if path.is_file() and not linked and not hidden:
                prefix = "" if home == "fer_bench" else "fer_bench/"
                expected.add(prefix + relative.as_posix())
    assert {name for name in names if name.startswith("fer_bench/")} == expected


def test_the_list_of_packages_is_complete():
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]
    names = {"fer_bench"}
    for name, home in {"fer_bench": "fer_bench", **HOMES}.items():
        for init in (ROOT / home).rglob("__init__.py"):
            parts = init.parent.relative_to(ROOT / home).parts
            if not (home == "fer_bench" and parts[:1] in {("baselines",), ("reports",)}):
                names.add(".".join((name, *parts)))
    assert sorted(declared["packages"]) == sorted(names)


@pytest.mark.slow
def test_it_runs_outside_the_checkout(wheel, tmp_path):
    target = tmp_path / "site"
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index"]
    subprocess.run([*command, "--target", str(target), str(wheel)], check=True)
    code = (
        "import fer_bench, sys; assert fer_bench.__file__.startswith(sys.argv[1]), fer_bench\n"
        "from fer_bench import registry\n"
        "import fer_bench.baselines, fer_bench.reports\n"
        "assert fer_bench.reports.__file__.startswith(sys.argv[1])\n"
        "from fer_bench.experiment import load_experiment\n"
        "print(load_experiment().name)"
    )
    run = subprocess.run(
        [sys.executable, "-c", code, str(target)],
        cwd=tmp_path,
        env={"PYTHONPATH": str(target), "PATH": ""},
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    assert run.stdout.strip() == "quickstart"


@pytest.mark.slow
@pytest.mark.parametrize("place", ["the root", "elsewhere"])
def test_the_python_of_the_readme_runs_as_printed(place, tmp_path):
    [code] = README.findall((ROOT / "README.md").read_text())
    written = "results/first"
    assert written in code
    code = code.replace(written, str(tmp_path / written))
    code = code.replace("examples/", f"{ROOT / 'examples'}/")
    run = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT if place == "the root" else tmp_path,
        env={**os.environ, "PYTHONPATH": ""},
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stderr


@pytest.mark.slow
def test_the_type_checker_sees_through_the_links(tmp_path):
    """An attribute that is not there is found in a module that imports it by its full name."""
    tree = copy_of_the_tree(tmp_path / "tree", links=True)
    tables = tree / "reports" / "tables" / "layouts.py"
    tables.write_text(
        tables.read_text()
        + "\n\ndef planted(summary: Summary) -> object:\n    return summary.no_such_attribute\n"
    )
    run = subprocess.run(
        [sys.executable, "-m", "mypy", "--no-site-packages", "fer_bench/reports/tables/layouts.py"],
        cwd=tree,
        capture_output=True,
        text=True,
        check=False,
    )
    assert '"Summary" has no attribute "no_such_attribute"' in run.stdout
