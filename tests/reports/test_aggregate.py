"""Means over the runs of a row, in the range they can have, with one p-value of many."""

from fer_bench.reports.aggregate import _within_range, combined_p


def test_one_p_value_of_many():
    assert combined_p([]) is None
    assert combined_p([float("nan")]) is None
    assert combined_p([0.03]) == 0.03
    assert combined_p([0.01, 0.02, 0.9]) == 0.04
    assert combined_p([0.6, 0.7]) == 1.0


def test_an_interval_stays_within_the_range_of_a_fraction():
    assert _within_range("fraction", -0.2, 1.3, [0.4, 0.6]) == (0.0, 1.0)
    assert _within_range("fraction", -0.2, 0.3, [-0.1, 0.1]) == (-0.2, 0.3)
    assert _within_range("nats", -0.2, 1.3, [0.4, 0.6]) == (-0.2, 1.3)
