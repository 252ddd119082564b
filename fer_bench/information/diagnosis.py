"""From broken laws of an estimator to the likely cause, in one line."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from statistics import fmean

from scipy.special import digamma

from fer_bench.information.consistency import Check

_UNITS = {1 / math.log(2): "bits are returned instead of nats", 2.0: "a factor of 2 too many",
          math.log(2): "the value is multiplied by ln 2 once too often", 0.5: "a factor of 1/2 too "
          "many"}  # fmt: skip
_MOST_NEIGHBOURS = 10

ALONE = {
    "row order": "the order of rows enters: shuffle before splitting, and pair rows by index",
    "symmetry": "the two sides are not treated alike (only one is scaled, or seen in full)",
    "label symmetry": "the two sides are not treated alike",
    "bijection": "the scale of a side enters: standardise both, or use ranks",
    "offset": "the offset or the unit of a side enters: standardise both",
    "noise column": "further columns raise the value: too many parameters for the rows, or a value "
    "read on the rows that were fitted",
    "data processing: loss": "a value that is divided by, or grows with, the number of columns",
    "data processing: copy": "a value that is divided by, or grows with, the number of columns",
    "relabelling": "codes of labels are used as numbers",
    "bounded": "more than the entropy of the labels: a bias that is not taken off",
    "monotone": "the sign is turned round, or the value saturates",
    "revealed rows": "the value saturates (InfoNCE never exceeds the log of its batch)",
    "duplicated rows": "repeated rows count as evidence: neighbours at distance 0 (KSG counts with "
    "< where <= is meant, or psi(n_x) and psi(n_x + 1) are mixed up), or a value read on the rows "
    "that were fitted",
    "doubled rows": "a bias that falls as 1/n: a value read on the rows that were fitted, or a "
    "histogram without correction",
}
"""What a law that is broken alone points to."""

_FITTED = (
    "independent rows give {:+.2f} nats: an in-sample value (the model is valued on the rows it "
    "was fitted on), or a histogram without correction"
)


def likely_cause(checks: Sequence[Check]) -> str:
    """What most likely makes the checks fail that failed; "" where all passed.

    The errors are read together: the same error everywhere is a constant of the formula, the same
    ratio everywhere is a unit, an error that shrinks with more rows is a value read on the rows
    that were fitted, and one that grows with the information is a bound.

    Args:
        checks: all checks of one estimator, passed or not.
    """
    failed = [check for check in checks if not check.passed]
    if not failed:
        return ""
    broken = [check for check in failed if math.isnan(check.value)]
    if broken:
        return f"it gave no number: {broken[0].why}"
    by_name = {check.name.split(",")[0]: check for check in reversed(checks)}
    rules = (_variant, _constant, _factor, _few_rows, _in_sample, _invariance, _bound)
    told = next(filter(None, (rule(by_name) for rule in rules)), None)
    return told or ALONE.get(failed[0].name.split(",")[0], failed[0].why)


def _error(check: Check) -> float:
    return check.value - check.expected


def _truths(checks: Mapping[str, Check]) -> list[Check]:
    return [check for name, check in checks.items() if name.startswith("truth")]


def _variant(checks: Mapping[str, Check]) -> str | None:
    """An error of the reference's formula that gives just this value."""
    check = checks.get("agreement")
    return None if check is None or check.passed else check.cause or None


def _constant(checks: Mapping[str, Check]) -> str | None:
    """Everything is off by one number: a constant of the formula."""
    zero = checks.get("independence")
    if zero is None or zero.passed:
        return None
    errors = [_error(zero), *map(_error, _truths(checks))]
    shift = fmean(errors)
    if len(errors) < 2 or max(abs(e - shift) for e in errors) > 0.03 + 0.1 * abs(shift):
        return None
    text = f"a constant of {shift:+.2f} nats is added to every value"
    for k in range(1, _MOST_NEIGHBOURS + 1):
        step = digamma(k + 1) - digamma(k)  # 1 / k
        if abs(abs(shift) - step) < 0.03 + 0.02 * step:
            return (
                f"{text}, which is 1/{k}: an off-by-one in the neighbours of KSG (psi(k) for "
                "psi(k + 1), or the row itself counted as its neighbour)"
            )
    return text


def _factor(checks: Mapping[str, Check]) -> str | None:
    """Everything is off by one ratio, and independent rows are right: a unit."""
    zero, truths = checks.get("independence"), _truths(checks)
    adds = "additivity" not in checks or checks["additivity"].passed  # a factor keeps sums
    if zero is None or not zero.passed or not adds or len(truths) < 2:
        return None
    if all(truth.passed for truth in truths):
        return None
    ratios = [t.value / t.expected for t in truths]
    ratio = fmean(ratios)
    if max(abs(r - ratio) for r in ratios) > 0.03 * abs(ratio):
        return None
    unit = next((why for size, why in _UNITS.items() if abs(ratio / size - 1) < 0.08), None)
    return f"every value is {ratio:.2f} times the truth" + (f": {unit}" if unit else "")


def _in_sample(checks: Mapping[str, Check]) -> str | None:
    """Independent rows seem dependent, less so with more rows or less room to fit."""
    zero = checks.get("independence")
    if zero is None or zero.passed or _error(zero) < 0:
        return None
    falls = "doubled rows" in checks and _error(checks["doubled rows"]) < 0
    rises = "noise column" in checks and _error(checks["noise column"]) > 0.02
    return _FITTED.format(zero.value) if falls or rises else None


def _few_rows(checks: Mapping[str, Check]) -> str | None:
    """Few independent rows seem dependent: how the error grows tells why."""
    zero, few = checks.get("independence"), checks.get("few rows")
    if zero is None or few is None or few.passed:
        return None
    if few.value < 0:
        return (
            f"few independent rows give {few.value:+.2f} nats: the row itself is counted in KSG "
            "(psi(n_x + 2) for psi(n_x + 1)), or a model fits noise and is valued on other rows"
        )
    # With an eighth of the rows 1 / rows is 8 times as much, and 1 / sqrt(rows) 2.8 times.
    if few.value < 0.2 and few.value < 5 * zero.value:
        return (
            f"independent rows give {zero.value:+.2f} nats, and few {few.value:+.2f}: an "
            "off-by-one in the counts of KSG (psi(n_x) for psi(n_x + 1)), or an in-sample value"
        )
    return _FITTED.format(few.value).replace("independent", "few independent")


def _invariance(checks: Mapping[str, Check]) -> str | None:
    """What information does not depend on, and this value does."""
    names = ("row order", "offset", "symmetry", "bijection", "relabelling")
    broken = [name for name in names if name in checks and not checks[name].passed]
    return ALONE[broken[0]] if broken else None


def _bound(checks: Mapping[str, Check]) -> str | None:
    """Right without dependence, and off the more there is of it: a bound taken for the value."""
    zero = checks.get("independence")
    further = [checks[name] for name in ("additivity", "much information") if name in checks]
    errors = [_error(check) for check in (*_truths(checks), *further) if not check.passed]
    if zero is None or not zero.passed or not errors or min(errors) * max(errors) < 0:
        return None
    if errors[0] < 0:
        return (
            "the more information, the more is missed: a lower bound that is loose or saturates "
            "(InfoNCE never exceeds the log of its batch), or a critic trained too briefly"
        )
    return "the more information, the more is overstated: an upper bound (CLUB, leave-one-out)"
