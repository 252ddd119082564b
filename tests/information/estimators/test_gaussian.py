"""Closed forms: normal, copula and t copula."""

from __future__ import annotations

import numpy as np
import pytest

from fer_bench.information import estimate_mi, tasks
from fer_bench.information.estimators.gaussian import Gaussian, gaussian_bias


@pytest.mark.parametrize(("rho", "nats"), [(0.5, 0.143841), (0.75, 0.413339), (0.9, 0.830366)])
@pytest.mark.parametrize("estimator", ["gaussian", "copula", "student", "ksg", "auto"])
def test_normal_pairs_have_their_closed_form(estimator, rho, nats):
    x, y = tasks.normal("pair", tasks.paired_covariance(1, 1, [rho]), 1).sample(5000, 0)
    score = estimate_mi(x, y, estimator=estimator, null=0)
    assert score.value == pytest.approx(nats, abs=0.04)
    assert estimate_mi(x, y, estimator=estimator, null=0, unit="bits").value == pytest.approx(
        score.value / np.log(2)
    )


def test_the_gaussian_bias_is_exact():
    """Over many draws of independent rows the corrected estimate averages zero."""
    rng = np.random.default_rng(7)
    n, dx, dy = 60, 8, 5
    values = [
        Gaussian(max_dim=99).fit(rng.normal(size=(n, dx)), rng.normal(size=(n, dy))).estimate()
        for _ in range(300)
    ]
    mean = np.mean([v.value for v in values])
    error = np.std([v.value for v in values]) / np.sqrt(300)
    assert abs(mean) < 4 * error
    assert gaussian_bias(n, dx, dy) > 0.3  # what would have been reported without it


def test_student_copula_reads_heavy_tails_that_have_no_correlation():
    task = tasks.get("asinh-student-identity-5-5-2")
    x, y = task.sample(4000, 0)
    score = estimate_mi(x, y, estimator="student", null=0)
    assert score.value == pytest.approx(task.mi, abs=0.05)
    assert score.details["dof"] == pytest.approx(2, abs=0.3)
    assert abs(estimate_mi(x, y, estimator="copula", null=0).value) < 0.03


def test_a_t_copula_of_normal_rows_is_the_normal_one():
    """In many dimensions even 200 degrees of freedom would tie the sides: 0.08 nats here."""
    x, y = np.random.default_rng(0).normal(size=(2, 300, 64))
    student, copula = (estimate_mi(x, y, estimator=e, null=0).value for e in ("student", "copula"))
    assert student == pytest.approx(copula, abs=0.01)


def test_a_correlation_of_one_is_said_to_be_infinite():
    x = np.random.default_rng(0).normal(size=(300, 2))
    turned = x @ np.array([[0.6, -0.8], [0.8, 0.6]])
    score = estimate_mi(x, turned, estimator="gaussian")
    assert any("infinitely" in str(w) for w in score.cautions)
    noisy = turned + 0.01 * np.random.default_rng(1).normal(size=(300, 2))
    assert not estimate_mi(x, noisy, estimator="gaussian").cautions
