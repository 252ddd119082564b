"""Probes: splits without overlap, classifiers against scikit-learn, nothing from nothing."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.neighbors import KNeighborsClassifier

from fer_bench.metrics import (
    Split,
    knn_probe,
    linear_probe,
    mlp_probes,
    probes,
    subject_halves,
    within_subject_split,
)
from fer_bench.metrics.common import standardise
from fer_bench.metrics.probes import Discriminant, KnnProbe, probe_unit, unit_rows

codes = st.lists(st.tuples(st.integers(-1, 5), st.integers(-1, 6)), min_size=1, max_size=60)


@settings(max_examples=150, deadline=None)
@given(codes, st.integers(0, 3))
def test_split_keeps_expressions_apart(pairs, seed):
    s, y = (np.array(side) for side in zip(*pairs, strict=True))
    split, unit = within_subject_split(s, y, seed=seed)
    assert unit == "expression"
    everything = np.concatenate([split.train, split.validation, split.test])
    assert len(np.unique(everything)) == len(everything)
    assert (s[everything] >= 0).all()
    assert (y[everything] >= 0).all()
    assert not set(y[split.fit]) & set(y[split.test])
    assert set(s[split.fit]) == set(s[split.test])
    assert set(s[split.validation]) <= set(s[split.train])


def test_split_is_about_half_and_uses_everybody():
    s, y = np.repeat(np.arange(10), 28), np.tile(np.arange(28) % 7, 10)
    split, _ = within_subject_split(s, y)
    assert 0.4 < len(split.test) / 280 < 0.6
    assert len(split.validation) == 40
    assert len(np.unique(s[split.test])) == 10


def test_cut_keeps_most_subjects():
    """Nine subjects show 0 and 1 only, one shows 2 and 3: the cut must part 0 from 1."""
    s = np.repeat(np.arange(10), 4)
    y = np.where(s < 9, np.tile([0, 0, 1, 1], 10), np.tile([2, 2, 3, 3], 10))
    split, _ = within_subject_split(s, y)
    assert len(np.unique(s[split.test])) == 10


def test_sequences_of_several_expressions_stay_whole():
    s = np.repeat(np.arange(4), 12)
    q = np.arange(48) // 3  # four sequences a subject
    y = np.tile([0, 1, 1], 16)  # neutral frame, then the expression
    split, unit = within_subject_split(s, y, sequence=q)
    assert unit == "sequence"
    assert not set(q[split.fit]) & set(q[split.test])
    assert not set(q[split.train]) & set(q[split.validation])
    assert set(s[split.test]) == {0, 1, 2, 3}


def test_unit():
    s = np.zeros(4, dtype=int)
    assert probe_unit(s, np.array([0, 0, 1, 1]), np.array([0, 0, 1, 1])) == "expression"
    assert probe_unit(s, np.array([0, 1, 1, 1]), np.array([0, 0, 1, 1])) == "sequence"
    assert probe_unit(s, np.full(4, -1), np.array([0, 0, 1, 1])) == "sequence"
    assert probe_unit(s, np.array([0, 0, 1, 1]), np.full(4, -1)) == "expression"


def test_halves_test_every_subject_once():
    s, y = np.repeat(np.arange(9), 5), np.tile(np.arange(5), 9)
    y[3] = -1
    halves = subject_halves(s, y, seed=2)
    tested = np.concatenate([half.test for half in halves])
    assert sorted(tested) == [k for k in range(45) if k != 3]
    for half in halves:
        sets = [set(s[rows]) for rows in (half.train, half.validation, half.test)]
        assert not sets[0] & sets[1]
        assert not (sets[0] | sets[1]) & sets[2]
        assert len(half.validation)


def _clusters(n=240, classes=6, d=12, spread=1.5, seed=0):
    rng = np.random.default_rng(seed)
    y = np.arange(n) % classes
    return spread * rng.normal(size=(classes, d))[y] + rng.normal(size=(n, d)), y


@pytest.mark.parametrize("shrinkage", [0.001, 0.2, 0.9])
def test_discriminant_is_scikit_learns(shrinkage):
    x, y = _clusters(spread=0.5)
    y[:40] = 0  # unequal priors
    ours = Discriminant(x[:150], y[:150], 6).predict(x[150:], shrinkage)
    theirs = LinearDiscriminantAnalysis(solver="lsqr", shrinkage=shrinkage)
    theirs.fit(standardise(x[:150]), y[:150])
    assert (ours == theirs.predict(standardise(x[150:], x[:150]))).all()


def test_discriminant_on_labels_themselves():
    """No spread within classes at all: the label oracle."""
    y = np.arange(70) % 7
    x = np.eye(7)[y]
    assert (Discriminant(x, y, 7).predict(x, 0.05) == y).all()


def test_neighbours_are_scikit_learns():
    x, y = _clusters(spread=0.8)
    rows = np.arange(240)
    split = Split(rows[:150], rows[:0], rows[150:])
    ours = knn_probe(x, y, split)
    theirs = KNeighborsClassifier(1, metric="cosine").fit(x[:150], y[:150])
    assert ours.setting == "k = 1"
    assert (ours.predicted == theirs.predict(x[150:])).all()


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 999), st.integers(1, 3))
def test_neighbours_serve_any_number_of_labels(seed, n_labels):
    rng = np.random.default_rng(seed)
    x = rng.integers(0, 3, (60, 2)).astype(np.float32)  # with ties
    split = Split(np.arange(20), np.arange(20, 35), np.arange(35, 60))
    probe = KnnProbe(x, split)
    for y in rng.integers(0, 3, (n_labels, 60)):
        ours, alone = probe(y), knn_probe(x, y, split)
        assert ours.setting == alone.setting
        assert (ours.predicted == alone.predicted).all()


def test_neighbours_among_fewer_rows_are_said(monkeypatch):
    x, y = _clusters(spread=0.8)
    rows = np.arange(240)
    split = Split(rows[:100], rows[100:150], rows[150:])
    assert "among" not in knn_probe(x, y, split).setting
    monkeypatch.setattr(probes, "KNN_PAIRS", 50 * 90)
    assert knn_probe(x, y, split).setting.endswith("among 50 rows")


PROBES = {
    "linear": linear_probe,
    "knn": knn_probe,
    "mlp": lambda x, y, split: mlp_probes([x], [y], split)[0],
}


@pytest.mark.parametrize("probe", PROBES.values(), ids=PROBES)
def test_probe_finds_classes_and_invents_none(probe):
    x, y = _clusters(n=360)
    rows = np.random.default_rng(1).permutation(360)
    split = Split(rows[:160], rows[160:220], rows[220:])
    probed = probe(x, y, split)
    assert np.mean(probed.predicted == y[split.test]) > 0.9
    assert probed.validation > 0.9
    noise = np.random.default_rng(2).normal(size=x.shape)
    nothing = np.mean(probe(noise, y, split).predicted == y[split.test])
    assert nothing < 1 / 6 + 0.13


@pytest.mark.parametrize("probe", PROBES.values(), ids=PROBES)
@pytest.mark.parametrize("fill", [0.0, 5.0, 1e8])
def test_constant_embedding_predicts_one_class(probe, fill):
    y = np.arange(60) % 3
    rows = np.arange(60)
    split = Split(rows[:30], rows[30:45], rows[45:])
    assert len(np.unique(probe(np.full((60, 4), fill), y, split).predicted)) == 1


@pytest.mark.parametrize("probe", PROBES.values(), ids=PROBES)
def test_test_labels_do_not_matter(probe):
    x, y = _clusters(spread=0.7)
    rows = np.arange(240)
    split = Split(rows[:100], rows[100:140], rows[140:])
    other = y.copy()
    other[140:] = np.random.default_rng(0).permutation(other[140:])
    a, b = probe(x, y, split), probe(x, other, split)
    assert (a.predicted == b.predicted).all()


def test_probe_without_validation_rows():
    x, y = _clusters()
    rows = np.arange(240)
    split = Split(rows[:140], rows[:0], rows[140:])
    for probe in PROBES.values():
        probed = probe(x, y, split)
        assert np.isnan(probed.validation)
        assert np.mean(probed.predicted == y[140:]) > 0.9


def test_network_problems_are_independent():
    """A problem gets the same predictions alone and in company of another."""
    x, y = _clusters(spread=0.7)
    rows = np.arange(240)
    split = Split(rows[:120], rows[120:160], rows[160:])
    alone = mlp_probes([x], [y], split, seed=3)[0]
    company = mlp_probes([x, -x], [y, y], split, seed=3)[0]
    assert np.mean(alone.predicted == company.predicted) > 0.97


def test_network_finds_what_is_not_linear():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(900, 2))
    y = ((x[:, 0] > 0) ^ (x[:, 1] > 0)).astype(int)
    rows = np.arange(900)
    split = Split(rows[:500], rows[500:600], rows[600:])
    assert np.mean(linear_probe(x, y, split).predicted == y[600:]) < 0.65
    assert np.mean(mlp_probes([x], [y], split)[0].predicted == y[600:]) > 0.9


def test_unit_rows_of_zeros():
    assert (unit_rows(np.zeros((2, 3))) == 0).all()
