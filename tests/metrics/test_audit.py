"""The audit tells measures that follow the truth from those that do not."""

import numpy as np
import pytest

from fer_bench.metrics.audit import audit, faulty_run, rows
from fer_bench.metrics.metric import load_metrics, metric
from fer_bench.score import Score, ScoreSpec

SPEC = ScoreSpec("value", "Value", "A number.", better="high", column="more")


def one(function):
    """What the audit says of a measure made of `function(run, seed)`."""
    made = metric("made", scores=[SPEC])(lambda run, *, seed: {"value": Score(function(run, seed))})
    (audited,) = audit({"made": made})
    return audited


def accuracy(run, seed=0):
    return float((run.test.logits.argmax(axis=1) == run.test.y).mean())


def test_a_measure_that_follows_the_truth_has_no_noise():
    audited = one(accuracy)
    assert (audited.noise, audited.rank) == (0, 1)
    assert audited.apart > 0.9


def test_one_that_guesses_is_seen_through():
    audited = one(lambda run, seed: float(np.random.default_rng(seed + len(run.method)).random()))
    assert audited.noise > 1
    assert audited.apart == pytest.approx(0.5, abs=0.2)


def test_one_with_the_wrong_sign_ranks_last():
    audited = one(lambda run, seed: -accuracy(run))
    assert (audited.rank, audited.apart) == (-1, pytest.approx(0, abs=0.1))


def test_noise_is_a_share_of_what_the_measure_spans():
    audited = one(lambda run, seed: accuracy(run) + 0.01 * (seed % 2))
    span = accuracy(faulty_run(0.0)) - accuracy(faulty_run(1.0))
    assert audited.noise == pytest.approx(0.01 / np.sqrt(3) / span, rel=0.2)


def test_columns_of_our_metrics_are_audited_and_tabled():
    audited = audit(load_metrics(["classification", "affect"]), worlds=2, reseedings=2)
    assert {each.key for each in audited} >= {
        "classification/test.accuracy",
        "affect/test.ccc.mean",
    }
    assert all(each.rank > 0.9 for each in audited)
    for row in rows(audited):
        apart, low, high = row["tells apart"]
        assert 0 <= low <= apart <= high <= 1
