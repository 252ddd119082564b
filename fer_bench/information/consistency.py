"""What any estimator must fulfil, with or without a known truth; run it on anybody's.

After Song and Ermon (2020, section 5) and the invariances of mutual information. Tolerances are
as narrow as the estimators of this package allow at n = 1000.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from itertools import pairwise
from typing import Any

import numpy as np

from fer_bench.errors import FerBenchError
from fer_bench.information import tasks
from fer_bench.information.estimator import Estimate, Estimator, EstimatorError, make, sides_of
from fer_bench.information.mutual import estimate_mi
from fer_bench.information.tasks import Pair, Task
from fer_bench.labels import label_entropy
from fer_bench.registry import estimators


@dataclass(frozen=True)
class Check:
    """The result of one check.

    Attributes:
        name: of the check.
        passed: whether the value is within the tolerance.
        value, expected: in nats; NaN where the estimator failed.
        tolerance: in nats.
        why: the requirement in words, or the error of the estimator.
        cause: a known mistake that gives exactly this value; empty where none does.
    """

    name: str
    passed: bool
    value: float
    expected: float
    tolerance: float
    why: str
    cause: str = ""

    @property
    def measured(self) -> str:
        """Value, expectation and tolerance as text; empty where the estimator failed."""
        if math.isnan(self.value):
            return ""
        return f"{self.value:+.3f}  expected {self.expected:+.3f} ± {self.tolerance:.3f}"


Run = Callable[[Any, Any], float]


@dataclass(frozen=True)
class Law:
    """One or more checks, not run yet.

    Attributes:
        name: such as "independence", or "independence, mixed".
        run: runs them.
    """

    name: str
    run: Callable[[], list[Check]]


def check_estimator(
    estimator: str | Estimator | type, *, n: int = 1000, seed: int = 0, **options: Any
) -> list[Check]:
    """Run every consistency check that applies to an estimator; arguments as for `laws`.

    >>> all(check.passed for check in check_estimator("gaussian"))
    True
    """
    return [check for law in laws(estimator, n=n, seed=seed, **options) for check in law.run()]


def laws(
    estimator: str | Estimator | type,
    *,
    like: Estimator | None = None,
    n: int = 1000,
    seed: int = 0,
    **options: Any,
) -> list[Law]:
    """The checks that apply to an estimator, by the kind of its sides; none is run yet.

    Args:
        estimator: a registered name, a class, or an instance with `fit(x, y)` and `estimate()`.
            One that does not derive from `Estimator` receives plain arrays: measurements [n, d],
            labels [n] from 0 on. Its attribute `sides` says which it reads ("continuous" without
            it).
        like: an estimator of this package with the same definition, such as
            `KSG(k=3, scores=False)`. The values must agree within 0.01 nats on the same rows, which
            shows errors of the formula that are smaller than the scatter of the truth.
        n: rows of each sample; the tolerances are meant for 1000.
        seed: of samples and estimator.
        options: of the estimator.

    Raises:
        EstimatorError: the object has no `fit` and `estimate`, or cannot be built.
    """
    thing = estimators.get(estimator) if isinstance(estimator, str) else estimator
    kind = thing if isinstance(thing, type) else type(thing)
    if not (hasattr(thing, "fit") and hasattr(thing, "estimate")):
        raise EstimatorError(
            f"{estimator!r:.60} is no estimator: it needs fit(x, y) and estimate()."
        )
    if issubclass(kind, Estimator):
        run = _ours(thing, seed, options)
    else:
        run = _as_given(thing, seed, options)
    trials = {name: Trial(run, PAIRS[name], n, seed) for name in KINDS[sides_of(thing)]}
    same: list[Test] = [] if like is None else [partial(agreement, like=like)]
    return [
        Law(_title(test, name), partial(_apply, test, trial, name))
        for name, trial in trials.items()
        for test in (*same, *CHECKS[name])
    ]


def _ours(thing: Any, seed: int, options: dict[str, Any]) -> Run:
    tool = make(thing, seed=seed, **options)

    def run(x: Any, y: Any) -> float:
        return _finite(estimate_mi(x, y, estimator=tool, null=0, interval=False).value)

    return run


def _as_given(thing: Any, seed: int, options: dict[str, Any]) -> Run:
    """`estimate_mi` would standardise the sides, and hide what the estimator does with others."""

    def build() -> Any:
        if not isinstance(thing, type):
            if options:
                raise EstimatorError("options go to the constructor of an instance, not here.")
            return thing
        seeded = {"seed": seed} if "seed" in inspect.signature(thing).parameters else {}
        return thing(**seeded, **options)

    def run(x: Any, y: Any) -> float:
        tool = build()
        tool.fit(x.copy(), y.copy())  # it may well work in place
        return _finite(tool.estimate())

    try:
        build()
    except Exception as error:
        raise EstimatorError(f"{thing!r:.60} cannot be built: {_sentence(error)}") from None
    return run


def _finite(result: Any) -> float:
    """The number that an estimator gave, or EstimatorError."""
    value = result.value if isinstance(result, Estimate) else result
    if value is None or isinstance(value, str) or np.ndim(value) > 0:
        raise EstimatorError(
            f"estimate() returned {type(value).__name__}: let it return one number, in nats."
        )
    if not math.isfinite(value):
        raise EstimatorError(f"estimate() returned {value}: let it return a finite number.")
    return float(value)


def _sentence(error: Exception) -> str:
    text = " ".join(str(error).split())
    return text if isinstance(error, FerBenchError) else f"{type(error).__name__}: {text}"


# --- the pairs to try an estimator on ----------------------------------------------------------


@dataclass(frozen=True)
class Pairs:
    """The tasks that the checks of one kind of sides use.

    Attributes:
        base: the task that most checks start from.
        strong: a task of high information.
        rising: tasks of increasing information; the first has none.
        known: tasks whose truth must be met.
    """

    base: Task
    strong: Task
    rising: Sequence[Task]
    known: Sequence[Task]


def _normal(*correlations: float) -> Task:
    d = len(correlations)
    name = f"normal {correlations}"
    return tasks.normal(name, tasks.paired_covariance(d, d, list(correlations)), d)


PAIRS = {
    "continuous": Pairs(
        base=_normal(0.8, 0.6),
        strong=_normal(0.98, 0.98),
        rising=[_normal(rho, rho) for rho in (0.0, 0.3, 0.6, 0.9)],
        known=[_normal(0.75), _normal(0.8, 0.6)],
    ),
    "mixed": Pairs(
        base=tasks.clusters(7, 2, 1.5),
        strong=tasks.clusters(7, 2, 20),
        rising=[tasks.clusters(7, 2, spread) for spread in (0.0, 0.5, 1.0, 2.0)],
        known=[tasks.clusters(7, 2, 1.5), tasks.clusters(3, 1, 1.5)],
    ),
    "discrete": Pairs(
        base=tasks.channel(7, 0.3),
        strong=tasks.channel(7, 0.0),
        rising=[tasks.channel(7, flip) for flip in (6 / 7, 0.6, 0.4, 0.2)],
        known=[tasks.channel(7, 0.3), tasks.channel(2, 0.1)],
    ),
}


@dataclass(frozen=True)
class Trial:
    """An estimator, and the samples of one kind of sides that it is tested on."""

    mi: Run
    pairs: Pairs
    n: int
    seed: int

    @cached_property
    def pair(self) -> Pair:
        """A sample of the base task."""
        return self.pairs.base.sample(self.n, self.seed)

    @cached_property
    def baseline(self) -> float:
        """The estimate on `pair`, nats."""
        return self.mi(*self.pair)

    @cached_property
    def strong(self) -> float:
        """The estimate on a sample of the task of high information, nats."""
        return self.mi(*self.pairs.strong.sample(self.n, self.seed))

    @cached_property
    def shuffled(self) -> float:
        """The estimate on the rows of `pair` with the partners of others, nats."""
        x, y = self.pair
        return self.mi(x, y[self.random().permutation(self.n)])

    def random(self) -> np.random.Generator:
        """A generator in the same state at every call."""
        return np.random.default_rng([self.seed, 1])


Test = Callable[[Trial], Iterator[Check]]


def _apply(test: Test, trial: Trial, kind: str) -> list[Check]:
    """The checks of one test; an estimator that fails there has not passed."""
    made = []
    try:
        for check in test(trial):
            made.append(replace(check, name=check.name + _suffix(kind)))
    except Exception as error:
        nan = math.nan
        made.append(Check(_title(test, kind), False, nan, nan, nan, _sentence(error)))
    return made


def _title(test: Test, kind: str) -> str:
    function = test.func if isinstance(test, partial) else test
    return str(getattr(function, "__name__", function)).replace("_", " ") + _suffix(kind)


def _suffix(kind: str) -> str:
    return "" if kind == "continuous" else f", {kind}"


def _near(
    name: str,
    value: float,
    expected: float,
    why: str,
    absolute: float = 0.03,
    relative: float = 0.1,
) -> Check:
    tolerance = absolute + relative * abs(expected)
    return Check(name, abs(value - expected) <= tolerance, value, expected, tolerance, why)


def _at_most(name: str, value: float, limit: float, why: str, slack: float = 0.03) -> Check:
    return Check(name, value <= limit + slack, value, limit, slack, why)


def _rising(name: str, values: Sequence[float], why: str) -> Check:
    """Every value is at least 0.01 above the one before; the value is the smallest step."""
    step = min(b - a for a, b in pairwise(values))
    return Check(name, step >= 0.01, step, 0.01, 0.0, why)


# --- checks of any sides -----------------------------------------------------------------------


def independence(trial: Trial) -> Iterator[Check]:
    """Permuted rows share no information."""
    yield _near("independence", trial.shuffled, 0.0, "shuffled rows share nothing", 0.06)


def agreement(trial: Trial, *, like: Estimator) -> Iterator[Check]:
    """The value agrees with another implementation, at low and high information."""
    mistakes = like.mistakes()
    reference = _as_given(like, trial.seed, {})
    for name, task in (("", trial.pairs.base), (" on much", trial.pairs.strong)):
        x, y = map(_standardised, task.sample(trial.n, trial.seed))
        expected, mi = reference(x, y), trial.mi(x, y)
        near = _near(f"agreement{name}", mi, expected, f"equal to {like.name}", 0.01, 0.0)
        given = {why: _as_given(tool, trial.seed, {})(x, y) for why, tool in mistakes.items()}
        same = [why for why, value in given.items() if abs(value - mi) < near.tolerance / 2]
        yield replace(near, cause=same[0] if same and not near.passed else "")


def _standardised(side: np.ndarray) -> np.ndarray:
    return side if side.ndim == 1 else (side - side.mean(axis=0)) / side.std(axis=0)


def row_order(trial: Trial) -> Iterator[Check]:
    """The order of the rows does not matter. Two orders, since one may agree by chance."""
    x, y = trial.pair
    orders = np.arange(trial.n)[::-1], trial.random().permutation(trial.n)
    furthest = max((trial.mi(x[o], y[o]) for o in orders), key=lambda mi: abs(mi - trial.baseline))
    yield _near("row order", furthest, trial.baseline, "rows have no order", 0.03, 0.05)


def monotone(trial: Trial) -> Iterator[Check]:
    """More planted dependence gives a larger value."""
    values = [trial.mi(*task.sample(trial.n, trial.seed)) for task in trial.pairs.rising]
    yield _rising("monotone", values, "more planted dependence, a larger value")


def revealed_rows(trial: Trial) -> Iterator[Check]:
    """The value rises when no, half and all rows keep their partners."""
    x, y = trial.pair
    half, order = np.arange(trial.n), trial.random().permutation(trial.n)
    half[order[::2]] = half[np.sort(order[::2])]
    values = [trial.shuffled, trial.mi(x, y[half]), trial.baseline]
    yield _rising("revealed rows", values, "none, half and all rows paired: more and more")


def duplicated_rows(trial: Trial) -> Iterator[Check]:
    """Copies of rows add no information. Neighbour estimators gain about 0.2 nats; hence 3 nats."""
    x, y = trial.pairs.strong.sample(trial.n, trial.seed)
    rows = np.concatenate([np.arange(trial.n), np.arange(trial.n // 2)])
    once, repeated = trial.strong, trial.mi(x[rows], y[rows])
    yield _at_most(
        "duplicated rows", repeated, once, "half the rows again add nothing", 0.12 * once
    )


def doubled_rows(trial: Trial) -> Iterator[Check]:
    """A sample of twice the size gives the same value."""
    x, y = trial.pairs.base.sample(2 * trial.n, trial.seed)
    half = trial.mi(x[: trial.n], y[: trial.n])
    yield _near("doubled rows", trial.mi(x, y), half, "more rows, the same information", 0.05)


def truth(trial: Trial) -> Iterator[Check]:
    """The value is the truth where that is known."""
    for i, task in enumerate(trial.pairs.known, 1):
        mi = trial.mi(*task.sample(trial.n, trial.seed))
        yield _near(f"truth {i}", mi, task.mi, f"known information: {task.name}", 0.05)


def much_information(trial: Trial) -> Iterator[Check]:
    """Much information is not cut off. Estimators of neighbours lose a sixth; hence a quarter."""
    why = f"known information: {trial.pairs.strong.name}"
    yield _near("much information", trial.strong, trial.pairs.strong.mi, why, 0.05, 0.25)


def few_rows(trial: Trial) -> Iterator[Check]:
    """Few permuted rows share no information either: the mean over eighths of a sample.

    An in-sample value grows as 1 / rows, and a slip in the counts of KSG as 1 / sqrt(rows).
    """
    x, y = trial.pair
    random = trial.random()
    parts = np.array_split(random.permutation(trial.n), 8)
    mi = float(np.mean([trial.mi(x[rows], y[random.permutation(rows)]) for rows in parts]))
    tolerance = 0.06 if mi > 0 else 0.1  # a held-out bound of a small network falls a little below
    yield _near("few rows", mi, 0.0, "few shuffled rows share nothing", tolerance)


# --- checks of measurements --------------------------------------------------------------------


def symmetry(trial: Trial) -> Iterator[Check]:
    """Exchanging the sides does not matter; they differ, so that an estimator must read both."""
    x, y = trial.pair
    x = np.hstack([trial.random().standard_normal((trial.n, 1)), x])
    y = np.exp(y)
    yield _near("symmetry", trial.mi(y, x), trial.mi(x, y), "I(X; Y) = I(Y; X)", 0.03, 0.05)


def bijections(trial: Trial) -> Iterator[Check]:
    """Invertible maps of each side do not matter."""
    x, y = trial.pair
    mixed = np.arcsinh(x) @ np.array([[1.0, 0.5], [-0.5, 2.0]])
    yield _near("bijection", trial.mi(mixed, 3 - 2 * y), trial.baseline, "one-to-one maps keep I")


def data_processing(trial: Trial) -> Iterator[Check]:
    """Processing a side cannot add information."""
    x, y = trial.pair
    more = trial.mi(np.hstack([x, x[:, :1] + x[:, 1:]]), y)
    yield _near("data processing: copy", more, trial.baseline, "I([X, h(X)]; Y) = I(X; Y)")
    less = trial.mi(x, y[:, :1])
    yield _at_most("data processing: loss", less, trial.baseline, "I(X; f(Y)) <= I(X; Y)")


def additivity(trial: Trial) -> Iterator[Check]:
    """The information of independent pairs adds up."""
    (x, y), (a, b) = (_normal(0.8).sample(trial.n, trial.seed + i) for i in range(2))
    both = trial.mi(np.hstack([x, a]), np.hstack([y, b]))
    wanted = trial.mi(x, y) + trial.mi(a, b)
    yield _near("additivity", both, wanted, "independent copies add up")


def noise_column(trial: Trial) -> Iterator[Check]:
    """A column of independent noise adds no information."""
    x, y = trial.pair
    noise = trial.random().standard_normal((trial.n, 1))
    mi = trial.mi(np.hstack([x, noise]), y)
    yield _near("noise column", mi, trial.baseline, "a column of noise adds nothing", 0.05)


def offset(trial: Trial) -> Iterator[Check]:
    """Units and offsets do not matter."""
    x, y = trial.pair
    mi = trial.mi(x + 1e6, y * 1e-3)
    yield _near("offset", mi, trial.baseline, "units and offsets do not matter", 0.03, 0.05)


# --- checks of labels --------------------------------------------------------------------------


def relabelling(trial: Trial) -> Iterator[Check]:
    """The numbering of labels does not matter."""
    x, y = trial.pair
    names = trial.random().permutation(int(y.max()) + 1)
    yield _near("relabelling", trial.mi(x, names[y]), trial.baseline, "codes are names", 0.03, 0.05)


def bounded(trial: Trial) -> Iterator[Check]:
    """The information of labels is at most their entropy."""
    _, y = trial.pairs.strong.sample(trial.n, trial.seed)
    yield _at_most("bounded", trial.strong, label_entropy(y), "I(X; Y) <= H(Y)")


def label_symmetry(trial: Trial) -> Iterator[Check]:
    """Exchanging two sides of labels does not matter; y lacks three classes of x."""
    x, y = trial.pair
    y = np.minimum(y, 3)
    yield _near("symmetry", trial.mi(y, x), trial.mi(x, y), "I(X; Y) = I(Y; X)", 0.03, 0.05)


ANY = (
    independence, row_order, monotone, revealed_rows, duplicated_rows, doubled_rows, truth,
    much_information,
)  # fmt: skip
CHECKS: dict[str, tuple[Test, ...]] = {
    "continuous": (
        *ANY, few_rows, symmetry, bijections, data_processing, additivity, noise_column, offset,
    ),
    "mixed": (*ANY, few_rows, relabelling, bounded),
    "discrete": (*ANY, relabelling, bounded, label_symmetry),
}  # fmt: skip
KINDS = {  # of the sides of an estimator: the pairs it is tried on
    "continuous": ("continuous",),
    "mixed": ("mixed",),
    "discrete": ("discrete",),
    "labels": ("mixed", "discrete"),
    "any": tuple(PAIRS),
}
