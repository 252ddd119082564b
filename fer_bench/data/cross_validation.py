"""What a simple classifier tells of faces that it has not seen."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

Rows = NDArray[np.int64]


def held_out_probabilities(
    features: NDArray[np.floating],
    y: Rows,
    folds: Iterable[tuple[Rows, Rows]],
    *,
    classes: int,
    components: int,
    rows_per_component: int,
    strength: float,
) -> NDArray[np.float64]:
    """Class probabilities of each row by a model that was not fitted on it.

    Logistic regression on whitened principal components, without weights for the classes:
    weights make rare classes likely everywhere, and correct labels of common classes then rank
    above wrong ones.

    Args:
        features: [N, d].
        y: [N] codes below `classes`.
        folds: rows to fit on and rows to predict; rows in no test set keep probabilities of 0.
        classes: C, how many there are.
        components: at most.
        rows_per_component: fitted rows that each component needs.
        strength: inverse strength of the L2 penalty (scikit-learn's C).

    Returns:
        [N, C].

    >>> rng = np.random.default_rng(0)
    >>> y = np.arange(60) % 2
    >>> rows = np.arange(60)
    >>> folds = [(rows[:30], rows[30:]), (rows[30:], rows[:30])]
    >>> p = held_out_probabilities(
    ...     y[:, None] + 0.1 * rng.normal(size=(60, 2)), y, folds,
    ...     classes=2, components=2, rows_per_component=4, strength=1.0,
    ... )
    >>> bool((p.argmax(axis=1) == y).all())
    True
    """
    out = np.zeros((len(y), classes))
    for fit, test in folds:
        size = min(components, len(fit) // rows_per_component, features.shape[1])
        model = make_pipeline(
            StandardScaler(),
            PCA(max(size, 1), whiten=True, random_state=0),
            LogisticRegression(C=strength, max_iter=500),
        ).fit(features[fit], y[fit])
        out[np.ix_(test, model.classes_)] = model.predict_proba(features[test])
    return out
