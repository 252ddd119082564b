"""Numbers that differ by rounding noise are equal; edited and rounded ones are not."""

from hypothesis import given
from hypothesis import strategies as st

from fer_bench.sharing.differences import differences

NUMBERS = st.floats(-50, 50, allow_subnormal=False)


@given(NUMBERS)
def test_noise_of_sums_is_no_difference(x):
    assert list(differences({"a": [x]}, {"a": [x * (1 + 1e-12)]})) == []


@given(NUMBERS, st.integers(2, 6))
def test_rounded_numbers_are_called_so(x, digits):
    codes = [c.code for c in differences(round(x, digits), x)]
    assert codes == (["score-rounded"] if abs(round(x, digits) - x) > 1e-7 else codes)


@given(NUMBERS, st.floats(1e-5, 1) | st.floats(-1, -1e-5))
def test_edited_numbers_differ(x, change):
    assert [c.code for c in differences(x + change, x)] in (["score-differs"], ["score-rounded"])


def test_keys_lists_and_words_are_compared():
    recorded = {"a": 1.0, "b": [1, 2], "c": "x", "d": None}
    again = {"a": 1.0, "b": [1, 3], "c": "y", "e": True}
    codes = sorted(c.code for c in differences(recorded, again))
    assert codes == [*["score-added"], *["score-differs"] * 2, *["score-missing"]]
    assert [c.code for c in differences([1], [1, 2])] == ["score-differs"]
