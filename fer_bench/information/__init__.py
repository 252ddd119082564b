"""Mutual information: estimators, ground truth, calibration and regression checks.

>>> import numpy as np
>>> from fer_bench.information import estimate_mi
>>> rng = np.random.default_rng(0)
>>> labels = rng.integers(0, 3, 600)
>>> score = estimate_mi(rng.normal(size=(600, 4)) + labels[:, None], labels, estimator="ross")
>>> 0.3 < score.value < 1.1
True
"""

from fer_bench.information.estimator import Estimate, Estimator, EstimatorError
from fer_bench.information.mutual import estimate_mi

__all__ = ["Estimate", "Estimator", "EstimatorError", "estimate_mi"]
