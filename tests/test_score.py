import json
import math

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from fer_bench.cautions import Caution
from fer_bench.score import Score, ScoreSpec

maybe = st.none() | st.floats(-10, 10)


@given(st.floats(-10, 10), maybe, maybe, st.integers(0, 10**6), st.lists(st.text(), max_size=3))
def test_json_round_trip(value, low, null, n, warnings):
    score = Score(value, low=low, null=null, n=n, unit="nats", cautions=tuple(warnings))
    again = Score.from_json(json.loads(json.dumps(score.to_json())))
    assert again == score


def test_json_has_no_nan_and_no_arrays():
    score = Score(math.nan, cautions=("none",), details={"curve": np.array([1.0, np.inf])})
    plain = score.to_json()
    assert plain["value"] is None
    assert plain["details"] == {"curve": [1.0, None]}
    assert math.isnan(Score.from_json(plain).value)


def test_a_warning_is_carried_once():
    score = Score(1.0).with_caution("saturated").with_caution("saturated", "collapsed")
    assert [str(c) for c in score.cautions] == ["saturated", "collapsed"]


@given(st.from_regex(r"[a-zA-Z0-9_+:@ -]+", fullmatch=True), st.text(min_size=1))
def test_a_key_gives_back_what_its_placeholders_stand_for(space, level):
    spec = ScoreSpec("<space>.recall.<class>", "Recall", "Share found.")
    if "\n" not in level:
        assert spec.words(f"{space}.recall.{level}") == {"space": space, "class": level}
    assert spec.words(f"{space}.precision.{level}") is None or ".recall." in level


def test_other_characters_of_a_key_are_themselves():
    assert ScoreSpec("a.b+c@6", "", "").words("a.b+c@6") == {}
    assert ScoreSpec("a.b", "", "").words("axb") is None


def test_its_cautions_are_read_in_words():
    score = Score(0.5, cautions=(Caution("saturated", ceiling=3.47), "an older sentence"))
    assert score.warnings == tuple(map(str, score.cautions))
    assert score.warnings[1] == "an older sentence"
