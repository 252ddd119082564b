"""Probes: classifiers fitted on frozen embeddings, to see what can be read from them.

Each probe has three disjoint sets of rows: it is fitted on `train`, its one hyper-parameter is
chosen on `validation`, and its predictions are for `test` alone. The three probes are of rising
capacity: a linear one (discriminant analysis with shrinkage, in closed form), a cosine
nearest-neighbour one, and a network of two hidden layers (`fer_bench.metrics.network_probe`).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fer_bench.errors import DataError
from fer_bench.labels import read_labels, renumbered
from fer_bench.metrics.common import Floats, Ints, random_rows, standardise
from fer_bench.reading import read_matrix, read_rows

SHRINKAGES = (0.001, 0.01, 0.05, 0.2, 0.5, 0.9)
NEIGHBOURS = (1, 3, 5, 9, 15)
KNN_PAIRS = 250_000_000  # compared to find neighbours, at most: beyond, among fewer rows (stated)


@dataclass(frozen=True)
class Split:
    """Row numbers of the three sets of a probe; they share no row.

    Attributes:
        train: the probe is fitted on these.
        validation: choose its hyper-parameter; may be empty, then defaults are used.
        test: the predictions are for these.

    Raises:
        DataError: they are no row numbers, or a row stands in two sets.
    """

    train: Ints
    validation: Ints
    test: Ints

    def __post_init__(self) -> None:
        for name in ("train", "validation", "test"):
            object.__setattr__(self, name, read_rows(getattr(self, name), name))
        sets = np.concatenate([np.unique(rows) for rows in (self.fit, self.test)])
        if len(np.unique(sets)) < len(sets):
            raise DataError("a split tests rows that it also fits on: keep its sets disjoint.")

    @property
    def fit(self) -> Ints:
        """Rows that the final fit may use: train and validation."""
        return np.concatenate([self.train, self.validation])

    @property
    def rows(self) -> Ints:
        """All rows."""
        return np.concatenate([self.train, self.validation, self.test])


@dataclass(frozen=True)
class Probed:
    """Predictions of a fitted probe.

    Attributes:
        predicted: [len(split.test)] class codes.
        validation: accuracy on the validation rows, NaN without any.
        setting: the chosen hyper-parameter, in words.
    """

    predicted: Ints
    validation: float
    setting: str


def within_subject_split(
    subject: ArrayLike,
    expression: ArrayLike,
    *,
    sequence: ArrayLike | None = None,
    seed: int = 0,
) -> tuple[Split, str]:
    """Split every subject's images by expression (or sequence) for closed-set identity probes.

    The expressions are cut into two sets, the *same* two for all subjects: images of the one
    are for fitting, those of the other are the test. (With another cut for every subject, the
    expressions a subject was fitted with would betray it, or rather everybody else: a probe on
    good expression features then falls *below* chance and hides what leaks.) The cut keeps as
    many subjects as possible on both sides, then balances the rows. One expression of the
    fitting set (with a single one: a quarter of a subject's images) is for validation.

    Where a sequence runs through several expressions, each subject's sequences are halved
    instead, so that neighbouring frames never stand on both sides.

    Args:
        subject: [n] labels, -1 where unknown (left out).
        expression: [n] labels, -1 where unknown.
        sequence: [n] labels, -1 where unknown.
        seed: of the assignment.

    Returns:
        The split, holding the subjects with rows on both sides; and the unit it kept apart:
        "expression" or "sequence".

    Raises:
        DataError: lengths differ, or labels cannot be read.

    >>> split, unit = within_subject_split([0] * 4 + [1] * 4, [0, 0, 1, 1] * 2)
    >>> unit, len(split.test)
    ('expression', 4)
    """
    s = bounded(read_labels(subject, "subject"))
    y = bounded(read_labels(expression, "expression", rows=len(s)))
    if sequence is not None:
        sequence = read_labels(sequence, "sequence", rows=len(s))
    unit = probe_unit(s, y, sequence)
    rng = np.random.default_rng(seed)
    if unit == "expression":
        tested = _cut_expressions(s, y, rng)
        unit_of = y
    else:
        unit_of = np.asarray(sequence, dtype=np.int64)
        tested = _halve_sequences(s, unit_of, rng)
    usable = (s >= 0) & (unit_of >= 0)
    on_both = _in_both(s, usable & tested, usable & ~tested)
    test = np.flatnonzero(usable & tested & on_both)
    fit = np.flatnonzero(usable & ~tested & on_both)
    held = _held_out(s[fit], unit_of[fit], by_unit=unit == "expression", rng=rng)
    return Split(fit[~held], fit[held], test), unit


def _cut_expressions(s: Ints, y: Ints, rng: np.random.Generator) -> NDArray[np.bool_]:
    """Whether a row's expression is tested, by the best common cut of the expressions."""
    known = (s >= 0) & (y >= 0)
    if not known.any():
        return np.zeros(len(s), dtype=bool)
    counts = np.zeros((s.max() + 1, y.max() + 1))
    np.add.at(counts, (s[known], y[known]), 1)
    n_classes = counts.shape[1]
    # All cuts in two non-empty sets; more than 12 classes do not occur in this field.
    ids = np.arange(1, 2 ** min(n_classes, 12) - 1)
    cuts = ((ids[:, None] >> np.arange(n_classes)) & 1).astype(float)
    if not len(cuts):
        return np.zeros(len(s), dtype=bool)
    tested = counts @ cuts.T
    fitted = counts.sum(axis=1, keepdims=True) - tested
    both = (tested > 0) & (fitted > 0)
    surplus = np.where(both, fitted - tested, 0.0).sum(axis=0)
    # Most subjects first, then equal halves, rather a row too many for fitting than for the test.
    rank = np.lexsort((rng.random(len(cuts)), surplus < 0, np.abs(surplus), -both.sum(axis=0)))
    return (cuts[rank[0]] > 0)[np.maximum(y, 0)] & (y >= 0)


def _halve_sequences(s: Ints, sequence: Ints, rng: np.random.Generator) -> NDArray[np.bool_]:
    tested = np.zeros(len(s), dtype=bool)
    for rows in _by_code(np.where(sequence >= 0, s, -1)):
        names = rng.permutation(np.unique(sequence[rows]))
        tested[rows] = np.isin(sequence[rows], names[: len(names) // 2])
    return tested


def _held_out(s: Ints, unit: Ints, *, by_unit: bool, rng: np.random.Generator) -> NDArray[np.bool_]:
    """Which of the fitting rows are for validation."""
    held = np.zeros(len(s), dtype=bool)
    names = np.unique(unit)
    if by_unit and len(names) >= 2:
        # The expression that most subjects can spare.
        best: tuple[float, NDArray[np.bool_]] | None = None
        for name in rng.permutation(names):
            chosen = unit == name
            chosen &= _in_both(s, chosen, ~chosen)
            size = len(np.unique(s[chosen]))
            if best is None or size > best[0]:
                best = (size, chosen)
        assert best is not None
        return best[1]
    for rows in _by_code(s):
        own = rng.permutation(np.unique(unit[rows]))
        if len(own) >= 2:
            held[rows] = np.isin(unit[rows], own[: max(1, len(own) // 4)])
        else:
            held[rng.permutation(rows)[: len(rows) // 4]] = True
    return held


def _in_both(s: Ints, first: NDArray[np.bool_], second: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Rows of subjects that have a row in each of two sets."""
    return np.isin(s, np.intersect1d(s[first], s[second]))


def probe_unit(s: Ints, y: Ints, sequence: ArrayLike | None) -> str:
    """What identity probes keep apart: "expression" or "sequence".

    Expressions, unless they are unknown or some sequence runs through several of them.
    """
    if sequence is None:
        return "expression"
    q = np.asarray(sequence, dtype=np.int64)
    if (q >= 0).any() and not (y >= 0).any():
        return "sequence"
    both = (q >= 0) & (y >= 0) & (s >= 0)
    if not both.any():
        return "expression"
    own = _pair_codes(s[both], q[both])
    # Distinct (sequence, expression) pairs outnumber sequences: some sequence has several.
    several = np.unique(np.stack([own, y[both]]), axis=1).shape[1] > len(np.unique(own))
    return "sequence" if several else "expression"


def subject_halves(subject: ArrayLike, expression: ArrayLike, *, seed: int = 0) -> list[Split]:
    """Two splits that swap subject-disjoint halves: every labelled row is tested once.

    Within the fitting half, a quarter of its subjects (at least one, if there are two) is for
    validation.

    Args:
        subject, expression: [n] labels; rows where either is missing (-1) are in no set.
        seed: of the halves.

    Raises:
        DataError: lengths differ, or labels cannot be read.

    >>> first, second = subject_halves([0, 0, 1, 1], [0, 1, 0, 1])
    >>> sorted([*first.test, *second.test])
    [0, 1, 2, 3]
    """
    s = read_labels(subject, "subject")
    y = read_labels(expression, "expression", rows=len(s))
    usable = (s >= 0) & (y >= 0)
    rng = np.random.default_rng(seed)
    people = rng.permutation(np.unique(s[usable]))
    halves = (people[: len(people) // 2], people[len(people) // 2 :])
    splits = []
    for fit, test in (halves, halves[::-1]):
        held = fit[: max(1, len(fit) // 4)] if len(fit) >= 2 else fit[:0]
        rows = [
            np.flatnonzero(usable & np.isin(s, group))
            for group in (np.setdiff1d(fit, held), held, test)
        ]
        splits.append(Split(*rows))
    return splits


# --- what every probe is asked ------------------------------------------------------------


def split_labels(y: ArrayLike, split: Split) -> tuple[Ints, Ints]:
    """Codes [n] of the labels of a split's rows, and the given code of each [k].

    Raises:
        DataError: a row of the split does not exist or has no label, or none is fitted.
    """
    labels = read_labels(y, "y")
    rows = split.rows
    if not len(split.fit):
        raise DataError("the split has no rows to fit on.")
    if rows.max() >= len(labels):
        raise DataError(f"the split has row {rows.max()}, and y has {len(labels)} rows only.")
    if (labels[rows] < 0).any():
        row = rows[np.argmax(labels[rows] < 0)]
        raise DataError(f"y has no label in row {row}, which the split uses: leave it out.")
    codes = bounded(labels)
    given = np.arange(codes.max() + 1) if codes is labels else np.unique(labels[labels >= 0])
    return codes, given


def bounded(codes: Ints) -> Ints:
    """Codes as they are, or renumbered where tables of all codes below would be large."""
    return codes if codes.max(initial=0) < max(1_000, 2 * len(codes)) else renumbered(codes)


def read_problem(x: ArrayLike, y: ArrayLike, split: Split) -> tuple[NDArray[Any], Ints, Ints]:
    """Embeddings [n, d], codes [n], and the given code of each."""
    codes, given = split_labels(y, split)
    return read_matrix(x, "x", rows=len(codes)), codes, given


# --- linear ------------------------------------------------------------------------------


class Discriminant:
    """Linear discriminant analysis with shrinkage towards a multiple of the identity.

    `(1 - a) S_w + a tr(S_w) / d I` for the within-class covariance of standardised columns,
    for any number of shrinkages a from one eigendecomposition. The same classifier as
    scikit-learn's `LinearDiscriminantAnalysis(solver="lsqr", shrinkage=a)` on such columns.
    """

    def __init__(self, x: Floats, y: Ints, n_classes: int) -> None:
        self._like = x
        z = standardise(x)
        n, d = z.shape
        self.counts = np.bincount(y, minlength=n_classes)
        sums = np.zeros((n_classes, d))
        order = np.argsort(y, kind="stable")
        present = np.flatnonzero(self.counts)
        starts = np.searchsorted(y[order], present)
        sums[present] = np.add.reduceat(z[order], starts, axis=0)
        self.means = sums / np.maximum(self.counts, 1)[:, None]
        # Within = total - between, so the n x d residuals are never formed.
        within = (z.T @ z - (self.means * self.counts[:, None]).T @ self.means) / n
        values, self._axes = np.linalg.eigh(within)
        self._values = np.clip(values, 0.0, None)
        # A label code has no spread within classes: a floor far below any real one.
        self._floor = 1e-6 * max(float(np.trace(z.T @ z)) / n / d, 1e-12)

    def predict(self, x: Floats, shrinkage: float) -> Ints:
        """Class codes of rows [n, d]."""
        return self.decision(x, shrinkage).argmax(axis=1)

    def decision(self, x: Floats, shrinkage: float) -> Floats:
        """Log-posteriors [n, classes] of rows [n, d], up to a constant per row."""
        return self.decision_along(self.along_axes(x), shrinkage)

    def along_axes(self, x: Floats) -> Floats:
        """Rows [n, d] along the axes of the within-class covariance."""
        return standardise(x, self._like) @ self._axes

    def decision_along(self, z: Floats, shrinkage: float) -> Floats:
        """`decision` of rows that `along_axes` returned."""
        level = self._values.mean()
        scale = (1 - shrinkage) * self._values + shrinkage * level + self._floor
        means = self.means @ self._axes
        weight = means / scale
        with np.errstate(divide="ignore"):
            log_prior = np.log(self.counts / self.counts.sum())
        return z @ weight.T + (log_prior - 0.5 * np.sum(means * weight, axis=1))


def linear_probe(x: ArrayLike, y: ArrayLike, split: Split) -> Probed:
    """Linear probe: discriminant analysis, its shrinkage chosen on the validation rows.

    Args:
        x: [n, d] embeddings.
        y: [n] class labels, known in the rows of the split.
        split: rows to fit, tune and test on.

    Raises:
        DataError: x has gaps, lengths differ, or a row of the split has no label.

    >>> rng = np.random.default_rng(0)
    >>> y = np.arange(90) % 3
    >>> x = np.eye(3)[y] + 0.1 * rng.normal(size=(90, 3))
    >>> rows = Split(np.arange(30), np.arange(30, 60), np.arange(60, 90))
    >>> float(np.mean(linear_probe(x, y, rows).predicted == y[60:]))
    1.0
    """
    values, labels, given = read_problem(x, y, split)
    shrinkage, accuracy = 0.2, float("nan")
    count = int(labels[split.fit].max()) + 1
    if len(split.validation):
        fitted = Discriminant(values[split.train], labels[split.train], count)
        held, truth = fitted.along_axes(values[split.validation]), labels[split.validation]
        right = [
            float(np.mean(fitted.decision_along(held, a).argmax(axis=1) == truth))
            for a in SHRINKAGES
        ]
        # Of equal ones the middle: the ends are the fragile settings.
        best = np.flatnonzero(np.asarray(right) == max(right))
        choice = int(best[len(best) // 2])
        shrinkage, accuracy = SHRINKAGES[choice], right[choice]
    fitted = Discriminant(values[split.fit], labels[split.fit], count)
    predicted = fitted.predict(values[split.test], shrinkage)
    return Probed(given[predicted], accuracy, f"shrinkage {shrinkage:g}")


# --- nearest neighbours --------------------------------------------------------------------


def unit_rows(x: ArrayLike) -> NDArray[np.float32]:
    """Rows scaled to length 1 (rows of zeros stay zero).

    >>> unit_rows([[3.0, 4.0], [0.0, 0.0]]).tolist()
    [[0.6000000238418579, 0.800000011920929], [0.0, 0.0]]
    """
    values = read_matrix(x, "x").astype(np.float64)
    # The largest first, so that squares of 1e300 and of 1e-300 are numbers.
    values /= np.maximum(np.abs(values).max(axis=1, keepdims=True), 1e-300)
    length = np.linalg.norm(values, axis=1, keepdims=True)
    return (values / np.where(length > 0, length, 1.0)).astype(np.float32)


def _neighbours(
    queries: NDArray[np.float32], gallery: NDArray[np.float32], k: int
) -> tuple[Ints, NDArray[np.float32]]:
    """Indices and cosines [q, k] of the nearest gallery rows, nearest first."""
    k = min(k, len(gallery))
    index = np.empty((len(queries), k), dtype=np.int64)
    cosine = np.empty((len(queries), k), dtype=np.float32)
    step = max(1, 16_000_000 // len(gallery))
    for start in range(0, len(queries), step):
        block = queries[start : start + step] @ gallery.T
        if k < block.shape[1]:
            near = np.argpartition(-block, k - 1, axis=1)[:, :k]
        else:
            near = np.broadcast_to(np.arange(k), block.shape)
        value = np.take_along_axis(block, near, axis=1)
        order = np.argsort(-value, axis=1, kind="stable")
        index[start : start + step] = np.take_along_axis(near, order, axis=1)
        cosine[start : start + step] = np.take_along_axis(value, order, axis=1)
    return index, cosine


def _vote(labels: Ints, cosine: NDArray[np.float32], n_classes: int) -> Ints:
    """Majority of neighbour labels [q, k]; ties go to the class with the larger cosines."""
    q, k = labels.shape
    # The cosine part is below one vote in sum.
    weight = 1.0 + (cosine.astype(np.float64) + 1.0) / (4.0 * k)
    cells = (np.arange(q)[:, None] * n_classes + labels).ravel()
    votes = np.bincount(cells, weights=weight.ravel(), minlength=q * n_classes)
    return votes.reshape(q, n_classes).argmax(axis=1)


def knn_probe(x: ArrayLike, y: ArrayLike, split: Split) -> Probed:
    """Cosine nearest-neighbour probe, the number of neighbours chosen on the validation rows.

    Args:
        x: [n, d] embeddings.
        y: [n] class labels, known in the rows of the split.
        split: rows to fit, tune and test on.

    Raises:
        DataError: as in `linear_probe`.
    """
    return KnnProbe(x, split)(y)


class KnnProbe:
    """`knn_probe` of one embedding for several sets of labels: neighbours are looked for once.

    Args:
        x: [n, d] embeddings.
        split: rows to fit, tune and test on.
    """

    def __init__(self, x: ArrayLike, split: Split) -> None:
        self._x, self._split = x, split
        self._known: dict[int, tuple[Ints, Ints, NDArray[np.float32]]] = {}

    def __call__(self, y: ArrayLike) -> Probed:
        """Fit the labels [n], choose the number of neighbours, and predict the test rows."""
        split = self._split
        _, labels, given = read_problem(self._x, y, split)
        count = int(labels[split.fit].max()) + 1
        k, accuracy = 1, float("nan")
        if len(split.validation):
            train, near, cosine = self._tuning
            truth = labels[split.validation]
            tried = [k for k in NEIGHBOURS if k <= len(train)]
            votes = (_vote(labels[train][near[:, :k]], cosine[:, :k], count) for k in tried)
            right = [float(np.mean(vote == truth)) for vote in votes]
            choice = int(np.argmax(right))
            k, accuracy = tried[choice], right[choice]
        gallery, near, cosine = self._tested(k)
        setting = f"k = {k}"
        if len(gallery) < len(split.fit):
            setting += f" among {len(gallery):,} rows"
        return Probed(given[_vote(labels[gallery][near], cosine, count)], accuracy, setting)

    @cached_property
    def _rows(self) -> NDArray[np.float32]:
        return unit_rows(self._x)

    @cached_property
    def _tuning(self) -> tuple[Ints, Ints, NDArray[np.float32]]:
        """Rows to train on, and those nearest to each validation row with their cosines."""
        queries = self._rows[self._split.validation]
        train, _ = random_rows(self._split.train, KNN_PAIRS // len(queries), seed=0)
        return train, *_neighbours(queries, self._rows[train], max(NEIGHBOURS))

    def _tested(self, k: int) -> tuple[Ints, Ints, NDArray[np.float32]]:
        """Rows to fit on, and the k nearest to each test row with their cosines."""
        if k not in self._known:
            queries = self._rows[self._split.test]
            gallery, _ = random_rows(self._split.fit, KNN_PAIRS // max(1, len(queries)), seed=0)
            self._known[k] = gallery, *_neighbours(queries, self._rows[gallery], k)
        return self._known[k]


def _by_code(codes: Ints) -> list[Ints]:
    """Row numbers of each code >= 0, in the order of the codes."""
    order = np.argsort(codes, kind="stable")
    order = order[codes[order] >= 0]
    if not len(order):
        return []
    cuts = np.flatnonzero(np.diff(codes[order])) + 1
    return np.split(order, cuts)


def _pair_codes(a: Ints, b: Ints) -> Ints:
    """Codes of pairs (a, b); -1 where either is unknown."""
    known = (a >= 0) & (b >= 0)
    out = np.full(len(a), -1, dtype=np.int64)
    if known.any():
        _, inverse = np.unique(np.stack([a[known], b[known]]), axis=1, return_inverse=True)
        out[known] = inverse.ravel()
    return out
