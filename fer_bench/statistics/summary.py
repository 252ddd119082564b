"""Means over seeds and folds, with an interval that knows what varied."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from scipy import stats

from fer_bench.errors import FerBenchError

KEYS = ("method", "metric")
REQUIRED = ("method", "seed", "fold", "metric", "value")


def check_frame(frame: pd.DataFrame) -> pd.DataFrame:
    """The frame with numeric values and optional columns filled in.

    Raises:
        FerBenchError: a column is missing, or two rows tell of one run.
    """
    lacking = [name for name in REQUIRED if name not in frame]
    if lacking:
        raise FerBenchError(
            f"the frame of scores lacks the column {lacking[0]!r}: one row a run and metric, "
            f"with {', '.join(REQUIRED)} and, where there are any, low and high."
        )
    out = frame.copy()
    for name in ("value", "low", "high"):
        out[name] = pd.to_numeric(out.get(name, np.nan), errors="coerce")
    twice = out.duplicated(["method", "seed", "fold", "metric"])
    if twice.any():
        row = out.loc[twice].iloc[0]
        raise FerBenchError(
            f"two rows tell of method {row['method']!r}, seed {row['seed']}, fold {row['fold']}, "
            f"metric {row['metric']!r}: keep one (or summarise the data sets apart)."
        )
    return out


def summarise(frame: pd.DataFrame, *, level: float = 0.95) -> pd.DataFrame:
    """Mean, spread and interval of every metric of every method over seeds and folds.

    Args:
        frame: one row a run and metric with the columns `method`, `seed`, `fold`, `metric`,
            `value`, and where known `low`, `high` (95 % over subjects). Summarise data sets
            apart.
        level: of the interval.

    Returns:
        One row a (method, metric) with
        `mean`: mean over folds of the mean over seeds;
        `sd`: standard deviation over all runs;
        `sd_folds`, `sd_seeds`: of the fold means, and within folds over seeds;
        `low`, `high`: interval of the mean;
        `interval`: what it rests on. "folds" (Student over the fold means, from three folds on:
        their test subjects are disjoint), else "subjects" (the runs' own intervals over
        subjects), widened by the spread over seeds ("subjects + seeds"), "seeds" where runs
        carry no interval, or "" (none possible);
        `runs`, `folds`, `seeds`: how many with a value; `missing`: runs without one.

    >>> runs = pd.DataFrame({"method": "erm", "metric": "accuracy", "seed": 0,
    ...                      "fold": [0, 1, 2], "value": [0.7, 0.8, 0.9]})
    >>> row = summarise(runs).iloc[0]
    >>> round(float(row["mean"]), 3), row["interval"]
    (0.8, 'folds')
    """
    data = check_frame(frame)
    rows = [
        {**dict(zip(KEYS, keys, strict=True)), **_summary(group, level)}
        for keys, group in data.groupby(list(KEYS), sort=False)
    ]
    columns = [*KEYS, "mean", "sd", "low", "high", "interval", "sd_folds", "sd_seeds"]
    columns += ["runs", "folds", "seeds", "missing"]
    return pd.DataFrame(rows, columns=columns)


def _summary(group: pd.DataFrame, level: float) -> dict[str, object]:
    known = group[np.isfinite(group["value"])]
    missing = len(group) - len(known)
    if known.empty:
        nothing = dict.fromkeys(("mean", "sd", "low", "high", "sd_folds", "sd_seeds"), np.nan)
        return {**nothing, "interval": "", "runs": 0, "folds": 0, "seeds": 0, "missing": missing}
    by_fold = known.groupby("fold")["value"]
    means = by_fold.mean().to_numpy()
    spread = by_fold.var(ddof=1).dropna().to_numpy()  # within folds, over seeds
    mean = float(means.mean())
    sd_seeds = float(np.sqrt(spread.mean())) if len(spread) else np.nan
    low, high, rests_on = _interval(known, means, sd_seeds, mean, level)
    return {
        "mean": mean,
        "sd": float(known["value"].std(ddof=1)) if len(known) > 1 else np.nan,
        "low": low,
        "high": high,
        "interval": rests_on,
        "sd_folds": float(means.std(ddof=1)) if len(means) > 1 else np.nan,
        "sd_seeds": sd_seeds,
        "runs": len(known),
        "folds": len(means),
        "seeds": int(known["seed"].nunique()),
        "missing": missing,
    }


def _interval(
    known: pd.DataFrame, means: Sequence[float], sd_seeds: float, mean: float, level: float
) -> tuple[float, float, str]:
    folds = len(means)
    if folds >= 3:
        error = np.std(means, ddof=1) / np.sqrt(folds)
        half = float(stats.t.ppf((1 + level) / 2, folds - 1) * error)
        return mean - half, mean + half, "folds"
    # Seeds: the spread over retrainings on the same subjects, on the mean of all runs.
    seed_half = 0.0
    dof = len(known) - folds
    if dof > 0 and np.isfinite(sd_seeds):
        seed_half = stats.t.ppf((1 + level) / 2, dof) * sd_seeds / np.sqrt(len(known))
    with_bounds = known[np.isfinite(known["low"]) & np.isfinite(known["high"])]
    if with_bounds.empty:
        if seed_half == 0.0:
            return np.nan, np.nan, ""
        return mean - seed_half, mean + seed_half, "seeds"
    # Subjects: runs of one fold share their test subjects, so their half widths average;
    # folds are disjoint, so the squares do.
    scale = stats.norm.ppf((1 + level) / 2) / stats.norm.ppf(0.975)

    def mean_half(side: pd.Series) -> float:
        per_fold = side.groupby(with_bounds["fold"]).mean()
        return float(scale * np.sqrt((per_fold**2).sum()) / len(per_fold))

    below = mean_half(with_bounds["value"] - with_bounds["low"])
    above = mean_half(with_bounds["high"] - with_bounds["value"])
    rests_on = "subjects + seeds" if seed_half else "subjects"
    return mean - np.hypot(below, seed_half), mean + np.hypot(above, seed_half), rests_on
