"""One measured number with everything that makes it honest."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any


@dataclass(frozen=True, slots=True)
class Score:
    """A measured value, its uncertainty, and what it would be without any effect.

    Attributes:
        value: the estimate, in `unit`; NaN only together with a warning that says why.
        low, high: bounds of the 95 % interval (bootstrap over subjects where there are any).
        null: the value under a permutation null (its mean), or None if none was run.
        p: one-sided permutation p-value against that null.
        n: number of samples the value was computed on (never those it was fitted on).
        unit: "nats", "bits", "fraction", "" for a bare number, ...
        warnings: sentences a reader must see, such as "saturated at ln(batch)".
        details: JSON-able extras: curves, matrices, estimator, null interval, calibration.

    >>> score = Score(0.82, 0.79, 0.85, n=400, unit="fraction")
    >>> str(score)
    '0.820 [0.790, 0.850]'
    """

    value: float
    low: float | None = None
    high: float | None = None
    null: float | None = None
    p: float | None = None
    n: int = 0
    unit: str = ""
    warnings: tuple[str, ...] = ()
    details: Mapping[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        if self.low is None or self.high is None:
            return f"{self.value:.3f}"
        return f"{self.value:.3f} [{self.low:.3f}, {self.high:.3f}]"

    def __float__(self) -> float:
        return self.value

    def with_warning(self, *warnings: str) -> Score:
        """Return a copy that carries further warnings (each at most once)."""
        new = tuple(w for w in warnings if w not in self.warnings)
        return replace(self, warnings=self.warnings + new)

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON types; NaN and infinities become None."""
        return _finite(asdict(self))

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Score:
        """Inverse of `to_json` (a missing value comes back as NaN)."""
        fields = dict(data)
        fields["value"] = math.nan if fields.get("value") is None else float(fields["value"])
        fields["warnings"] = tuple(fields.get("warnings", ()))
        return cls(**fields)


def _finite(value: Any) -> Any:
    """Replace non-finite floats by None and containers by plain ones, recursively."""
    if isinstance(value, Mapping):
        return {str(k): _finite(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(v) for v in value]
    if hasattr(value, "tolist"):  # numpy arrays and scalars, torch tensors
        return _finite(value.tolist())
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
