"""Planted mistakes of estimators are broken laws, and the likely cause is told in one line."""

from __future__ import annotations

import math

import numpy as np
import pytest

from fer_bench.information.consistency import Check, laws
from fer_bench.information.diagnosis import ALONE, likely_cause
from fer_bench.information.estimators.gaussian import Gaussian
from fer_bench.information.estimators.neighbours import KSG


def honest(x, y):
    return Gaussian().fit(x, y).estimate().value


def in_sample(x, y):
    """Canonical correlations of many features of both sides, on the rows they were chosen for."""

    def basis(side):
        random = np.random.default_rng(0)
        features = np.sin(side @ random.normal(size=(side.shape[1], 25)))
        return np.linalg.qr(np.hstack([side, features]) - np.hstack([side, features]).mean(0))[0]

    shared = np.linalg.svd(basis(x).T @ basis(y), compute_uv=False)
    return -0.5 * np.log1p(-(shared**2).clip(0, 0.999)).sum()


def regression(x, y):
    """The residuals of waves of x, on the rows they were fitted on."""
    scale = np.random.default_rng(0).normal(size=(x.shape[1], 60))
    waves = np.hstack(
        [np.ones((len(x), 1)), np.cos((x - x.mean(0)) / x.std(0) @ scale + range(60))]
    )
    left = y - waves @ np.linalg.lstsq(waves, y, rcond=None)[0]
    return -0.5 * np.log(left.var(0) / y.var(0)).sum()


def tool(read):
    class Mine:
        def fit(self, x, y):
            self.value = read(x, y)

        def estimate(self):
            return self.value

    return Mine


def checks_of(thing, **options):
    return [check for law in laws(thing, **options) for check in law.run()]


BROKEN = {
    "bits": (lambda x, y: honest(x, y) / math.log(2), "bits are returned instead of nats"),
    "twice": (lambda x, y: 2 * honest(x, y), "a factor of 2"),
    "constant": (lambda x, y: honest(x, y) + 1 / 3, "off-by-one in the neighbours of KSG"),
    "in-sample": (in_sample, "an in-sample value"),
    "in-sample, of few parameters": (regression, "an in-sample value"),
    "capped bound": (lambda x, y: min(0.9 * honest(x, y), 1.0), "a lower bound"),
    "lower bound": (lambda x, y: math.log1p(honest(x, y)), "a lower bound"),
    "upper bound": (lambda x, y: honest(x, y) + 0.4 * honest(x, y) ** 2, "an upper bound"),
    "one side": (lambda x, y: honest(x, y[:, :1]) + 0.0, "not treated alike"),
    "unscaled": (lambda x, y: honest(np.tanh(x), y), "the offset or the unit"),
    "rows": (lambda x, y: honest(x[:30], y[:30]), "the order of rows"),
    "no number": (lambda x, y: math.nan, "estimate() returned nan"),
}  # fmt: skip


@pytest.mark.parametrize("mistake", BROKEN)
def test_planted_mistakes_are_named(mistake):
    read, cause = BROKEN[mistake]
    checks = checks_of(tool(read))
    assert not all(check.passed for check in checks)
    assert cause in likely_cause(checks)


def test_without_a_mistake_there_is_no_cause():
    assert likely_cause(checks_of(tool(honest))) == ""
    assert likely_cause(checks_of(KSG(k=3), like=KSG(k=3))) == ""


@pytest.mark.parametrize("slip", KSG(k=3).mistakes())
def test_each_slip_of_ksg_is_told_from_the_others(slip):
    right = KSG(k=3, scores=False)
    mistaken = right.mistakes()[slip]
    wrapped = tool(lambda x, y: mistaken.fit(x, y).estimate().value)
    checks = [check for law in laws(wrapped, like=right)[:1] for check in law.run()]
    assert likely_cause(checks) == slip


@pytest.mark.parametrize("slip", KSG(k=3).mistakes())
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_a_slip_of_ksg_is_named_without_a_reference_too(slip, seed):
    mistaken = KSG(k=3, scores=False).mistakes()[slip]
    wrapped = tool(lambda x, y: mistaken.fit(x, y).estimate().value)
    assert "KSG" in likely_cause(checks_of(wrapped, seed=seed))


def test_every_law_that_is_broken_alone_has_a_cause():
    for check in checks_of("gaussian"):
        name = check.name.split(",")[0]
        alone = [Check(name, False, 1.0, 0.0, 0.1, "the requirement")]
        assert likely_cause(alone)
        by_rule = {"independence", "additivity", "much information", "few rows"}
        assert name in ALONE or name.startswith("truth") or name in by_rule, name
