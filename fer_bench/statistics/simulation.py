"""Sweeps of known truth, to see whether intervals cover and how often equal methods seem apart.

`python -m fer_bench.statistics.simulation` prints the rows of the documentation's table as JSON.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import product

import numpy as np
from scipy.stats import binomtest

from fer_bench.statistics.crossed import RunScore, compare_crossed


@dataclass(frozen=True)
class SweepModel:
    """A sweep whose truth is known; all values in the unit of the score.

    Attributes:
        people: test people a fold.
        seeds, folds: of the sweep.
        means: true score of each method.
        sd_seeds: of each method, over training seeds.
        sd_people: how far people differ, equally for all methods.
        sd_interaction: how far a method suits some people better than others.
        sd_noise: of one person in one run.
        heavy_tails: interactions with Student's t of 3 degrees of freedom instead of normal ones.
    """

    people: int = 50
    seeds: int = 3
    folds: int = 1
    means: tuple[float, ...] = (0.6, 0.6, 0.6, 0.6)
    sd_seeds: tuple[float, ...] = (0.03, 0.03, 0.03, 0.03)
    sd_people: float = 0.15
    sd_interaction: float = 0.15
    sd_noise: float = 0.2
    heavy_tails: bool = False

    def draw(self, rng: np.random.Generator) -> Iterator[RunScore]:
        """The runs of one such sweep.

        >>> runs = list(SweepModel(people=8, seeds=2).draw(np.random.default_rng(0)))
        >>> len(runs), len(runs[0].people)
        (8, 8)
        """
        methods = len(self.means)
        for fold in range(self.folds):
            ids = fold * self.people + np.arange(self.people)
            person = rng.normal(0, self.sd_people, self.people)
            suits = self._interaction(rng, methods)
            for m, s in product(range(methods), range(self.seeds)):
                shift = self.means[m] + rng.normal(0, self.sd_seeds[m])
                noise = rng.normal(0, self.sd_noise, self.people)
                yield RunScore.of_mean(f"m{m}", s, fold, shift + person + suits[m] + noise, ids)

    def _interaction(self, rng: np.random.Generator, methods: int) -> np.ndarray:
        size = (methods, self.people)
        if self.heavy_tails:
            return rng.standard_t(3, size=size) / np.sqrt(3) * self.sd_interaction
        return rng.normal(0, self.sd_interaction, size=size)


@dataclass(frozen=True)
class Verdict:
    """What came of many simulated sweeps.

    Attributes:
        coverage: share of 95 % intervals of differences that hold the truth.
        false_separation: share of sweeps in which some pair of equal methods was significant
            after Holm's correction.
        power: share of sweeps in which the first two methods were significantly different,
            unadjusted.
        coverage_error: standard error of the coverage, over sweeps.
    """

    coverage: float
    false_separation: float
    power: float
    coverage_error: float


def simulate(model: SweepModel, *, sweeps: int, seed: int = 0) -> Verdict:
    """Draw sweeps and compare their methods.

    >>> 0.8 < simulate(SweepModel(people=15), sweeps=50).coverage <= 1
    True
    """
    rng = np.random.default_rng(seed)
    truth = {f"m{m}": mean for m, mean in enumerate(model.means)}
    covered, false, powered = [], [], []
    for _ in range(sweeps):
        comparison = compare_crossed(model.draw(rng))
        apart, holds = False, []
        for pair in comparison.pairs:
            true = truth[pair.first] - truth[pair.second]
            holds.append(pair.difference.low <= true <= pair.difference.high)
            apart |= true == 0 and pair.p_holm < 0.05
        covered.append(np.mean(holds))
        false.append(apart)
        powered.append(comparison.pair("m0", "m1").difference.p < 0.05)
    error = np.std(covered) / np.sqrt(sweeps)
    coverage, separated, power = (float(np.mean(each)) for each in (covered, false, powered))
    return Verdict(coverage, separated, power, float(error))


def grid() -> Iterator[SweepModel]:
    """The settings of the table in the documentation."""
    spreads = ((0.03,) * 4, (0.06, 0.02, 0.02, 0.02))
    for sd_seeds, tails, folds, seeds, people in product(
        spreads, (False, True), (1, 5), (1, 2, 3, 5), (8, 15, 50)
    ):
        base = SweepModel(people=people, seeds=seeds, folds=folds)
        yield replace(base, sd_seeds=sd_seeds, heavy_tails=tails)


def row(model: SweepModel, verdict: Verdict, *, sweeps: int, seed: int) -> dict[str, object]:
    """A line of the table: setting, coverage and false separation, with 95 % intervals."""
    share, margin = verdict.coverage, 1.96 * verdict.coverage_error
    apart = binomtest(round(verdict.false_separation * sweeps), sweeps).proportion_ci()
    return {
        "people a fold": model.people,
        "seeds": model.seeds,
        "folds": model.folds,
        "seed spreads": "equal" if len(set(model.sd_seeds)) == 1 else "one three times",
        "people": "heavy-tailed" if model.heavy_tails else "normal",
        "coverage": (share, share - margin, share + margin),
        "false separation": (verdict.false_separation, *apart),
        "sweeps": sweeps,
        "seed": seed,
    }


def main() -> None:
    """Print coverage and false separation of every setting as JSON."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--sweeps", type=int, default=2000, help="simulated sweeps a setting")
    sweeps = parser.parse_args().sweeps
    verdicts = ((model, simulate(model, sweeps=sweeps, seed=0)) for model in grid())
    print(json.dumps([row(*each, sweeps=sweeps, seed=0) for each in verdicts], indent=1))


if __name__ == "__main__":
    main()
