"""Who may be called best."""

import pytest

from fer_bench.cautions import Caution
from fer_bench.reports.aggregate import Estimate
from fer_bench.reports.columns import columns_about
from fer_bench.reports.standing import at_null, collapsed, sound

USE = columns_about("recognition")[0]
LEAK = columns_about("leak")[1]


def estimate(mean, half=0.1, null=0.2, cautions=()):
    return Estimate(
        mean, mean - half, mean + half, 0, null, 1, 9, "fraction", "", (mean,), cautions
    )


@pytest.mark.parametrize(("mean", "guess"), [(0.25, True), (0.3, True), (0.31, False)])
def test_what_an_interval_shares_with_chance_is_a_guess(mean, guess):
    assert at_null(estimate(mean), USE) == guess


def test_a_leak_above_chance_is_a_leak():
    assert at_null(estimate(0.5), LEAK)  # no better than what permuted labels give
    assert not at_null(estimate(0.05), LEAK)
    assert not at_null(estimate(0.5, null=None), LEAK)


def test_the_concordance_of_a_constant_is_zero():
    (ccc,) = columns_about("affect")
    assert at_null(estimate(0.05, null=None), ccc)
    assert not at_null(estimate(0.2, null=None), ccc)


def test_collapsed_rows_and_guesses_are_never_sound():
    wreck = {
        USE.key: estimate(0.9),
        "mi/E.expression": estimate(1, cautions=(Caution("collapsed", rank=1),)),
    }
    assert collapsed(wreck)
    assert not sound(wreck, USE)
    assert not sound({USE.key: estimate(0.2)}, USE)
    assert not sound({}, USE)
    assert sound({USE.key: estimate(0.9)}, USE)
