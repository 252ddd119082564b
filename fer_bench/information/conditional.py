"""Conditional mutual information I(X; Y | Z)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import islice
from typing import Any

import numpy as np

from fer_bench.cautions import Caution
from fer_bench.errors import DataError
from fer_bench.information.estimator import (
    Estimate,
    Estimator,
    EstimatorError,
    Problem,
    WrappedEstimator,
    is_constant,
    make,
    no_information,
)
from fer_bench.information.estimators.neighbours import KSG, conditional_ksg
from fer_bench.information.inputs import (
    FEW_ROWS,
    MIN_ROWS,
    ReadingError,
    Sample,
    is_discrete,
    one_hot,
    varying,
)
from fer_bench.information.scoring import permute_pairs, score_estimate, score_sample
from fer_bench.score import Score


def estimate_conditional(
    sample: Sample,
    condition: np.ndarray,
    estimator: str | Estimator | type,
    *,
    seed: int = 0,
    null: int | None = None,
    **options: Any,
) -> Score:
    """Conditional mutual information of a cleaned sample with any estimator.

    Labels z: the mean over classes of the information within each, weighted by class size; classes
    below ten rows are left out, with a caution. Continuous z: nearest neighbours (Frenzel and Pompe
    2007) for "ksg", and for "auto" in up to five dimensions; otherwise the chain rule
    I(X; Y, Z) - I(X; Z). A z without variation is a single class.

    Permuted copies are drawn within the classes of z. With continuous z there is no null, since
    permuting y would also break its dependence on z.

    Args:
        sample: x and y.
        condition: z, a cleaned side [n, d] or [n] (`clean_side`).
        estimator: a registered name, a class or an instance.
        seed: of splits, networks and permutations.
        null: number of permuted copies; the estimator's default if None.
        options: of the estimator.

    Returns:
        Score in nats.

    Raises:
        DataError: no class of z has ten rows, or z has another number of rows.
        EstimatorError: the estimator does not apply to such sides.
    """
    if len(condition) != sample.n:
        raise DataError(f"z has {len(condition)} rows and x has {sample.n}: give one per sample.")
    tool = make(estimator, seed=seed, **options)
    if isinstance(tool, WrappedEstimator):
        raise EstimatorError("conditioning needs one of this package's estimators.")
    if not is_discrete(condition) and not varying(condition).shape[1]:
        condition = np.zeros(sample.n, dtype=np.int64)
    if is_discrete(condition):
        return _by_class(sample, condition, tool, null)
    if null:
        raise EstimatorError(
            "there is no null for a measured z, since permuted rows would lose their tie to z: "
            "leave `null`, or cut z into classes."
        )
    if is_constant(sample):
        return score_sample(sample, tool)
    measured = not (is_discrete(sample.x) or is_discrete(sample.y))
    dims = condition.shape[1] + (sample.x.shape[1] + sample.y.shape[1] if measured else 99)
    if measured and (tool.name == "ksg" or (tool.name == "auto" and dims <= 5)):
        like = tool if isinstance(tool, KSG) else KSG()
        estimate = conditional_ksg(sample, condition, k=like.k, scores=like.scores, seed=seed)
        return score_estimate(sample, "conditional ksg", estimate, [])
    beside = one_hot(sample.y) if is_discrete(sample.y) else sample.y
    pairs = [replace(sample, y=y) for y in (np.hstack([beside, condition]), condition)]
    try:
        for pair in pairs:
            tool.check(pair)
    except EstimatorError:
        raise EstimatorError(
            f"with a measured z the chain rule asks for I(X; Y, Z), which {tool.name!r} does not "
            "read: choose another estimator, or cut z into classes."
        ) from None
    joint, alone = (tool.estimate_many([Problem(pair, seed)])[0] for pair in pairs)
    estimate = replace(
        difference(joint, alone, sample.n), details={"with_z": joint.value, "z_alone": alone.value}
    )
    return score_estimate(sample, f"{tool.name} (chain rule)", estimate, [])


def difference(joint: Estimate, alone: Estimate, n: int) -> Estimate:
    """The difference of two estimates on the same n rows, joint less alone.

    Contributions are subtracted row by row, so that errors the two have in common cancel.
    """
    rows = np.full((2, n), np.nan)
    for side, estimate in zip(rows, (joint, alone), strict=True):
        side[estimate.index] = estimate.rows
    gain = rows[0] - rows[1]
    index = np.flatnonzero(np.isfinite(gain))
    return Estimate(
        value=joint.value - alone.value,
        rows=gain[index],
        index=index,
        extra_variance=joint.extra_variance + alone.extra_variance,
        cautions=(*joint.cautions, *alone.cautions, Caution("difference")),
    )


def _by_class(sample: Sample, z: np.ndarray, tool: Estimator, null: int | None) -> Score:
    random = np.random.default_rng([tool.seed, 11])
    count = tool.null_runs if null is None else null
    kept: list[np.ndarray] = []
    by_class: list[list[Estimate]] = []  # of each class: as paired, then its permuted copies
    problems: list[Problem] = []
    for label in range(int(z.max()) + 1):
        rows = np.flatnonzero(z == label)
        if len(rows) < MIN_ROWS:
            continue
        part = _compact(sample.rows(rows))
        tool.check(part)
        orders = [None, *(permute_pairs(part.n, part.groups, random) for _ in range(count))]
        kept.append(rows)
        by_class.append([no_information(part.n)] * len(orders) if is_constant(part) else [])
        if not by_class[-1]:
            problems += [Problem(part, tool.seed + i, order) for i, order in enumerate(orders)]
    if not kept:
        raise ReadingError(
            "no class of z has ten rows: use fewer classes, more data, or ",
            "discrete_z=False",
            " if z is a measurement.",
        )
    # All at once: critics of classes of one size are trained together.
    every = iter(tool.estimate_many(problems) if problems else [])
    by_class = [known or list(islice(every, count + 1)) for known in by_class]
    sizes = np.array([len(rows) for rows in kept])
    by_order = zip(*by_class, strict=True)
    values = [
        float(sizes / sizes.sum() @ [one.value for one in estimates]) for estimates in by_order
    ]
    estimate = _averaged(sample.n, kept, [estimates[0] for estimates in by_class], values[0])
    return score_estimate(sample, f"{tool.name} (by class)", estimate, values[1:])


def _averaged(
    n: int, kept: Sequence[np.ndarray], estimates: Sequence[Estimate], value: float
) -> Estimate:
    """One estimate of those of all classes, weighted by how many of the n rows each has."""
    sizes = np.array([len(rows) for rows in kept])
    left, few = n - int(sizes.sum()), int((sizes < FEW_ROWS).sum())
    cautions = [Caution("small-classes-left-out", rows=left)] if left else []
    if few:
        cautions.append(Caution("small-classes", few=few, classes=len(sizes), least=FEW_ROWS))
    variances = [
        share**2 * e.extra_variance for share, e in zip(sizes / sizes.sum(), estimates, strict=True)
    ]
    return Estimate(
        value=value,
        rows=np.concatenate([e.rows for e in estimates]),
        index=np.concatenate([rows[e.index] for rows, e in zip(kept, estimates, strict=True)]),
        extra_variance=float(sum(variances)),
        cautions=(*cautions, *(caution for e in estimates for caution in e.cautions)),
        details={"by_class": [e.value for e in estimates]},
    )


def _compact(sample: Sample) -> Sample:
    """Codes that occur, renumbered, and columns that vary."""

    def codes(values: np.ndarray) -> np.ndarray:
        return np.unique(values, return_inverse=True)[1].reshape(-1).astype(np.int64)

    def side(values: np.ndarray) -> np.ndarray:
        kept = codes(values) if is_discrete(values) else varying(values)
        return kept if kept.size else values[:, :1]

    groups = None if sample.groups is None else codes(sample.groups)
    return Sample(side(sample.x), side(sample.y), groups, sample.cautions)
