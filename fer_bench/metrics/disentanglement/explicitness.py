"""Explicitness (Ridgeway and Mozer, NeurIPS 2018), by the capacity of what reads."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import log_softmax
from scipy.stats import rankdata

from fer_bench.metrics.disentanglement.dci import dci_importance
from fer_bench.metrics.disentanglement.discrete import BINS, factor_labels, halves, read_varying
from fer_bench.metrics.probes import Discriminant


def explicitness(
    codes: ArrayLike, factors: ArrayLike, *, bins: int = BINS, seed: int = 0
) -> dict[str, float]:
    """How easily factors are read from all codes, by classifiers of two capacities.

    Classifiers are fitted on one half of the rows and tested on the other. What the forest reads
    and the linear classifier does not is in the codes, but not linearly. `infoe_score` asks the
    same in nats.

    Args:
        codes: [n, d] embeddings, n at least 10.
        factors: [n, k] what generated the images; constant factors are left out.
        bins: quantile bins of a continuous factor.
        seed: of the halves and the trees.

    Returns:
        "auc": 2 (AUC - 1/2) of a linear classifier, one class against the rest, averaged over
            classes and factors;
        "linear", "forest": score of a linear discriminant and of a forest, between 0 (the
            majority class) and 1 (perfect).

    Raises:
        DataError: codes or factors have gaps, not the same rows, or fewer than ten.

    Source: Ridgeway and Mozer, NeurIPS 2018, for "auc".

    >>> import numpy as np
    >>> factors = np.random.default_rng(0).integers(0, 2, (200, 1))
    >>> round(explicitness(factors, factors)["auc"], 3)
    1.0
    """
    x, f = read_varying(codes, factors)
    if not f.shape[1]:
        return {"auc": 0.0, "linear": 0.0, "forest": 0.0}
    labels = factor_labels(f, bins=bins)
    fit, held = halves(len(x), seed)
    areas, linear = [], []
    for j in range(labels.shape[1]):
        y = labels[:, j]
        classes = int(y.max()) + 1
        model = Discriminant(x[fit], y[fit], classes)
        z = log_softmax(model.decision(x[held], 0.05), axis=1)
        ranks = rankdata(z, axis=0)  # ties share a rank, as in scikit-learn's AUC
        member = np.eye(classes)[y[held]]
        inside = member.sum(axis=0)
        outside = len(held) - inside
        ok = (inside > 0) & (outside > 0) & (model.counts > 0)
        total = (ranks * member).sum(axis=0) - inside * (inside + 1) / 2
        area = float(np.mean(2 * (total[ok] / inside[ok] / outside[ok] - 0.5)))
        areas.append(max(area, 0.0))
        base = float(np.mean(y[held] == np.bincount(y[fit]).argmax()))
        right = float(np.mean(z.argmax(axis=1) == y[held]))
        linear.append(max(right - base, 0.0) / (1 - base) if base < 1 else 0.0)
    _, quality = dci_importance(x, labels, bins=bins, seed=seed)
    return {
        "auc": float(np.mean(areas)),
        "linear": float(np.mean(linear)),
        "forest": float(np.mean(quality)),
    }
