"""`estimate_mi`: one call, one `Score`."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any, Literal

from fer_bench.cautions import Caution
from fer_bench.information.calibration import calibrate_value
from fer_bench.information.conditional import estimate_conditional
from fer_bench.information.estimator import (
    Estimator,
    EstimatorError,
    is_constant,
    make,
    read_integer,
)
from fer_bench.information.inputs import Sample, clean_pair, clean_side
from fer_bench.information.scoring import in_bits, score_sample
from fer_bench.labels import read_groups
from fer_bench.score import Score


def estimate_mi(
    x: Any,
    y: Any,
    *,
    estimator: str | Estimator | type = "auto",
    seed: int = 0,
    groups: Any = None,
    clusters: Any = None,
    discrete_x: bool | None = None,
    discrete_y: bool | None = None,
    z: Any = None,
    discrete_z: bool | None = None,
    unit: Literal["nats", "bits"] = "nats",
    interval: bool = True,
    null: int | None = None,
    calibrated: int | None = None,
    **options: Any,
) -> Score:
    """Estimate the mutual information of two paired variables.

    Args:
        x, y: arrays or tensors [n, d] or [n]. One column of integers, booleans or strings is read
            as labels.
        estimator: a name (`fer-bench list estimators`), a class or an instance.
        seed: of splits, networks and permutations; equal seeds give equal results.
        groups: [n] subject of each row. Networks are then evaluated on subjects that they were not
            trained on, and the interval counts subjects instead of rows.
        clusters: [n] groups of rows that count as one observation in the interval only; networks
            may be trained on other rows of the same cluster.
        discrete_x, discrete_y: override whether a side is read as labels.
        z: estimate the conditional information I(X; Y | Z) instead; [n, d] or [n].
        discrete_z: overrides whether z is read as labels.
        unit: "nats" or "bits".
        interval: whether to return a 95 % interval. It covers the sampling error, and with
            `calibrated` tasks also the error of the estimator on data like these.
        null: number of permuted copies to estimate as well; 0 for none, None for the default of the
            estimator. Fewer than 19 give a null but no p-value.
        calibrated: number of planted tasks for the interval (see `calibrate`), at least three; 0
        for
            none. By default 8 for "auto" unless it rests on a confirmed closed form, else 0.
        options: of the estimator, such as `k` or `steps`.

    Returns:
        Score with value, interval, null (mean over permuted copies), p, n and cautions. `details`
        holds the name of the estimator, the standard error, the null interval, the value on the
        training rows and the learning curve. The value may be slightly negative; clipping it would
        bias it.

    Raises:
        DataError: rows do not pair up, are fewer than ten, or hold NaN.
        EstimatorError: the estimator does not apply to such sides, or an option is unknown or
            impossible.

    >>> import numpy as np
    >>> rng = np.random.default_rng(0)
    >>> x = rng.normal(size=2000)
    >>> score = estimate_mi(x, 0.8 * x + 0.6 * rng.normal(size=2000), estimator="gaussian")
    >>> score.low < 0.511 < score.high
    True
    """
    if unit not in ("nats", "bits"):
        raise EstimatorError(f"unit = {unit!r}: choose 'nats' or 'bits'.")
    if null is not None:
        read_integer("null", null, 0)
    if calibrated:
        read_integer("calibrated", calibrated, 3)
    sample = clean_pair(x, y, groups=groups, discrete_x=discrete_x, discrete_y=discrete_y)
    if z is None and discrete_z is not None:
        raise EstimatorError("discrete_z says how z is read: give z as well.")
    if z is not None:
        if calibrated or clusters is not None:
            raise EstimatorError("`calibrated` and `clusters` are not there with z: leave them.")
        condition, cautions = clean_side(z, "z", discrete_z)
        sample = replace(sample, cautions=(*sample.cautions, *cautions))
        score = estimate_conditional(sample, condition, estimator, seed=seed, null=null, **options)
    else:
        if clusters is not None:
            clusters, _ = read_groups(clusters, sample.n, "clusters")
        tool = make(estimator, seed=seed, **options)
        score = score_sample(sample, tool, null=null, clusters=clusters)
        tasks = getattr(tool, "calibrated", 0) if calibrated is None else calibrated
        # A closed form was confirmed already; whether that can be trusted is asked on demand.
        skip = calibrated is None and score.details.get("chosen") in ("copula", "student")
        known = math.isfinite(score.value) and not is_constant(sample)
        if tasks and interval and not skip and known:
            score = _calibrated(sample, tool, score, tasks, seed)
    if not interval:
        score = replace(score, low=None, high=None)
    return in_bits(score) if unit == "bits" else score


def _calibrated(sample: Sample, tool: Estimator, score: Score, tasks: int, seed: int) -> Score:
    """The score with the interval of its calibration."""
    try:
        calibration = calibrate_value(sample, tool, score, tasks=tasks, seed=seed)
    except EstimatorError:
        return score.with_caution(Caution("not-calibrated", estimator=tool.name))
    score = replace(
        score,
        low=min(calibration.low, score.value),
        high=max(calibration.high, score.value),
        details={**score.details, "calibration": calibration.to_json()},
    )
    if calibration.fault:
        score = score.with_caution(calibration.fault)
    return score
