"""The experiment files of examples/ say what can be run."""

from pathlib import Path

import pytest

from fer_bench.experiment import load_experiment, resolve_method
from fer_bench.sweep.plan import _check_labels

ROOT = Path(__file__).parents[1]
FILES = [*sorted((ROOT / "examples").glob("*.toml")), ROOT / "fer_bench" / "quickstart.toml"]


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_every_key_method_and_parameter_is_known(file):
    experiment = load_experiment(file)
    assert experiment.name == file.stem, "the name in the file decides where results go"
    entries = [resolve_method(m, i) for i, m in enumerate(experiment.methods)]
    _check_labels(experiment, entries)
    if experiment.data.root is not None:
        data = (ROOT.parent / "shared" / "data").resolve()
        Path(experiment.data.root).resolve().relative_to(data)  # or it raises
