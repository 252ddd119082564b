"""Before training: what it takes, what fails, and whose code it is."""

import sys

import pytest

from fer_bench import cli, registry
from fer_bench.baselines.erm.adapter import ERM
from fer_bench.experiment import parse_experiment
from fer_bench.method import MethodInfo
from fer_bench.runs.store import RunStore
from fer_bench.sweep.forecast import rehearse
from fer_bench.sweep.plan import foreign_code, plan
from fer_bench.sweep.sweep import prepare
from fer_bench.sweep.worker import execute

DATA = {"name": "generated", "subjects": 9, "images_per_subject": 7, "size": 16}


class Broken(ERM):
    """Fails at its first batch."""

    info = MethodInfo(name="broken", title="Broken")

    def loss(self, batch):
        raise ZeroDivisionError("the author's mistake")


@pytest.fixture(autouse=True)
def _broken(monkeypatch):
    monkeypatch.setitem(registry.methods._local, "broken", Broken)


def test_the_forecast_is_near_what_a_run_takes(tmp_path):
    experiment = parse_experiment(
        {
            "data": DATA,
            "split": {"folds": 3, "use": [0], "validation": 0.4},
            "training": {"epochs": 3, "batch_size": 16},
            "methods": [{"name": "erm"}, {"name": "dice-fer"}, {"name": "oracle-label"}],
            "scores": {"metrics": ["classification"]},
        }
    )
    planned, store = plan(experiment), RunStore(tmp_path)
    prepare(store, experiment, planned)
    forecasts = {spec.method: rehearse(spec) for spec in planned.runs}
    assert forecasts["oracle-label"][0] == 0
    assert forecasts["dice-fer"][0] > forecasts["erm"][0] > 0
    execute(planned.runs[0], tmp_path)
    _, size = forecasts["erm"]
    assert 0.5 * size < store.run_size() < 2 * size + 100_000


def test_the_dry_run_and_the_run_tell_a_failure_once(monkeypatch, capsys, tmp_path):
    file = tmp_path / "small.toml"
    file.write_text(
        'methods = [{ name = "broken" }, { name = "oracle-label" }]\n'
        '[data]\nname = "generated"\nsubjects = 9\nimages_per_subject = 7\nsize = 16\n'
        "[split]\nfolds = 3\nvalidation = 0.4\n[training]\nepochs = 1\n"
        '[scores]\nmetrics = ["classification"]\n'
    )

    def call(*arguments):
        monkeypatch.setattr(sys, "argv", ["fer-bench", "run", str(file), *arguments])
        with pytest.raises(SystemExit) as stop:
            cli.main()
        said = capsys.readouterr()
        return stop.value.code or 0, said.out, said.err

    reason = "ZeroDivisionError: the author's mistake"
    status, out, _ = call("--dry-run", "--out", str(tmp_path / "out"))
    assert status == 1
    assert f"Broken: all 3 runs would fail: {reason}" in out
    assert "oracle: label: 3 runs of at least 0 s" in out
    assert "3 runs to train: at least 0 s and" in out
    assert "the method 'broken' is code of this process, not of FER-Bench" in out
    assert not (tmp_path / "out").exists()
    status, _, err = call("--out", str(tmp_path / "out"), "--no-report", "--executor", "serial")
    assert status == 1
    assert err.count(reason) == 2  # when it fails, and at the end
    assert err.count("for the same reason") == 2
    assert "3 runs trained, 0 kept, 3 failed" in err


def test_code_of_other_distributions_is_named_before_it_runs(monkeypatch):
    experiment = parse_experiment({"data": DATA, "methods": [{"name": "erm"}]})
    assert foreign_code(experiment) == []
    monkeypatch.setattr(registry.methods, "origin", lambda name: "torch")
    (line,) = foreign_code(experiment)
    assert line.startswith("the method 'erm' is code of torch 2")
