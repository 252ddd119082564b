"""Erasers: take identity out of an embedding after the fact, fitted on training people only.

All have the interface of scikit-learn (`fit(E, subjects)`, `transform(E)`), and most one dial: how
many directions go (`rank`), or how many people share an average (`k`). Sweeping it draws the curve
of utility against leak that every claim of identity invariance has to beat; see
`fer_bench.attackers.frontier`. `ClassScores` has no dial: it keeps what a head reads, and no more.
"""

from __future__ import annotations

from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils.validation import check_is_fitted

from fer_bench.attackers.closed_forms import two_covariances
from fer_bench.errors import DataError, FerBenchError, did_you_mean
from fer_bench.labels import read_labels
from fer_bench.metrics.common import Floats, Ints, standardise
from fer_bench.metrics.probes import unit_rows
from fer_bench.reading import read_matrix

SINGULAR = 1e-7  # of the largest singular value; below is rounding
READ = 1e-6  # the same of rows in single precision
SCORES = "scores"  # the eraser without a dial: `ClassScores`


class _Eraser(TransformerMixin, BaseEstimator):  # type: ignore[misc] # no types in scikit-learn
    """What all erasers share: they subtract `(x - mean) @ left @ right` from rows x."""

    left_: Floats
    right_: Floats
    mean_: Floats

    @property
    def guarantee(self) -> str:
        """What is known of the erased rows, "" where nothing is."""
        return ""

    def transform(self, X: ArrayLike) -> Floats:
        """Erased rows [n, d].

        Raises:
            DataError: the rows have other columns than those it was fitted on.
        """
        check_is_fitted(self)
        x = read_matrix(X, "embeddings", columns=self.n_features_in_, least=0)
        return self._erased(np.asarray(x, dtype=np.float64))

    def _erased(self, x: Floats) -> Floats:
        return x - (x - self.mean_) @ self.left_ @ self.right_

    def _checked(self, X: ArrayLike, subjects: ArrayLike) -> tuple[Floats, Ints]:
        """Rows whose subject is known, and codes 0..people-1."""
        x = np.asarray(read_matrix(X, "embeddings"), dtype=np.float64)
        s = read_labels(subjects, "subjects", rows=len(x))
        known = s >= 0
        x, (names, codes) = x[known], np.unique(s[known], return_inverse=True)
        if len(names) < 2:
            raise DataError("an eraser needs faces of two people at least: give more subjects.")
        self.n_features_in_, self.people_ = x.shape[1], len(names)
        self.mean_ = x.mean(axis=0)
        return x, codes.ravel()


class MeanProjection(_Eraser):
    """Project out the leading directions in which the means of people differ.

    Args:
        rank: how many directions; None takes all of them (people - 1).

    >>> x = np.array([[2.0, 1.0], [2.0, -1.0], [-2.0, 1.0], [-2.0, -1.0]])
    >>> MeanProjection(rank=1).fit(x, [0, 0, 1, 1]).transform(x).round(6).tolist()
    [[0.0, 1.0], [0.0, -1.0], [0.0, 1.0], [0.0, -1.0]]
    """

    def __init__(self, rank: int | None = None) -> None:
        self.rank = rank

    def fit(self, X: ArrayLike, subjects: ArrayLike) -> Self:
        """Fit on rows [n, d] and the codes or names [n] of their subjects."""
        x, s = self._checked(X, subjects)
        means = np.stack([x[s == k].mean(axis=0) for k in range(self.people_)])
        _, size, axes = np.linalg.svd(means - means.mean(axis=0), full_matrices=False)
        axes = axes[size > SINGULAR * size[0]][: self.rank]
        self.left_, self.right_ = axes.T, axes
        return self


class LEACE(_Eraser):
    """Least-squares concept erasure (Belrose et al., NeurIPS 2023, theorem 4.3).

    The affine map that moves rows least, in mean square, among those after which no linear
    classifier tells the people of the fitted rows apart: `x - W+ P W (x - mean)`, W the whitening
    of x and P the projection on the columns of W cov(x, people).

    Args:
        rank: how many directions go, leading ones first; None erases all, with that guarantee.
            A swept rank has none.

    Raises:
        DataError: (from `fit`) rank is None and there are at least as many people as columns:
            full LEACE would leave the mean alone.

    >>> rng = np.random.default_rng(0)
    >>> s = np.repeat([0, 1, 2], 50)
    >>> x = rng.normal(size=(150, 8)) + 3 * np.eye(8)[s]
    >>> z = LEACE().fit(x, s).transform(x)
    >>> float(np.abs(z[s == 0].mean(axis=0) - z.mean(axis=0)).max().round(9))
    0.0
    """

    def __init__(self, rank: int | None = None) -> None:
        self.rank = rank

    @property
    def guarantee(self) -> str:
        """What is known of the fitted rows."""
        if self.rank is None:
            return "no linear classifier tells the people of the fitted rows apart"
        return ""

    def fit(self, X: ArrayLike, subjects: ArrayLike) -> Self:
        """Fit on rows [n, d] and the codes or names [n] of their subjects."""
        x, s = self._checked(X, subjects)
        if self.rank is None and self.people_ >= x.shape[1]:
            raise DataError(
                f"{self.people_} people and {x.shape[1]} columns: full LEACE erases everything "
                "where there are at least as many people as columns; give a rank, which has no "
                "guarantee."
            )
        centred = x - self.mean_
        values, vectors = np.linalg.eigh(centred.T @ centred / (len(x) - 1))
        kept = values > values[-1] * len(values) * np.finfo(np.float64).eps
        scale = np.sqrt(values[kept])
        whiten, colour = vectors[:, kept] / scale, vectors[:, kept] * scale
        sums = np.zeros((self.people_, x.shape[1]))
        np.add.at(sums, s, centred)
        u, size, _ = np.linalg.svd(whiten.T @ sums.T / (len(x) - 1), full_matrices=False)
        u = u[:, size > SINGULAR * size[0]][:, : self.rank]
        self.left_, self.right_ = whiten @ u, u.T @ colour.T
        return self


class INLP(_Eraser):
    """Iterative null-space projection (Ravfogel et al., ACL 2020), a direction at a time.

    Each round fits a linear classifier of people (discriminant analysis with shrinkage) on what is
    left, and projects out the leading direction of its weights.

    Args:
        rank: how many rounds.
        shrinkage: of the classifier.
    """

    def __init__(self, rank: int = 8, shrinkage: float = 0.1) -> None:
        self.rank = rank
        self.shrinkage = shrinkage

    def fit(self, X: ArrayLike, subjects: ArrayLike) -> Self:
        """Fit on rows [n, d] and the codes or names [n] of their subjects."""
        x, s = self._checked(X, subjects)
        left, axes = x - self.mean_, np.zeros((0, x.shape[1]))
        for _ in range(min(self.rank, x.shape[1])):
            within, between = two_covariances(left, s)
            level = max(float(np.trace(within)) / len(within), np.finfo(np.float64).tiny)
            shrunk = (1 - self.shrinkage) * within + self.shrinkage * level * np.eye(len(within))
            # Leading direction of the weights W^-1 (means), all people alike.
            weights = np.linalg.solve(shrunk, np.linalg.solve(shrunk, between).T)
            axis = np.linalg.eigh(weights)[1][:, -1]
            axis = axis - axes.T @ (axes @ axis)
            if (length := np.linalg.norm(axis)) < 1e-6:
                break
            axes = np.vstack([axes, axis / length])
            left = left - np.outer(left @ axes[-1], axes[-1])
        self.left_, self.right_ = axes.T, axes
        return self


class KSame(_Eraser):
    """k-Same: each row becomes the mean of its neighbours among k different people.

    Newton, Sweeney and Malin (IEEE TKDE 2005), on embeddings: the nonlinear eraser. A row is
    replaced by the mean of the nearest training face of each of its k nearest training people, by
    the cosine of standardised columns. Information is lost for good, whatever attacks it.

    Args:
        k: people that are averaged over.
    """

    def __init__(self, k: int = 8) -> None:
        self.k = k

    def fit(self, X: ArrayLike, subjects: ArrayLike) -> Self:
        """Keep rows [n, d] and the codes or names [n] of their subjects."""
        x, s = self._checked(X, subjects)
        order = np.argsort(s, kind="stable")
        self.rows_, self.starts_ = x[order], np.searchsorted(s[order], np.arange(self.people_))
        self.gallery_ = unit_rows(standardise(self.rows_))
        return self

    def _erased(self, x: Floats) -> Floats:
        out = np.empty_like(x)
        k = min(self.k, self.people_)
        near = unit_rows(standardise(x, self.rows_))
        for start in range(0, len(x), 1_000):
            block = slice(start, start + 1_000)
            cosine = near[block] @ self.gallery_.T
            best = np.maximum.reduceat(cosine, self.starts_, axis=1)
            people = np.argsort(-best, axis=1, kind="stable")[:, :k]
            out[block] = self._means(cosine, best, people)
        return out

    def _means(self, cosine: NDArray[Any], best: NDArray[Any], people: Ints) -> Floats:
        """Mean over some people of the nearest face of each."""
        code = np.repeat(np.arange(self.people_), np.diff(np.r_[self.starts_, len(self.rows_)]))
        total = np.zeros((len(cosine), self.rows_.shape[1]))
        for row, chosen in enumerate(people):
            hit = np.flatnonzero(np.isin(code, chosen) & (cosine[row] >= best[row, code]))
            hit = hit[np.unique(code[hit], return_index=True)[1]]
            total[row] = self.rows_[hit].mean(axis=0)
        return total


class ClassScores(_Eraser):
    """Keep only the directions that a linear head reads: classes - 1 of them.

    The class scores stay, and so does the accuracy, by construction; the person stays as far as the
    scores tell it. It is the line to beat for whoever claims that recognition needs no identity,
    and for accuracy alone: other classes, intensities and all else in the embedding are gone.

    >>> x = np.array([[2.0, 1.0], [1.0, -1.0], [-2.0, 1.0], [-1.0, -1.0]])
    >>> scores = np.stack([x[:, 0], -x[:, 0]], axis=1)
    >>> ClassScores().fit(x, [0, 1, 0, 1], scores).transform(x).round(6).tolist()
    [[2.0, 0.0], [1.0, 0.0], [-2.0, 0.0], [-1.0, 0.0]]
    """

    def fit(self, X: ArrayLike, subjects: ArrayLike, scores: ArrayLike) -> Self:
        """Fit on rows [n, d] with subjects [n] and what a head gives for them [n, classes].

        Scores that are not linear in the rows, such as one-hot labels, are replaced by their least
        squares fit.

        Raises:
            DataError: there are not scores of two classes for every row.
        """
        self._checked(X, subjects)
        x, y = np.asarray(X, dtype=np.float64), np.asarray(scores, dtype=np.float64)
        if y.ndim != 2 or len(y) != len(x) or y.shape[1] < 2:
            raise DataError(
                f"the eraser takes rows [n, d] with scores [n, classes] of two classes at least, "
                f"and got shapes {x.shape} and {y.shape}: give the head's scores of every row."
            )
        y = y - y.mean(axis=1, keepdims=True)  # what all classes share decides nothing
        weights = np.linalg.lstsq(x - x.mean(axis=0), y - y.mean(axis=0), rcond=READ)[0]
        axes, size, _ = np.linalg.svd(weights)
        read = min(y.shape[1] - 1, int(np.count_nonzero(size > SINGULAR * size[0])))
        self.left_, self.right_ = axes[:, read:], axes[:, read:].T
        return self


ERASERS: dict[str, type[_Eraser]] = {
    "mean": MeanProjection,
    "leace": LEACE,
    "inlp": INLP,
    "k-same": KSame,
}


def fit_eraser(
    name: str,
    strength: int | None,
    x: ArrayLike,
    subjects: ArrayLike,
    scores: ArrayLike | None = None,
) -> _Eraser:
    """An eraser by name, fitted on rows [n, d].

    Args:
        name: one of `ERASERS`, or "scores".
        strength: rank (number of people for "k-same"), None for its default; "scores" has none.
        x, subjects: rows [n, d] and their subjects [n].
        scores: [n, classes] of a head, for "scores".

    Raises:
        FerBenchError: there is no such eraser.
        DataError: the eraser refuses, or "scores" has none to keep.
    """
    if name == SCORES:
        if scores is None:
            raise DataError(f"the run has no class scores, which the eraser {SCORES!r} keeps.")
        return ClassScores().fit(x, subjects, scores)
    if name not in ERASERS:
        raise FerBenchError(
            f"there is no eraser {name!r}: {did_you_mean(name, [*ERASERS, SCORES])}"
        )
    eraser = ERASERS[name]() if strength is None else ERASERS[name](strength)
    return eraser.fit(x, subjects)


def strengths(name: str, *, columns: int, people: int) -> tuple[int, ...]:
    """The ranks (or numbers of people) that a curve sweeps: doubling, up to all but one.

    >>> strengths("leace", columns=64, people=20)
    (1, 2, 4, 8, 16, 19)
    """
    most = people if name == "k-same" else min(columns, people) - 1
    first = 2 if name == "k-same" else 1
    doubling = (first * 2**i for i in range(most.bit_length()))
    return (*(k for k in doubling if k < most), most)
