"""People count alike, and compared faces differ in what they must not share."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from fer_bench.attackers.faces import Faces, turn

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


def test_halves_share_nobody(world):
    most, held = world(20, seed=0).halves(0.25)
    assert (most.n_people, held.n_people) == (15, 5)
    assert not set(most.people) & set(held.people)


@given(st.lists(st.integers(0, 4), max_size=30))
def test_turn_counts_from_nought_within_a_code(codes):
    codes = np.array(codes, dtype=np.int64)
    for code in np.unique(codes):
        assert turn(codes)[codes == code].tolist() == list(range((codes == code).sum()))
