"""How many people and seeds it takes to tell two methods apart."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy  # its parts load at first use

from fer_bench.errors import FerBenchError
from fer_bench.statistics.crossed import FEW_DOF, CrossedComparison, Design, Pair, quantile

__all__ = ["Design", "Spread", "people_needed", "power"]

MOST_PEOPLE = 100_000
QUANTILES = (np.arange(50) + 0.5) / 50  # of a variance estimated with few degrees of freedom


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

    The variance and the degrees of freedom are those that `compare_crossed` would find on average,
    and the difference follows a noncentral t distribution. Where seeds have few degrees of freedom,
    as two seeds of two methods have, the chance is averaged over what their variance may be
    estimated to be, since that decides how wide an interval is.

    Args:
        spread: of people and seeds.
        design: of the sweep.
        difference: true one, in the unit of the score.
        level: of the test (0.95 tests at 5 %).

    >>> round(power(Spread(people=0.2, seeds=0.03), Design(people=50, seeds=3), 0.05), 2)
    0.25
    """
    people = spread.people**2 / design.people
    seeds = 2 * spread.seeds**2 / (design.seeds * design.folds)
    free_people = design.people - design.folds
    free_seeds = design.methods * design.folds * (design.seeds - 1)
    if free_people < 1 or (seeds > 0 and free_seeds < 1):
        return 0.0
    error = float(np.sqrt(people + seeds))
    if error == 0:
        return 1.0 if difference else 1 - level
    shift, tail = abs(difference) / error, (1 - level) / 2
    if seeds > 0 and free_seeds < FEW_DOF:
        estimates = seeds * scipy.stats.chi2.ppf(QUANTILES, free_seeds) / free_seeds
        errors = np.sqrt(people + estimates)
        shares = [(people / (people + v), v / (people + v)) for v in estimates]
        critical = np.array(
            [quantile(tail, [(p, free_people), (v, free_seeds)]) for p, v in shares]
        )
        bounds = critical * errors / error
        return float(
            np.mean(scipy.stats.norm.sf(bounds - shift) + scipy.stats.norm.cdf(-bounds - shift))
        )
    spent = people**2 / free_people + (seeds**2 / free_seeds if seeds else 0.0)
    dof = (people + seeds) ** 2 / spent
    bound = float(scipy.stats.t.isf(tail, dof))
    below = scipy.stats.nct.cdf(-bound, dof, shift)
    wrong_sign = np.nan_to_num(below)  # NaN where it underflows
    return float(scipy.stats.nct.sf(bound, dof, shift) + wrong_sign)


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
