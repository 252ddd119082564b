"""What may be claimed of a row: whether it beats chance, has collapsed, or is no evidence."""

from __future__ import annotations

from collections.abc import Mapping

from fer_bench.cautions import has
from fer_bench.information.calibration import FAULTS
from fer_bench.reports.aggregate import Estimate
from fer_bench.reports.columns import Column

ONE_DIRECTION = 1.25  # effective rank: one direction holds more than 94 % of the variance
SOURCE = "erm"  # registered name of the method whose embedding is erased for comparison
FAULTY = FAULTS | {"not-calibrated"}  # the last where the estimator read no planted rows at all
ERASED = "erased"  # registered names of methods that erase the person from another's embedding


def null_of(value: Estimate, column: Column) -> float | None:
    """The value without any effect: as measured, or 0 for the concordance of a constant."""
    return 0.0 if value.null is None and column.aspect == "affect" else value.null


def at_null(value: Estimate, column: Column) -> bool:
    """Whether a value is not shown to be better than the one without any effect.

    Of what should be low, such as a leak, the value without any effect is the best there is.
    """
    null = null_of(value, column)
    if null is None or column.better != "high":
        return False
    known = (bound for bound in (value.floor, value.low, value.mean) if bound is not None)
    return next(known) <= null


def withheld(value: Estimate) -> bool:
    """Whether the estimator failed its calibration in some run: no evidence, for or against."""
    return has(value.cautions, *FAULTY)


def at_most(value: Estimate) -> bool:
    """Whether the value is no more than a bound from above, as a leak was read too low."""
    return has(value.cautions, "gap-at-most")


def is_evidence(value: Estimate) -> bool:
    """Whether rows can be compared by this value."""
    return not (withheld(value) or at_most(value))


def may_lead(value: Estimate, column: Column) -> bool:
    """Whether a value can be called best: evidence, and shown to be better than no effect."""
    return is_evidence(value) and not at_null(value, column)


def collapsed(scores: Mapping[str, Estimate]) -> bool:
    """Whether some score says that an embedding of the row has collapsed to one direction.

    An embedding with little more than one direction earns a caution; it may still be read well.
    """
    cautions = [caution for score in scores.values() for caution in score.cautions]
    ranks = [c.values.get("rank") for c in cautions if c.code == "collapsed"]
    return has(cautions, "collapsed-side") or any(
        isinstance(rank, (int, float)) and rank < ONE_DIRECTION for rank in ranks
    )


def sound(scores: Mapping[str, Estimate], use: Column | None) -> bool:
    """Whether a row can be called best: it has not collapsed, and is better than chance."""
    if collapsed(scores):
        return False
    value = scores.get(use.key) if use is not None else None
    return use is None or (value is not None and not at_null(value, use))
