"""Plants have the strength they state, clean codes are not found, and thresholds are told."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import ndtr, ndtri

from fer_bench.attackers.closed_forms import PLDA, Cosine, plda_form
from fer_bench.attackers.comparisons import Comparisons, Side, compared_pairs
from fer_bench.attackers.faces import Faces
from fer_bench.attackers.ladder import closed_forms
from fer_bench.attackers.metric import power_cautions
from fer_bench.attackers.numbers import verification_numbers
from fer_bench.attackers.power import (
    GRID,
    Power,
    amplitude,
    calibrated_power,
    find_power,
    leak_p_value,
    plant,
    psychometric,
    without_people,
)
from fer_bench.cautions import has
from fer_bench.score import Score


def plain(people, *, seed, d=12, each=8):
    rng = np.random.default_rng(seed)
    s = np.repeat(np.arange(people), each)
    return Faces.of_people(rng.normal(size=(len(s), d)), s, np.arange(len(s)) % 4)


@pytest.mark.parametrize("k", [1, 5])
@pytest.mark.parametrize("faces", [1, 5])
def test_the_stated_eer_is_that_of_drawn_likelihood_ratios(k, faces):
    kind = "templates" if faces > 1 else "spread"
    size, rng, n = amplitude(kind, k, 0.35), np.random.default_rng(0), 40_000
    form = plda_form(np.full(k, size**2), faces)
    code, other = size * rng.normal(size=(2, n, k))
    enrolled = code + rng.normal(size=(n, k)) / np.sqrt(faces)
    same, strange = (form.pairs(enrolled, c + rng.normal(size=(n, k))) for c in (code, other))
    people = np.zeros((n, 2), dtype=np.int64)
    drawn = Comparisons(*(Side(x, np.full(n, 1 / n), people) for x in (same, strange)), 1)
    assert verification_numbers(drawn, draws=2)["eer"].value == pytest.approx(0.35, abs=0.01)


@pytest.mark.parametrize("kind", ["direction", "rotated"])
def test_a_planted_leak_has_the_strength_it_states(kind):
    train, validation, test = plant(
        (plain(250, seed=0), plain(40, seed=1), plain(250, seed=2)), kind, 0.3
    )
    compared = compared_pairs(PLDA().fit(train, validation), test)
    assert verification_numbers(compared, draws=2)["eer"].value == pytest.approx(0.3, abs=0.025)


@given(st.integers(0, 99))
@settings(max_examples=20)
def test_dealing_people_anew_keeps_the_rows_of_each_expression(seed):
    faces = plain(6, seed=seed)
    dealt = without_people(faces, np.random.default_rng(seed))
    for code in range(4):
        before, after = (np.sort(f.x[f.apart == code], axis=0) for f in (faces, dealt))
        assert np.array_equal(before, after)


def test_what_leaked_is_gone_before_anything_is_planted(parts):
    leaky = parts(3.0)
    assert leak_p_value(leaky, (Cosine(),), permutations=99) <= 0.01
    assert leak_p_value(plant(leaky, "rotated", 0.5), (Cosine(),), permutations=99) > 0.01


def test_clean_codes_are_found_as_often_as_the_level_says(parts):
    clean = parts(0.0, people=(40, 20, 25), d=8)
    p = [
        leak_p_value(plant(clean, "spread", 0.5, seed=k), closed_forms(), permutations=99, seed=k)
        for k in range(25)
    ]
    assert np.mean(np.array(p) <= 0.01) <= 0.08
    assert 0.2 < np.mean(p) < 0.8


@pytest.mark.parametrize("kind", ["rotated", "spread"])
def test_leaks_of_twice_the_stated_strength_are_found(parts, kind):
    """Reduced: tests/benchmarks/test_attackers_speed.py has 100 of all kinds in 512 dimensions."""
    clean, plda = parts(0.0, people=(40, 20, 25), d=8), (PLDA(),)
    stated = find_power(clean, kind, plda, draws=10, permutations=99).threshold
    doubled = float(ndtr(2 * ndtri(stated)))
    p = [
        leak_p_value(plant(clean, kind, doubled, seed=50 + k), plda, permutations=99, seed=k)
        for k in range(10)
    ]
    assert 0.2 < stated < 0.5
    assert np.sum(np.array(p) <= 0.01) >= 9


def test_power_of_few_people_is_told_and_reused(parts, tmp_path, monkeypatch):
    small = parts(0.0, people=(30, 12, 12), d=8)
    first = calibrated_power(small, closed_forms(), kinds=("rotated",), draws=8, cache=tmp_path)
    power = first["rotated"]
    assert len(power.planted) == len(power.detected) == 8
    assert set(power.planted) <= set(GRID)
    assert power.low <= power.threshold <= power.high
    monkeypatch.setattr("fer_bench.attackers.power.find_power", None)  # nothing is computed again
    again = calibrated_power(small, closed_forms(), kinds=("rotated",), draws=8, cache=tmp_path)
    assert again == first
    (file,) = tmp_path.rglob("power.json")
    file.write_text(file.read_text().replace('"detected"', '"found"'))  # as it was written before
    again = calibrated_power(small, closed_forms(), kinds=("rotated",), draws=8, cache=tmp_path)
    assert again == first


def test_more_people_find_smaller_leaks(parts):
    few, many = (
        find_power(parts(0.0, people=sizes, d=8), "rotated", (PLDA(),), draws=12, permutations=99)
        for sizes in ((20, 10, 8), (80, 30, 80))
    )
    assert few.threshold < many.threshold
    assert isinstance(many, Power)


@given(st.lists(st.tuples(st.sampled_from(GRID), st.booleans()), min_size=1, max_size=30))
def test_any_draws_give_an_ordered_interval(draws):
    threshold, low, high = psychometric(*zip(*draws, strict=True))
    assert 0 <= threshold <= 0.5
    assert 0 <= low <= high <= 0.5


def test_a_psychometric_function_is_recovered():
    rng = np.random.default_rng(0)
    eers = rng.choice(GRID, 2_000)
    chance = 0.01 + 0.99 * ndtr((np.log(-ndtri(eers)) - np.log(-ndtri(0.44))) / 0.3)
    threshold, low, high = psychometric(eers, rng.random(2_000) < chance)
    truth = ndtr(-np.exp(np.log(-ndtri(0.44)) + 0.3 * ndtri(0.89 / 0.99)))
    assert low < truth < high
    assert threshold == pytest.approx(truth, abs=0.01)


def test_no_leak_in_a_weak_evaluation_is_an_alarm():
    silent, loud = Score(0.5, p=0.4), Score(0.7, p=0.005)
    assert has(power_cautions(Score(0.3), silent), "leak-missed")
    assert not has(power_cautions(Score(0.3), loud), "leak-missed")
    assert not has(power_cautions(Score(0.47), silent), "leak-missed")
