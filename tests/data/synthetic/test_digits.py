"""Coloured digits: what is drawn, who gets what, and that nobody's handwriting is seen twice."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression

from fer_bench.data import load_dataset
from fer_bench.data.duplicates import exact_groups, near_pairs
from fer_bench.data.splits import make_folds
from fer_bench.data.synthetic.digits import DIGITS, HUES, MOST_SUBJECTS, coloured_digits
from fer_bench.errors import DataError


@pytest.fixture(scope="module")
def digits():
    return load_dataset("digits", size=16)


def test_labels_are_those_of_the_digits(digits):
    assert digits.classes == DIGITS
    assert digits.expression.tolist() == load_digits().target.tolist()
    assert len(digits.subjects) == 60
    assert digits.attributes == ("ink", "paper")


def test_every_digit_is_readable_without_its_colours(digits):
    """How far a pixel lies from the paper towards the ink is the coverage of the source."""
    images = digits.images.astype(float)
    corner = images[:, :1, :1]
    away = np.abs(images - corner).max(3)
    shapes = away.reshape(len(away), 8, 2, 8, 2).mean((2, 4))
    source = load_digits().images
    assert np.corrcoef(shapes.ravel(), source.ravel())[0, 1] > 0.95


@settings(max_examples=10)
@given(subjects=st.integers(2, MOST_SUBJECTS), seed=st.integers(0, 2**32 - 1))
def test_people_have_one_pair_of_colours_and_all_digits_evenly(subjects, seed):
    _, table, _ = coloured_digits(subjects=subjects, size=8, seed=seed)
    pairs = table.groupby("subject")[["ink", "paper"]].nunique()
    assert len(pairs) == subjects
    assert (pairs == 1).all().all()
    assert not (table["ink"] == table["paper"]).any()
    counts = table.groupby(["subject", "expression"]).size().unstack(fill_value=0)
    assert (counts.max() - counts.min() <= 1).all()
    total = counts.sum(axis=1)
    assert total.max() - total.min() <= 1


def test_folds_tear_no_pair_apart_and_share_no_handwriting(digits):
    folds = make_folds(digits)
    for fold in folds.folds:
        assert not set(digits.subject[fold.train]) & set(digits.subject[fold.test])
        assert len(set(digits.subject[fold.test])) == 12
    assert folds.cautions == ()
    assert len(exact_groups(digits)) == 0
    assert len(near_pairs(digits)[0]) == 0


def test_colours_say_who_and_nothing_of_the_digit(digits):
    flat = digits.images.reshape(len(digits), -1, 3)
    colours = np.concatenate([flat.min(1), flat.max(1), flat[:, 0]], 1) / 255
    half = np.arange(len(digits)) % 2 == 0

    def read(labels):
        reader = LogisticRegression(C=100, max_iter=500).fit(colours[half], labels[half])
        return reader.score(colours[~half], labels[~half])

    assert read(np.array([HUES.index(p) for p in digits.table["paper"]])) > 0.95
    assert read(digits.expression) < 0.2


def test_the_same_seed_paints_the_same_faces():
    first, second = (coloured_digits(subjects=5, size=8, seed=3)[0] for _ in range(2))
    assert (first == second).all()
    assert (first != coloured_digits(subjects=5, size=8, seed=4)[0]).any()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"subjects": 109}, "there are 108 pairs of colours"),
        ({"subjects": 1}, "subjects"),
        ({"color": False}, "set color to true"),
    ],
)
def test_what_cannot_be_painted_is_refused(options, message):
    with pytest.raises(DataError, match=message):
        load_dataset("digits", size=16, **options)
