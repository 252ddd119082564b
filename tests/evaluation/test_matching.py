"""Rows meet by id; contradictions are refused or called by name."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fer_bench.errors import DataError
from fer_bench.evaluation.contradictions import copied_rows, labels_against_predictions
from fer_bench.evaluation.front import Options, plan_files


def save(path, **arrays):
    np.savez(path, **arrays)
    return str(path)


def planned(files, labels=None, **options):
    return plan_files(files, labels, Options(**options))


def test_rows_meet_by_id_in_any_order(made, table, tmp_path):
    order = np.random.default_rng(1).permutation(len(made.ids))
    file = save(
        tmp_path / "m.npz",
        e=made.expression[order],
        logits=made.logits[order],
        image_id=made.ids[order],
    )
    plan = planned([file], table, classes=made.classes).gathered
    assert plan.table["path"].tolist() == made.ids.tolist()
    np.testing.assert_array_equal(plan.models[0].arrays["E"], made.expression)
    np.testing.assert_array_equal(plan.models[0].arrays["logits"], made.logits)


@pytest.mark.parametrize(
    "change", [lambda i: f"./{i}", lambda i: i.split("/")[1], lambda i: i.split("/")[1][:-4]]
)
def test_other_spellings_of_a_path_are_matched_and_said(made, table, tmp_path, change):
    file = save(tmp_path / "m.npz", e=made.expression, id=[change(i) for i in made.ids])
    plan = planned([file], table)
    assert len(plan.gathered.table) == 240
    assert any("240 of 240 rows matched by id (" in line for line in plan.describe())


def test_misfits_are_counted_and_named(made, table, tmp_path):
    ids = made.ids.copy()
    ids[:3] = ["x1", "x2", "x3"]
    lines = planned([save(tmp_path / "m.npz", e=made.expression, id=ids)], table).describe()
    assert any("3 have no labels and are left out: 'x1', 'x2', 'x3'" in line for line in lines)
    assert any("3 of 240 rows of labels.csv have no embedding" in line for line in lines)


def test_several_models_share_their_common_rows_and_seeds_share_a_name(made, table, tmp_path):
    a = save(tmp_path / "a.npz", e=made.expression[:200], id=made.ids[:200])
    b = save(tmp_path / "b.npz", e=made.identity[20:], id=made.ids[20:])
    c = save(tmp_path / "c.npz", e=-made.expression, id=made.ids)
    plan = planned([f"ours={a}", f"ours={b}", c], table).gathered
    assert [(m.name, m.seed) for m in plan.models] == [("ours", 0), ("ours", 1), ("c", 0)]
    assert len(plan.table) == 180
    assert all(len(m.arrays["E"]) == 180 for m in plan.models)


def test_labels_beside_the_embeddings_need_no_ids(made, tmp_path):
    file = save(tmp_path / "m.npz", e=made.expression, y=made.y, s=made.people)
    plan = plan_files([file], None, Options(map=["subject=s"]))
    assert plan.data.subjects == tuple(np.unique(made.people))


def test_position_is_used_only_when_asked(made, table, tmp_path):
    file = save(tmp_path / "m.npz", e=made.expression)
    with pytest.raises(DataError, match="names no rows.*--by-position"):
        planned([file], table)
    assert len(planned([file], table, by_position=True).gathered.table) == 240
    short = save(tmp_path / "s.npz", e=made.expression[:-1])
    with pytest.raises(DataError, match="239 rows and .* 240"):
        planned([short], table, by_position=True)


def test_mapping_names_unusual_columns(made, tmp_path):
    frame = made.labels.rename(columns={"emotion": "emo_word", "person": "who"})
    frame.to_csv(tmp_path / "l.csv", index=False)
    file = save(tmp_path / "m.npz", a=made.expression, b=made.identity, id=made.ids)
    told = ["expression=emo_word", "subject=who", "E=a", "I=b"]
    plan = plan_files([file], tmp_path / "l.csv", Options(map=told)).gathered
    assert set(plan.models[0].arrays) == {"E", "I"}
    assert set(plan.table["expression"]) == set(made.classes)
    with pytest.raises(DataError, match="no array or column is named 'nobody'"):
        plan_files([file], tmp_path / "l.csv", Options(map=["subject=nobody", "E=a"]))
    with pytest.raises(DataError, match="no meaning 'expresion': did you mean 'expression'"):
        plan_files([file], None, Options(map=["expresion=a"]))


def test_class_scores_without_an_order_are_left_out_and_said(made, table, tmp_path):
    file = save(tmp_path / "m.npz", e=made.expression, logits=made.logits, id=made.ids)
    plan = planned([file], table)
    assert "logits" not in plan.gathered.models[0].arrays
    assert any("--classes" in line for line in plan.describe())


def test_another_order_of_classes_is_put_right(made, table, tmp_path):
    order = [5, 3, 1, 0, 2, 4]
    file = save(
        tmp_path / "m.npz",
        e=made.expression,
        logits=made.logits[:, order],
        id=made.ids,
        classes=np.array(made.classes)[order],
    )
    plan = planned([file], table).gathered
    predicted = np.array(plan.classes)[plan.models[0].arrays["logits"].argmax(1)]
    assert (predicted == np.array(made.classes)[made.logits.argmax(1)]).all()


REFUSED = {
    "duplicate ids": (
        lambda m: {"e": m.expression, "id": np.r_[m.ids[:-1], m.ids[:1]]},
        r"the id 'p00/img_000.png' is there 2 times \(rows 1, 240\)",
    ),
    "no common id": (
        lambda m: {"e": m.expression, "id": np.arange(240)},
        "no id of .* is in",
    ),
    "shuffled ids beside labels": (
        lambda m: {"e": m.expression, "id": np.roll(m.ids, 7), "label": m.y},
        r"expression of .* of 240 rows differ: are ids or rows shuffled",
    ),
    "people of others": (
        lambda m: {"e": m.expression, "id": m.ids, "person": np.roll(m.people, 1)},
        "subject of 'p00/img_000.png' is 'p09' there and 'p00' in the labels; 10 of 240",
    ),
    "labels off by a row": (
        lambda m: {"e": m.expression, "id": np.roll(m.ids, 1), "logits": m.logits},
        "labels fit the predictions 1 row before",
    ),
    "off from the middle on": (
        lambda m: {
            "e": m.expression,
            "id": np.r_[m.ids[:120], np.roll(m.ids[120:], -1)],
            "logits": m.logits,
        },
        "from row 1[12]\\d on, labels fit the predictions 1 row further on",
    ),
    "a row of NaN": (
        lambda m: {"e": np.where(np.arange(240)[:, None] == 5, np.nan, m.expression), "id": m.ids},
        "E of 'p00/img_005.png' is not finite; 1 of 240 rows",
    ),
    "predictions of other rows": (
        lambda m: {
            "e": m.expression,
            "id": m.ids,
            "logits": m.logits,
            "pred": np.roll(m.logits.argmax(1), 3),
        },
        "the prediction of row 3 is not its largest class score",
    ),
    "too few classes": (
        lambda m: {"e": m.expression, "id": m.ids, "logits": m.logits[:, :5]},
        "5 class scores a row, and 6 classes",
    ),
    "no embedding": (lambda m: {"id": m.ids, "logits": m.logits}, "holds no embedding"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_contradictions_are_refused_in_one_sentence(made, table, tmp_path, case):
    arrays, sentence = REFUSED[case]
    file = save(tmp_path / "m.npz", **arrays(made))
    with pytest.raises(DataError, match=sentence) as told:
        planned([file], table, classes=made.classes)
    assert "\n" not in str(told.value)


def test_shuffled_rows_beside_predictions_are_called_by_name(made, table, tmp_path):
    ids = np.random.default_rng(0).permutation(made.ids)
    file = save(tmp_path / "m.npz", e=made.expression, id=ids, logits=made.logits)
    plan = planned([file], table, classes=made.classes)
    assert [c.code for c in plan.gathered.models[0].cautions] == ["predictions-at-chance"]
    other = save(tmp_path / "other.npz", e=made.expression, logits=made.logits, id=made.ids)
    lines = planned([file, other], table, classes=made.classes).describe()
    assert any(line.startswith("caution: m: predictions agree with") for line in lines)


def test_labels_without_expressions_or_people_are_refused(made, tmp_path):
    pd.DataFrame({"id": made.ids}).to_csv(tmp_path / "l.csv", index=False)
    file = save(tmp_path / "m.npz", e=made.expression, id=made.ids)
    with pytest.raises(DataError, match="neither expressions nor people"):
        planned([file], tmp_path / "l.csv")


@given(st.integers(0, 2**32 - 1), st.floats(0.2, 0.95), st.sampled_from(["runs", "mixed"]))
def test_honest_predictions_are_never_called_shifted(seed, skill, order):
    rng = np.random.default_rng(seed)
    y = rng.integers(0, 7, 400)
    if order == "runs":
        y = np.repeat(y[:20], 20)
    predicted = np.where(rng.random(400) < skill, y, rng.integers(0, 7, 400))
    labels_against_predictions("m", predicted, y)


@given(st.integers(0, 2**32 - 1), st.sampled_from([-2, -1, 1, 2]), st.integers(0, 150))
def test_a_shift_from_any_row_on_is_refused(seed, shift, start):
    rng = np.random.default_rng(seed)
    y = rng.integers(0, 7, 400)
    predicted = np.where(rng.random(400) < 0.8, y, rng.integers(0, 7, 400))
    moved = np.r_[y[:start], np.roll(y[start:], shift)]
    with pytest.raises(DataError, match=f"they are off by {abs(shift)}"):
        labels_against_predictions("m", predicted, moved)


@pytest.mark.parametrize("start", [0, 60])
def test_a_table_that_is_off_by_a_row_is_refused_whatever_the_order_of_the_file(
    made, tmp_path, start
):
    order = np.random.default_rng(0).permutation(len(made.ids))
    file = save(
        tmp_path / "m.npz", E=made.expression[order], logits=made.logits[order], id=made.ids[order]
    )
    labels = made.labels.copy()
    moved = labels["emotion"].to_numpy().copy()
    moved[start:] = np.roll(moved[start:], 1)
    labels.assign(emotion=moved).to_csv(tmp_path / "t.csv", index=False)
    with pytest.raises(DataError, match=r"in the order of the labels.*off by 1"):
        planned([file], tmp_path / "t.csv", classes=made.classes)


def test_classes_in_a_wrong_order_are_not_called_a_shift():
    rng = np.random.default_rng(0)
    y = rng.integers(0, 7, 800)
    (caution,) = labels_against_predictions("m", (y + 1) % 7, y)
    assert caution.code == "predictions-at-chance"


def test_copies_are_seen_but_not_where_rows_repeat_by_design():
    x = np.random.default_rng(0).normal(size=(40, 8)).astype("f4")
    x[35] = x[3]
    train, test = np.arange(20), np.arange(20, 40)
    assert copied_rows(x, train, test).tolist() == [35]
    assert not len(copied_rows(np.eye(4, dtype="f4")[np.arange(40) % 4], train, test))


@pytest.mark.parametrize("second", ["b", "a"])
def test_one_file_under_two_names_or_as_two_seeds_is_refused(made, table, tmp_path, second):
    np.savez(tmp_path / "one.npz", E=made.expression, ids=made.ids)
    order = np.random.default_rng(0).permutation(len(made.ids))
    np.savez(tmp_path / "two.npz", E=made.expression[order], ids=np.array(made.ids)[order])
    files = [f"a={tmp_path / 'one.npz'}", f"{second}={tmp_path / 'two.npz'}"]
    with pytest.raises(DataError, match=r"two.npz holds exactly the embeddings of .*one.npz"):
        plan_files(files, table)
