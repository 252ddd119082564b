"""Means over seeds and folds with intervals, and paired differences."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from scipy import stats


@dataclass(frozen=True)
class Estimate:
    """The mean of a score over the runs of a row.

    Attributes:
        mean, low, high: with the 95 % interval of `how`; bounds are None where there is none.
        spread: standard deviation over the runs (0 for one run).
        null: mean of the values under the runs' permutation nulls, or None.
        n_runs: how many runs have the score.
        n: samples it was computed on, summed over the runs.
        unit: of the score.
        how: where the interval comes from.
        values: one per run, in the order of seed and fold.
        warnings: sentences said by any run.
    """

    mean: float
    low: float | None
    high: float | None
    spread: float
    null: float | None
    n_runs: int
    n: int
    unit: str
    how: str
    values: tuple[float, ...]
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True)
class Difference:
    """A paired difference a - b of two rows over the runs that both have.

    Attributes:
        mean, low, high: of the difference.
        p: two-sided p-value of the corrected resampled t-test; None with fewer than two pairs.
        n_pairs: runs of equal seed and fold.
        separated: whether the difference counts as real at 5 %.
        reason: why not, in words.
    """

    mean: float
    low: float | None
    high: float | None
    p: float | None
    n_pairs: int
    separated: bool
    reason: str


def estimate(part: pd.DataFrame, *, test_share: float) -> Estimate:
    """Mean over runs, interval by the corrected resampled variance (Nadeau and Bengio 2003).

    Runs share training faces, so the plain standard error is too small: the variance of the
    mean is s^2 (1/k + n_test/n_train).
    """
    part = part[part["value"].notna()].sort_values(["seed", "fold"])
    values = part["value"].to_numpy(dtype=float)
    low, high, how = _interval(values, test_share)
    if len(values) == 1 and part["low"].notna().all() and part["high"].notna().all():
        low, high = float(part["low"].iloc[0]), float(part["high"].iloc[0])
        how = "bootstrap over the subjects of the one run"
    nulls = part["null"].dropna()
    said = [w for text in part["warnings"] if text for w in str(text).split(" | ")]
    return Estimate(
        mean=float(values.mean()),
        low=low,
        high=high,
        spread=float(values.std(ddof=1)) if len(values) > 1 else 0.0,
        null=float(nulls.mean()) if len(nulls) else None,
        n_runs=len(values),
        n=int(part["n"].sum()),
        unit=str(part["unit"].iloc[0]),
        how=how,
        values=tuple(float(v) for v in values),
        warnings=tuple(dict.fromkeys(said)),
    )


def _interval(values: np.ndarray, test_share: float) -> tuple[float | None, float | None, str]:
    k = len(values)
    if k < 2:
        return None, None, "one run: no interval"
    error = values.std(ddof=1) * np.sqrt(1 / k + test_share)
    half = stats.t.ppf(0.975, k - 1) * error
    mean = values.mean()
    how = f"corrected t-interval over {k} runs"
    return float(mean - half), float(mean + half), how


def difference(part: pd.DataFrame, a: str, b: str, *, test_share: float) -> Difference:
    """Compare two rows on one score, over the same seeds and folds."""
    wide = part[part["label"].isin([a, b])].pivot_table(
        index=["seed", "fold"], columns="label", values="value"
    )
    wide = wide.reindex(columns=[a, b]).dropna()
    d = (wide[a] - wide[b]).to_numpy(dtype=float)
    n = len(d)
    if n < 2:
        words = "one pair" if n else "no pair"
        mean = float(d.mean()) if n else float("nan")
        return Difference(mean, None, None, None, n, False, f"{words} of runs")
    low, high, _ = _interval(d, test_share)
    error = d.std(ddof=1) * np.sqrt(1 / n + test_share)
    if error > 0:
        p = float(2 * stats.t.sf(abs(d.mean()) / error, n - 1))
    else:
        p = 1.0 if d.mean() == 0 else 0.0
    reason = "" if p < 0.05 else f"p = {p:.2f} over {n} pairs"
    return Difference(float(d.mean()), low, high, p, n, p < 0.05, reason)


def holm(found: Mapping[str, Difference]) -> dict[str, Difference]:
    """Adjust the p-values of several differences (Holm 1979)."""
    tested = sorted((d.p, label) for label, d in found.items() if d.p is not None)
    out = dict(found)
    running = 0.0
    for rank, (p, label) in enumerate(tested):
        running = max(running, min(1.0, p * (len(tested) - rank)))
        d = found[label]
        reason = "" if running < 0.05 else f"p = {running:.2f} over {d.n_pairs} pairs (Holm)"
        out[label] = replace(d, p=running, separated=running < 0.05, reason=reason)
    return out
