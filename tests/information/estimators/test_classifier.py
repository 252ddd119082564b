"""Labels against measurements by a held-out classifier."""

from __future__ import annotations

import numpy as np
import pytest

from fer_bench.information import estimate_mi, tasks


def test_the_classifier_reads_h_of_y_at_most_and_logs_its_entropy():
    labels = np.random.default_rng(0).integers(0, 7, 700)
    x = np.eye(7)[labels] + 0.05 * np.random.default_rng(1).normal(size=(700, 7))
    score = estimate_mi(x, labels, estimator="classifier", null=2)
    assert score.details["entropy"] - 0.1 < score.value <= score.details["entropy"]
    assert abs(score.null) < 0.1


def test_classifier_finds_the_information_of_clusters():
    task = tasks.get("clusters-7-16-0.8")
    score = estimate_mi(*task.sample(2000, 0), estimator="classifier", null=0)
    assert score.value == pytest.approx(task.mi, abs=0.08)
    swapped = estimate_mi(*task.sample(2000, 0)[::-1], estimator="classifier", null=0)
    assert swapped.value == pytest.approx(score.value, abs=0.02)
