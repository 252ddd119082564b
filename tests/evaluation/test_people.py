"""Who is tested: subject-disjoint parts, what is unknown first, videos thinned."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fer_bench.errors import DataError
from fer_bench.evaluation.front import Options, plan_files
from fer_bench.evaluation.people import thinned


@pytest.fixture
def planned(made, tmp_path):
    def plan(options=None, **columns):
        arrays = {"e": made.expression, "id": made.ids, "label": made.y, "subject": made.people}
        arrays = {k: v for k, v in (arrays | columns).items() if v is not None}
        np.savez(tmp_path / "m.npz", **arrays)
        return plan_files([str(tmp_path / "m.npz")], None, Options(**(options or {})))

    return plan


def people(plan, part, fold=0):
    rows = getattr(plan.folds[fold], part)
    return set(plan.data.table["subject"].iloc[rows])


def codes(plan):
    return [caution.code for caution in plan.cautions]


def test_without_a_split_people_are_divided_and_the_unknown_stands_first(planned):
    plan = planned()
    parts = [people(plan, part) for part in ("train", "validation", "test")]
    assert all(parts)
    assert len(set.union(*parts)) == sum(map(len, parts)) == 10
    assert codes(plan)[:2] == ["encoder-people-unknown", "split-made"]


def test_trained_on_answers_the_question(planned, tmp_path):
    (tmp_path / "people.txt").write_text("p00\np01\np02\np03\np99\n")
    plan = planned({"trained_on": str(tmp_path / "people.txt")})
    assert people(plan, "train") | people(plan, "validation") == {"p00", "p01", "p02", "p03"}
    assert "encoder-people-unknown" not in codes(plan)
    assert "encoder-people-unknown" not in codes(planned({"trained_on": "none"}))


REFUSED = {
    "all": ({"trained_on": [f"p{i:02d}" for i in range(10)]}, {}, "nobody is left to test"),
    "nobody here": ({"trained_on": ["x"]}, {}, r"none of the 1 people trained on \(such as 'x'\)"),
    "no file": ({"trained_on": "nowhere.txt"}, {}, "no such file.*write none"),
    "tested people": (
        {"trained_on": ["p09"]},
        {"split": np.repeat(["train", "test"], 120)},
        r"1 people of the test part were trained on \(the first: 'p09'\)",
    ),
    "unknown word": ({}, {"split": np.repeat(["a", "b"], 120)}, "--map split="),
    "all trained": ({}, {"split": np.repeat("train", 240)}, "no test part"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_splits_that_cannot_be_are_refused(planned, case):
    options, columns, sentence = REFUSED[case]
    with pytest.raises(DataError, match=sentence) as told:
        planned(options, **columns)
    assert "\n" not in str(told.value)


def test_people_on_both_sides_of_a_given_split_are_called_by_name(planned):
    plan = planned(split=np.where(np.arange(240) < 130, "train", "test"))
    assert "tested-people-trained-on" in codes(plan)


def test_without_training_people_all_are_tested_and_it_is_said(planned):
    plan = planned(split=np.repeat("test", 240))
    assert not len(plan.folds[0].train)
    assert {"no-training-people", "encoder-people-unknown"} <= set(codes(plan))


def test_few_people_are_all_tested(planned):
    plan = planned(subject=np.repeat(["a", "b", "c"], 80))
    assert len(plan.folds[0].test) == 240


def test_more_folds_test_everybody_once(planned):
    plan = planned({"folds": 3})
    tested = [people(plan, "test", fold) for fold in plan.used]
    assert len(plan.used) == 3
    assert sum(map(len, tested)) == len(set.union(*tested)) == 10


def test_unknown_people_are_divided_by_image(planned):
    plan = planned(subject=None)
    assert "folds-by-image" in codes(plan)
    assert len(plan.folds[0].test) == 120


def test_videos_are_thinned_and_stand_for_people(planned):
    video = np.array([f"v{i // 24}" for i in range(240)])
    plan = planned({"frames": 5}, subject=None, video=video)
    assert len(plan.data) == 50
    assert {"video-for-person", "frames-thinned"} <= set(codes(plan))
    assert plan.data.info.subjects == "proxy"
    assert not people(plan, "test") & people(plan, "train")


@given(
    st.lists(st.tuples(st.sampled_from("ab"), st.sampled_from(["v", "w", None])), max_size=60),
    st.integers(1, 9),
)
def test_thinning_keeps_at_most_so_many_of_each_video_and_its_ends(rows, most):
    table = pd.DataFrame(rows, columns=["subject", "sequence"], dtype="string")
    kept = thinned(table, most)
    assert (np.diff(kept) > 0).all()
    assert set(np.flatnonzero(table["sequence"].isna())) <= set(kept)
    for _, group in table.groupby(["subject", "sequence"]):
        inside = np.intersect1d(kept, group.index)
        assert len(inside) == min(most, len(group))
        if most > 1:
            assert {group.index[0], group.index[-1]} <= set(inside)


def test_frames_are_ordered_by_their_number():
    table = pd.DataFrame({"subject": "a", "sequence": "v", "frame": [4, 3, 2, 1, 0]})
    assert thinned(table, 2).tolist() == [0, 4]
