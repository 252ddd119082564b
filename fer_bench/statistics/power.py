"""How many people and seeds it takes to tell two methods apart."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy  # its parts load at first use

from fer_bench.errors import FerBenchError
from fer_bench.statistics.crossed import CrossedComparison, Design, Pair

__all__ = ["Design", "Spread", "people_needed", "power"]

MOST_PEOPLE = 100_000


@dataclass(frozen=True)
class Spread:
    """What makes the difference of two methods vary, as standard deviations.

    Attributes:
        people: of the paired difference, from one test person to another.
        seeds: of one run, from one training seed to another.
    """

    people: float
    seeds: float

    def __post_init__(self) -> None:
        for name in ("people", "seeds"):
            value = getattr(self, name)
            if not (np.isfinite(value) and value >= 0):
                raise FerBenchError(
                    f"the spread over {name} is {value}: give a standard deviation of 0 or more, "
                    "in the unit of the score."
                )

    @classmethod
    def of(cls, comparison: CrossedComparison, pair: Pair, people: int) -> Spread:
        """As measured between two methods of a finished sweep.

        Args:
            comparison: that holds the pair.
            pair: of methods.
            people: number of test people in all folds.
        """
        seeds = [comparison.seed_variance[name] for name in (pair.first, pair.second)]
        known = [v for v in seeds if np.isfinite(v)]
        return cls(
            people=float(np.sqrt(pair.difference.variance("people") * people)),
            seeds=float(np.sqrt(np.mean(known))) if known else 0.0,
        )


def power(spread: Spread, design: Design, difference: float, *, level: float = 0.95) -> float:
    """Chance that a sweep finds a true difference of two methods significant.

    The noncentral t distribution with the variance and the degrees of freedom that
    `compare_crossed` would find on average.

    Where seeds have fewer than four degrees of freedom, as two seeds of two methods have, it is too
    high: `compare_crossed` averages tails there, and finds less than Satterthwaite's approximation.

    Args:
        spread: of people and seeds.
        design: of the sweep.
        difference: true one, in the unit of the score.
        level: of the test (0.95 tests at 5 %).

    >>> round(power(Spread(people=0.2, seeds=0.03), Design(people=50, seeds=3), 0.05), 2)
    0.25
    """
    error, dof = _error(spread, design)
    if not np.isfinite(error):
        return 0.0
    if error == 0:
        return 1.0 if difference else 1 - level
    critical = float(scipy.stats.t.ppf((1 + level) / 2, dof))
    shift = abs(difference) / error
    below = scipy.stats.nct.cdf(-critical, dof, shift)
    wrong_sign = np.nan_to_num(below)  # NaN where it underflows
    return float(scipy.stats.nct.sf(critical, dof, shift) + wrong_sign)


def _error(spread: Spread, design: Design) -> tuple[float, float]:
    """Standard error of a difference and its degrees of freedom (Satterthwaite)."""
    people = spread.people**2 / design.people
    seeds = 2 * spread.seeds**2 / (design.seeds * design.folds)
    free_people = design.people - design.folds
    free_seeds = design.methods * design.folds * (design.seeds - 1)
    if free_people < 1 or (seeds > 0 and free_seeds < 1):
        return float("inf"), 1.0
    spent = people**2 / free_people + (seeds**2 / free_seeds if seeds else 0.0)
    total = people + seeds
    return float(np.sqrt(total)), float(total**2 / spent) if spent else float("inf")


def people_needed(
    spread: Spread,
    difference: float,
    *,
    seeds: int,
    folds: int = 1,
    methods: int = 2,
    chance: float = 0.8,
) -> int | None:
    """Fewest test people with which a true difference is found with a given chance.

    Returns:
        The number in all folds, or None where no number of people is enough: then the seeds
        alone vary too much.

    >>> people_needed(Spread(people=0.2, seeds=0.01), 0.05, seeds=3)
    165
    >>> people_needed(Spread(people=0.2, seeds=0.05), 0.05, seeds=2) is None
    True
    """

    def enough(people: int) -> bool:
        return power(spread, Design(people, seeds, folds, methods), difference) >= chance

    low, high = folds + 1, MOST_PEOPLE
    if not enough(high):
        return None
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if enough(middle) else (middle + 1, high)
    return low
