"""Means over seeds and folds, with an interval that knows what varied."""

from __future__ import annotations

import numpy as np
import pandas as pd
import scipy  # its parts load at first use
from numpy.typing import NDArray

from fer_bench.errors import FerBenchError
from fer_bench.reading import as_array, as_floats

KEYS = ("method", "metric")
REQUIRED = ("method", "seed", "fold", "metric", "value")


def check_frame(frame: pd.DataFrame) -> pd.DataFrame:
    """The frame with numeric values and optional columns filled in.

    Raises:
        FerBenchError: no frame, a column is missing or no numbers, or two rows tell of one run.
    """
    if not isinstance(frame, pd.DataFrame):
        raise FerBenchError(f"the scores are one {type(frame).__name__}: give a data frame.")
    lacking = [name for name in REQUIRED if name not in frame]
    if lacking:
        raise FerBenchError(
            f"the frame of scores lacks the column {lacking[0]!r}: one row per run and metric, "
            f"with {', '.join(REQUIRED)} and, where there are any, low and high."
        )
    out = frame.copy()
    for name in ("value", "low", "high"):
        out[name] = _numbers(out[name], name) if name in out else np.nan
    twice = out.duplicated(["method", "seed", "fold", "metric"])
    if twice.any():
        row = out.loc[twice].iloc[0]
        raise FerBenchError(
            f"two rows tell of method {row['method']!r}, seed {row['seed']}, fold {row['fold']}, "
            f"metric {row['metric']!r}: keep one (or summarise the data sets apart)."
        )
    return out


def _numbers(column: pd.Series, name: str) -> NDArray[np.float64]:
    """A column of scores, NaN where a run has none."""
    numbers = as_floats(as_array(column, f"the column {name!r}"), f"the column {name!r}")
    return numbers.astype(np.float64)


def summarise(frame: pd.DataFrame, *, level: float = 0.95) -> pd.DataFrame:
    """Mean, spread and interval of every metric of every method over seeds and folds.

    Args:
        frame: one row per run and metric with the columns `method`, `seed`, `fold`, `metric`,
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
    keys, first = _numbered(data)
    group = np.asarray(keys)
    known = data[np.isfinite(data["value"])].assign(
        group=group[np.isfinite(data["value"].to_numpy())],
        below=lambda part: part["value"] - part["low"],
        above=lambda part: part["high"] - part["value"],
    )
    out = data.iloc[first][list(KEYS)].reset_index(drop=True)
    by_group = known.groupby("group")
    runs = by_group.agg(sd=("value", "std"), runs=("value", "size"), seeds=("seed", "nunique"))
    # Folds first: runs of one fold share their test subjects.
    cells = known.groupby(["group", "fold"])["value"].agg(["mean", "var"]).groupby("group")
    runs["mean"] = cells["mean"].mean()
    runs["sd_folds"] = cells["mean"].std()
    runs["folds"] = cells.size()
    runs["sd_seeds"] = np.sqrt(cells["var"].mean())  # within folds, over seeds
    runs = runs.reindex(range(len(first)))
    counts = ["runs", "folds", "seeds"]
    runs[counts] = runs[counts].fillna(0).astype(int)
    runs["missing"] = np.bincount(group, minlength=len(first)) - runs["runs"]
    _add_interval(runs, known, level)
    columns = ["mean", "sd", "low", "high", "interval", "sd_folds", "sd_seeds"]
    return out.join(runs[[*columns, *counts, "missing"]])


def _numbered(data: pd.DataFrame) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The number of each row's (method, metric), in order of appearance; first row of each."""
    keys = data.groupby(list(KEYS), sort=False, dropna=False).ngroup().to_numpy()
    return keys, np.unique(keys, return_index=True)[1]


def _add_interval(runs: pd.DataFrame, known: pd.DataFrame, level: float) -> None:
    """Add `low`, `high` and `interval` to the table of groups."""
    mean, n, folds = (runs[name].to_numpy() for name in ("mean", "runs", "folds"))
    with np.errstate(invalid="ignore", divide="ignore"):
        fold_half = _student(level, folds - 1) * runs["sd_folds"].to_numpy() / np.sqrt(folds)
        # Seeds: the spread over retrainings on the same subjects, on the mean of all runs.
        seed_half = _student(level, n - folds) * runs["sd_seeds"].to_numpy() / np.sqrt(n)
    seed_half = np.nan_to_num(seed_half)
    below, above = (_subject_half(known, side, level, len(runs)) for side in ("below", "above"))
    by_folds, bounded, seeded = folds >= 3, np.isfinite(below), seed_half > 0
    cases = [by_folds, bounded, seeded]
    runs["low"] = mean - np.select(
        cases, [fold_half, np.hypot(below, seed_half), seed_half], default=np.nan
    )
    runs["high"] = mean + np.select(
        cases, [fold_half, np.hypot(above, seed_half), seed_half], default=np.nan
    )
    runs["interval"] = np.select(
        [by_folds, bounded & seeded, bounded, seeded],
        ["folds", "subjects + seeds", "subjects", "seeds"],
        default="",
    )


def _student(level: float, dof: NDArray[np.int64]) -> NDArray[np.float64]:
    return np.asarray(scipy.stats.t.ppf((1 + level) / 2, np.where(dof > 0, dof, np.nan)))


def _subject_half(known: pd.DataFrame, side: str, level: float, groups: int) -> NDArray[np.float64]:
    """Half widths over subjects, NaN where no run has an interval.

    Runs of one fold share their test subjects, so their half widths average; folds are
    disjoint, so the squares do.
    """
    bounded = known[np.isfinite(known["low"]) & np.isfinite(known["high"])]
    squares = bounded.groupby(["group", "fold"])[side].mean().pow(2).groupby("group")
    scale = scipy.stats.norm.ppf((1 + level) / 2) / scipy.stats.norm.ppf(0.975)
    half = scale * np.sqrt(squares.sum()) / squares.size()
    return half.reindex(range(groups)).to_numpy(dtype=np.float64)
