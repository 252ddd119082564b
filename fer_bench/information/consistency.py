"""What any estimator must fulfil, with or without a known truth; run it on anybody's.

After Song and Ermon (2020, section 5) and the invariances of mutual information.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from fer_bench.information import tasks
from fer_bench.information.estimator import Estimator
from fer_bench.information.mutual import estimate_mi


@dataclass(frozen=True)
class Check:
    """One requirement and how it came out.

    Attributes:
        name: of the requirement.
        passed: whether it holds within the tolerance.
        found, wanted: what was measured, and what should have been.
        tolerance: how far apart they may be.
        why: the requirement in words.
    """

    name: str
    passed: bool
    found: float
    wanted: float
    tolerance: float
    why: str


Run = Callable[[Any, Any], float]


def battery(
    estimator: str | Estimator | type, *, n: int = 1000, seed: int = 0, **options: Any
) -> list[Check]:
    """Run every check on an estimator: a name, a class, or an instance with fit and estimate.

    >>> all(check.passed for check in battery("gaussian", n=500))
    True
    """

    def run(x: Any, y: Any) -> float:
        return estimate_mi(
            x, y, estimator=estimator, seed=seed, null=0, interval=False, calibrated=0, **options
        ).value

    return [check for test in CHECKS for check in test(run, n, seed)]


def _near(
    name: str, found: float, wanted: float, why: str, absolute: float = 0.1, relative: float = 0.15
) -> Check:
    tolerance = absolute + relative * abs(wanted)
    return Check(name, abs(found - wanted) <= tolerance, found, wanted, tolerance, why)


def _at_most(name: str, found: float, limit: float, why: str, slack: float = 0.1) -> Check:
    return Check(name, found <= limit + slack, found, limit, slack, why)


def _pair(n: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    return tasks.normal("pair", tasks.paired_covariance(2, 2, [0.8, 0.6]), 2).sample(n, seed)


def independence(run: Run, n: int, seed: int) -> Iterator[Check]:
    x, y = _pair(n, seed)
    shuffled = y[np.random.default_rng(seed).permutation(n)]
    yield _near("independence", run(x, shuffled), 0.0, "shuffled rows share nothing")


def symmetry(run: Run, n: int, seed: int) -> Iterator[Check]:
    x, y = _pair(n, seed)
    yield _near("symmetry", run(y, x), run(x, y), "I(X; Y) = I(Y; X)")


def row_order(run: Run, n: int, seed: int) -> Iterator[Check]:
    x, y = _pair(n, seed)
    order = np.random.default_rng(seed).permutation(n)
    yield _near("row order", run(x[order], y[order]), run(x, y), "rows have no order")


def bijections(run: Run, n: int, seed: int) -> Iterator[Check]:
    x, y = _pair(n, seed)
    yield _near(
        "bijection", run(np.sinh(x), 3 - 2 * y), run(x, y), "one-to-one maps per side keep I",
        relative=0.25,
    )  # fmt: skip


def data_processing(run: Run, n: int, seed: int) -> Iterator[Check]:
    x, y = _pair(n, seed)
    whole = run(x, y)
    more = run(np.hstack([x, x[:, :1] + x[:, 1:]]), y)
    yield _near("data processing: copy", more, whole, "I([X, h(X)]; Y) = I(X; Y)", relative=0.25)
    yield _at_most("data processing: loss", run(x, y[:, :1]), whole, "I(X; f(Y)) <= I(X; Y)")


def additivity(run: Run, n: int, seed: int) -> Iterator[Check]:
    (x, y), (a, b) = _pair(n, seed), _pair(n, seed + 1)
    both = run(np.hstack([x, a]), np.hstack([y, b]))
    wanted = run(x, y) + run(a, b)
    yield _near("additivity", both, wanted, "independent copies add up", 0.15, 0.3)


def noise_column(run: Run, n: int, seed: int) -> Iterator[Check]:
    x, y = _pair(n, seed)
    noise = np.random.default_rng(seed + 2).standard_normal((n, 1))
    found = run(np.hstack([x, noise]), y)
    yield _near("noise column", found, run(x, y), "a column of noise adds nothing", relative=0.25)


def monotone(run: Run, n: int, seed: int) -> Iterator[Check]:
    found = []
    for rho in (0.0, 0.4, 0.7, 0.9):
        covariance = tasks.paired_covariance(2, 2, [rho])
        found.append(run(*tasks.normal("planted", covariance, 2).sample(n, seed)))
    fall = max(a - b for a, b in pairwise(found))
    yield _at_most("monotone", fall, 0.0, "more planted dependence, a larger value", 0.05)


def revealed_rows(run: Run, n: int, seed: int) -> Iterator[Check]:
    x, y = _pair(n, seed)
    mixed = y.copy()
    half = np.arange(n // 2)
    mixed[half] = y[np.random.default_rng(seed).permutation(half)]
    yield _at_most("revealed rows", run(x, mixed), run(x, y), "shuffling half the rows loses", 0.05)


def offset(run: Run, n: int, seed: int) -> Iterator[Check]:
    x, y = _pair(n, seed)
    yield _near("offset", run(x + 1e6, y * 1e-3), run(x, y), "units and offsets do not matter")


def truth(run: Run, n: int, seed: int) -> Iterator[Check]:
    task = tasks.get("1v1-normal-0.75")
    yield _near("truth", run(*task.sample(n, seed)), task.mi, "a normal pair of known information")


CHECKS: tuple[Callable[[Run, int, int], Iterator[Check]], ...] = (
    independence, symmetry, row_order, bijections, data_processing, additivity, noise_column,
    monotone, revealed_rows, offset, truth,
)  # fmt: skip
