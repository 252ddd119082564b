"""The interface of estimators: `fit` on rows, `estimate` a value, several problems at once."""

from __future__ import annotations

import inspect
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from numbers import Integral, Real
from typing import Any, ClassVar

import numpy as np

from fer_bench.cautions import Caution
from fer_bench.errors import FerBenchError, did_you_mean
from fer_bench.information.inputs import Sample, clean_pair
from fer_bench.registry import estimators
from fer_bench.score import Score

# What the sides of an estimator may be: how many of them are labels, and that in words.
SIDES = {
    "continuous": ((0,), "two continuous sides"),
    "mixed": ((1,), "one continuous side and one of labels"),
    "discrete": ((2,), "labels on both sides"),
    "labels": ((1, 2), "labels on one side at least"),
    "any": ((0, 1, 2), "any sides"),
}


class EstimatorError(FerBenchError):
    """An estimator does not apply to the data, or an option is unknown or impossible."""


class SidesError(EstimatorError):
    """An estimator does not read sides of this kind (labels or measurements)."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """An estimate of mutual information, in nats.

    Attributes:
        value: the estimate.
        rows: [m] contributions of the rows that the value rests on. Their mean is the value up to a
            constant, and their spread over groups gives the standard error. Empty for estimators
            that return a number only.
        index: [m] numbers of those rows.
        extra_variance: variance of the value that `rows` do not show (dimension, fitting), nats^2.
        p: exact permutation p-value where the estimator has one, else None.
        cautions: what a reader of the value must know.
        details: plain JSON types: fitted value, learning curve, number of folds, ...
    """

    value: float
    rows: np.ndarray
    index: np.ndarray
    extra_variance: float = 0.0
    p: float | None = None
    cautions: tuple[Caution, ...] = ()
    details: Mapping[str, Any] = field(default_factory=dict)

    def standard_error(self, groups: np.ndarray | None = None) -> float:
        """Standard error of the value in nats; the rows of one group count as one observation.

        It is at least 1 / n: n rows cannot distinguish less information from none. NaN without
        rows.

        Args:
            groups: [n] group of each row of the sample; None for independent rows.
        """
        if len(self.rows) < 2:
            return math.nan
        centred = self.rows - self.rows.mean()
        n = len(centred)
        if groups is not None:
            codes = np.unique(groups[self.index], return_inverse=True)[1]
            centred = np.bincount(codes, weights=centred)
        m = len(centred)
        if m < 2:
            return math.nan
        variance = (centred**2).sum() / n**2 * m / (m - 1)
        return float(np.sqrt(variance + self.extra_variance + 1 / n**2))


@dataclass(frozen=True, slots=True)
class Problem:
    """A sample together with the seed of its splits and networks.

    With an `order`, row i of x is paired with row order[i] of y. Permuted problems so share their
    arrays with the original.
    """

    sample: Sample
    seed: int = 0
    order: np.ndarray | None = None

    @property
    def paired(self) -> Sample:
        """The sample with its pairing applied."""
        if self.order is None:
            return self.sample
        return replace(self.sample, y=self.sample.y[self.order])


class Estimator:
    """Base class of estimators; other objects only need `fit` and `estimate` (`WrappedEstimator`).

    Options are keyword arguments of the constructor. Estimators that train a network evaluate it on
    rows that it was not trained on.

    >>> import numpy as np
    >>> from fer_bench.information.estimators.gaussian import Gaussian
    >>> rng = np.random.default_rng(0)
    >>> x = rng.normal(size=(4000, 1))
    >>> y = 0.8 * x + 0.6 * rng.normal(size=(4000, 1))
    >>> estimate = Gaussian().fit(x, y).estimate()
    >>> bool(abs(estimate.value + 0.5 * np.log(1 - 0.8**2)) < 0.05)
    True
    """

    name: ClassVar[str]
    sides: ClassVar[str] = "any"  # of `SIDES`
    remedy: ClassVar[str] = "choose another (estimator='auto' does)"  # where sides do not suit
    null_runs: ClassVar[int] = 20  # permutations that `estimate_mi` runs unless told

    def __init__(self, *, seed: int = 0) -> None:
        self.seed = read_integer("seed", seed, 0)
        self._sample: Sample | None = None

    def estimate_many(self, problems: Sequence[Problem]) -> list[Estimate]:
        """Estimate several problems; networks of problems of one shape are trained in one pass."""
        return [self._one(problem) for problem in problems]

    def _one(self, problem: Problem) -> Estimate:
        """Estimate one problem; what trains networks overrides `estimate_many` instead."""
        raise NotImplementedError

    def fit(
        self,
        x: Any,
        y: Any,
        *,
        groups: Any = None,
        discrete_x: bool | None = None,
        discrete_y: bool | None = None,
    ) -> Estimator:
        """Store the rows to estimate from.

        Args:
            x, y: paired measurements [n, d] or labels [n].
            groups: [n] subject of each row.
            discrete_x, discrete_y: override whether a side is read as labels.

        Raises:
            DataError: the rows cannot be read or paired (see `clean_pair`).
            SidesError: the estimator does not read such sides.
        """
        self._sample = clean_pair(x, y, groups=groups, discrete_x=discrete_x, discrete_y=discrete_y)
        self.check(self._sample)
        if is_constant(self._sample):
            self._estimate = no_information(self._sample.n)
        else:
            self._estimate = self.estimate_many([Problem(self._sample, self.seed)])[0]
        return self

    def estimate(self) -> Estimate:
        """Return the estimate for the rows of the last `fit`.

        Raises:
            EstimatorError: `fit` has not been called.
        """
        if self._sample is None:
            raise EstimatorError(f"{type(self).__name__}: call fit(x, y) before estimate().")
        return self._estimate

    def as_chosen(self, score: Score, n: int, *, seed: int) -> Estimator:
        """What gave a score: this estimator, or the one it chose for the n rows."""
        return self

    def mistakes(self) -> Mapping[str, Estimator]:
        """The same estimator with a well-known slip in its formula, by what is wrong."""
        return {}

    def check(self, sample: Sample) -> None:
        """Raise `SidesError` where the estimator does not read the sides of a sample."""
        counts, need = SIDES[self.sides]
        if (sample.x.ndim == 1) + (sample.y.ndim == 1) not in counts:
            raise SidesError(
                f"the estimator {self.name!r} needs {need}: {self.remedy}, or say how the sides "
                "are read (discrete_x, discrete_y)."
            )


class WrappedEstimator(Estimator):
    """An estimator around any object with `fit(x, y)` and an `estimate()` that returns nats."""

    null_runs: ClassVar[int] = 0
    remedy: ClassVar[str] = 'let its attribute `sides` say what it reads ("continuous" without one)'

    def __init__(self, tool: Any, name: str | None = None) -> None:
        super().__init__()
        self.tool = tool
        self.name = str(name or getattr(tool, "name", type(tool).__name__))  # type: ignore[misc]
        self.sides = sides_of(tool)  # type: ignore[misc]

    def _one(self, problem: Problem) -> Estimate:
        sample = problem.paired
        self.tool.fit(sample.x.copy(), sample.y.copy())  # it may well work in place
        result = self.tool.estimate()
        if isinstance(result, Estimate):
            return result
        if not isinstance(result, Real) and np.ndim(result) == 0:
            result = getattr(result, "item", lambda: result)()
        if not isinstance(result, Real):
            raise EstimatorError(
                f"{self.name}: estimate() gave {type(result).__name__}: return a number in nats."
            )
        return Estimate(float(result), np.zeros(0), np.arange(sample.n))


def make(estimator: Any, *, seed: int = 0, **options: Any) -> Estimator:
    """Build an estimator.

    Args:
        estimator: a registered name, a class, an instance, or any object with `fit` and `estimate`.
        seed: of the estimator.
        options: of its constructor.

    Raises:
        EstimatorError: an option is unknown or impossible, or the object is not an estimator.
        UnknownNameError: no estimator has that name.

    >>> make("ksg", k=3).name
    'ksg'
    """
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
    return WrappedEstimator(estimator, name)


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


def sides_of(tool: Any) -> str:
    """The kind of sides that an estimator reads: its attribute `sides`, or "continuous".

    Raises:
        EstimatorError: the attribute is not one of `SIDES`.
    """
    sides = str(getattr(tool, "sides", "continuous"))
    if sides not in SIDES:
        kind = tool if isinstance(tool, type) else type(tool)
        raise EstimatorError(f"{kind.__name__}.sides is {sides!r}: {did_you_mean(sides, SIDES)}")
    return sides


def is_constant(sample: Sample) -> bool:
    """Whether a side of the sample has no variation, so that the information is 0."""
    return any(bool((side == side[:1]).all()) for side in (sample.x, sample.y))


def no_information(n: int) -> Estimate:
    """The estimate for n rows of which a side is constant: 0 nats."""
    return Estimate(0.0, np.zeros(n), np.arange(n))


def read_integer(name: str, value: Any, least: int) -> int:
    """Read an option that must be an integer.

    Raises:
        EstimatorError: it is not an integer of at least `least`.
    """
    if isinstance(value, bool) or not isinstance(value, Integral) or value < least:
        raise EstimatorError(f"{name} = {value!r}: give a whole number of at least {least}.")
    return int(value)


def flag(name: str, value: Any) -> bool:
    """Read an option that must be true or false.

    Raises:
        EstimatorError: it is neither.
    """
    if not isinstance(value, (bool, np.bool_)):
        raise EstimatorError(f"{name} = {value!r}: give True or False.")
    return bool(value)


def positive(name: str, value: Any) -> float:
    """Read an option that must be a number above 0.

    Raises:
        EstimatorError: it is not.
    """
    if isinstance(value, bool) or not isinstance(value, Real) or not 0 < float(value) < math.inf:
        raise EstimatorError(f"{name} = {value!r}: give a number above 0.")
    return float(value)


def reject_unknown(options: Mapping[str, Any], known: Sequence[str], name: str) -> None:
    """Check that all options are known.

    Raises:
        EstimatorError: one is not; the message suggests the most similar name.
    """
    for key in options:
        if key not in known:
            raise EstimatorError(
                f"the estimator {name!r} has no option {key!r}: {did_you_mean(key, known)}"
            )
