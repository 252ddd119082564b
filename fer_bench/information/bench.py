"""Benchmark and regression test of estimators: accuracy, time and memory by task and sample size.

Results are kept in one file of JSON lines, one line for each estimator, task, n and seed, and are
written as they come: an interrupted run continues where it stopped. A failure is stored like any
other result; running the same command again retries it.
"""

from __future__ import annotations

import json
import resource
import sys
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from filelock import FileLock, Timeout
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from fer_bench.atomic import write_text
from fer_bench.errors import DataError
from fer_bench.information import tasks
from fer_bench.information.estimator import SidesError, WrappedEstimator, make, read_integer
from fer_bench.information.inputs import MIN_ROWS, clean_pair
from fer_bench.information.mutual import estimate_mi
from fer_bench.information.scoring import score_samples
from fer_bench.registry import estimators as registered
from fer_bench.score import Score

KEY = ["estimator", "task", "n", "seed", "calibrated", "null"]
VARIANTS = KEY[4:]  # of one estimator: told apart in tables where they vary
NULL_ENDS = ["null_low", "null_high"]
SEEDS_PER_PASS = 8  # seeds estimated in one pass
WITHIN = 0.05  # nats, or this share of the truth: what counts as right


class Row(BaseModel):
    """One stored result: its setting (`KEY`) and the outcome, in nats, seconds and MB.

    `value` is None where the estimator failed (then `error` gives the reason) and where it cannot
    read the sides of the task (then `skipped` does).
    """

    model_config = ConfigDict(frozen=True, allow_inf_nan=False)

    estimator: str
    task: str
    n: int
    seed: int
    calibrated: int = 0
    null: int = 0
    truth: float
    value: float | None = None
    low: float | None = None
    high: float | None = None
    standard_error: float | None = None
    p: float | None = None
    null_low: float | None = None
    null_high: float | None = None
    chosen: str | None = None
    seconds: float | None = None
    cpu_seconds: float | None = None
    together: float | None = None
    peak_mb: float | None = None
    error: str | None = None
    skipped: str | None = None

    @property
    def setting(self) -> dict[str, Any]:
        """The fields that identify a result, as `jobs` yields them."""
        return {key: getattr(self, key) for key in KEY}


NUMBERS = [k for k, f in Row.model_fields.items() if f.annotation in (float, float | None)]


def jobs(
    estimators: Iterable[str],
    names: Iterable[str],
    ns: Iterable[int],
    seeds: Iterable[int],
    *,
    calibrated: int = 0,
    null: int = 0,
) -> Iterator[dict[str, Any]]:
    """All settings of a benchmark, each once, in order of increasing n.

    Args:
        estimators: registered names.
        names: of tasks (`tasks.names`).
        ns: sample sizes.
        seeds: of samples and estimators.
        calibrated: planted tasks for each estimate, as in `estimate_mi`; 0 for none.
        null: permuted copies for each estimate, as in `estimate_mi`; 0 for none.

    Raises:
        EstimatorError: fewer than three planted tasks, or a negative number of copies.

    >>> [job["n"] for job in jobs(["ksg"], ["1v1-normal-0.75"], [500, 100], [0])]
    [100, 500]
    """
    read_integer("null", null, 0)
    if calibrated:
        read_integer("calibrated", calibrated, 3)
    for n in sorted(set(ns)):
        for task in dict.fromkeys(names):
            for estimator in dict.fromkeys(estimators):
                for seed in seeds:
                    values = (estimator, task, n, seed, calibrated, null)
                    yield dict(zip(KEY, values, strict=True))


def check_names(settings: Sequence[Mapping[str, Any]]) -> None:
    """Check that every estimator and task exists, so that a typing error is reported at once.

    Raises:
        UnknownNameError: no estimator or no task has that name.
        FerBenchError: the plug-in that provides an estimator cannot be imported.
    """
    for name in dict.fromkeys(job["estimator"] for job in settings):
        registered.get(name)
    for name in dict.fromkeys(job["task"] for job in settings):
        tasks.get(name)


def run(settings: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Run settings that differ in their seed only.

    Where the estimator allows it, all are estimated in one pass and share its time equally.

    Returns:
        One row for each setting: value, interval, truth (nats), seconds and peak memory (MB); or
        the error, where the estimator failed.
    """
    task = tasks.get(settings[0]["task"])
    truth = task.mi
    drawn = [task.sample(job["n"], job["seed"]) for job in settings]
    _reset_peak()
    wall, cpu = time.perf_counter(), time.process_time()
    try:
        scores = _scores(settings, drawn)
    except SidesError as error:
        outcomes = [{"skipped": str(error)}] * len(settings)
    except Exception as error:  # one estimator's failure is a result, not the end of the run
        if len(settings) > 1:  # whose it is, or somebody's estimator that takes one at a time
            return [row for job in settings for row in run([job])]
        outcomes = [{"error": " ".join(f"{type(error).__name__}: {error}".split())}]
    else:
        outcomes = [_saved_fields(score) for score in scores]
    share = {
        "seconds": (time.perf_counter() - wall) / len(settings),
        "cpu_seconds": (time.process_time() - cpu) / len(settings),
        "together": len(settings),
        "peak_mb": _peak_mb(),
    }
    return [job | {"truth": truth} | f | share for job, f in zip(settings, outcomes, strict=True)]


def _saved_fields(score: Score) -> dict[str, Any]:
    """What of a score is kept; a value that is no number is a failure."""
    if not np.isfinite(score.value):
        return {"error": " ".join([f"the value is {score.value}", *map(str, score.cautions)])}
    ends = score.details.get("null_interval", (None, None))
    return {
        "value": float(score.value), "low": score.low, "high": score.high, "p": score.p,
        "standard_error": score.details.get("standard_error"),
        "chosen": score.details.get("chosen"), **dict(zip(NULL_ENDS, ends, strict=True)),
    }  # fmt: skip


def _scores(settings: Sequence[dict[str, Any]], drawn: Sequence[tasks.Pair]) -> list[Score]:
    if len(settings) > 1:
        tool = make(settings[0]["estimator"], seed=settings[0]["seed"])
        if not isinstance(tool, WrappedEstimator):  # which is built anew with each seed
            return score_samples([clean_pair(x, y) for x, y in drawn], tool)
    return [
        estimate_mi(
            *pair, estimator=job["estimator"], seed=job["seed"], null=job["null"],
            calibrated=job["calibrated"],
        )
        for job, pair in zip(settings, drawn, strict=True)
    ]  # fmt: skip


def _reset_peak() -> None:
    """Forget the peak so far, which only Linux can: elsewhere it is that of all runs up to now."""
    with suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")


def _peak_mb() -> float:
    """Peak memory of this process since then (macOS counts bytes, Linux kilobytes)."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (2**20 if sys.platform == "darwin" else 2**10)


def read(path: Path) -> pd.DataFrame:
    """Read a file of results.

    Returns:
        One row for each result, NaN for missing numbers; an empty frame if there is no such file.

    Raises:
        DataError: the file cannot be read, or a line is not a result (the line is named).
    """
    rows = [row.model_dump() for _, row in _results(path)]
    frame = pd.DataFrame(rows, columns=list(Row.model_fields))
    return frame.astype(dict.fromkeys(NUMBERS, float))


def _results(path: Path) -> list[tuple[str, Row]]:
    """Each line of a results file with its result; half a line, left by a killed run, drops."""
    text = _text(path) if path.exists() else ""
    lines = text.splitlines()
    results = []
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            results.append((line, Row.model_validate_json(line)))
        except ValidationError as error:
            if number == len(lines) and not text.endswith("\n"):
                break
            raise DataError(
                f"{path}, line {number} is no result ({_fault(error)}): remove that line, or "
                "choose another folder."
            ) from None
    return results


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        raise DataError(f"{path} is no UTF-8 text: was another file meant?") from None
    except OSError as error:
        raise DataError(f"{path} cannot be read ({error.strerror}).") from None


def _fault(error: ValidationError) -> str:
    """The first thing wrong with a file's content: its key, and what it should be."""
    first = error.errors()[0]
    if first["type"] == "json_invalid":
        return "no JSON"
    key = "".join(f"[{k}]" if isinstance(k, int) else f".{k}" for k in first["loc"]).lstrip(".")
    message = first["msg"][0].lower() + first["msg"][1:]
    return f"{key}: {message}" if key else message


def bench(
    settings: Sequence[dict[str, Any]], path: Path, *, seeds_per_pass: int = SEEDS_PER_PASS
) -> Iterator[dict[str, Any]]:
    """Run the settings that a file lacks and append their results.

    Stored failures of these settings are dropped and retried.

    Args:
        settings: from `jobs`.
        path: the file of results; it is created if necessary.
        seeds_per_pass: how many consecutive settings that differ only in consecutive seeds are
            estimated in one pass, at most.

    Yields:
        Every setting, as soon as its result is stored.

    Raises:
        DataError: another process is writing to the file, or the file does not hold results.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(path.with_name(f".{path.name}.lock"), timeout=0):
            yield from _bench(settings, path, seeds_per_pass)
    except Timeout:
        raise DataError(
            f"another run is writing to {path}: wait for it, or choose another folder."
        ) from None


def _bench(
    settings: Sequence[dict[str, Any]], path: Path, seeds_per_pass: int
) -> Iterator[dict[str, Any]]:
    asked = {tuple(job.values()) for job in settings}
    lines, done = [], set()
    for line, row in _results(path):
        setting = tuple(row.setting.values())
        if row.value is not None or setting not in asked:
            lines.append(line)
            done.add(setting)
    write_text(path, "".join(line + "\n" for line in lines))
    with path.open("a", encoding="utf-8") as file:
        for batch in _batches(settings, seeds_per_pass):
            missing = [job for job in batch if tuple(job.values()) not in done]
            for part in _batches(missing, seeds_per_pass):
                file.writelines(_line(row) for row in run(part))
                file.flush()
                done |= {tuple(job.values()) for job in part}
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
    return json.dumps(plain, default=float) + "\n"  # somebody's numpy.float32


def varying(results: pd.DataFrame) -> list[str]:
    """Those columns of `VARIANTS` in which the results differ."""
    return [key for key in VARIANTS if results[key].nunique() > 1]


def by_task(results: pd.DataFrame) -> pd.DataFrame:
    """Bias, standard deviation, mean squared error (nats) and cost by estimator, task and n.

    Results that differ in one of `VARIANTS` are kept apart, with a column for it. Skipped tasks are
    left out.
    """
    results = results[results["skipped"].isna()]
    frame = results.assign(error_nats=results["value"] - results["truth"])
    grouped = frame.groupby(["estimator", "task", "n", *varying(results)], sort=False)
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
    """Summary by estimator and n: mean absolute error `mae` and largest error `worst`, in nats.

    `right` is the share of runs within `WITHIN` of the truth (a failure is never right) and
    `covers` the share of intervals that hold the truth. Skipped tasks are counted in `skipped`, not
    in `tasks`. With permuted copies, `in_null` is the share of estimates inside their null interval
    and `p05` the share of p-values of at most 0.05.
    """
    error = (results["value"] - results["truth"]).abs()
    right = error <= np.maximum(WITHIN, WITHIN * results["truth"])
    covers = results["truth"].between(results["low"], results["high"])
    in_null = results["value"].between(results["null_low"], results["null_high"])
    run = results["skipped"].isna()
    frame = results.assign(
        mae=error, right=right.astype(float).where(run), task=results["task"].where(run),
        failed=results["value"].isna() & run, skipped=~run,
        covers=covers.astype(float).where(results["low"].notna()),
        in_null=in_null.astype(float).where(results["null_low"].notna()),
        p05=(results["p"] <= 0.05).astype(float).where(results["p"].notna()),
    )  # fmt: skip
    table = frame.groupby(["estimator", "n", *varying(results)], sort=False).agg(
        tasks=("task", "nunique"), seeds=("seed", "nunique"), mae=("mae", "mean"),
        worst=("mae", "max"), right=("right", "mean"), covers=("covers", "mean"),
        in_null=("in_null", "mean"), p05=("p05", "mean"),
        cpu_seconds=("cpu_seconds", "mean"), failed=("failed", "sum"), skipped=("skipped", "sum"),
    )  # fmt: skip
    if not results["null"].any():
        table = table.drop(columns=["in_null", "p05"])
    return table.reset_index().sort_values(["n", "mae"], ignore_index=True)


def by_failure(results: pd.DataFrame) -> pd.DataFrame:
    """Failures by estimator and error: the tasks they occurred on, and their number."""
    bad = results[results["value"].isna() & results["skipped"].isna()]
    table = bad.groupby(["estimator", "error"], sort=False, dropna=False).agg(
        tasks=("task", lambda names: ", ".join(dict.fromkeys(names))), failed=("task", "size")
    )
    return table.reset_index()


def failures(results: pd.DataFrame) -> list[str]:
    """One sentence for each estimator and error that occurred, and one for skipped tasks."""
    sentences = []
    for estimator, part in results.groupby("estimator", sort=False):
        count = part["task"].nunique()
        bad = part[part["value"].isna() & part["skipped"].isna()]
        for error, alike in bad.groupby("error", sort=False, dropna=False):
            first = alike.iloc[0]
            sentences.append(
                f"{estimator} failed on {alike['task'].nunique()} of {count} tasks; first on "
                f"{first['task']} with n = {first['n']}, seed {first['seed']}: {error}"
            )
        for why, alike in part.groupby("skipped", sort=False):
            names = ", ".join(dict.fromkeys(alike["task"]))
            sentences.append(
                f"{estimator} skipped {alike['task'].nunique()} of {count} tasks ({names}): {why}"
            )
    return sentences


# --- regression: against a stored reference ---------------------------------------------------


class Stored(Row):
    """A result in a reference file: it has a value and a time, and its setting can be run again."""

    n: int = Field(ge=MIN_ROWS)
    seed: int = Field(ge=0)
    calibrated: int = Field(0, ge=0)
    null: int = Field(0, ge=0)
    value: float
    cpu_seconds: float


class Tolerance(BaseModel):
    """How much worse a new result may be: nats of further error, and factor of further time."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)

    nats: float = Field(ge=0)
    slower: float = Field(gt=0)


class Reference(BaseModel):
    """Stored results, the speed of the machine that made them, and the tolerance for new ones."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)

    tolerance: Tolerance
    machine_seconds: float = Field(gt=0)
    rows: list[Stored] = Field(min_length=1)

    @property
    def settings(self) -> list[dict[str, Any]]:
        """The settings to run for a comparison with the stored results."""
        return [row.setting for row in self.rows]


def machine_seconds() -> float:
    """Seconds that a fixed computation takes here, to compare times across machines."""
    work = np.random.default_rng(0).standard_normal((512, 512))
    best = np.inf
    for _ in range(5):
        start = time.perf_counter()
        for _ in range(4):
            np.linalg.svd(work[:256, :256])
            np.sort(work.ravel())
        best = min(best, time.perf_counter() - start)
    return float(best)


def reference(results: pd.DataFrame, *, nats: float = 0.03, slower: float = 2.5) -> Reference:
    """Build a reference from results; failures are left out.

    Args:
        results: as `read` returns them.
        nats: further error that is tolerated.
        slower: factor of further time that is tolerated.

    Raises:
        DataError: every result is a failure.
    """
    kept = results[results["value"].notna()]
    if kept.empty:
        raise DataError("every estimate failed: there is nothing to store as a reference.")
    rows = kept[[*KEY, "truth", "value", "cpu_seconds"]].to_dict("records")
    return Reference(
        tolerance=Tolerance(nats=nats, slower=slower),
        machine_seconds=machine_seconds(),
        rows=[Stored(**row) for row in rows],
    )


def read_reference(path: Path) -> Reference:
    """Read a reference file.

    Raises:
        DataError: there is no such file, or it is not a reference (the wrong key is named).
    """
    if not path.exists():
        raise DataError(f"{path} does not exist: write it with `mi bench --save-reference`.")
    try:
        return Reference.model_validate_json(_text(path))
    except ValidationError as error:
        raise DataError(
            f"{path} is no reference ({_fault(error)}): write it with `mi bench --save-reference`."
        ) from None


def compare(stored: Reference, results: pd.DataFrame) -> pd.DataFrame:
    """Compare new results with a reference.

    Args:
        stored: the reference.
        results: new results, as `read` returns them.

    Returns:
        One row for each estimator, task and n: old and new error (nats) and time (seconds), and
        `verdict`, which is empty where both are within the tolerance and else names what is not
        ("failed" if one seed failed). Times are those of the fastest seed, scaled by the speed of
        the two machines; below half a second they are not compared.
    """
    speed = machine_seconds() / stored.machine_seconds
    was = pd.DataFrame([row.model_dump() for row in stored.rows])
    both = was.merge(results, on=KEY, how="left", suffixes=("_was", "_is"))
    for when in ("was", "is"):
        both[f"error_{when}"] = (both[f"value_{when}"] - both[f"truth_{when}"]).abs()
    table = both.groupby(["estimator", "task", "n", *varying(was)], sort=False).agg(
        error_was=("error_was", "mean"), seconds_was=("cpu_seconds_was", "min"),
        error_is=("error_is", "mean"), seconds_is=("cpu_seconds_is", "min"),
        failed=("value_is", _missing),
    ).reset_index()  # fmt: skip
    tolerance = stored.tolerance
    allowed = np.maximum(0.5, table["seconds_was"] * tolerance.slower * max(speed, 1.0))
    failed = table.pop("failed") > 0
    worse = table["error_is"] > table["error_was"] + tolerance.nats
    slower = table["seconds_is"] > allowed
    table["verdict"] = [
        "failed" if f else ", ".join(k for k, bad in (("less accurate", w), ("slower", s)) if bad)
        for f, w, s in zip(failed, worse, slower, strict=True)
    ]
    return table
