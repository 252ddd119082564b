"""Recorded scores against the same scores computed again, number by number."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

from fer_bench.cautions import Caution

TOLERANCE = 1e-7  # relative; sums in another order differ by less
_NOISE = 1e-10  # relative; below, a short number is a coincidence of rounding
_DECIMALS = range(2, 9)  # a recorded number that is the right one cut to so many was rounded


def differences(recorded: Any, again: Any, *, at: str = "") -> Iterator[Caution]:
    """Where two JSON values differ: numbers beyond rounding noise, rounded numbers, all else.

    Args:
        recorded: as saved.
        again: as computed now.
        at: the path so far.

    Yields:
        "score-differs", "score-rounded", "score-missing" or "score-added".

    >>> [c.code for c in differences({"value": 0.5123}, {"value": 0.51234567891})]
    ['score-rounded']
    >>> [c.code for c in differences({"value": 0.6}, {"value": 0.51234567891})]
    ['score-differs']
    """
    if isinstance(recorded, Mapping) and isinstance(again, Mapping):
        for key in again:
            if key not in recorded:
                yield Caution("score-missing", score=_join(at, key))
            else:
                yield from differences(recorded[key], again[key], at=_join(at, key))
        for key in recorded:
            if key not in again:
                yield Caution("score-added", score=_join(at, key))
    elif isinstance(recorded, list) and isinstance(again, list) and len(recorded) == len(again):
        for i, (a, b) in enumerate(zip(recorded, again, strict=True)):
            yield from differences(a, b, at=_join(at, str(i)))
    elif _is_number(recorded) and _is_number(again):
        if _rounded(recorded, again):
            yield Caution("score-rounded", score=at, recorded=recorded, again=again)
        elif not math.isclose(recorded, again, rel_tol=TOLERANCE, abs_tol=TOLERANCE):
            yield Caution("score-differs", score=at, recorded=recorded, again=again)
    elif recorded != again:
        shown = (str(recorded)[:80], str(again)[:80])
        yield Caution("score-differs", score=at, recorded=shown[0], again=shown[1])


def _rounded(recorded: float, again: float) -> bool:
    """Whether a number is the right one cut to a few decimals."""
    if not math.isfinite(again) or math.isclose(recorded, again, rel_tol=_NOISE, abs_tol=_NOISE):
        return False
    return any(round(again, k) == recorded for k in _DECIMALS)


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _join(at: str, key: str) -> str:
    return f"{at} {key}" if at else key
