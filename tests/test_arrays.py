"""Parts of a run: labels as codes, with missing ones, numbers and sequences."""

import numpy as np
import pandas as pd

from fer_bench.arrays import PartArrays


def part(**columns):
    n = len(next(iter(columns.values())))
    labels = {"expression": ["happiness"] * n, "subject": [None] * n, "sequence": [None] * n}
    return PartArrays(
        name="test",
        expression=np.zeros((n, 2), dtype=np.float32),
        identity=None,
        logits=None,
        valence_arousal=None,
        labels=pd.DataFrame(labels | columns),
        classes=("neutral", "happiness"),
    )


def test_missing_and_unknown_labels_are_minus_one():
    assert part(expression=["happiness", None, "contempt"]).y.tolist() == [1, -1, -1]


def test_numbered_subjects_are_known_subjects():
    numbered = part(subject=[7, 7, 12])
    assert numbered.subjects == ("12", "7")
    assert numbered.s.tolist() == [1, 1, 0]
    assert numbered.groups.tolist() == [1, 1, 0]


def test_no_groups_where_a_subject_is_missing():
    assert part(subject=["a", "b", None]).groups is None


def test_sequences_of_two_people_are_two_though_their_names_agree():
    codes = part(subject=["a", "a", "b", "b"], sequence=["1", "1", "1", None]).sequences
    assert codes.tolist() == [0, 0, 1, -1]
    assert part(subject=["a"]).sequences is None


def test_embeddings_are_those_the_method_has():
    assert list(part(subject=["a"]).embeddings) == ["E"]


def test_some_rows_of_a_part_keep_all_that_belongs_to_them():
    whole = part(subject=["a", "b", "c"], expression=["neutral", "happiness", None])
    some = whole.with_rows(np.array([2, 0]))
    assert some.labels["subject"].tolist() == ["c", "a"]
    assert some.y.tolist() == [-1, 0]
    assert some.expression.shape == (2, 2)
    assert some.identity is None
