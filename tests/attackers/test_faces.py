"""People count alike, and compared faces differ in what they must not share."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fer_bench.attackers.faces import Faces, turn
from fer_bench.errors import DataError

labels = st.lists(st.tuples(st.integers(-1, 5), st.integers(-1, 3)), min_size=2, max_size=60)


@given(labels)
def test_pairs_are_of_one_target_or_two_and_always_apart(rows):
    s, y = np.array(rows).T
    faces = Faces.of_people(np.zeros((len(s), 2)), s, y)
    genuine, impostor = faces.pairs
    assert (faces.target[genuine.first] == faces.target[genuine.second]).all()
    assert (faces.target[impostor.first] != faces.target[impostor.second]).all()
    for pairs in (genuine, impostor):
        assert (faces.apart[pairs.first] != faces.apart[pairs.second]).all()


@given(labels)
def test_the_question_is_mirrored_for_expressions(rows):
    s, y = np.array(rows).T
    faces = Faces.of_expressions(np.zeros((len(s), 2)), s, y)
    genuine, impostor = faces.pairs
    assert (faces.target[genuine.first] == faces.target[genuine.second]).all()
    for pairs in (genuine, impostor):
        assert (faces.people[pairs.first] != faces.people[pairs.second]).all()


@given(labels, st.integers(1, 6))
def test_nobody_has_more_faces_than_asked(rows, most):
    s, y = np.array(rows).T
    faces = Faces.of_people(np.zeros((len(s), 2)), s, y)
    kept = faces.at_most(most)
    had, has = (np.bincount(f.people, minlength=6) for f in (faces, kept))
    assert (has == np.minimum(had, most)).all()


def test_every_person_weighs_alike_however_many_faces_it_has():
    s = np.repeat(np.arange(6), [40, 2, 2, 3, 5, 8])
    faces = Faces.of_people(np.zeros((len(s), 1)), s, np.arange(len(s)) % 4)
    (genuine, impostor), (own, other) = faces.pairs, faces.weights
    assert np.allclose(np.bincount(s[genuine.first], own), 1 / 6)
    both = np.bincount(6 * s[impostor.first] + s[impostor.second], other, minlength=36)
    both = both.reshape(6, 6) + both.reshape(6, 6).T
    # All pairs of people count nearly alike: same-expression pairs are not compared.
    assert both[np.triu_indices(6, 1)].max() < 2 * both[np.triu_indices(6, 1)].min()


def test_people_and_expressions_have_names_or_codes():
    x, s, y = np.eye(4), ["ann", "ann", None, "bob"], ["joy", "fear", "joy", "joy"]
    named, coded = Faces.of_people(x, s, y), Faces.of_people(x, [0, 0, -1, 1], [1, 0, 1, 1])
    for field in ("x", "target", "apart", "people"):
        assert np.array_equal(getattr(named, field), getattr(coded, field))
    assert len(Faces.of_expressions(x, s, y)) == 3


@pytest.mark.parametrize(
    ("x", "s", "said"),
    [
        (np.eye(4), [0, 1], "subjects"),
        (np.eye(4), [0.5, 1, 1, 1], "no label"),
        (np.full((4, 2), np.nan), [0, 1, 1, 1], "embeddings"),
        (np.zeros(4), [0, 1, 1, 1], "embeddings"),
    ],
)
def test_what_is_no_embedding_and_no_label_is_told(x, s, said):
    for make in (Faces.of_people, Faces.of_expressions):
        with pytest.raises(DataError, match=said):
            make(x, s, [0, 1, 0, 1])


def test_halves_share_nobody(world):
    most, held = world(20, seed=0).halves(0.25)
    assert (most.n_people, held.n_people) == (15, 5)
    assert not set(most.people) & set(held.people)


@given(st.lists(st.integers(0, 4), max_size=30))
def test_turn_counts_from_nought_within_a_code(codes):
    codes = np.array(codes, dtype=np.int64)
    for code in np.unique(codes):
        assert turn(codes)[codes == code].tolist() == list(range((codes == code).sum()))
