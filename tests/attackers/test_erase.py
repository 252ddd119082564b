"""Erasers against the reference package, and what each promises."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.base import clone
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline

from fer_bench.attackers.closed_forms import PLDA
from fer_bench.attackers.comparisons import compared_pairs
from fer_bench.attackers.erase import (
    ERASERS,
    INLP,
    LEACE,
    ClassScores,
    KSame,
    MeanProjection,
    fit_eraser,
    strengths,
)
from fer_bench.errors import DataError, FerBenchError


def rows(people=8, d=20, each=40, *, seed=0, scale=2.0):
    rng = np.random.default_rng(seed)
    s = np.repeat(np.arange(people), rng.integers(each // 2, each, people))
    mix = rng.normal(size=(d, d))
    x = rng.normal(size=(len(s), d)) @ mix + scale * rng.normal(size=(people, d))[s] + 5
    return x, s


@pytest.mark.parametrize(("people", "d"), [(2, 5), (8, 20), (19, 20)])
def test_leace_is_the_reference_package(people, d):
    torch = pytest.importorskip("torch")
    from concept_erasure import LeaceFitter

    x, s = rows(people, d)
    z = torch.eye(people, dtype=torch.float64)[torch.from_numpy(s)]
    reference = LeaceFitter.fit(
        torch.from_numpy(x), z, svd_tol=1e-6, shrinkage=False, constrain_cov_trace=False
    ).eraser(torch.from_numpy(x))
    assert np.abs(LEACE().fit(x, s).transform(x) - reference.numpy()).max() < 1e-5


def test_leace_of_columns_without_spread():
    x, s = rows(4, 10)
    x[:, 3], x[:, 7] = 1.0, x[:, 6]
    z = LEACE().fit(x, s).transform(x)
    assert np.abs(z[:, 3] - 1).max() < 1e-6
    means = np.stack([z[s == k].mean(axis=0) for k in range(4)])
    assert np.abs(means - means[0]).max() < 1e-6


def test_after_leace_linear_probes_are_at_chance_on_the_fitted_rows():
    x, s = rows(8, 20)
    z = LEACE().fit(x, s).transform(x)
    most = np.bincount(s).max() / len(s)
    assert LogisticRegression(max_iter=500).fit(x, s).score(x, s) > 0.9
    assert LogisticRegression(max_iter=500).fit(z, s).score(z, s) == pytest.approx(most)
    # Discriminant analysis rests on rounding here: its means are equal.
    lda = LinearDiscriminantAnalysis(solver="lsqr", shrinkage=0.1).fit(z, s)
    assert lda.score(z, s) == pytest.approx(most)


def test_leace_moves_rows_least():
    """Of erasers with the same guarantee: the projection of means moves them more."""
    x, s = rows(6, 20)
    moved = [np.mean((e.fit(x, s).transform(x) - x) ** 2) for e in (LEACE(), MeanProjection())]
    assert moved[0] < moved[1]


def test_full_leace_is_refused_where_it_would_erase_everything():
    x, s = rows(30, 20)
    with pytest.raises(DataError, match="at least as many people as columns; give a rank"):
        LEACE().fit(x, s)
    swept = LEACE(rank=19).fit(x, s)
    assert not swept.guarantee
    assert LEACE().guarantee


@pytest.mark.parametrize("name", sorted(ERASERS))
def test_the_leak_falls_as_the_strength_grows(name, parts):
    train, validation, test = parts(1.5)
    read = []
    for strength in (None, *strengths(name, columns=16, people=60)[:4]):
        if strength is None:
            erased = [part.x for part in (train, validation, test)]
        else:
            eraser = fit_eraser(name, strength, train.x, train.target)
            erased = [eraser.transform(part.x) for part in (train, validation, test)]
        t, v, e = (p.with_x(x) for p, x in zip((train, validation, test), erased, strict=True))
        read.append(compared_pairs(PLDA().fit(t, v), e).auc)
    assert read[-1] < read[0] - (0.03 if name == "k-same" else 0.15)


@given(st.sampled_from(sorted(ERASERS)), st.integers(0, 10_000))
def test_new_rows_keep_shape_and_are_erased_one_by_one(name, seed):
    x, s = rows(5, 8, each=8, seed=seed)
    eraser = fit_eraser(name, 2, x, s)
    new = np.random.default_rng(seed).normal(size=(7, 8))
    together = eraser.transform(new)
    assert together.shape == new.shape
    alone = np.concatenate([eraser.transform(row[None]) for row in new])
    assert np.allclose(together, alone)


@pytest.mark.parametrize("name", sorted(ERASERS))
def test_they_are_scikit_learns(name):
    x, s = rows(5, 8)
    eraser = ERASERS[name](3)
    assert clone(eraser).get_params() == eraser.get_params()
    pipe = make_pipeline(eraser, LogisticRegression(max_iter=200)).fit(x, s)
    assert pipe.predict(x).shape == s.shape
    assert np.array_equal(clone(eraser).fit_transform(x, s), eraser.fit(x, s).transform(x))


@given(st.integers(2, 5), st.integers(6, 12), st.integers(0, 10_000))
def test_class_scores_stay_and_all_else_goes(classes, columns, seed):
    x, s = rows(6, columns, each=12, seed=seed)
    rng = np.random.default_rng(seed)
    weights, bias = rng.normal(size=(columns, classes)), rng.normal(size=classes)
    shared = 10 * rng.normal(size=(len(x), 1))  # of all classes: decides nothing
    eraser = ClassScores().fit(x, s, x @ weights + bias + shared)
    z = eraser.transform(x)
    assert np.linalg.matrix_rank(z - z.mean(axis=0), tol=1e-6) == classes - 1
    before, after = (rows @ weights + bias for rows in (x, z))
    differences = [a - a[:, :1] for a in (before, after)]
    assert np.allclose(*differences, atol=1e-6)
    assert np.allclose(eraser.transform(z), z)


@pytest.mark.parametrize("scores", [np.zeros((5, 1)), np.zeros(5), np.zeros((4, 2))])
def test_scores_of_another_shape_are_told(scores):
    with pytest.raises(DataError, match="scores of every row"):
        ClassScores().fit(np.eye(5), [0, 0, 1, 1, 1], scores)


def test_a_run_without_class_scores_is_told():
    with pytest.raises(DataError, match="no class scores"):
        fit_eraser("scores", None, np.eye(5), [0, 0, 1, 1, 1])


def test_k_same_averages_faces_of_k_people():
    x = np.array([[1.0, 0.0], [0.9, 0.1], [0.0, 1.0], [-1.0, 0.2]])
    erased = KSame(k=3).fit(x, ["a", "a", "b", "c"]).transform(x[:1])
    assert np.allclose(erased, x[[0, 2, 3]].mean(axis=0))


def test_inlp_projects_out_what_lda_would_use_first():
    rng = np.random.default_rng(0)
    s = np.repeat(np.arange(10), 30)
    x = rng.normal(size=(300, 6))
    x[:, 2] += 5 * rng.normal(size=10)[s]
    z = INLP(rank=1).fit(x, s).transform(x)
    assert np.var([z[s == k, 2].mean() for k in range(10)]) < 0.1


@pytest.mark.parametrize(
    ("x", "s", "said"),
    [
        (np.zeros((3, 2)), [0, 1], "subjects has 2 entries for 3 rows"),
        (np.zeros((3, 2)), ["ann", None, None], "two people"),
        (np.full((3, 2), np.nan), [0, 1, 2], "embeddings"),
        (np.zeros((3, 2)), [0, 0, 0], "two people"),
        (np.zeros((3, 2)), [0, -1, -1], "two people"),
        (np.zeros(3), [0, 1, 2], r"give \[n, d\]"),
    ],
)
def test_what_cannot_be_fitted_is_told(x, s, said):
    with pytest.raises(DataError, match=said):
        MeanProjection().fit(x, s)


def test_other_columns_and_unknown_names_are_told():
    x, s = rows(4, 6)
    with pytest.raises(DataError, match=r"give \[n, 6\]"):
        MeanProjection().fit(x, s).transform(x[:, :5])
    with pytest.raises(FerBenchError, match="did you mean 'leace'"):
        fit_eraser("lease", 2, x, s)
