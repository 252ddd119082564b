"""Predicted power is what simulated sweeps show."""

from __future__ import annotations

import numpy as np
import pytest

from fer_bench.errors import FerBenchError
from fer_bench.statistics import compare_crossed
from fer_bench.statistics.power import Design, Spread, people_needed, power
from fer_bench.statistics.simulation import SweepModel, simulate


@pytest.mark.parametrize(("spread", "gap"), [(0.06, 0.25), (0.03, 0.1)])
def test_power_of_two_methods_with_two_seeds_is_realised(spread: float, gap: float) -> None:
    """Two degrees of freedom for the spread of seeds: intervals are wide, and vary in width."""
    model = SweepModel(people=80, seeds=2, means=(0.5 + gap, 0.5), sd_seeds=(spread, spread))
    people = float(np.sqrt(2 * (model.sd_interaction**2 + model.sd_noise**2 / 2)))
    predicted = power(Spread(people, spread), Design(80, 2), gap)
    assert abs(predicted - simulate(model, sweeps=200).power) < 0.1


@pytest.mark.parametrize(("people", "seeds"), [(30, 2), (60, 3), (120, 5)])
def test_power_is_realised(people: int, seeds: int) -> None:
    gap = 0.1
    model = SweepModel(people=people, seeds=seeds, means=(0.6, 0.5, 0.55, 0.55))
    spread = Spread(
        people=float(np.sqrt(2 * (model.sd_interaction**2 + model.sd_noise**2 / seeds))),
        seeds=0.03,
    )
    predicted = power(spread, Design(people, seeds, methods=4), gap)
    realised = simulate(model, sweeps=200).power
    assert abs(predicted - realised) < 0.1


def test_spreads_of_a_sweep_are_found_again() -> None:
    rng = np.random.default_rng(0)
    values = []
    for _ in range(100):
        comparison = compare_crossed(SweepModel(people=40, seeds=4).draw(rng))
        values.append(Spread.of(comparison, comparison.pairs[0], people=40))
    assert np.mean([s.seeds**2 for s in values]) == pytest.approx(0.03**2, rel=0.15)
    truth = 2 * (0.15**2 + 0.2**2 / 4)
    assert np.mean([s.people**2 for s in values]) == pytest.approx(truth, rel=0.15)


def test_more_people_or_seeds_never_hurt() -> None:
    spread = Spread(0.2, 0.03)
    by_people = [power(spread, Design(n, 3), 0.05) for n in (10, 30, 100, 1000)]
    by_seeds = [power(spread, Design(50, n), 0.05) for n in (2, 3, 5, 20)]
    assert by_people == sorted(by_people)
    assert by_seeds == sorted(by_seeds)


def test_people_needed_are_enough_and_no_fewer() -> None:
    spread = Spread(0.2, 0.01)
    people = people_needed(spread, 0.05, seeds=3)
    assert people is not None
    assert power(spread, Design(people, 3), 0.05) >= 0.8
    assert power(spread, Design(people - 1, 3), 0.05) < 0.8


def test_power_is_known_however_large_the_difference() -> None:
    """The noncentral t of scipy is NaN in its far tail."""
    for people in (100, 10_000, 100_000):
        for seeds in (2, 3, 5):
            value = power(Spread(0.055, 0.0102), Design(people, seeds, 2, 2), 0.05)
            assert 0.99 < value <= 1


def test_equal_methods_are_found_apart_at_the_level() -> None:
    assert power(Spread(0.2, 0.03), Design(50, 3), 0.0) == pytest.approx(0.05, abs=1e-6)


@pytest.mark.parametrize("value", [-1.0, float("nan"), float("inf")])
def test_a_spread_is_a_standard_deviation(value: float) -> None:
    with pytest.raises(FerBenchError, match="standard deviation of 0 or more"):
        Spread(value, 0.1)
