"""Disentanglement scores for data with known factors: plain arrays in, numbers out.

Every function takes `codes` [n, d] (an embedding) and `factors` [n, k] (what generated the
image), or a matrix derived from them, and works without the rest of the suite.

Discrete information needs bins. Quantile bins are the default: one outlier moves the
equal-width information of a clean code from 1.69 nats to 0.0007. Columns with no more distinct
values than bins are taken as they are, so labels are never binned.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import log_softmax

from fer_bench.arrays import RunArrays
from fer_bench.cautions import as_cautions
from fer_bench.errors import FerBenchError
from fer_bench.metrics.common import standardise
from fer_bench.metrics.metric import metric
from fer_bench.metrics.probes import Discriminant
from fer_bench.score import Score

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Binning = Literal["quantile", "width"]

BINS = 20
INFOE_ROWS = 5_000


# --- discrete information -----------------------------------------------------------------


def discretise(x: ArrayLike, *, bins: int = BINS, binning: Binning = "quantile") -> Ints:
    """Bin the columns of x [n, d] (or [n]): codes 0, 1, ... of the same shape.

    Columns of at most `bins` distinct values keep them under "quantile"; "width" always cuts
    the range into equal widths (`histogram_discretize` of disentanglement_lib counts from 1).

    >>> discretise([0.1, 0.2, 0.3, 0.4, 0.5, 0.6], bins=3, binning="width").tolist()
    [0, 0, 1, 1, 2, 2]
    >>> discretise([5, 7, 5, 9], bins=4).tolist()
    [0, 1, 0, 2]
    """
    values = np.asarray(x)
    if values.ndim == 1:
        return discretise(values[:, None], bins=bins, binning=binning)[:, 0]
    out = np.empty(values.shape, dtype=np.int64)
    for column in range(values.shape[1]):
        out[:, column] = _bin(values[:, column], bins, binning)
    return out


def _bin(column: NDArray[Any], bins: int, binning: Binning) -> Ints:
    if binning == "width":
        edges = np.histogram(column, bins)[1][:-1]
        return np.digitize(column, edges).astype(np.int64) - 1
    distinct, codes = np.unique(column, return_inverse=True)
    if len(distinct) <= bins:
        return codes.astype(np.int64)
    edges = np.unique(np.quantile(column, np.linspace(0, 1, bins + 1)[1:-1]))
    return np.searchsorted(edges, column, side="right").astype(np.int64)


def entropy(labels: ArrayLike) -> Floats:
    """Plug-in entropy in nats of each column of integer codes [n, k]; a float for [n].

    >>> round(float(entropy([1, 1, 2, 2, 3, 3])), 6)
    1.098612
    """
    values = np.asarray(labels, dtype=np.int64)
    if values.ndim == 1:
        return entropy(values[:, None])[0]
    out = np.empty(values.shape[1])
    for column in range(values.shape[1]):
        out[column] = _entropy_of_counts(np.unique(values[:, column], return_counts=True)[1])
    return out


def _entropy_of_counts(counts: NDArray[Any]) -> float:
    counts = counts[counts > 0].astype(np.float64)
    total = counts.sum()
    return float(np.log(total) - np.sum(counts * np.log(counts)) / total)


def mutual_information(a: ArrayLike, b: ArrayLike) -> Floats:
    """Plug-in mutual information in nats between columns of integer codes [n, d] and [n, k].

    Returns:
        [d, k]; a float for two vectors [n].

    >>> round(float(mutual_information([1, 3, 2, 0, 1], [0, 3, 2, 2, 1])), 6)
    1.05492
    """
    left, right = np.asarray(a, dtype=np.int64), np.asarray(b, dtype=np.int64)
    if left.ndim == 1 and right.ndim == 1:
        return mutual_information(left[:, None], right[:, None])[0, 0]
    _check_rows(left, right)
    left, sizes_a = _dense(left)
    right, sizes_b = _dense(right)
    n, d = left.shape
    k = right.shape[1]
    # x log x of every possible count, looked up instead of computed for each cell.
    terms = np.arange(n + 1, dtype=np.float64)
    terms[1:] *= np.log(terms[1:])
    h_a = [terms[np.bincount(left[:, i])].sum() for i in range(d)]
    h_b = [terms[np.bincount(right[:, j])].sum() for j in range(k)]
    out = np.empty((d, k))
    # One histogram for a code with all factors: shift every factor into a range of its own.
    offsets = np.r_[0, np.cumsum(sizes_b)[:-1]]
    shifted = right + offsets
    total = int(sizes_b.sum())
    for i in range(d):
        if total * sizes_a[i] <= 4_000_000:
            cells = (left[:, i, None] * total + shifted).ravel()
            counts = np.bincount(cells, minlength=total * sizes_a[i]).reshape(sizes_a[i], total)
            joint = np.add.reduceat(terms[counts].sum(axis=0), offsets)
        else:  # many labels on both sides: histograms would be mostly empty
            joint = np.array(
                [
                    terms[
                        np.unique(left[:, i] * sizes_b[j] + right[:, j], return_counts=True)[1]
                    ].sum()
                    for j in range(k)
                ]
            )
        out[i] = (joint - h_a[i] - np.array(h_b)) / n + np.log(n)
    return np.maximum(out, 0.0)


def _dense(codes: Ints) -> tuple[Ints, Ints]:
    """Columns renumbered 0..m-1, and m by column."""
    out = np.empty_like(codes)
    sizes = np.empty(codes.shape[1], dtype=np.int64)
    for column in range(codes.shape[1]):
        values = codes[:, column]
        low, high = values.min(), values.max()
        if high - low < 4 * len(values) + 64:  # a table is faster than sorting
            seen = np.zeros(high - low + 1, dtype=np.int64)
            seen[values - low] = 1
            place = np.cumsum(seen) - 1
            out[:, column] = place[values - low]
            sizes[column] = place[-1] + 1
        else:
            distinct, out[:, column] = np.unique(values, return_inverse=True)
            sizes[column] = len(distinct)
    return out, sizes


def _check_rows(a: NDArray[Any], b: NDArray[Any]) -> None:
    if a.ndim != 2 or b.ndim != 2 or len(a) != len(b) or not len(a):
        raise FerBenchError(
            f"codes have shape {a.shape} and factors {b.shape}: give [n, d] and [n, k] with the "
            "same n > 0."
        )


@dataclass(frozen=True)
class Information:
    """What the scores from discrete information share.

    Attributes:
        mi: [d, k] in nats. Where permutations were run: less their mean, and 0 where it is
            within four standard deviations of it.
        null: [d, k] that mean, zeros without.
        entropies: [k] of the factors.
    """

    mi: Floats
    null: Floats
    entropies: Floats


def information(
    codes: ArrayLike,
    factors: ArrayLike,
    *,
    bins: int = BINS,
    binning: Binning = "quantile",
    permutations: int = 0,
    seed: int = 0,
) -> Information:
    """Discrete information between codes and factors.

    Args:
        codes: [n, d].
        factors: [n, k]; columns of at most `bins` values, and columns of integers (labels),
            are not binned.
        bins: number of bins.
        binning: "quantile" or "width" (codes only).
        permutations: of the rows of the factors; their mean is the value that an independent
            code reaches (at n = 1,000 and 20 bins about .06 nats for 7 classes, and .6 to .9
            for 100 identities) and is subtracted. 0 leaves the plug-in values.
        seed: of the permutations.
    """
    x = np.asarray(codes, dtype=np.float64)
    f = np.asarray(factors)
    if x.ndim != 2 or f.ndim != 2:
        raise FerBenchError(
            f"codes have shape {x.shape} and factors {f.shape}: give [n, d] and [n, k]."
        )
    _check_rows(x, f)
    left = discretise(x, bins=bins, binning=binning)
    right = factor_labels(f, bins=bins)
    mi = mutual_information(left, right)
    if not permutations:
        return Information(mi, np.zeros_like(mi), entropy(right))
    rng = np.random.default_rng(seed)
    null = np.stack(
        [mutual_information(left, right[rng.permutation(len(right))]) for _ in range(permutations)]
    )
    # What permutations (nearly) reach is nothing: noise left over in an empty code would make
    # the scores of shares (modularity, InfoM) anything.
    mean, spread = null.mean(axis=0), null.std(axis=0)
    above = mi > mean + 4 * spread + 1e-12
    return Information(np.where(above, mi - mean, 0.0), mean, entropy(right))


def factor_labels(factors: ArrayLike, *, bins: int = BINS) -> Ints:
    """Integer codes of factors [n, k]: whole numbers as they are, the others in quantile bins."""
    f = np.asarray(factors)
    out = np.empty(f.shape, dtype=np.int64)
    for column in range(f.shape[1]):
        values = f[:, column]
        whole = values.dtype.kind in "iub" or bool(np.all(np.mod(values, 1) == 0))
        if whole:
            out[:, column] = np.unique(values, return_inverse=True)[1]
        else:
            out[:, column] = _bin(values, bins, "quantile")
    return out


# --- scores of a matrix -------------------------------------------------------------------


def mig_score(mi: ArrayLike, entropies: ArrayLike) -> float:
    """Mutual information gap (Chen et al., NeurIPS 2018).

    Mean over factors of (largest - second largest information of a code) / H(factor). With a
    single code the second is 0. Factors without entropy are left out.

    >>> mig_score([[1.0, 0.0], [0.0, 1.0]], [1.0, 1.0])
    1.0
    """
    m, h = np.asarray(mi, dtype=np.float64), np.asarray(entropies, dtype=np.float64)
    ordered = np.sort(np.vstack([m, np.zeros((1, m.shape[1]))]), axis=0)[::-1]
    keep = h > 0
    if not keep.any():
        return 0.0
    return float(np.mean((ordered[0] - ordered[1])[keep] / h[keep]))


def modularity_score(mi: ArrayLike) -> float:
    """Modularity (Ridgeway and Mozer, NeurIPS 2018): does a code tell of one factor only?

    Mean over codes of 1 - sum of squared information on other factors / (largest^2 (k - 1));
    an empty code counts 0.

    >>> round(modularity_score([[1, 0, 0], [0, 0, 0], [0, 0, 1]]), 6)
    0.666667
    """
    squared = np.asarray(mi, dtype=np.float64) ** 2
    top = squared.max(axis=1)
    if squared.shape[1] < 2:
        return float(np.mean(top > 0))
    rest = squared.sum(axis=1) - top
    with np.errstate(divide="ignore", invalid="ignore"):
        score = 1 - rest / (top * (squared.shape[1] - 1))
    return float(np.mean(np.where(top > 0, score, 0.0)))


def dci_scores(importance: ArrayLike) -> tuple[float, float]:
    """Disentanglement and completeness of an importance matrix [d, k] (Eastwood, ICLR 2018).

    One minus the entropy (base k, or d) of each code's (factor's) shares, weighted by how much
    each matters. A matrix of zeros gives (0, 0).

    >>> [round(value, 6) for value in dci_scores([[1, 0], [0, 1], [0, 0]])]
    [1.0, 1.0]
    """
    r = np.asarray(importance, dtype=np.float64)
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


def infomec_scores(mi: ArrayLike, code_entropies: ArrayLike | None = None) -> tuple[float, float]:
    """InfoM and InfoC (Hsu et al., NeurIPS 2023) of an information matrix [d, k].

    Mean over informative codes (factors) of largest share of the information, put on a scale
    from 0 (spread evenly) to 1. InfoE needs a fit: `infoe_score`.

    Args:
        mi: [d, k], normalised by the factor's entropy or not.
        code_entropies: [d]; codes with none are inactive.
    """
    m = np.asarray(mi, dtype=np.float64)
    active = m.max(axis=1, initial=0.0) > 1e-9
    if code_entropies is not None:
        active &= np.asarray(code_entropies) > 0
    m = m[active]
    if not m.size:
        return 0.0, 0.0
    return _dominance(m), _dominance(m.T)


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


# --- scores that fit something: always valued on rows kept out ---------------------------


def _halves(n: int, seed: int) -> tuple[Ints, Ints]:
    order = np.random.default_rng(seed).permutation(n)
    return order[: n // 2], order[n // 2 :]


def sap_score(codes: ArrayLike, factors: ArrayLike, *, bins: int = BINS, seed: int = 0) -> float:
    """Separated attribute predictability (Kumar et al., ICLR 2018).

    Mean over factors of the gap between the two codes that tell most about it alone. Continuous
    factors: squared correlation, as in the paper. Labels: accuracy above the majority rate, on
    the half of the rows that was not fitted, of the best guess in each quantile bin of the code
    (the paper fits a linear SVM to each single code, which is blind to a class in the middle).
    """
    x, f = np.asarray(codes, dtype=np.float64), np.asarray(factors)
    _check_rows(x, f)
    fit, held = _halves(len(x), seed)
    binned = discretise(x, bins=bins)
    scores = np.zeros((x.shape[1], f.shape[1]))
    z = standardise(x)
    for j in range(f.shape[1]):
        values = f[:, j]
        if _is_continuous(values, bins):
            scores[:, j] = (z.T @ standardise(values[:, None])[:, 0] / len(z)) ** 2
        else:
            scores[:, j] = _binned_accuracy(binned, values, fit, held)
    ordered = np.sort(np.vstack([scores, np.zeros((1, f.shape[1]))]), axis=0)[::-1]
    return float(np.mean(ordered[0] - ordered[1]))


def _is_continuous(values: NDArray[Any], bins: int) -> bool:
    if values.dtype.kind in "iub":
        return False
    return len(np.unique(values)) > bins and not bool(np.all(np.mod(values, 1) == 0))


def _binned_accuracy(binned: Ints, labels: NDArray[Any], fit: Ints, held: Ints) -> Floats:
    """Held-out accuracy above the majority rate of the best guess in each bin, per code."""
    y = np.unique(labels, return_inverse=True)[1]
    classes = int(y.max()) + 1
    majority = np.bincount(y[fit]).argmax()
    base = float(np.mean(y[held] == majority))
    out = np.empty(binned.shape[1])
    for i in range(binned.shape[1]):
        size = int(binned[:, i].max()) + 1
        cells = np.bincount(binned[fit, i] * classes + y[fit], minlength=size * classes)
        table = cells.reshape(size, classes)
        guess = np.where(table.sum(axis=1) > 0, table.argmax(axis=1), majority)
        out[i] = max(float(np.mean(guess[binned[held, i]] == y[held])) - base, 0.0)
    return out


def dci_importance(
    codes: ArrayLike, factors: ArrayLike, *, bins: int = BINS, trees: int = 20, seed: int = 0
) -> tuple[Floats, Floats]:
    """Permutation importance of codes for factors on held-out rows, and informativeness.

    A random forest is fitted to each factor on half of the rows (regression where the factor is
    continuous). The importance of a code is the held-out score lost when its column is
    permuted; impurity importances would be read off the fitted rows and favour codes with many
    values.

    Returns:
        Importance [d, k], at least 0; and the held-out score [k] on a scale where 0 is the
        majority class (the mean) and 1 is perfect.
    """
    from sklearn.ensemble import ExtraTreesClassifier, ExtraTreesRegressor

    x, f = np.asarray(codes, dtype=np.float64), np.asarray(factors)
    _check_rows(x, f)
    fit, held = _halves(len(x), seed)
    fit, held = fit[:5_000], held[:2_000]  # more rows do not move the shares
    rng = np.random.default_rng(seed)
    options = {"n_estimators": trees, "min_samples_leaf": 3, "random_state": seed}
    d, k = x.shape[1], f.shape[1]
    shuffled = [rng.permutation(len(held)) for _ in range(d)]
    models: dict[int, Any] = {}
    target = np.empty((len(x), k))
    base = np.zeros(k)  # of a guess without codes: squared error, or share of hits
    for j in range(k):
        if _is_continuous(f[:, j], bins):
            target[:, j] = f[:, j]
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


def explicitness(
    codes: ArrayLike, factors: ArrayLike, *, bins: int = BINS, seed: int = 0
) -> dict[str, float]:
    """How easily factors are read from all codes together, by capacity, on held-out rows.

    Returns:
        "auc": explicitness of Ridgeway and Mozer (NeurIPS 2018): 2 (AUC - 1/2), one against the
            rest, of a linear classifier, mean over classes and factors;
        "linear", "forest": score between majority (0) and perfect (1) of a linear
            discriminant and of a forest: what the second adds is there, but not linearly.
            InfoE is the same question in nats: `infoe_score`.
    """
    x, f = np.asarray(codes, dtype=np.float64), np.asarray(factors)
    _check_rows(x, f)
    labels = factor_labels(f, bins=bins)
    fit, held = _halves(len(x), seed)
    areas, linear = [], []
    for j in range(labels.shape[1]):
        y = labels[:, j]
        classes = int(y.max()) + 1
        if classes < 2:
            continue
        model = Discriminant(x[fit], y[fit], classes)
        z = log_softmax(model.decision(x[held], 0.05), axis=1)
        ranks = np.argsort(np.argsort(z, axis=0), axis=0) + 1.0
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
    if not areas:
        return {"auc": 0.0, "linear": 0.0, "forest": 0.0}
    _, quality = dci_importance(x, labels, bins=bins, seed=seed)
    return {
        "auc": float(np.mean(areas)),
        "linear": float(np.mean(linear)),
        "forest": float(np.mean(quality)),
    }


def infoe_score(codes: ArrayLike, factors: ArrayLike, *, bins: int = BINS, seed: int = 0) -> float:
    """InfoE (Hsu et al., NeurIPS 2023): share of a factor's entropy that a linear model explains.

    `(H(f) - H_V(f | codes)) / H(f)`, mean over factors, where H_V is the cross-entropy of a
    logistic regression (the predictive V-information of Xu et al., ICLR 2020). Both entropies
    are measured on held-out rows, at most 5,000 fitted; a model that does not hold counts as 0.

    Args:
        codes: [n, d] embedding.
        factors: [n, k].
        bins: of factors with more values.
        seed: of the halves.
    """
    from sklearn.linear_model import LogisticRegression

    x, f = np.asarray(codes, dtype=np.float64), np.asarray(factors)
    _check_rows(x, f)
    labels = factor_labels(f, bins=bins)
    fit, held = _halves(len(x), seed)
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


def _same_factor_rows(
    labels: Ints, size: int, votes: int, rng: np.random.Generator
) -> tuple[Ints, Ints]:
    """Rows [votes, size] that share the value of one factor, and which factor [votes]."""
    which = rng.integers(0, labels.shape[1], votes)
    anchor = rng.integers(0, len(labels), votes)
    rows = np.empty((votes, size), dtype=np.int64)
    for j in range(labels.shape[1]):
        mine = np.flatnonzero(which == j)
        order = np.argsort(labels[:, j], kind="stable")
        ordered = labels[order, j]
        value = labels[anchor[mine], j]
        start = np.searchsorted(ordered, value, side="left")
        count = np.searchsorted(ordered, value, side="right") - start
        draw = np.floor(rng.random((len(mine), size)) * count[:, None]).astype(np.int64)
        rows[mine] = order[start[:, None] + draw]
    return rows, which


def _same_factor_pairs(
    labels: Ints, shape: tuple[int, int], rng: np.random.Generator
) -> tuple[Ints, Ints]:
    """Rows of pairs with one label; two different images wherever the label has two.

    A row paired with itself would betray a factor with many values by its gap of 0.
    """
    order = np.argsort(labels, kind="stable")
    _, ordered, sizes = np.unique(labels[order], return_inverse=True, return_counts=True)
    alone = sizes[ordered] < 2  # no anchors
    anchors = np.flatnonzero(~alone) if not alone.all() else np.arange(len(labels))
    position = anchors[rng.integers(0, len(anchors), shape)]
    start = np.searchsorted(ordered, ordered[position], side="left")
    count = np.searchsorted(ordered, ordered[position], side="right") - start
    step = 1 + np.floor(rng.random(shape) * np.maximum(count - 1, 0)).astype(np.int64)
    partner = start + (position - start + step) % count
    return order[position], order[partner]


def factor_vae_score(
    codes: ArrayLike,
    factors: ArrayLike,
    *,
    bins: int = BINS,
    votes: int = 5_000,
    size: int = 64,
    seed: int = 0,
) -> float:
    """FactorVAE score (Kim and Mnih, ICML 2018), on given rows instead of a simulator.

    Sets of rows that share one factor are drawn; the code with the least relative variance
    votes, and a majority table names the factor. The table comes from one half of the rows,
    the accuracy from the other. Chance is 1 / k.
    """
    x, f = np.asarray(codes, dtype=np.float64), np.asarray(factors)
    _check_rows(x, f)
    spread = x.var(axis=0)
    keep = spread > 1e-12 * max(float(spread.max()), 1e-300)
    if not keep.any() or not spread.max():
        return 0.0
    z = (x[:, keep] / np.sqrt(spread[keep])).astype(np.float32)
    labels = factor_labels(f, bins=bins)
    rng = np.random.default_rng(seed)
    tables = []
    for rows in _halves(len(x), seed):
        sets, which = _same_factor_rows(labels[rows], size, votes, rng)
        variance = np.empty((votes, z.shape[1]), dtype=np.float32)
        half = z[rows]
        for start in range(0, votes, 500):
            variance[start : start + 500] = half[sets[start : start + 500]].var(axis=1)
        table = np.zeros((z.shape[1], labels.shape[1]))
        np.add.at(table, (variance.argmin(axis=1), which), 1)
        tables.append(table)
    guess = tables[0].argmax(axis=1)
    return float(tables[1][np.arange(len(guess)), guess].sum() / votes)


def beta_vae_score(
    codes: ArrayLike,
    factors: ArrayLike,
    *,
    bins: int = BINS,
    votes: int = 2_000,
    size: int = 64,
    seed: int = 0,
) -> float:
    """BetaVAE score (Higgins et al., ICLR 2017), on given rows instead of a simulator.

    Mean absolute difference of pairs that share one factor; a linear classifier names the
    factor. Fitted on pairs of one half of the rows, valued on the other. Chance is 1 / k.
    """
    x, f = np.asarray(codes, dtype=np.float64), np.asarray(factors)
    _check_rows(x, f)
    labels = factor_labels(f, bins=bins)
    rng = np.random.default_rng(seed)
    z = standardise(x).astype(np.float32)
    sides = []
    for rows in _halves(len(x), seed):
        half = z[rows]
        gap = np.empty((votes, z.shape[1]), dtype=np.float64)
        which = rng.integers(0, labels.shape[1], votes)
        for j in range(labels.shape[1]):
            mine = np.flatnonzero(which == j)
            first, second = _same_factor_pairs(labels[rows, j], (len(mine), size), rng)
            for part in np.array_split(np.arange(len(mine)), max(1, len(mine) // 250)):
                gap[mine[part]] = np.abs(half[first[part]] - half[second[part]]).mean(axis=1)
        sides.append((gap, which))
    (gap, which), (held, truth) = sides
    model = Discriminant(gap, which, labels.shape[1])
    return float(np.mean(model.predict(held, 0.01) == truth))


def irs_score(
    codes: ArrayLike, factors: ArrayLike, *, bins: int = BINS, quantile: float = 0.99
) -> float:
    """Interventional robustness score (Suter et al., ICML 2019).

    For each code and factor: the largest deviation (its 99 % quantile) from the mean at a fixed
    value of the factor, averaged over values, relative to the largest deviation at all. A
    code's score is one minus that for its best factor; codes weigh by their largest deviation.
    """
    x, f = np.asarray(codes, dtype=np.float64), np.asarray(factors)
    _check_rows(x, f)
    labels = factor_labels(f, bins=bins)
    largest = np.abs(x - x.mean(axis=0)).max(axis=0)
    keep = largest > 0
    if not keep.any():
        return 0.0
    x, largest = x[:, keep], largest[keep]
    deviation = np.zeros((x.shape[1], labels.shape[1]))
    for j in range(labels.shape[1]):
        order = np.argsort(labels[:, j], kind="stable")
        cuts = np.flatnonzero(np.diff(labels[order, j])) + 1
        groups = np.split(x[order], cuts)
        for rows in groups:
            off = np.abs(rows - rows.mean(axis=0))
            deviation[:, j] += _upper_quantile(off, quantile) / len(groups)
    best = 1 - (deviation / largest[:, None]).min(axis=1)
    return float(np.average(best, weights=largest))


def _upper_quantile(values: Floats, quantile: float) -> Floats:
    """`np.quantile(values, quantile, axis=0)` by one partition."""
    at = quantile * (len(values) - 1)
    low = int(np.floor(at))
    high = min(low + 1, len(values) - 1)
    part = np.partition(values, sorted({low, high}), axis=0)
    return part[low] + (at - low) * (part[high] - part[low])


def factor_scores(
    codes: ArrayLike,
    factors: ArrayLike,
    *,
    bins: int = BINS,
    permutations: int = 20,
    seed: int = 0,
) -> dict[str, float]:
    """All factor scores of codes [n, d] and factors [n, k], each between 0 and 1.

    Those of discrete information (mig, modularity, infom, infoc) have the mean of a permutation
    null taken off the information; all that fit something are valued on rows kept out.

    >>> rng = np.random.default_rng(0)
    >>> factors = rng.integers(0, 5, size=(600, 3))
    >>> scores = factor_scores(factors + 0.01 * rng.normal(size=(600, 3)), factors)
    >>> scores["mig"] > 0.8, scores["dci_disentanglement"] > 0.9
    (True, True)
    """
    shared = information(codes, factors, bins=bins, permutations=permutations, seed=seed)
    importance, quality = dci_importance(codes, factors, bins=bins, seed=seed)
    disentangled, complete = dci_scores(importance)
    scale = np.where(shared.entropies > 0, shared.entropies, 1.0)
    info_m, info_c = infomec_scores(shared.mi / scale)
    easy = explicitness(codes, factors, bins=bins, seed=seed)
    return {
        "mig": mig_score(shared.mi, shared.entropies),
        "sap": sap_score(codes, factors, bins=bins, seed=seed),
        "dci_disentanglement": disentangled,
        "dci_completeness": complete,
        "dci_informativeness": float(quality.mean()),
        "modularity": modularity_score(shared.mi),
        "explicitness": easy["auc"],
        "linear_explicitness": easy["linear"],
        "forest_explicitness": easy["forest"],
        "factor_vae": factor_vae_score(codes, factors, bins=bins, seed=seed),
        "beta_vae": beta_vae_score(codes, factors, bins=bins, seed=seed),
        "irs": irs_score(codes, factors, bins=bins),
        "infom": info_m,
        "infoe": infoe_score(codes, factors, bins=bins, seed=seed),
        "infoc": info_c,
    }


# --- the metric ---------------------------------------------------------------------------

MIN_ROWS = 100
MAX_ROWS = 20_000


def bins_for(n: int) -> int:
    """Bins whose plug-in bias (b - 1)^2 / 2n stays near .05 nats: at most 20, at least 3.

    >>> bins_for(600), bins_for(10_000)
    (8, 20)
    """
    return int(np.clip(1 + np.sqrt(0.1 * n), 3, BINS))


@metric("factors", version=2, needs={"factors"}, default=False)
def factors(run: RunArrays, *, seed: int = 0) -> dict[str, Score]:
    """Factor scores of E and I against the exact factors of generated faces."""
    part = run.test
    names = part.factor_names()
    table = part.labels[names].to_numpy(dtype=np.float64, na_value=np.nan)
    varies = np.array([np.nanstd(column) > 0 for column in table.T])
    names = [name for name, kept in zip(names, varies, strict=True) if kept]
    rows = np.flatnonzero(np.isfinite(table[:, varies]).all(axis=1))
    warnings = []
    if len(rows) > MAX_ROWS:
        rows = np.sort(np.random.default_rng(seed).choice(rows, size=MAX_ROWS, replace=False))
        warnings.append(f"a random {MAX_ROWS} of the rows")
    if len(rows) < MIN_ROWS or not names:
        reason = f"{len(rows)} rows with all factors are too few ({MIN_ROWS} at least)"
        return {"E.mig": Score(float("nan"), n=len(rows), cautions=as_cautions([reason]))}
    table = table[rows][:, varies]
    bins = bins_for(len(rows))
    details: Mapping[str, Any] = {"bins": bins, "factors": names, "permutations": 20}
    embeddings = part.embeddings
    out = {}
    for name, x in embeddings.items():
        values = factor_scores(x[rows], table, bins=bins, seed=seed)
        for key, value in values.items():
            out[f"{name}.{key}"] = Score(
                value, n=len(rows), unit="fraction", cautions=as_cautions(warnings), details=details
            )
    return out
