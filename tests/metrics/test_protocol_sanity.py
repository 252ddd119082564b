"""The sanity suite passes, fails when the measurement lies, and is a command."""

from dataclasses import replace

import numpy as np
import pytest
import typer
from typer.testing import CliRunner

import fer_bench.metrics.audit as metric_audit
import fer_bench.metrics.sanity as sanity
from fer_bench.cli.protocol import check_protocol as command
from fer_bench.metrics.audit import Audited


@pytest.mark.slow
def test_all_checks_pass():
    checks = list(sanity.check_protocol(seed=1))
    assert len(checks) >= 15
    assert [str(check) for check in checks if not check.passed] == []


def lying(scorer, key, value):
    def lie(run, *, seed=0):
        scores = dict(scorer(run, seed=seed))
        scores[key] = replace(scores[key], value=value)
        return scores

    return lie


@pytest.mark.parametrize(
    ("key", "value", "caught"),
    [
        ("E.identity.strongest", 0.9, "label oracle leaks what labels leak"),
        ("E.expression.strongest", 0.5, "label oracle tells every expression"),
    ],
)
def test_a_lie_is_caught(monkeypatch, key, value, caught):
    monkeypatch.setattr(sanity, "leakage", lying(sanity.leakage, key, value))
    checks = []
    for check in sanity.check_protocol():
        checks.append(check)
        if caught in check.name:
            break
    assert not checks[-1].passed


def test_planted_run_is_what_it_says():
    run = sanity.planted_run(subjects=5, images=14)
    assert set(run.parts) == {"train", "validation", "test"}
    people = [set(part.subjects) for part in run.parts.values()]
    assert not people[0] & people[1]
    assert not people[1] & people[2]
    test = run.test
    assert np.allclose(np.bincount(test.y), 10)
    shuffled = sanity.planted_run(random_labels=True).test
    assert np.mean(shuffled.y == shuffled.logits.argmax(1)) < 0.4


def test_command_reports_failures(monkeypatch):
    app = typer.Typer()
    app.command()(command)
    monkeypatch.setattr(
        sanity,
        "check_protocol",
        lambda seed: iter([sanity.Check("a", True, "1"), sanity.Check("b", False, "2")]),
    )
    result = CliRunner().invoke(app, ["--seed", "3"])
    assert result.exit_code == 1
    assert "FAIL  b: 2" in result.output
    assert "1 of 2 checks passed." in result.output


def test_command_tells_how_far_measures_can_be_trusted(monkeypatch):
    app = typer.Typer()
    app.command()(command)
    measured = [Audited("m/a", "A", 0.01, 1.0, 0.9, 24), Audited("m/b", "B", 0.1, 0.8, 0.5, 24)]
    monkeypatch.setattr(metric_audit, "audit", lambda: measured)
    result = CliRunner().invoke(app, ["--measures"])
    assert result.exit_code == 0
    first, second = result.stdout.splitlines()  # the least trustworthy first
    assert first.startswith("B (m/b): rank correlation 0.80, 50% of 24 pairs")
    assert second.startswith("A (m/a): rank correlation 1.00")
