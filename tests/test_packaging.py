"""A wheel built from the tree works outside the checkout, templates and recipes included."""

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    import shutil

    folder = tmp_path_factory.mktemp("wheel")
    tree = folder / "tree"  # setuptools leaves a build folder behind: not in the checkout
    ignore = shutil.ignore_patterns(".*", "*.egg-info", "build", "dist", "__pycache__")
    shutil.copytree(ROOT, tree, ignore=ignore)
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps"]
    command += ["--no-build-isolation", "--wheel-dir", str(folder), str(tree)]
    subprocess.run(command, check=True, capture_output=True)
    [path] = folder.glob("*.whl")
    return path


def test_everything_is_in_the_wheel_and_nothing_else(wheel):
    names = set(zipfile.ZipFile(wheel).namelist())
    tops = {name.split("/")[0] for name in names}
    assert len(tops) == 2, f"only fer_bench and its metadata belong in site-packages: {tops}"
    sources = [
        *((p, "fer_bench") for p in (ROOT / "fer_bench").rglob("*")),
        *((p, "fer_bench/baselines") for p in (ROOT / "baselines").rglob("*")),
        *((p, "fer_bench/reports") for p in (ROOT / "reports").rglob("*")),
    ]
    for path, prefix in sources:
        if not path.is_file() or "__pycache__" in path.parts or path.name.startswith("."):
            continue
        base = ROOT / {"fer_bench": "fer_bench"}.get(prefix, prefix.split("/")[-1])
        assert f"{prefix}/{path.relative_to(base).as_posix()}" in names


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
