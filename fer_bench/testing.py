"""Laws and stored values as tests of your own code, under pytest or anything else.

`check_estimator` and `check_method` raise `LawBroken`, an AssertionError whose last line says which
law was broken and what most likely causes it. `parametrize_with_checks` makes one pytest test of
every law. `compare_with_stored` compares measured values with a file; the pytest plugin of this
package wraps it as the fixture `fer_baseline`.

    from fer_bench.testing import parametrize_with_checks

    @parametrize_with_checks([MyEstimator()])
    def test_laws(check):
        check()
"""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from fer_bench.atomic import write_text

if TYPE_CHECKING:
    import pytest

    from fer_bench.conformance import Finding
    from fer_bench.information.consistency import Check, Law
    from fer_bench.information.estimator import Estimator
    from fer_bench.score import Score

FORMAT = 1


class LawBroken(AssertionError):
    """A law that does not hold; `line` says which, and why most likely."""

    def __init__(self, line: str, details: Sequence[str] = ()) -> None:
        super().__init__("\n".join([*details, line]))
        self.line = line


# --- estimators ----------------------------------------------------------------------------------


def check_estimator(
    estimator: str | Estimator | type,
    *,
    like: Estimator | None = None,
    n: int = 1000,
    seed: int = 0,
    **options: Any,
) -> None:
    """Try an estimator of mutual information on every law that fits its sides.

    Args:
        estimator: a registered name, a class, or an instance with `fit(x, y)` and `estimate()` in
            nats; see `fer_bench.information.consistency.check_estimator`.
        like: an estimator of ours with the same definition, whose values it must give.
        n: rows of a sample.
        seed: of samples and estimator.
        options: of the estimator.

    Raises:
        LawBroken: a law does not hold.
        EstimatorError: it is no estimator, or cannot be built.

    >>> check_estimator("gaussian")
    """
    _Laws(estimator, like=like, n=n, seed=seed, options=options).check()


@dataclass
class _Laws:
    """The laws of one estimator; they are read together once one is broken."""

    estimator: Any
    like: Estimator | None
    n: int
    seed: int
    options: Mapping[str, Any]

    @cached_property
    def laws(self) -> list[Law]:
        from fer_bench.information.consistency import laws

        return laws(self.estimator, like=self.like, n=self.n, seed=self.seed, **self.options)

    @cached_property
    def checks(self) -> list[Check]:
        return [check for law in self.laws for check in law.run()]

    def check(self, law: Law | None = None) -> None:
        from fer_bench.information.diagnosis import likely_cause

        broken = [c for c in (self.checks if law is None else law.run()) if not c.passed]
        if broken:
            names = ", ".join(dict.fromkeys(check.name for check in broken))
            details = [f"{c.name}: {c.measured or c.why}" for c in broken]
            line = f"law broken: {names}; likely cause: {likely_cause(self.checks)}"
            raise LawBroken(line, details)


# --- methods -------------------------------------------------------------------------------------


def check_method(method: str | type, **parameters: Any) -> None:
    """Try a method adapter on the contract: shapes, determinism, ownership, gradients, signs.

    Args:
        method: a registered name, or a subclass of `fer_bench.method.Method`.
        parameters: of its `Config`.

    Raises:
        LawBroken: it does not keep the contract.
        UnknownNameError: there is no such method.

    >>> check_method("random-encoder")
    """
    from fer_bench.conformance import check_adapter

    _refuse(check_adapter(_adapter(method), **parameters))


def _refuse(findings: Iterable[Finding]) -> None:
    broken = [finding for finding in findings if not finding.passed]
    if broken:
        first = broken[0]
        line = f"law broken: {first.check}; likely cause: {first.message}"
        raise LawBroken(line, [str(finding) for finding in broken])


def _adapter(method: str | type) -> Any:
    from fer_bench.registry import methods

    return methods.get(method) if isinstance(method, str) else method


# --- one test a law ------------------------------------------------------------------------------


def parametrize_with_checks(
    things: Sequence[Any], *, like: Estimator | None = None, **options: Any
) -> pytest.MarkDecorator:
    """A pytest decorator: one test for every law of every estimator and method.

    The decorated function takes an argument `check` and calls it.

    Args:
        things: estimators (name, class or instance) and methods (name or class).
        like: see `check_estimator`.
        options: of estimators: n, seed; of methods: their parameters.
    """
    import pytest

    cases = [
        pytest.param(check, id=f"{_name(thing)}-{law}")
        for thing in things
        for law, check in _checks(thing, like, options)
    ]
    return pytest.mark.parametrize("check", cases)


def _checks(
    thing: Any, like: Estimator | None, options: dict[str, Any]
) -> list[tuple[str, Callable[[], None]]]:
    if _is_method(thing):
        from fer_bench.conformance import PARTS, check_part

        def of(part: str) -> Callable[[], None]:
            return lambda: _refuse(check_part(_adapter(thing), part, **options))

        return [(part, of(part)) for part in PARTS]
    given = {"n": 1000, "seed": 0, **options}
    tool = _Laws(thing, like, given.pop("n"), given.pop("seed"), given)

    def one(law: Law) -> Callable[[], None]:
        return lambda: tool.check(law)

    return [(law.name, one(law)) for law in tool.laws]


def _is_method(thing: Any) -> bool:
    from fer_bench.registry import methods

    if isinstance(thing, str):
        return thing in methods.names()
    contract = sys.modules.get("fer_bench.method")  # it needs torch; whoever subclasses has it
    return contract is not None and isinstance(thing, type) and issubclass(thing, contract.Method)


def _name(thing: Any) -> str:
    return thing if isinstance(thing, str) else getattr(thing, "__name__", type(thing).__name__)


# --- stored values -------------------------------------------------------------------------------


@dataclass(frozen=True)
class Tolerance:
    """How far a value may leave the stored one.

    Attributes:
        by: the distance, in the unit of the value.
        side: "above" may rise freely and fall by so much (accuracy); "below" may fall freely and
            rise by so much (a leak, a loss); "both" may do neither (an estimate of a known number).
    """

    by: float
    side: Literal["above", "below", "both"]

    def allows(self, value: float, stored: float) -> bool:
        """Whether a value may stand where another was stored."""
        if math.isnan(value) or math.isnan(stored):
            return math.isnan(value) and math.isnan(stored)
        fell, rose = stored - value > self.by, value - stored > self.by
        return not ((fell and self.side != "below") or (rose and self.side != "above"))

    @property
    def words(self) -> str:
        """What is allowed."""
        sides = {"above": "one-sided: it may rise", "below": "one-sided: it may fall"}
        return f"{self.by:g} {'either way' if self.side == 'both' else 'the other way'} is " + (
            f"allowed ({sides.get(self.side, 'two-sided')})"
        )


def at_least(by: float) -> Tolerance:
    """One-sided: the value may rise freely, and fall by `by`.

    >>> at_least(0.02).allows(0.95, 0.80), at_least(0.02).allows(0.77, 0.80)
    (True, False)
    """
    return Tolerance(by, "above")


def at_most(by: float) -> Tolerance:
    """One-sided: the value may fall freely, and rise by `by`.

    >>> at_most(0.02).allows(0.10, 0.40), at_most(0.02).allows(0.43, 0.40)
    (True, False)
    """
    return Tolerance(by, "below")


def within(by: float) -> Tolerance:
    """Two-sided: the value may leave the stored one by `by` either way.

    >>> within(0.02).allows(0.42, 0.40), within(0.02).allows(0.35, 0.40)
    (True, False)
    """
    return Tolerance(by, "both")


def compare_with_stored(
    values: Mapping[str, float | Score],
    file: str | Path,
    tolerances: Mapping[str, Tolerance],
    *,
    write: bool = False,
) -> None:
    """Compare measured values with those of a file, within stated tolerances.

    Args:
        values: by name; a `Score` counts by its value.
        file: JSON, as this function writes it.
        tolerances: one for every name.
        write: store the values instead of comparing them.

    Raises:
        LawBroken: a value left its tolerance, is missing or new, or nothing is stored yet.
    """
    file = Path(file)
    numbers = {name: float(getattr(value, "value", value)) for name, value in values.items()}
    unstated = sorted({*numbers} ^ {*tolerances})
    if unstated:
        raise LawBroken(
            f"law broken: {', '.join(unstated)}: every value needs a tolerance, and every "
            "tolerance a value: at_least(0.02), at_most(0.02) or within(0.02)"
        )
    if write:
        _store(numbers, tolerances, file)
        return
    if not file.is_file():
        raise LawBroken(f"law broken: {file} is missing: store it with pytest --fer-baseline-write")
    content = json.loads(file.read_text(encoding="utf-8"))
    _compare(numbers, content["values"], tolerances, _changes(content["made_with"]))


def _compare(
    numbers: Mapping[str, float],
    stored: Mapping[str, float],
    tolerances: Mapping[str, Tolerance],
    changes: str,
) -> None:
    if {*numbers} != {*stored}:
        names = ", ".join(sorted({*numbers} ^ {*stored}))
        raise LawBroken(
            f"law broken: {names}: measured or stored, not both: store again with "
            "pytest --fer-baseline-write"
        )
    broken = [
        f"{name} {'fell' if value < stored[name] else 'rose'} from {stored[name]:.4g} to "
        f"{value:.4g}; {tolerances[name].words}"
        for name, value in numbers.items()
        if not tolerances[name].allows(value, stored[name])
    ]
    if broken:
        more = f", and {len(broken) - 1} more" if len(broken) > 1 else ""
        raise LawBroken(f"law broken: {broken[0]}{more}; likely cause: {changes}", broken)


def _changes(then: Mapping[str, str]) -> str:
    """What differs from when the values were stored."""
    now = _versions()
    changed = [f"{k} {then[k]} -> {now.get(k)}" for k in then if then[k] != now.get(k)]
    return ", ".join(changed) or "your code or data, for the packages are those of then"


def _versions() -> dict[str, str]:
    import platform
    from importlib.metadata import version

    packages = ("fer-bench", "numpy", "scipy", "torch")
    return {"python": platform.python_version(), **{name: version(name) for name in packages}}


def _store(numbers: Mapping[str, float], tolerances: Mapping[str, Tolerance], file: Path) -> None:
    content = {
        "format": FORMAT,
        "values": dict(numbers),
        "tolerances": {name: asdict(tolerance) for name, tolerance in tolerances.items()},
        "made_with": _versions(),
    }
    write_text(file, json.dumps(content, indent=1) + "\n")
