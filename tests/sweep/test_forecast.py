"""Before training: what it takes, what fails, and whose code it is."""

import sys
import time

import pytest

from fer_bench import cli, registry
from fer_bench.baselines.erm.adapter import ERM
from fer_bench.experiment import parse_experiment
from fer_bench.method import MethodInfo
from fer_bench.runs.store import RunStore
from fer_bench.sweep.executors import Options
from fer_bench.sweep.forecast import Forecast, _seconds_from, rehearse
from fer_bench.sweep.plan import foreign_code, plan
from fer_bench.sweep.sweep import outlook, prepare
from fer_bench.sweep.worker import execute
from fer_bench.training.loop import Trainer

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
    assert forecasts["oracle-label"][0] == {}
    assert list(forecasts["dice-fer"][0]) == ["expression", "identity", "classifier"]
    assert sum(forecasts["dice-fer"][0].values()) > sum(forecasts["erm"][0].values()) > 0
    execute(planned.runs[0], tmp_path)
    _, size = forecasts["erm"]
    assert 0.5 * size < store.run_size() < 2 * size + 100_000


@pytest.mark.parametrize("slow", ["first", "statistics"])
def test_what_is_done_once_is_not_multiplied(monkeypatch, slow):
    """A hundred epochs of a step of a millisecond are no minute because one batch took long."""
    experiment = parse_experiment(
        {
            "data": DATA,
            "split": {"folds": 3, "use": [0], "validation": 0.4},
            "training": {"epochs": 100, "batch_size": 16},
            "methods": [{"name": "pixels"}],
        }
    )
    (spec,) = plan(experiment).runs
    name = "_estimate_statistics" if slow == "statistics" else "_prepare_speed"
    plain = getattr(Trainer, name)

    def heavy(self, *arguments):
        end = time.thread_time() + 1
        while time.thread_time() < end:
            pass
        return plain(self, *arguments)

    monkeypatch.setattr(Trainer, name, heavy)
    seconds, _ = rehearse(spec)
    assert 0 < seconds["head"] < 20


def test_a_stage_in_common_counts_once():
    stages = {"expression": 4.0, "identity": 2.0, "classifier": 1.0}
    assert _seconds_from(None, stages) == 7
    assert _seconds_from("identity", stages) == 3
    assert _seconds_from("classifier", stages) == 1
    assert _seconds_from(None, {}) == 0


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


@pytest.mark.parametrize(("runs", "said"), [(1, "1 run to train"), (1200, "1,200 runs to train")])
def test_the_outlook_counts_runs(runs, said, tmp_path):
    assert outlook([Forecast("ERM", runs, 1.0)], RunStore(tmp_path), Options()).startswith(said)
