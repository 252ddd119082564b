import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fer_bench.cautions import Caution
from fer_bench.data import PairSampler


@settings(max_examples=200, deadline=None)
@given(
    st.lists(st.tuples(st.integers(-1, 3), st.integers(-1, 4)), min_size=1, max_size=40),
    st.integers(0, 100),
)
def test_partners_keep_the_contract_on_any_labels(rows, seed):
    expression, subject = np.array(rows).T
    sampler = PairSampler(expression, subject, seed=seed)
    anchors = np.arange(len(rows)).repeat(3)
    partners = sampler.partners(anchors)
    fallbacks = 0
    for a, p in zip(anchors, partners, strict=True):
        same = expression == expression[a]
        others = same & (subject != subject[a]) & (subject >= 0)
        if expression[a] < 0 or same.sum() == 1:
            assert p == a
            fallbacks += 1
        elif subject[a] >= 0 and others.any():
            assert others[p]
        else:
            assert same[p]
            assert p != a
            fallbacks += 1
    assert bool(sampler.cautions) == bool(fallbacks)


def test_partners_are_uniform_over_those_that_qualify():
    expression = np.array([0, 0, 0, 0, 0, 1])
    subject = np.array([0, 0, 1, 2, 2, 1])
    sampler = PairSampler(expression, subject)
    rng = np.random.default_rng(0)
    counts = np.bincount(sampler.partners(np.full(30_000, 2), rng), minlength=6)
    assert counts[[2, 5]].sum() == 0
    np.testing.assert_allclose(counts[[0, 1, 3, 4]] / 30_000, 0.25, atol=0.01)
    assert sampler.cautions == (Caution("pairs-alone", faces=1),)


def test_unknown_subjects_fall_back_with_a_warning():
    sampler = PairSampler([0] * 5, [-1] * 5, seed=1)
    assert sampler.cautions == (Caution("pairs-unknown-subject", faces=5),)
    assert (sampler.partners(np.arange(5)) != np.arange(5)).all()


def test_the_same_generator_gives_the_same_partners(small_faces):
    sampler = PairSampler(small_faces.expression, small_faces.subject)
    anchors = np.arange(len(small_faces))
    one, two = (sampler.partners(anchors, np.random.default_rng(5)) for _ in range(2))
    np.testing.assert_array_equal(one, two)
    assert sampler.cautions == ()
    assert (small_faces.subject[one] != small_faces.subject).all()
    assert (small_faces.expression[one] == small_faces.expression).all()


def test_arrays_must_match_and_may_be_empty():
    with pytest.raises(ValueError, match="must be"):
        PairSampler([0, 1], [0])
    assert PairSampler([], []).partners([]).tolist() == []
