"""Valence and arousal: RMSE, PCC, CCC and SAGR over the whole set, never a mean of batches.

One convention throughout: moments divide by n (no degree-of-freedom correction), in PCC, in
CCC (Lin 1989) and in the spread. SAGR counts equal signs with sign(0) = 0: a target of exactly
0 agrees with a prediction of exactly 0 only.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fer_bench.arrays import RunArrays
from fer_bench.cautions import Caution
from fer_bench.errors import DataError
from fer_bench.labels import read_groups
from fer_bench.metrics.classification import FITTED
from fer_bench.metrics.common import Floats, ratio_scores, undefined
from fer_bench.metrics.metric import metric
from fer_bench.reading import read_matrix, read_vector
from fer_bench.score import Direction, Score, ScoreSpec, on_every_part

DIMENSIONS = ("valence", "arousal")
ZERO_RULE = "sign(0) = 0: a target of exactly 0 agrees with a prediction of exactly 0 only"


def rmse(predicted: ArrayLike, target: ArrayLike) -> float:
    """Root mean squared error.

    Args:
        predicted: [n].
        target: [n]; rows without one (NaN, None, masked) are left out, in all four measures.

    Raises:
        DataError: no row is left, lengths differ, or a prediction is missing.

    >>> rmse([1.0, 2.0], [1.0, 4.0])
    1.4142135623730951
    """
    return _single(_rmse_of_sums, predicted, target)


def pcc(predicted: ArrayLike, target: ArrayLike) -> float:
    """Pearson correlation; NaN without spread on a side. Arguments as in `rmse`.

    >>> round(pcc([1.0, 2.0, 3.0], [2.0, 4.0, 6.0]), 6)
    1.0
    """
    return _single(_pcc_of_sums, predicted, target)


def ccc(predicted: ArrayLike, target: ArrayLike) -> float:
    """Concordance correlation, 2 cov / (var + var + (mean difference)^2) (Lin 1989).

    0 without spread on a side, NaN where both are one constant. Arguments as in `rmse`.

    >>> round(ccc([1.0, 2.0, 3.0], [2.0, 3.0, 4.0]), 6)
    0.571429
    """
    return _single(_ccc_of_sums, predicted, target)


def sagr(predicted: ArrayLike, target: ArrayLike) -> float:
    """Share of equal signs, with sign(0) = 0. Arguments as in `rmse`.

    >>> sagr([0.5, -0.5, 0.0, 0.1], [0.1, 0.2, 0.0, 0.0])
    0.5
    """
    return _single(_sagr_of_sums, predicted, target)


COLUMNS = 9  # summed statistics of one dimension


def _rows(predicted: Floats, target: Floats) -> Floats:
    """n, a, b, aa, bb, ab, a - b, (a - b)^2 and same sign of each row; zeros without a target.

    Each side is centred by its own mean, so that its spread survives any offset; the difference
    of the means is kept apart.
    """
    known = np.isfinite(target)
    p, t = predicted[known], target[known]
    a, b = _centred(p), _centred(t)
    out = np.zeros((len(target), COLUMNS))
    same = np.sign(p) == np.sign(t)
    gap = p - t
    columns = [np.ones_like(a), a, b, a * a, b * b, a * b, gap, gap**2, same]
    out[known] = np.stack(columns, axis=1)
    return out


def _centred(values: Floats) -> Floats:
    """Values [n] less their mean; 0 where their spread is rounding alone, as scipy has it."""
    centred = values - values.mean() if len(values) else values
    spread, largest = (np.abs(v).max(initial=0.0) for v in (centred, values))
    return centred if spread > 1e-13 * largest else np.zeros_like(centred)


def _moments(t: Floats) -> tuple[Floats, Floats, Floats, Floats]:
    """Difference of the means, both variances and the covariance."""
    n = t[:, 0]
    ma, mb = t[:, 1] / n, t[:, 2] / n
    va, vb = t[:, 3] / n - ma**2, t[:, 4] / n - mb**2
    # Spread that is only rounding counts as none.
    va = np.where(va <= 1e-12 * t[:, 3] / n, 0.0, va)
    vb = np.where(vb <= 1e-12 * t[:, 4] / n, 0.0, vb)
    return t[:, 6] / n, va, vb, t[:, 5] / n - ma * mb


def _rmse_of_sums(t: Floats) -> Floats:
    return np.sqrt(t[:, 7] / t[:, 0])


def _pcc_of_sums(t: Floats) -> Floats:
    _, va, vb, cov = _moments(t)
    spread = (va > 0) & (vb > 0)
    return np.where(spread, np.clip(cov / np.sqrt(va) / np.sqrt(vb), -1.0, 1.0), np.nan)


def _ccc_of_sums(t: Floats) -> Floats:
    gap, va, vb, cov = _moments(t)
    return np.where((va > 0) & (vb > 0), 2 * cov, 0.0) / (va + vb + gap**2)


def _sagr_of_sums(t: Floats) -> Floats:
    return t[:, 8] / t[:, 0]


_FUNCTIONS: dict[str, Callable[[Floats], Floats]] = {
    "rmse": _rmse_of_sums,
    "pcc": _pcc_of_sums,
    "ccc": _ccc_of_sums,
    "sagr": _sagr_of_sums,
}


def _single(function: Callable[[Floats], Floats], predicted: ArrayLike, target: ArrayLike) -> float:
    b = read_vector(target, "target", missing=True)
    a = read_vector(predicted, "predicted", rows=len(b), missing=True)
    _check_predictions(a, b)
    if np.isnan(b).all():
        raise DataError("target has no value that is known.")
    with np.errstate(divide="ignore", invalid="ignore"):
        return float(function(_rows(a, b).sum(axis=0, keepdims=True))[0])


def _check_predictions(predicted: Floats, target: Floats) -> None:
    """Refuse rows that have a target and no prediction."""
    lacking = np.isnan(predicted) & ~np.isnan(target)
    if lacking.any():
        row = int(np.argwhere(lacking)[0, 0])
        raise DataError(f"predicted is NaN in row {row}, which has a target: the method diverged.")


def affect_scores(
    predicted: ArrayLike,
    target: ArrayLike,
    *,
    groups: ArrayLike | None = None,
    draws: int = 1000,
    seed: int = 0,
) -> dict[str, Score]:
    """RMSE, PCC, CCC and SAGR of valence, arousal and their mean.

    Args:
        predicted: [n, 2] valence and arousal.
        target: [n, 2] truth. A missing value leaves its row out of that dimension alone, so
            that sets with valence only are scored on valence; the means need both.
        groups: [n] subjects for the intervals; None resamples images.
        draws: bootstrap resamples.
        seed: of the bootstrap.

    Returns:
        "rmse.valence", "rmse.arousal", "rmse.mean", and the same of "pcc", "ccc", "sagr".

    Raises:
        DataError: shapes differ, or a prediction is missing where the target is known.

    >>> scores = affect_scores([[.1, .2], [.3, .1], [.5, 0]], [[.1, .2], [.3, .1], [.5, 0]])
    >>> round(scores["ccc.mean"].value, 6)
    1.0
    """
    b = read_matrix(target, "target", columns=2, missing=True).astype(np.float64)
    a = read_matrix(predicted, "predicted", rows=len(b), columns=2, missing=True)
    a = a.astype(np.float64)
    _check_predictions(a, b)
    group = None if groups is None else read_groups(groups, len(b))[0]
    known = np.isfinite(b).any(axis=1)
    a, b = a[known], b[known]
    if not len(a):
        return {
            "ccc.mean": undefined(Caution("no-labels", of="valence-arousal", where="this part"))
        }
    rows = np.concatenate([_rows(a[:, 0], b[:, 0]), _rows(a[:, 1], b[:, 1])], axis=1)
    functions: dict[str, Callable[[Floats], Floats]] = {}
    for key, function in _FUNCTIONS.items():
        functions |= _per_dimension(key, function)
    units = {name: "fraction" if name.startswith("sagr") else "" for name in functions}
    group = None if group is None else group[known]
    scores = ratio_scores(rows, group, functions, n=len(a), units=units, draws=draws, seed=seed)
    for name in ("sagr.valence", "sagr.arousal", "sagr.mean"):
        scores[name] = replace(scores[name], details={"zero_rule": ZERO_RULE})
    return {name: _counted(name, score, np.isfinite(b)) for name, score in scores.items()}


def _counted(name: str, score: Score, known: NDArray[np.bool_]) -> Score:
    """A score with the number of its own rows; undefined where a dimension has none."""
    dimension = name.split(".")[1]
    needed = DIMENSIONS if dimension == "mean" else (dimension,)
    columns = known[:, [DIMENSIONS.index(d) for d in needed]]
    lacking = [d for d, column in zip(needed, columns.T, strict=True) if not column.any()]
    if lacking:
        return undefined(Caution("no-labels", of=lacking[0], where="this part"), unit=score.unit)
    return replace(score, n=int(columns.sum(axis=0).min()))


def _per_dimension(
    key: str, function: Callable[[Floats], Floats]
) -> dict[str, Callable[[Floats], Floats]]:
    """Valence, arousal and their mean, from the summed statistics of both side by side."""
    return {
        f"{key}.valence": lambda t: function(t[:, :COLUMNS]),
        f"{key}.arousal": lambda t: function(t[:, COLUMNS:]),
        f"{key}.mean": lambda t: (function(t[:, :COLUMNS]) + function(t[:, COLUMNS:])) / 2,
    }


_MEASURES: tuple[tuple[str, str, Direction], ...] = (
    ("rmse", "Root mean squared error", "low"),
    ("sagr", "Sign agreement", "high"),
    ("pcc", "Pearson correlation", "high"),
    ("ccc", "Concordance correlation", "high"),
)
SPECS = (
    ScoreSpec(
        "test.ccc.mean",
        "CCC",
        "Concordance of predicted and true valence and arousal, mean of both.",
        unit="",
        better="high",
        range=(-1, 1),
        column="main",
        order=40,
        headline="follows valence and arousal best",
        aspect="affect",
    ),
    *(
        ScoreSpec(
            f"test.{name}.{side}",
            f"{name.upper()} {side[0].upper()}",
            f"{what} of {side} over the whole test part.",
            unit="",
            better=better,
            order=40,
            tables=("va", "ablation") if name == "ccc" else ("va",),
            published=f"{name}.{side}",
        )
        for name, what, better in _MEASURES
        for side in ("valence", "arousal")
    ),
    *(
        ScoreSpec(f"test.{name}.mean", f"{name.upper()}, mean", f"{what}, mean of both.", unit="")
        for name, what, _ in _MEASURES
        if name != "ccc"
    ),
)


@metric("affect", needs={"valence_arousal"}, scores=on_every_part(SPECS))
def affect(run: RunArrays, *, seed: int = 0) -> dict[str, Score]:
    """Valence and arousal on test, on train (marked as fitted), and on further test sets."""
    out: dict[str, Score] = {}
    for name, part in run.parts.items():
        if part.valence_arousal is None or name == "validation":
            continue
        scores = affect_scores(part.valence_arousal, part.target, groups=part.groups, seed=seed)
        for key, score in scores.items():
            out[f"{name}.{key}"] = score.with_caution(FITTED) if name == "train" else score
    return out
