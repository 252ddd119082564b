"""Regression testing of estimators: accuracy, time and memory by task and n, kept in one file.

Results are JSON lines, one per (estimator, task, n, seed), written as they come: a run that was
stopped goes on where it was, and a failure is a result like any other.
"""

from __future__ import annotations

import json
import resource
import sys
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from fer_bench.errors import DataError
from fer_bench.information import tasks
from fer_bench.information.inputs import clean_pair
from fer_bench.information.mutual import estimate_mi, make, score_samples
from fer_bench.score import Score

KEY = ["estimator", "task", "n", "seed", "calibrated", "null"]
NULL_ENDS = ["null_low", "null_high"]
TOGETHER = 8  # seeds estimated in one pass
WITHIN = 0.05  # nats, or this share of the truth: what counts as right


def jobs(
    estimators: Iterable[str],
    names: Iterable[str],
    ns: Iterable[int],
    seeds: Iterable[int],
    *,
    calibrated: int = 0,
    null: int = 0,
) -> Iterator[dict[str, Any]]:
    """All settings of a benchmark, small ones first; the last two as in `estimate_mi`."""
    for n in sorted(ns):
        for task in names:
            for estimator in estimators:
                for seed in seeds:
                    values = (estimator, task, n, seed, calibrated, null)
                    yield dict(zip(KEY, values, strict=True))


def run(settings: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Estimate settings that differ in their seed: value, interval, truth, seconds, peak memory.

    Where the estimator can, all are estimated in one pass, and each gets its share of the time.
    A failure is a result: its row has the error.
    """
    task = tasks.get(settings[0]["task"])
    drawn = [task.sample(job["n"], job["seed"]) for job in settings]
    wall, cpu = time.perf_counter(), time.process_time()
    try:
        scores = _scores(settings, drawn)
    except Exception as error:  # one estimator's failure is a result, not the end of the run
        if len(settings) > 1:  # whose it is, or somebody's estimator that takes one at a time
            return [row for job in settings for row in run([job])]
        found: list[dict[str, Any]] = [{"error": f"{type(error).__name__}: {error}"}]
    else:
        found = [
            {"value": s.value, "low": s.low, "high": s.high, "p": s.p,
             "standard_error": s.details.get("standard_error"),
             "chosen": s.details.get("chosen")}
            | dict(zip(NULL_ENDS, s.details.get("null_interval", (None, None)), strict=True))
            for s in scores
        ]  # fmt: skip
    share = {
        "seconds": (time.perf_counter() - wall) / len(settings),
        "cpu_seconds": (time.process_time() - cpu) / len(settings),
        "together": len(settings),
        "peak_mb": _peak_mb(),
    }
    return [job | {"truth": task.mi} | f | share for job, f in zip(settings, found, strict=True)]


def _scores(settings: Sequence[dict[str, Any]], drawn: Sequence[tasks.Pair]) -> list[Score]:
    first = settings[0]
    if len(settings) > 1:
        tool = make(first["estimator"], seed=first["seed"])
        return score_samples([clean_pair(x, y) for x, y in drawn], tool)
    return [
        estimate_mi(
            *drawn[0], estimator=first["estimator"], seed=first["seed"], null=first["null"],
            calibrated=first["calibrated"],
        )
    ]  # fmt: skip


def _peak_mb() -> float:
    """Peak memory of this process so far (macOS counts bytes, Linux kilobytes)."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (2**20 if sys.platform == "darwin" else 2**10)


def read(path: Path) -> pd.DataFrame:
    """Results of a file, or an empty frame.

    Raises:
        DataError: a line is no JSON object; names the line.
    """
    rows = [row | identity(row) for row in map(json.loads, _whole_lines(path))]
    columns = [*KEY, "truth", "value", "low", "high", "standard_error", "p", *NULL_ENDS, "chosen",
               "seconds", "cpu_seconds", "together", "peak_mb", "error"]  # fmt: skip
    return pd.DataFrame(rows, columns=columns)


def identity(row: Mapping[str, Any]) -> dict[str, Any]:
    """The setting that a row is the result of; older files have no `null`."""
    return {k: row[k] for k in KEY if k != "null"} | {"null": row.get("null", 0)}


def _whole_lines(path: Path) -> list[str]:
    """Lines of a results file; half a line at the end is what a killed run leaves, and drops."""
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    for number, line in enumerate(lines, 1):
        try:
            json.loads(line)
        except json.JSONDecodeError:
            if number == len(lines):
                return lines[:-1]
            raise DataError(f"{path}, line {number} is no JSON: remove that line.") from None
    return lines


def bench(
    settings: Sequence[dict[str, Any]], path: Path, *, together: int = TOGETHER
) -> Iterator[dict[str, Any]]:
    """Run what the file lacks, adding results as they come; yields every setting once done.

    Up to `together` consecutive settings that differ in nothing but consecutive seeds are
    estimated in one pass.
    """
    lines = _whole_lines(path)
    done = {tuple(identity(row).values()) for row in map(json.loads, lines)}
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_suffix(".part")
    aside.write_text("".join(line + "\n" for line in lines), encoding="utf-8")
    aside.replace(path)
    with path.open("a", encoding="utf-8") as file:
        for batch in _batches(settings, together):
            missing = [job for job in batch if tuple(job[k] for k in KEY) not in done]
            for part in _batches(missing, together):
                file.writelines(_line(row) for row in run(part))
                file.flush()
            yield from batch


def _batches(settings: Sequence[dict[str, Any]], size: int) -> Iterator[list[dict[str, Any]]]:
    """Runs of at most `size` settings with consecutive seeds and all else equal.

    Calibrated ones come alone, since each plants its own tasks; so do those with permuted copies.
    """
    batch: list[dict[str, Any]] = []
    for job in settings:
        full = batch and (len(batch) == size or batch[-1]["calibrated"] or batch[-1]["null"])
        if full or (batch and job != {**batch[-1], "seed": batch[-1]["seed"] + 1}):
            yield batch
            batch = []
        batch.append(job)
    if batch:
        yield batch


def _line(row: dict[str, Any]) -> str:
    plain = {k: None if isinstance(v, float) and not np.isfinite(v) else v for k, v in row.items()}
    return json.dumps(plain) + "\n"


def by_task(results: pd.DataFrame) -> pd.DataFrame:
    """Bias, standard deviation, mean squared error and cost by estimator, task and n."""
    frame = results.assign(error_nats=results["value"] - results["truth"])
    grouped = frame.groupby(["estimator", "task", "n"], sort=False)
    table = grouped.agg(
        truth=("truth", "first"), mean=("value", "mean"), bias=("error_nats", "mean"),
        sd=("value", "std"), seconds=("seconds", "mean"), cpu_seconds=("cpu_seconds", "mean"),
        peak_mb=("peak_mb", "max"), seeds=("seed", "nunique"), failed=("value", _missing),
    )  # fmt: skip
    table["mse"] = grouped["error_nats"].apply(lambda e: float((e**2).mean()))
    return table.reset_index()


def _missing(values: pd.Series) -> int:
    return int(values.isna().sum())


def by_estimator(results: pd.DataFrame) -> pd.DataFrame:
    """Mean absolute error, share of right answers and of covering intervals, by n.

    With permuted copies: the share of estimates `in_null`, their interval, and `p05`, of p-values
    of at most 0.05.
    """
    error = (results["value"] - results["truth"]).abs()
    right = error <= np.maximum(WITHIN, WITHIN * results["truth"])
    covers = (results["low"] <= results["truth"]) & (results["truth"] <= results["high"])
    value, low, high, p = (results[column].astype(float) for column in ("value", *NULL_ENDS, "p"))
    frame = results.assign(
        mae=error, right=right, covers=covers, in_null=value.between(low, high), p05=p <= 0.05
    )
    table = frame.groupby(["estimator", "n"], sort=False).agg(
        tasks=("task", "nunique"), seeds=("seed", "nunique"), mae=("mae", "mean"),
        worst=("mae", "max"), right=("right", "mean"), covers=("covers", "mean"),
        in_null=("in_null", "mean"), p05=("p05", "mean"),
        cpu_seconds=("cpu_seconds", "mean"), failed=("value", _missing),
    )  # fmt: skip
    if not results["null"].any():
        table = table.drop(columns=["in_null", "p05"])
    return table.reset_index().sort_values(["n", "mae"], ignore_index=True)


# --- regression: against a stored reference ---------------------------------------------------


def machine_seconds() -> float:
    """Time of a fixed piece of work, to compare speed across machines."""
    work = np.random.default_rng(0).standard_normal((512, 512))
    best = np.inf
    for _ in range(5):
        start = time.perf_counter()
        for _ in range(4):
            np.linalg.svd(work[:256, :256])
            np.sort(work.ravel())
        best = min(best, time.perf_counter() - start)
    return float(best)


def reference(results: pd.DataFrame, *, nats: float = 0.03, slower: float = 2.5) -> dict[str, Any]:
    """What `compare` needs: per setting the error and time, and how much worse is tolerated."""
    return {
        "tolerance": {"nats": nats, "slower": slower},
        "machine_seconds": machine_seconds(),
        "rows": [
            identity(row) | {k: row[k] for k in ("truth", "value", "cpu_seconds")}
            for row in results[results["value"].notna()].to_dict("records")
        ],
    }


def compare(stored: dict[str, Any], results: pd.DataFrame) -> pd.DataFrame:
    """One row per estimator, task and n: old and new error and time, and the verdict.

    The verdict is "" where all is well, else what left the tolerance. Times are of the faster
    of the seeds, scaled by the speed of the two machines; below half a second they are noise.
    """
    tolerance = stored["tolerance"]
    speed = machine_seconds() / stored["machine_seconds"]
    keys = ["estimator", "task", "n"]
    frames = []
    for frame in (pd.DataFrame(stored["rows"]), results):
        error = (frame["value"] - frame["truth"]).abs()
        grouped = frame.assign(error=error).groupby(keys, sort=False)
        frames.append(grouped.agg(error=("error", "mean"), seconds=("cpu_seconds", "min")))
    table = frames[0].add_suffix("_was").join(frames[1].add_suffix("_is")).reset_index()
    allowed = np.maximum(0.5, table["seconds_was"] * tolerance["slower"] * max(speed, 1.0))
    verdict = np.where(table["error_is"].isna(), "failed", "")
    worse = table["error_is"] > table["error_was"] + tolerance["nats"]
    slower = table["seconds_is"] > allowed
    table["verdict"] = [
        v or ", ".join(word for word, bad in (("less accurate", w), ("slower", s)) if bad)
        for v, w, s in zip(verdict, worse, slower, strict=True)
    ]
    return table
