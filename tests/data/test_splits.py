import json

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fer_bench.cautions import Caution
from fer_bench.data import FaceData, FoldFile, make_folds
from fer_bench.data.labels import PARTS_OF_A_SPLIT, part_of_split, plain
from fer_bench.errors import DataError


def faces(expression=None, subject=None, n=None, **columns):
    n = n or len(expression)
    table = pd.DataFrame({"path": [f"{i}.png" for i in range(n)], **columns})
    for name, given_ in (("expression", expression), ("subject", subject)):
        if given_ is not None:
            table[name] = given_
    return FaceData(np.zeros((n, 8, 8, 1), np.uint8), table)


def check(data, folds):
    """What must hold for any folds by subject."""
    tested = np.concatenate([fold.test for fold in folds.folds])
    np.testing.assert_array_equal(np.sort(tested), np.arange(len(data)))
    for fold in folds.folds:
        parts = [fold.train, fold.validation, fold.test]
        everything = np.concatenate(parts)
        np.testing.assert_array_equal(np.sort(everything), np.arange(len(data)))
        people = [set(data.subject[part].tolist()) - {-1} for part in parts]
        assert not people[0] & people[1]
        assert not people[0] & people[2]
        assert not people[1] & people[2]
        assert all(map(len, parts))


def test_folds_are_subject_disjoint_and_stratified(small_faces):
    folds = make_folds(small_faces, n_folds=4, seed=3)
    check(small_faces, folds)
    assert folds.group == "subject"
    assert folds.cautions == ()
    for fold in folds.folds:
        counts = np.bincount(small_faces.expression[fold.test])
        assert counts.min() == counts.max()


@settings(max_examples=40, deadline=None)
@given(
    st.lists(
        st.tuples(st.integers(0, 7), st.sampled_from(["anger", "fear", "neutral", None])),
        min_size=10,
        max_size=60,
    ),
    st.integers(2, 4),
    st.integers(0, 5),
)
def test_any_labels_give_disjoint_folds_or_one_clear_error(rows, n_folds, seed):
    subjects, expressions = zip(*rows, strict=True)
    data = faces(list(expressions), [f"s{s}" for s in subjects])
    largest = -(-len(set(subjects)) // n_folds)
    if len(set(subjects)) < max(3, n_folds) or len(set(subjects)) - largest < 2:
        with pytest.raises(DataError, match="subject"):
            make_folds(data, n_folds=n_folds, seed=seed)
    else:
        check(data, make_folds(data, n_folds=n_folds, seed=seed))


def test_same_seed_same_folds_other_seed_other_folds(small_faces):
    one, two, other = (make_folds(small_faces, seed=seed) for seed in (1, 1, 2))
    assert one.hash == two.hash != other.hash


def test_unknown_subjects_mean_folds_by_image_and_a_warning():
    data = faces(["anger", "fear"] * 20)
    folds = make_folds(data)
    check(data, folds)
    assert folds.group == "image"
    assert folds.cautions[0] == Caution("folds-by-image")
    for fold in folds.folds:
        assert np.bincount(data.expression[fold.test]).tolist() == [4, 4]


def test_a_class_missing_in_test_is_a_warning():
    data = faces(["anger"] * 9 + ["fear"], list("abcdefghij"))
    folds = make_folds(data, n_folds=5)
    assert (
        sum(
            (c.code, c.values.get("classes"), c.values.get("part"))
            == ("fold-lacks-class", "fear", "test")
            for c in folds.cautions
        )
        == 4
    )


def test_one_subject_only_is_a_clear_error():
    with pytest.raises(DataError, match="1 subject, too few for 5 folds"):
        make_folds(faces(["anger", "fear"] * 10, ["a"] * 20))


def test_two_subjects_leave_nobody_to_validate():
    with pytest.raises(DataError, match="only 1 subject is left for training"):
        make_folds(faces(["anger", "fear"] * 10, ["a"] * 10 + ["b"] * 10), n_folds=2)


def test_leave_one_subject_out(small_faces):
    folds = make_folds(small_faces, n_folds="subjects")
    assert len(folds) == 12
    assert [np.unique(small_faces.subject[f.test]).tolist() for f in folds.folds] == [
        [i] for i in range(12)
    ]


def test_dealt_folds_follow_the_names(small_faces):
    folds = make_folds(small_faces, n_folds=5, assign="dealt")
    assert np.unique(small_faces.subject[folds[1].test]).tolist() == [1, 6, 11]


def test_valence_arousal_alone_is_balanced_by_quadrant():
    rng = np.random.default_rng(0)
    va = rng.uniform(-1, 1, (200, 2))
    data = faces(n=200, valence=va[:, 0], arousal=va[:, 1])
    for fold in make_folds(data).folds:
        assert abs((va[fold.test, 0] > 0).mean() - (va[:, 0] > 0).mean()) < 0.03


def test_official_split_with_validation_carved_from_train():
    split = ["train"] * 30 + ["test"] * 10
    data = faces(["anger", "fear"] * 20, split=split)
    folds = make_folds(data, official=True)
    assert len(folds) == 1
    np.testing.assert_array_equal(folds[0].test, np.arange(30, 40))
    assert len(folds[0].validation) == 6
    given_ = ["train"] * 20 + ["validation"] * 10 + ["test"] * 10
    folds = make_folds(faces(["anger", "fear"] * 20, split=given_), official=True)
    np.testing.assert_array_equal(folds[0].validation, np.arange(20, 30))
    only = make_folds(faces(["anger", "fear"] * 20, split=["train"] * 30 + ["validation"] * 10),
                      official=True)  # fmt: skip
    np.testing.assert_array_equal(only[0].test, np.arange(30, 40))
    assert Caution("folds-validation-is-test") in only.cautions
    with pytest.raises(DataError, match="no official split"):
        make_folds(faces(["anger", "fear"] * 20), official=True)


def test_official_split_that_shares_subjects_says_so():
    data = faces(["anger", "fear"] * 10, list("abcde") * 4, split=["train"] * 15 + ["test"] * 5)
    folds = make_folds(data, official=True)
    assert Caution("fold-tests-known-subjects", fold=0, subjects=5) in folds.cautions


def test_a_fold_file_survives_the_disk_and_another_order(tmp_path, small_faces):
    folds = make_folds(small_faces, seed=7)
    file = folds.save(tmp_path / "folds.json")
    back = FoldFile.load(file)
    assert back.hash == folds.hash
    for one, two in zip(back.folds, folds.folds, strict=True):
        np.testing.assert_array_equal(one.train, two.train)
        np.testing.assert_array_equal(one.validation, two.validation)
        np.testing.assert_array_equal(one.test, two.test)
    shuffled = small_faces.subset(np.random.default_rng(0).permutation(len(small_faces)))
    matched = back.match(shuffled)
    assert matched.hash == folds.hash
    for one, two in zip(matched.folds, folds.folds, strict=True):
        assert {shuffled.keys[i] for i in one.test} == {small_faces.keys[i] for i in two.test}
    with pytest.raises(DataError, match="not in small"):
        back.match(small_faces.subset(np.arange(10)))


def test_a_changed_fold_file_is_refused(tmp_path, small_faces):
    file = make_folds(small_faces).save(tmp_path / "folds.json")
    about = json.loads(file.read_text())
    first = next(iter(about["rows"]))
    about["rows"][first] = "ttttt"
    file.write_text(json.dumps(about))
    with pytest.raises(DataError, match="was changed after it was written"):
        FoldFile.load(file)
    file.write_text("[]")
    with pytest.raises(DataError, match="is no fold file"):
        FoldFile.load(file)


@pytest.mark.parametrize(
    "word", ["Test", " test ", "TESTING", "holdout", "Held-Out", "PrivateTest"]
)
def test_words_of_a_split_are_one_table_for_all(word):
    assert part_of_split(word) == "test"


@given(st.text())
def test_a_word_of_a_split_is_known_or_refused_with_the_list(word):
    if plain(word).casefold() in PARTS_OF_A_SPLIT:
        assert part_of_split(word) in {"train", "validation", "test"}
    else:
        with pytest.raises(DataError, match="held-out"):
            part_of_split(word)


def test_faces_without_a_word_are_in_no_part_and_said():
    split = ["train"] * 20 + [None] * 10 + ["test"] * 10
    folds = make_folds(faces(["anger", "fear"] * 20, split=split), official=True)
    used = np.concatenate([folds[0].train, folds[0].validation, folds[0].test])
    assert not set(used) & set(range(20, 30))
    assert Caution("no-official-part", n=10) in folds.cautions


@given(st.lists(st.sampled_from([*PARTS_OF_A_SPLIT, "extra", None]), min_size=20, max_size=40))
def test_no_face_is_trained_on_whose_word_is_not_train(words):
    data = faces(["anger", "fear"] * (len(words) // 2), split=words[: len(words) // 2 * 2])
    try:
        fold = make_folds(data, official=True)[0]
    except DataError:
        return
    parts = data.table["split"].map(PARTS_OF_A_SPLIT)
    assert set(parts[fold.train]) <= {"train"}
    assert set(parts[fold.test]) == ({"test"} if (parts == "test").any() else {"validation"})
    assert not set(parts[fold.validation]) & {"test"}


def test_an_unknown_word_in_faces_made_by_hand_names_the_row():
    data = faces(["anger", "fear"] * 20, split=["train"] * 20 + ["Test"] * 19 + ["extra"])
    with pytest.raises(DataError, match=r"39\.png: unknown split 'extra': known: train"):
        make_folds(data, official=True)
