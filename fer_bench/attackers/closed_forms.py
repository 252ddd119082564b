"""Attackers without gradients: the cosine, whitening within persons with LDA, and PLDA."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from itertools import product
from typing import TypeVar

import numpy as np

from fer_bench.attackers.attacker import Attacker, Form, unit
from fer_bench.attackers.columns import Columns, columns_of
from fer_bench.attackers.comparisons import compared_pairs
from fer_bench.attackers.faces import Faces
from fer_bench.metrics.common import Floats, Ints
from fer_bench.statistics.bootstrap import cluster_sums

SHRINKAGES = (0.01, 0.1, 0.3, 0.7)
LEAST_VARIANCE = 1e-6  # of standardised columns: less within a person is rounding, or one face each
KEPT = (8, 32, 10_000)  # directions of LDA that are tried; the last is all of them

A = TypeVar("A", bound=Attacker)


@dataclass(frozen=True)
class Cosine:
    """The ignorant attacker: the cosine of two embeddings as they are.

    Attributes:
        columns: of the embeddings, once fitted.
    """

    name: str = "cosine"
    step: int = 0
    columns: int = 0

    def fit(self, train: Faces, validation: Faces) -> Cosine:
        """Learns nothing but the number of columns."""
        return replace(self, columns=train.x.shape[1])

    def embed(self, x: Floats) -> Floats:
        """Unit rows."""
        return unit(x)

    def template(self, rows: Floats) -> Floats:
        """The direction of the mean."""
        return unit(rows.mean(axis=-2))

    def form(self, faces: int = 1) -> Form:
        """The cosine."""
        return Form.cosine(self.columns)


@dataclass(frozen=True)
class Basis:
    """Coordinates in which faces of one target have covariance 1 and targets diagonal covariance.

    Attributes:
        columns: what is learnt from.
        axes: [columns, k], by falling variance between targets.
        between: [k] variance between targets on each axis, above 0.
    """

    columns: Columns = field(repr=False)
    axes: Floats = field(repr=False)
    between: Floats

    def coordinates(self, x: Floats) -> Floats:
        """[n, k] coordinates of rows [n, d]."""
        return self.columns(x) @ self.axes

    def first(self, k: int) -> Basis:
        """The leading k axes."""
        return Basis(self.columns, self.axes[:, :k], self.between[:k])


def two_covariances(x: Floats, target: Ints) -> tuple[Floats, Floats]:
    """Covariance within and between targets [d, d], by moments; every target counts alike.

    The covariance of the means, less what the noise of their faces adds to it.

    Args:
        x: [n, d] rows.
        target: [n] codes.
    """
    counted = cluster_sums(np.c_[x, np.ones(len(x))], target)
    counts = counted[:, -1]
    means = counted[:, :-1] / counts[:, None]
    code = np.unique(target, return_inverse=True)[1].ravel()
    several = counts > 1
    share = np.where(several, 1 / np.maximum(counts - 1, 1) / max(several.sum(), 1), 0.0)
    residual = (x - means[code]) * np.sqrt(share[code])[:, None]
    within = residual.T @ residual
    between = np.atleast_2d(np.cov(means.T)) - np.mean(1 / counts) * within
    return within, between


@lru_cache(maxsize=1)  # LDA and PLDA take them from the same faces, one after the other
def bases(train: Faces, shrinkages: tuple[float, ...] = SHRINKAGES) -> tuple[Basis, ...]:
    """The basis of the training people for several shrinkages of the within-target covariance.

    `(1 - a) W + a tr(W) / d I` is inverted for each shrinkage a, d of the embedding.
    """
    columns = columns_of(train)
    within, between = two_covariances(columns(train.x), train.target)
    values, vectors = np.linalg.eigh(within)
    level = max(float(values.sum()) / train.x.shape[1], LEAST_VARIANCE)
    rotated = vectors.T @ between @ vectors
    out = []
    for a in shrinkages:
        scale = 1 / np.sqrt((1 - a) * np.clip(values, 0, None) + a * level)
        variances, directions = np.linalg.eigh(rotated * scale * scale[:, None])
        kept = np.flatnonzero(variances > 1e-9)[::-1]
        kept = kept if len(kept) else np.array([len(variances) - 1])
        axes = (vectors * scale) @ directions[:, kept]
        out.append(Basis(columns, axes, np.clip(variances[kept], 1e-9, None)))
    return tuple(out)


@dataclass(frozen=True)
class WhitenedLDA:
    """Whitening within persons, the leading discriminant directions, then the cosine.

    Shrinkage and number of directions are chosen on the validation people.
    """

    name: str = "lda"
    step: int = 1
    basis: Basis | None = None

    def fit(self, train: Faces, validation: Faces) -> WhitenedLDA:
        """Fit on the training people."""
        tried = [basis.first(k) for basis, k in product(bases(train), KEPT)]
        return _best(tried, lambda basis: replace(self, basis=basis), validation)

    def embed(self, x: Floats) -> Floats:
        """Unit coordinates."""
        assert self.basis is not None
        return unit(self.basis.coordinates(x))

    def template(self, rows: Floats) -> Floats:
        """The direction of the mean."""
        return unit(rows.mean(axis=-2))

    def form(self, faces: int = 1) -> Form:
        """The cosine."""
        assert self.basis is not None
        return Form.cosine(len(self.basis.between))


@dataclass(frozen=True)
class PLDA:
    """Probabilistic LDA in its two-covariance form: the log-likelihood ratio of one person or two.

    Ioffe (ECCV 2006); Brummer and de Villiers (Odyssey 2010). In the coordinates of `Basis` a
    person is N(0, between) and each of its faces N(person, 1). The mean of m enrolled faces leaves
    the posterior N(g e, v), g = m b / (m b + 1), v = b / (m b + 1), so that the ratio is
    `log N(p; g e, 1 + v) - log N(p; 0, 1 + b)`, summed over coordinates. The shrinkage is chosen
    on the validation people.
    """

    name: str = "plda"
    step: int = 2
    basis: Basis | None = None

    def fit(self, train: Faces, validation: Faces) -> PLDA:
        """Fit on the training people."""
        return _best(bases(train), lambda basis: replace(self, basis=basis), validation)

    def embed(self, x: Floats) -> Floats:
        """Coordinates."""
        assert self.basis is not None
        return self.basis.coordinates(x)

    def template(self, rows: Floats) -> Floats:
        """The mean."""
        return rows.mean(axis=-2)

    def form(self, faces: int = 1) -> Form:
        """The log-likelihood ratio for the mean of so many enrolled faces."""
        assert self.basis is not None
        return plda_form(self.basis.between, faces)


def plda_form(between: Floats, faces: int = 1) -> Form:
    """The log-likelihood ratio of `PLDA` for variances [k] between persons, 1 within.

    >>> form = plda_form(np.array([1.0]))
    >>> bool(form.pairs(np.array([1.0]), np.array([1.0])) > 0)
    True
    """
    weight = faces * between / (faces * between + 1)
    after, before = 1 + between / (faces * between + 1), 1 + between
    return Form(
        enrolled=-(weight**2) / (2 * after),
        probed=0.5 / before - 0.5 / after,
        both=weight / after,
        constant=0.5 * float(np.sum(np.log(before / after))),
    )


def _best(tried: Sequence[Basis], make: Callable[[Basis], A], validation: Faces) -> A:
    """The attacker that serves best on the validation people; the first of equals."""
    attackers = [make(basis) for basis in tried]
    return attackers[int(np.argmax([compared_pairs(a, validation).auc for a in attackers]))]
