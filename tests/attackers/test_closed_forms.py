"""LDA and PLDA against scikit-learn, scipy and the textbook."""

import numpy as np
import pytest
from scipy.stats import multivariate_normal
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

from fer_bench.attackers.closed_forms import (
    PLDA,
    Cosine,
    WhitenedLDA,
    bases,
    plda_form,
    two_covariances,
)
from fer_bench.attackers.comparisons import compared_pairs


@pytest.mark.parametrize("faces", [1, 3, 5])
def test_plda_is_the_likelihood_ratio_of_normal_distributions(faces):
    between, rng = np.array([2.0, 0.3]), np.random.default_rng(0)
    enrolled, probe = rng.normal(size=(faces, 2)), rng.normal(size=2)

    def log_density(rows):
        n = len(rows)
        out = 0.0
        for j, b in enumerate(between):  # faces of one person share their N(0, b)
            covariance = np.eye(n) + b * np.ones((n, n))
            out += multivariate_normal.logpdf(rows[:, j], np.zeros(n), covariance)
        return out

    together = log_density(np.vstack([enrolled, probe]))
    expected = together - log_density(enrolled) - log_density(probe[None])
    form = plda_form(between, faces)
    assert form.pairs(enrolled.mean(axis=0), probe) == pytest.approx(expected)
    assert form.table(enrolled.mean(axis=0)[None], probe[None])[0, 0] == pytest.approx(expected)


def test_covariances_are_those_that_were_drawn():
    rng = np.random.default_rng(0)
    within, between = np.array([[1.0, 0.5], [0.5, 2.0]]), np.array([[0.8, -0.2], [-0.2, 0.1]])
    s = np.repeat(np.arange(8_000), rng.integers(2, 6, 8_000))
    x = rng.multivariate_normal([0, 0], between, 8_000)[s]
    x += rng.multivariate_normal([0, 0], within, len(s))
    w, b = two_covariances(x, s)
    assert np.allclose(w, within, atol=0.05)
    assert np.allclose(b, between, atol=0.05)


def test_axes_are_those_of_scikit_learns_lda(world):
    faces = world(30, seed=0, leak=1.0)
    basis = bases(faces, (1e-9,))[0]
    lda = LinearDiscriminantAnalysis(solver="eigen").fit(faces.x, faces.target)
    theirs = (faces.x - faces.x.mean(axis=0)) @ lda.scalings_[:, 0]
    ours = basis.coordinates(faces.x)[:, 0]
    assert abs(np.corrcoef(ours, theirs)[0, 1]) > 0.9999


def test_each_step_finds_more_where_noise_hides_the_person(parts):
    train, validation, test = parts(0.7)
    auc = [
        compared_pairs(a.fit(train, validation), test).auc
        for a in (Cosine(), WhitenedLDA(), PLDA())
    ]
    assert auc[0] + 0.1 < auc[1] < auc[2]


@pytest.mark.parametrize("attacker", [Cosine(), WhitenedLDA(), PLDA()])
@pytest.mark.parametrize("fault", ["constant", "zero columns", "one face each", "wide"])
def test_poor_embeddings_end_no_attacker(world, attacker, fault):
    train, test = world(12, seed=1), world(12, seed=2)
    x = train.x.copy()
    if fault == "constant":
        x[:] = 0.7
    elif fault == "zero columns":
        x[:, ::2] = 0
    elif fault == "wide":
        x = np.repeat(x, 20, axis=1)
    train = train.with_x(x)
    test = test.with_x(x)
    if fault == "one face each":
        train = train.at_most(1)
    compared = compared_pairs(attacker.fit(train, test), test)
    assert np.isfinite(compared.genuine.scores).all()
    if fault == "constant":
        assert compared.auc == pytest.approx(0.5)
