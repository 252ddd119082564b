"""InfoM, InfoE and InfoC (Hsu et al., NeurIPS 2023)."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from fer_bench.metrics.common import standardise
from fer_bench.metrics.disentanglement.discrete import (
    BINS,
    Floats,
    factor_labels,
    halves,
    read_amounts,
    read_varying,
)
from fer_bench.reading import read_vector

INFOE_ROWS = 5_000


def infomec_scores(mi: ArrayLike, code_entropies: ArrayLike | None = None) -> tuple[float, float]:
    """InfoM and InfoC: does a code tell of one factor, and does one code tell of a factor?

    InfoM is the largest share that a factor has in the information of a code, averaged over
    informative codes and put on a scale from 0 (spread evenly) to 1. InfoC is the same with codes
    and factors exchanged. InfoE needs a fit: `infoe_score`.

    Args:
        mi: [d, k] information of d codes on k factors, normalised by the factor's entropy or not.
        code_entropies: [d]; codes with none are left out.

    Returns:
        (InfoM, InfoC), both between 0 and 1.

    Raises:
        DataError: gaps, or an information below 0.

    Source: Hsu et al., Disentanglement via Latent Quantization, NeurIPS 2023.
    """
    m = read_amounts(mi, "mi")
    active = m.max(axis=1, initial=0.0) > 1e-9
    if code_entropies is not None:
        active &= read_vector(code_entropies, "code_entropies", rows=len(m)) > 0
    m = m[active]
    if not m.size:
        return 0.0, 0.0
    return _dominance(m), _dominance(m.T)


def infoe_score(codes: ArrayLike, factors: ArrayLike, *, bins: int = BINS, seed: int = 0) -> float:
    """InfoE: the share of a factor's entropy that a linear model of all codes explains.

    `(H(f) - H_V(f | codes)) / H(f)`, averaged over factors, where H_V is the cross-entropy of a
    logistic regression. Both entropies are measured on held-out rows; at most 5,000 rows are
    fitted. A model that is worse than the class frequencies counts as 0.

    Args:
        codes: [n, d] embeddings, n at least 10.
        factors: [n, k] what generated the images; constant factors are left out.
        bins: quantile bins of a continuous factor.
        seed: of the halves.

    Returns:
        A number between 0 and 1.

    Raises:
        DataError: codes or factors have gaps, not the same rows, or fewer than ten.

    Source: Hsu et al., NeurIPS 2023; H_V is the predictive V-entropy of Xu et al., ICLR 2020.
    """
    from sklearn.linear_model import LogisticRegression

    x, f = read_varying(codes, factors)
    if not f.shape[1]:
        return 0.0
    labels = factor_labels(f, bins=bins)
    fit, held = halves(len(x), seed)
    fit = fit[:INFOE_ROWS]
    z, away = standardise(x[fit]), standardise(x[held], like=x[fit])
    shares = []
    for y in labels.T:
        present = np.unique(y[fit])
        known = np.isin(y[held], present)
        if len(present) < 2 or not known.any():
            continue
        truth = np.searchsorted(present, y[held][known])
        share = np.bincount(np.searchsorted(present, y[fit])) / len(fit)
        alone = -float(np.log(share[truth]).mean())
        model = LogisticRegression(C=1.0, max_iter=300).fit(z, y[fit])
        log_p = model.predict_log_proba(away[known])[np.arange(len(truth)), truth]
        shares.append(max(1 + float(log_p.mean()) / alone, 0.0))
    return float(np.mean(shares)) if shares else 0.0


def _dominance(rows: Floats) -> float:
    total = rows.sum(axis=1)
    kept = rows[total > 0]
    if not len(kept):
        return 0.0
    width = rows.shape[1]
    if width == 1:
        return 1.0
    share = kept.max(axis=1) / kept.sum(axis=1)
    return float((share.mean() - 1 / width) / (1 - 1 / width))
