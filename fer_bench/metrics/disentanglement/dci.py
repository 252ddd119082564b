"""Disentanglement, completeness, informativeness (Eastwood and Williams, ICLR 2018)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fer_bench.metrics.common import standardise
from fer_bench.metrics.disentanglement.discrete import (
    BINS,
    Floats,
    Ints,
    halves,
    is_continuous,
    read_amounts,
    read_codes,
)


def dci_scores(importance: ArrayLike) -> tuple[float, float]:
    """Disentanglement and completeness from the importance of each code for each factor.

    Disentanglement is one minus the entropy (base k) of the shares that the factors have in the
    importance of a code, averaged over codes by their importance. Completeness is the same with
    codes and factors exchanged (base d).

    Args:
        importance: [d, k] importance of d codes for k factors, at least 0 (`dci_importance`).

    Returns:
        (disentanglement, completeness), both between 0 and 1; (0, 0) for a matrix of zeros.

    Raises:
        DataError: the importances have gaps, or one is below 0.

    Source: Eastwood and Williams, ICLR 2018, section 2.

    >>> [round(value, 6) for value in dci_scores([[1, 0], [0, 1], [0, 0]])]
    [1.0, 1.0]
    """
    r = read_amounts(importance, "importance")
    if r.sum() <= 0:
        return 0.0, 0.0
    return _concentration(r), _concentration(r.T)


def _concentration(rows: Floats) -> float:
    """Importance-weighted mean over rows of 1 - normalised entropy."""
    weight = rows.sum(axis=1)
    share = rows / np.where(weight > 0, weight, 1.0)[:, None]
    with np.errstate(divide="ignore", invalid="ignore"):
        h = -np.where(share > 0, share * np.log(share), 0.0).sum(axis=1)
    base = np.log(rows.shape[1]) if rows.shape[1] > 1 else 1.0
    return float(np.sum((1 - h / base) * weight) / weight.sum())


def dci_importance(
    codes: ArrayLike, factors: ArrayLike, *, bins: int = BINS, trees: int = 20, seed: int = 0
) -> tuple[Floats, Floats]:
    """Importance of each code for each factor, and how well all codes predict each factor.

    A forest of extremely randomised trees is fitted to each factor on half of the rows (a
    regression where the factor is continuous). The importance of a code is the held-out score
    that is lost when its column is permuted. Impurity importances would come from the fitted rows
    and favour codes with many values.

    Args:
        codes: [n, d] embeddings, n at least 10.
        factors: [n, k] what generated the images.
        bins: a factor with more distinct values, and fractions among them, is continuous.
        trees: of each forest.
        seed: of the halves, the permutations and the trees.

    Returns:
        Importance [d, k], at least 0; and informativeness [k], the held-out score between 0 (the
        majority class, or the mean) and 1 (perfect). Both are 0 for a constant factor.

    Raises:
        DataError: codes or factors have gaps, not the same rows, or fewer than ten.

    Source: Eastwood and Williams, ICLR 2018, who use impurity importances.

    >>> import numpy as np
    >>> factors = np.random.default_rng(0).integers(0, 3, (200, 2))
    >>> importance, informativeness = dci_importance(factors, factors)
    >>> importance.argmax(axis=0).tolist(), informativeness.tolist()
    ([0, 1], [1.0, 1.0])
    """
    from sklearn.ensemble import ExtraTreesClassifier, ExtraTreesRegressor

    x, f = read_codes(codes, factors)
    x = standardise(x)  # trees take spreads below 1e-7 for none
    fit, held = halves(len(x), seed)
    fit, held = fit[:5_000], held[:2_000]  # more rows do not move the shares
    rng = np.random.default_rng(seed)
    options = {"n_estimators": trees, "min_samples_leaf": 3, "random_state": seed}
    d, k = x.shape[1], f.shape[1]
    shuffled = [rng.permutation(len(held)) for _ in range(d)]
    models: dict[int, Any] = {}
    target = np.empty((len(x), k))
    base = np.zeros(k)  # of a guess without codes: squared error, or share of hits
    for j in range(k):
        if is_continuous(f[:, j], bins):
            target[:, j] = standardise(f[:, [j]])[:, 0]
            base[j] = np.mean((target[held, j] - target[fit, j].mean()) ** 2)
            model = ExtraTreesRegressor(max_features=None, **options)
        else:
            y = np.unique(f[:, j], return_inverse=True)[1]
            target[:, j] = y
            base[j] = np.mean(y[held] == np.bincount(y[fit]).argmax())
            model = ExtraTreesClassifier(max_features=None, **options)
        if len(np.unique(target[fit, j])) > 1:
            models[j] = model.fit(x[fit], target[fit, j])
    scores = np.zeros((d + 1, k))  # first of the codes as they are, then with one shuffled
    for copies, rows in _shuffled_copies(x[held], shuffled):
        for j, model in models.items():
            guess, truth = model.predict(rows).reshape(len(copies), -1), target[held, j]
            if isinstance(model, ExtraTreesRegressor):
                error = ((guess - truth) ** 2).mean(axis=1)
                scores[copies, j] = 1 - error / base[j] if base[j] > 0 else 0.0
            else:
                right = (guess == truth).mean(axis=1)
                scores[copies, j] = (right - base[j]) / (1 - base[j]) if base[j] < 1 else 0.0
    quality = np.maximum(scores[0], 0.0)
    # A factor that is not predicted at all has no importances, only noise.
    known = quality > 2 / np.sqrt(len(held))
    return np.where(known, np.maximum(scores[0] - scores[1:], 0.0), 0.0), quality


def _shuffled_copies(
    x: Floats, shuffled: Sequence[Ints], *, numbers: int = 20_000_000
) -> Iterator[tuple[Ints, NDArray[np.float32]]]:
    """Copies of x [n, d] in blocks: copy 0 as it is, copy i + 1 with column i shuffled.

    Yields:
        Which copies [b], and their rows [b n, d], of at most `numbers` values: a forest is
        asked once a block, and wide codes do not fill the memory.
    """
    n, d = x.shape
    values = x.astype(np.float32)
    size = max(1, numbers // max(1, n * d))
    for start in range(0, d + 1, size):
        copies = np.arange(start, min(d + 1, start + size))
        block = np.repeat(values[None], len(copies), axis=0)
        for place, i in enumerate(copies - 1):
            if i >= 0:
                block[place, :, i] = values[shuffled[i], i]
        yield copies, block.reshape(-1, d)
