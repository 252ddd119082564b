"""`estimate_mi`: one call, one `Score`."""

from __future__ import annotations

import inspect
import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Literal

import numpy as np
from scipy.stats import t as student_t

from fer_bench.cautions import Caution, as_cautions
from fer_bench.errors import DataError
from fer_bench.information.estimator import (
    Estimate,
    Estimator,
    EstimatorError,
    Foreign,
    Problem,
    is_constant,
    reject_unknown,
    whole,
)
from fer_bench.information.inputs import Sample, clean_pair, clean_side, entropy, is_discrete
from fer_bench.registry import estimators
from fer_bench.score import Score

NATS_PER_BIT = math.log(2)
# What of the details is information; all else stays as it is when a score is given in bits.
IN_NATS = {
    "standard_error", "null_values", "null_interval", "fitted_value", "held_out_value", "curve",
    "entropy", "entropy_x", "entropy_y", "bias_removed", "first_order_bias", "largest_slice",
    "by_class", "with_z", "z_alone", "calibration", "planted", "read", "bias", "spread",
    "corrected", "low", "high",
}  # fmt: skip
FEWEST_FOR_P = 19  # permuted copies: fewer cannot say 0.05


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
    """Mutual information of two paired variables.

    Args:
        x, y: arrays or tensors [n, d], or [n]. A single column of integers, booleans or strings
            is read as labels.
        estimator: a name (`fer-bench list estimators`), a class or an instance.
        seed: decides splits, critics and permutations; the same seed, the same number.
        groups: [n] subject of each row. Critics are then valued on other subjects than they
            were trained on, and the interval counts subjects, not rows.
        clusters: [n] whose rows count as one observation in the interval, where that is not
            `groups`: critics may see a subject's other images, the interval still counts people.
        discrete_x, discrete_y: overrule the reading of a side as labels or measurements.
        z: condition on this: I(X; Y | Z). `discrete_z` overrules its reading in the same way.
        unit: "nats" or "bits".
        interval: whether to give a 95 % interval. It covers sampling error; with `calibrated`
            tasks also what the estimator itself gets wrong on data like these.
        null: number of permuted copies to estimate as well; each estimator has a default, 0
            switches it off. Fewer than 19 give a null but no p-value.
        calibrated: number of planted tasks the interval rests on (see `calibrate`). By default
            8 for "auto" where it does not rest on a confirmed closed form, else 0; three at
            least.
        options: options of the estimator, such as `k` or `steps`.

    Returns:
        Score with value, low, high, null (mean over permuted copies), p, n and warnings.
        `details` has the estimator's name, standard error, null interval, value on the rows it
        was fitted on, and learning curve. The value can be slightly negative: clipping it
        would bias it.

    Raises:
        DataError: rows do not pair up, NaN, fewer than ten rows.
        EstimatorError: the estimator does not apply to such sides, or an unknown or impossible
            option.

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
        whole("null", null, 0)
    if calibrated:
        whole("calibrated", calibrated, 3)
    sample = clean_pair(x, y, groups=groups, discrete_x=discrete_x, discrete_y=discrete_y)
    if z is None and discrete_z is not None:
        raise EstimatorError("discrete_z says how z is read: give z as well.")
    if z is not None:
        if calibrated or clusters is not None:
            raise EstimatorError("`calibrated` and `clusters` are not there with z: leave them.")
        from fer_bench.information.conditional import estimate_conditional

        condition, notes = clean_side(z, "z", discrete_z)
        sample = replace(sample, warnings=(*sample.warnings, *notes))
        score = estimate_conditional(sample, condition, estimator, seed=seed, null=null, **options)
    else:
        if clusters is not None:
            clusters = _clusters(clusters, sample.n)
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


def _clusters(clusters: Any, n: int) -> np.ndarray:
    codes, _ = clean_side(clusters, "clusters", discrete=True)
    if len(codes) != n:
        raise DataError(f"clusters has {len(codes)} entries for {n} rows: give one per row.")
    return codes


def _calibrated(sample: Sample, tool: Estimator, score: Score, tasks: int, seed: int) -> Score:
    """The score with the interval of its calibration."""
    from fer_bench.information.calibration import calibrate_value

    try:
        found = calibrate_value(sample, tool, score, tasks=tasks, seed=seed)
    except EstimatorError as error:
        return score.with_caution(f"the interval is not calibrated: {error}")
    score = replace(
        score,
        low=min(found.low, score.value),
        high=max(found.high, score.value),
        details={**score.details, "calibration": found.to_json()},
    )
    if found.fault:
        score = score.with_caution(f"on planted tasks like these data the estimator {found.fault}")
    return score


def make(estimator: Any, *, seed: int = 0, **options: Any) -> Estimator:
    """Build an estimator from its name or class, or wrap somebody's object (see `Foreign`)."""
    name = estimator if isinstance(estimator, str) else None
    if name is not None:
        estimator = estimators.get(name)
    if isinstance(estimator, type):
        known = _options(estimator)
        reject_unknown(options, known, getattr(estimator, "name", estimator.__name__))
        seeded = {"seed": seed} if "seed" in known else {}
        try:
            inspect.signature(estimator).bind(**seeded, **options)
        except TypeError as error:
            raise EstimatorError(
                f"{estimator.__name__} cannot be built: {error}; give it, or an instance."
            ) from None
        estimator = estimator(**seeded, **options)
    elif options:
        raise EstimatorError("options go to the constructor of an estimator instance, not here.")
    if isinstance(estimator, Estimator):
        return estimator
    if not (hasattr(estimator, "fit") and hasattr(estimator, "estimate")):
        raise EstimatorError(
            f"{estimator!r:.60} is no estimator: give a name, or an object with fit(x, y) and "
            "estimate()."
        )
    return Foreign(estimator, name)


def _options(kind: type) -> list[str]:
    """Keyword options of a class, through constructors that pass `**options` on."""
    names: dict[str, None] = {}
    for cls in kind.__mro__:
        if "__init__" not in vars(cls) or cls is object:
            continue
        parameters = inspect.signature(vars(cls)["__init__"]).parameters.values()
        first = next(iter(parameters), None)  # self
        names |= {
            p.name: None
            for p in parameters
            if p is not first and p.kind in (p.KEYWORD_ONLY, p.POSITIONAL_OR_KEYWORD)
        }
        if not any(p.kind is p.VAR_KEYWORD for p in parameters):
            break
    return list(names)


def score_sample(
    sample: Sample,
    estimator: Estimator,
    *,
    null: int | None = None,
    clusters: np.ndarray | None = None,
) -> Score:
    """Estimate a cleaned sample and its permuted copies together."""
    seed = estimator.seed
    if is_constant(sample):
        return _nothing(sample)
    estimator.check(sample)
    count = estimator.null_runs if null is None else null
    random = np.random.default_rng([seed, 7])
    problems = [Problem(sample, seed)] + [
        Problem(sample, seed + 1 + i, repair(sample.n, sample.groups, random)) for i in range(count)
    ]
    estimate, *others = estimator.estimate_many(problems)
    values = [other.value for other in others]
    return score_estimate(sample, estimator.name, estimate, values, clusters)


def score_samples(samples: Sequence[Sample], estimator: Estimator) -> list[Score]:
    """Estimate several cleaned samples in one pass, sample i with seed i more than the estimator's.

    Critics of all samples are trained together, which costs a fraction of one after the other.
    """
    for sample in samples:
        estimator.check(sample)
    varying = [i for i, sample in enumerate(samples) if not is_constant(sample)]
    found = estimator.estimate_many([Problem(samples[i], estimator.seed + i) for i in varying])
    scores = [_nothing(sample) for sample in samples]
    for i, estimate in zip(varying, found, strict=True):
        scores[i] = score_estimate(samples[i], estimator.name, estimate, [])
    return scores


def repair(n: int, groups: np.ndarray | None, random: np.random.Generator) -> np.ndarray:
    """An order that re-pairs every row with another one.

    Rows of one group stay together (the order is a cyclic shift of rows sorted by shuffled
    groups): otherwise the null would be that of independent rows, and too narrow.
    """
    order = random.permutation(n)
    if groups is not None:
        shuffled = random.permutation(int(groups.max()) + 1)
        order = order[np.argsort(shuffled[groups[order]], kind="stable")]
        shift = int(random.integers(n // 4, n - n // 4))
    else:
        shift = 1
    paired = np.empty(n, dtype=np.int64)
    paired[order] = np.roll(order, shift)
    return paired


def score_estimate(
    sample: Sample,
    name: str,
    estimate: Estimate,
    null: list[float],
    clusters: np.ndarray | None = None,
) -> Score:
    clusters = sample.groups if clusters is None else clusters
    error = estimate.standard_error(clusters)
    value = estimate.value
    members = len(estimate.index)
    if clusters is not None:
        members = len(np.unique(clusters[estimate.index]))
    half = float(student_t.ppf(0.975, max(members - 1, 1))) * error
    certain = value + half
    half = max(half, -value)  # a value below 0 is an error of at least that size
    p = estimate.p
    warnings: list[Caution | str] = [*sample.warnings, *estimate.warnings]
    if not math.isfinite(value):
        warnings.append("no number came out: give more rows, or reduce the sides first")
        p, null = None, []
    if unread := sum(not math.isfinite(v) for v in null):
        warnings.append(f"{unread} of {len(null)} permuted copies gave no number: no null")
        null = []
    if p is None and len(null) >= FEWEST_FOR_P:
        p = (1 + sum(v >= value for v in null)) / (1 + len(null))
    for side_name, side in (("x", sample.x), ("y", sample.y)):
        if is_discrete(side) and value > entropy(side):
            warnings.append(Caution("above-entropy", of=side_name, entropy=entropy(side)))
    if certain < 0:
        warnings.append("below 0: nothing the critic learnt holds on kept-out rows")
    details: dict[str, Any] = {"estimator": name, **estimate.details}
    known = math.isfinite(error)
    if known:
        details["standard_error"] = error
    if null:
        details["null_values"] = list(null)
        details["null_interval"] = _null_interval(null, len(estimate.index))
    return Score(
        value=value,
        low=value - half if known else None,
        high=value + half if known else None,
        null=float(np.mean(null)) if null else None,
        p=p,
        n=len(estimate.index),
        unit="nats",
        cautions=as_cautions(warnings),
        details=details,
    )


def _null_interval(null: Sequence[float], n: int) -> list[float]:
    """Where 95 % of the estimates of n rows with nothing in common lie, by some permuted copies."""
    k = len(null)
    spread = float(np.std(null, ddof=1)) if k > 1 else math.nan
    # One estimate more beside k others; and n rows do not tell less than 1 / n from nothing.
    wide = float(student_t.ppf(0.975, max(k - 1, 1))) * math.sqrt(
        spread**2 * (1 + 1 / k) + 1 / n**2
    )
    center = float(np.mean(null))
    return [center - wide, center + wide]


def _nothing(sample: Sample) -> Score:
    """The score of a side that never varies: no estimator need be asked."""
    return Score(
        0.0, 0.0, 0.0, null=0.0, p=1.0, n=sample.n, unit="nats",
        cautions=as_cautions(sample.warnings),
        details={"estimator": "none: a side is constant"},
    )  # fmt: skip


def in_bits(score: Score) -> Score:
    """Convert a score in nats."""

    def bits(value: Any) -> Any:
        if isinstance(value, Mapping):
            return {key: bits(item) if key in IN_NATS else item for key, item in value.items()}
        if isinstance(value, (list, tuple)):
            return [bits(item) for item in value]
        return value if value is None else value / NATS_PER_BIT

    return replace(
        score, value=bits(score.value), low=bits(score.low), high=bits(score.high),
        null=bits(score.null), unit="bits", details=bits(score.details),
    )  # fmt: skip
