"""Critic estimators: objectives, kept-out values, seeds, groups and batching."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from fer_bench.information import estimate_mi, tasks
from fer_bench.information.estimator import Problem
from fer_bench.information.estimators.neural import DEMI, MINE
from fer_bench.information.estimators.neural import Test as Held
from fer_bench.information.inputs import clean_pair
from fer_bench.information.scoring import permute_pairs

CRITICS = ["mine", "mine-f", "nwj", "jsd", "demi", "smile", "infonce", "alpha"]


PAIR = tasks.normal("pair", tasks.paired_covariance(3, 3, [0.8]), 3)


@pytest.mark.parametrize("estimator", CRITICS)
def test_critics_find_a_normal_pair_on_kept_out_rows(estimator):
    score = estimate_mi(*PAIR.sample(1500, 0), estimator=estimator, null=1, steps=300)
    assert score.value == pytest.approx(PAIR.mi, abs=0.1)
    assert score.low < PAIR.mi < score.high + 0.05
    assert score.p <= 0.01
    assert abs(score.null) < 0.1
    assert score.n == 1500  # cross-fitted: every row valued once


@pytest.mark.parametrize("estimator", [*CRITICS, "doe", "auto", "classifier"])
def test_independent_rows_of_64_dimensions_read_zero(estimator):
    x, y = tasks.get("independent-64-64").sample(300, 0)
    if estimator == "classifier":
        y = np.random.default_rng(1).integers(0, 5, 300)
    options = {"calibrated": 0} if estimator == "auto" else {"steps": 200}
    score = estimate_mi(x, y, estimator=estimator, null=0, **options)
    error = score.details["standard_error"]
    assert abs(score.value) < 0.02 + 2 * error
    assert score.low <= 0 <= score.high
    assert score.p is None or score.p > 0.01


def test_logits_off_their_level_are_doubted():
    """DEMI reads a mean logit: what the ratio fails to integrate to one by is an error."""
    flat = torch.full((6,), 0.3)
    test = Held(flat, flat, flat, per_row=5, shifted=torch.zeros(5), span=(0.0, 1.0))
    assert DEMI().doubt(test) == pytest.approx(0.3**2)
    assert MINE().doubt(test) == 0.0


def test_in_sample_values_would_have_been_large():
    """What the kept-out part protects from: the same critic on its own training rows."""
    x, y = tasks.get("independent-64-64").sample(300, 0)
    score = estimate_mi(
        x, y, estimator="mine", base=False, null=0, steps=300, patience=10**6, folds=1
    )
    curve = np.array(score.details["curve"])
    assert curve.argmax() < len(curve) - 1  # validation turned down while training went on


def test_a_seed_decides_everything_and_another_changes_it():
    x, y = PAIR.sample(300, 2)
    first, again, other = (
        estimate_mi(x, y, estimator="mine", seed=s, steps=100, null=2) for s in (5, 5, 6)
    )
    assert first == again
    assert first.value != other.value


def test_problems_come_out_the_same_alone_or_together():
    x, y = PAIR.sample(400, 3)
    sample = clean_pair(x, y)
    random = np.random.default_rng(0)
    problems = [Problem(sample, 0)] + [
        Problem(sample, s, permute_pairs(400, None, random)) for s in (1, 2)
    ]
    tool = MINE(steps=400, base=False)
    together = tool.estimate_many(problems)
    lengths = [len(estimate.details["curve"]) for estimate in together]
    assert lengths[0] > max(lengths[1:])  # what has stopped is trained no longer
    for problem, estimate in zip(problems, together, strict=True):
        alone = tool.estimate_many([problem])[0]
        assert alone.value == pytest.approx(estimate.value, abs=1e-3)
        assert alone.details["curve"] == pytest.approx(estimate.details["curve"], abs=1e-3)


def test_a_critic_that_sees_nothing_is_not_certain_of_it():
    x, y = tasks.get("independent-64-64").sample(1000, 3)
    score = estimate_mi(x, y, estimator="infonce", null=0)
    assert abs(score.value) < 0.005
    assert score.low <= 0 <= score.high
    assert score.details["standard_error"] >= 1 / 1000


def test_info_nce_says_when_it_is_saturated():
    x, y = tasks.normal("high", tasks.paired_covariance(8, 8, [0.9] * 8), 8).sample(2000, 0)
    score = estimate_mi(x, y, estimator="infonce", batch=128, null=0)
    assert score.value <= math.log(2 * 128)
    assert any("saturated at ln(batch)" in str(w) for w in score.cautions)


def test_alpha_says_when_it_is_saturated():
    x, y = tasks.normal("high", tasks.paired_covariance(8, 8, [0.95] * 8), 8).sample(1000, 0)
    score = estimate_mi(x, y, estimator="alpha", alpha=1.0, null=0, steps=300)
    assert any("saturated" in str(w) for w in score.cautions)
    assert score.value <= np.log(1000)


def test_subject_fingerprints_do_not_pass_for_information():
    """x and y each carry the subject but nothing in common that generalises to other subjects."""
    rng = np.random.default_rng(0)
    subjects = np.repeat(np.arange(30), 30)
    x = rng.normal(size=(30, 8))[subjects] + 0.3 * rng.normal(size=(900, 8))
    y = rng.normal(size=(30, 8))[subjects] + 0.3 * rng.normal(size=(900, 8))
    blind = estimate_mi(x, y, estimator="mine", null=0)
    aware = estimate_mi(x, y, estimator="mine", null=0, groups=subjects)
    assert blind.value > 0.8
    assert aware.value < 0.15
    assert aware.low <= 0.0 <= aware.high


def test_smile_clips_the_negatives_only():
    x, y = tasks.get("normal-5-5-4nats").sample(1500, 0)
    tight = estimate_mi(x, y, estimator="smile", tau=0.5, null=0, steps=200)
    free = estimate_mi(x, y, estimator="smile", tau=50.0, null=0, steps=200)
    assert tight.value > free.value + 0.2


@pytest.mark.gpu
def test_a_gpu_gives_what_a_cpu_gives():
    if not torch.cuda.is_available():
        pytest.skip("no CUDA device")
    x, y = PAIR.sample(1500, 6)
    cpu, gpu = (
        estimate_mi(x, y, estimator="infonce", device=d, null=0).value for d in ("cpu", "cuda")
    )
    assert gpu == pytest.approx(cpu, abs=0.03)


def test_few_rows_for_a_network_are_said():
    x, noise = np.random.default_rng(0).normal(size=(2, 60, 2))
    score = estimate_mi(x, x + noise, estimator="infonce", null=0, steps=50)
    assert any("60 rows are few for a network" in str(w) for w in score.cautions)
