"""What holds for every metric: keys, units, ranges, seeds, and no side effects."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from functools import partial

import numpy as np
import pytest

from fer_bench import registry
from fer_bench.arrays import RunArrays
from fer_bench.attackers import metric as attacker_metric
from fer_bench.attackers import power
from fer_bench.metrics.metric import missing, score_run
from fer_bench.score import Outcome

NAMES = registry.metrics.names()


@pytest.fixture(scope="module")
def run(planted) -> RunArrays:
    """A small run that has all that a metric may need."""
    made = planted.run(train_subjects=8, subjects=8, images=14, dims=6, extra=True)
    rng = np.random.default_rng(0)
    parts = {}
    for name, part in made.parts.items():
        labels = part.labels.assign(
            factor_yaw=rng.uniform(-1, 1, len(part)), factor_light=rng.uniform(0, 1, len(part))
        )
        parts[name] = planted.replaced(part, labels=labels)
    total = sum(len(part) for part in parts.values())
    faces = rng.integers(0, 255, (total, 16, 16, 3), dtype=np.uint8)
    size = {"parameters": 61_000, "multiply_adds": 9_000_000, "images_per_s": 800.0}
    return replace(made, parts=parts, read_faces=lambda: faces, facts={"size": size})


@pytest.fixture(scope="module")
def outcomes(run) -> Iterator[dict[str, Outcome]]:
    """Every metric scored once, when first asked for; power from few leaks, as it takes minutes."""
    with pytest.MonkeyPatch.context() as patch:
        few = partial(power.calibrated_power, draws=3)
        patch.setattr(attacker_metric, "calibrated_power", few)
        patch.setattr(attacker_metric, "TRAINED_DRAWS", 2)
        yield _Once(run)


class _Once(dict):
    def __init__(self, run: RunArrays) -> None:
        super().__init__()
        self.run = run

    def __missing__(self, name: str) -> Outcome:
        self[name] = score_run(self.run, {name: registry.metrics.get(name)})[name]
        return self[name]


@pytest.mark.parametrize("name", NAMES)
def test_it_scores_a_run_that_has_everything(name, outcomes) -> None:
    outcome = outcomes[name]
    assert outcome.failed is None
    assert outcome.skipped is None
    assert outcome.scores


@pytest.mark.parametrize("name", NAMES)
def test_every_score_is_declared_and_within_its_range(name, outcomes) -> None:
    specs = registry.metrics.get(name).scores
    for key, score in outcomes[name].scores.items():
        declared = [spec for spec in specs if spec.matches(key)]
        assert declared, f"{name}/{key} has no ScoreSpec"
        spec = declared[0]  # the most particular comes first
        if np.isfinite(score.value):
            low, high = spec.range
            assert low <= score.value <= high, f"{name}/{key} = {score.value} is out of range"
            bare = spec.unit == "" and score.unit == "fraction"  # printed as it is
            assert bare or score.unit == spec.unit, f"{name}/{key} is in {score.unit!r}"
            if score.low is not None and score.high is not None:
                assert score.low <= score.high
        else:
            assert score.cautions, f"{name}/{key} has no value and no reason"


@pytest.mark.parametrize("name", NAMES)
def test_every_declared_score_is_measured(name, outcomes) -> None:
    """A column that no run can fill is a mistake in its key."""
    keys = list(outcomes[name].scores)
    for spec in registry.metrics.get(name).scores:
        made_later = spec.key in LATER
        assert made_later or any(spec.matches(key) for key in keys), f"{name}/{spec.key}"


LATER = {
    "test:reversed.accuracy",  # only where a confounded experiment has that part
    "E.identity.normalised",  # made where the ceilings of other rows are known
}


@pytest.mark.parametrize("name", NAMES)
def test_scores_survive_json(name, outcomes) -> None:
    outcome = outcomes[name]
    text = json.dumps(outcome.to_json(), allow_nan=False)
    again = Outcome.from_json(json.loads(text))
    assert again.to_json() == outcome.to_json()


@pytest.mark.parametrize("name", NAMES)
def test_what_a_metric_needs_is_a_reason_to_skip_it(name, run) -> None:
    metric = registry.metrics.get(name)
    test = run.test
    labels = test.labels[["expression", "subject", "valence", "arousal", "sequence", "path", "row"]]
    bare = replace(
        test,
        identity=None,
        logits=None,
        valence_arousal=None,
        labels=labels.assign(subject=None, valence=np.nan, arousal=np.nan),
    )
    poor = RunArrays(parts={"train": bare, "test": bare}, classes=run.classes)
    assert (missing(metric, poor) is not None) == bool(metric.needs)
    assert missing(metric, run) is None


@pytest.mark.parametrize("name", ["classification", "affect", "leakage", "groups"])
def test_equal_seeds_give_equal_scores_and_the_run_is_left_alone(name, run, outcomes) -> None:
    before = {k: (p.expression.copy(), p.labels.copy()) for k, p in run.parts.items()}
    again = score_run(run, {name: registry.metrics.get(name)})[name]
    assert again.to_json() == outcomes[name].to_json()
    for key, (expression, labels) in before.items():
        np.testing.assert_array_equal(run.parts[key].expression, expression)
        assert run.parts[key].labels.equals(labels)
