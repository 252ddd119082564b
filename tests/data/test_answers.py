"""Answers of a model beside the data's columns: agreement, kappa, and what is drawn red."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import accuracy_score, cohen_kappa_score, recall_score

import fer_bench
from fer_bench.data import show
from fer_bench.data.answers import Answers, agreement
from fer_bench.data.faces import FaceData
from fer_bench.registry import attribute_readers

WORDS = ("yellow", "white", "black")


def faces(column, values):
    return FaceData(np.zeros((len(values), 8, 8, 1), np.uint8), pd.DataFrame({column: values}))


def sure(codes, words=WORDS):
    return Answers({"skin": words}, {"skin": np.eye(len(words))[codes]})


@given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 2)), min_size=3, max_size=40))
def test_agreement_is_that_of_scikit_learn(pairs):
    truth, said = (np.array(v) for v in zip(*pairs, strict=True))
    [agreements] = agreement(faces("skin", [WORDS[k] for k in truth]), sure(said))
    assert agreements.right == pytest.approx(accuracy_score(truth, said))
    kappa = cohen_kappa_score(truth, said) if len({*truth, *said}) > 1 else np.nan
    assert agreements.kappa == pytest.approx(kappa, nan_ok=True)
    recalls = recall_score(truth, said, labels=[0, 1, 2], average=None, zero_division=np.nan)
    wanted = {word: r for word, r in zip(WORDS, recalls, strict=True) if word in agreements.recalls}
    assert agreements.recalls == pytest.approx(wanted)


def test_other_words_and_columns_that_mean_the_same():
    data = faces("ethnicity", ["Caucasian", "african", "ASIAN", "other", None])
    [agreements] = agreement(data, sure([1, 2, 1, 0, 0]))
    assert (agreements.column, agreements.faces) == ("ethnicity", 3)
    assert agreements.recalls == {"yellow": 0.0, "white": 1.0, "black": 1.0}
    assert "66.7 % of 3 faces" in str(agreements)


def test_without_a_column_nothing_is_compared():
    assert agreement(faces("glasses", ["yes", "no"]), sure([0, 1])) == []
    assert agreement(faces("skin", ["green", "green"]), sure([0, 1])) == []


def test_shares_are_answers_in_per_cent():
    answers = Answers({"gender": ("man", "woman")}, {"gender": np.array([[0.443, 0.557]])})
    assert answers.best("gender").tolist() == ["woman"]
    assert answers.percent("gender").tolist() == [pytest.approx(55.7)]


def test_what_the_data_contradict_is_red():
    data = faces("skin", ["white", "white", "unknown"])
    right = np.asarray(show.answer_sheet(data, sure([1, 1, 1])))
    wrong = np.asarray(show.answer_sheet(data, sure([0, 1, 1])))
    reddish = [(s[..., 0] > s[..., 1].astype(int) + 80).sum() for s in (right, wrong)]
    assert reddish[0] == 0
    assert reddish[1] > 20


def test_the_tiny_clip_knows_the_gender_of_generated_faces():
    data = fer_bench.load_dataset("generated", subjects=24, images_per_subject=7, size=64, seed=5)
    answers = attribute_readers.get("tiny-clip")(data)
    for shares in answers.shares.values():
        np.testing.assert_allclose(shares.sum(1), 1, atol=1e-6)
    by_name = {result.attribute: result for result in agreement(data, answers)}
    assert by_name["gender"].right > 0.7
    assert by_name["skin"].kappa > 0.5
