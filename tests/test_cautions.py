"""A caution is shown whatever became of its values, and those of one kind are said once."""

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fer_bench.cautions import WORDINGS, Caution, merged, worded
from fer_bench.score import Score

values = st.none() | st.integers() | st.floats(allow_nan=False) | st.booleans() | st.text()


@given(st.sampled_from(sorted(WORDINGS)), st.dictionaries(st.text(), values, max_size=4))
def test_values_that_do_not_fit_a_wording_end_no_report(code, given_values):
    assert worded(code, given_values)


def test_a_number_that_was_nan_is_shown_after_the_disk():
    score = Score(1.0, cautions=(Caution("branch-collapsed", rank=math.nan, share=0.1),))
    (read,) = Score.from_json(json.loads(json.dumps(score.to_json()))).cautions
    assert str(read) == "branch-collapsed: rank = None, share = 0.1"
    other = Caution("branch-collapsed", rank=1.25, share=0.1)
    assert "effective rank 1.2, variance" in merged([read, other])


def test_failed_calibrations_of_many_runs_are_one_sentence():
    shares = [Caution("calibration-slope", share=share) for share in (0.03, 0.0, 0.12)]
    assert len({caution.kind for caution in shares}) == 1
    assert merged(shares).endswith("reads 0% to 12% of what is planted")


@pytest.mark.parametrize("said", ["read with care", {"code": "fitted", "values": {}}])
def test_sentences_and_codes_of_a_file_are_both_read(said):
    assert str(Caution.from_json(said))
