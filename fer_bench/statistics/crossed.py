"""Which methods differ, when people, seeds and folds all vary: a crossed random-effects model.

All methods of a sweep answer for the same test people, so a difference of two of them is paired by
person; and how much a score moves from one training seed to the next can be learned from all
methods together. Both need nothing but saved arrays: for every run its score and, for every test
person, how much the score changes when that person is left out.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from typing import Literal

import numpy as np
import scipy  # its parts load at first use
from numpy.typing import ArrayLike, NDArray

from fer_bench.errors import FerBenchError
from fer_bench.score import Effects
from fer_bench.statistics.comparison import holm

Floats = NDArray[np.float64]
Source = Literal["people", "seeds", "folds"]

SMALL_MARGIN = 0.05  # of a score: nearer than this, two seeds are too few for a claim
NORMAL_95 = 1.959963984540054  # scipy.stats.norm.ppf(0.975)
SPREADS_DIFFER = 0.05  # level of the test that seed spreads are equal
FEW_DOF = 4  # of a source of variation: with fewer, Satterthwaite's intervals fall short


@dataclass(frozen=True)
class RunScore:
    """The score of one run and what each test person contributes to it.

    Attributes:
        method: row of the leaderboard.
        seed, fold: of the run.
        value: the score.
        people: [G] ids of the test people; empty where only `error` is known.
        effects: [G] `value` less the score without that person (delete-one jackknife).
        faces: [G] test faces of each person.
        error: standard error over people, read only where there are no effects. Such a score
            cannot be paired by person, so that its differences have wider intervals.
    """

    method: str
    seed: int
    fold: int
    value: float
    people: NDArray[np.generic]
    effects: Floats
    faces: Floats
    error: float = float("nan")

    @property
    def standard_error(self) -> float:
        """Over people: by the jackknife where the effects are known."""
        return math.sqrt(_jackknife(self.effects)) if self.people.size else self.error

    @classmethod
    def of_effects(
        cls, method: str, seed: int, fold: int, value: float, effects: Effects
    ) -> RunScore:
        """The run of a score that was saved with what each person changes in it."""
        return cls(method, seed, fold, value, effects.people, effects.changes, effects.faces)

    @classmethod
    def of_interval(
        cls, method: str, seed: int, fold: int, value: float, low: float, high: float
    ) -> RunScore:
        """The run of a score of which only a 95 % interval over people is known."""
        none = np.empty(0)
        error = (high - low) / (2 * NORMAL_95)
        return cls(method, seed, fold, value, none, none, none, error)

    @classmethod
    def of_mean(
        cls, method: str, seed: int, fold: int, values: ArrayLike, people: ArrayLike
    ) -> RunScore:
        """The run of a score that is a mean over faces, such as an accuracy.

        Args:
            method, seed, fold: of the run.
            values: [n] one a face.
            people: [n] who it shows.

        >>> run = RunScore.of_mean("erm", 0, 0, [1, 0, 1, 1], ["a", "a", "b", "b"])
        >>> run.value, run.effects.tolist()
        (0.75, [-0.25, 0.25])
        """
        x = np.asarray(values, dtype=np.float64)
        names, codes = np.unique(np.asarray(people), return_inverse=True)
        faces = np.bincount(codes).astype(np.float64)
        mean = float(x.mean())
        rest = np.maximum(faces.sum() - faces, 1.0)
        effects = (np.bincount(codes, weights=x) - mean * faces) / rest
        return cls(method, seed, fold, mean, names, effects, faces)


def weighted_sum(runs: Sequence[RunScore], weights: Sequence[float]) -> RunScore:
    """A weighted sum of scores of one seed and fold, each of some of its test people.

    A person whom one of the scores does not know changes nothing in it. The faces of a person are
    shares here, since scores may count faces or pairs.

    >>> a = RunScore.of_mean("erm", 0, 0, [1, 0], ["x", "y"])
    >>> b = RunScore.of_mean("erm", 0, 0, [1, 0], ["y", "z"])
    >>> both = weighted_sum([a, b], [1.0, -2.0])
    >>> both.value, both.people.tolist(), both.effects.tolist()
    (-0.5, ['x', 'y', 'z'], [0.5, -1.5, 1.0])
    """
    first = runs[0]
    value = float(sum(w * run.value for run, w in zip(runs, weights, strict=True)))
    if not all(run.people.size for run in runs):
        errors = [w * run.standard_error for run, w in zip(runs, weights, strict=True)]
        none = np.empty(0)
        error = float(np.hypot.reduce(errors))
        return RunScore(first.method, first.seed, first.fold, value, none, none, none, error)
    people = np.unique(np.concatenate([run.people for run in runs]))
    effects, faces = np.zeros(len(people)), np.zeros(len(people))
    for run, weight in zip(runs, weights, strict=True):
        at = np.searchsorted(people, run.people)
        effects[at] += weight * run.effects
        faces[at] = np.maximum(faces[at], run.faces / run.faces.sum())
    return RunScore(first.method, first.seed, first.fold, value, people, effects, faces)


@dataclass(frozen=True)
class Component:
    """One source of variation in the variance of an estimate.

    Attributes:
        source: "people", "seeds" or "folds".
        variance: what it adds to the variance of the estimate.
        dof: degrees of freedom the variance was estimated with; infinite for a known one.
    """

    source: Source
    variance: float
    dof: float


@dataclass(frozen=True)
class Interval:
    """An estimate with an interval over all sources that varied.

    Attributes:
        value: the mean over folds of the mean over seeds (or the difference of two such).
        low, high: bounds; NaN where no source could be estimated.
        error: standard error.
        dof: degrees of freedom (Satterthwaite 1946).
        p: two-sided, of a true value of zero; NaN without an error.
        components: where the error comes from.
    """

    value: float
    low: float
    high: float
    error: float
    dof: float
    p: float
    components: tuple[Component, ...]

    def over(self, source: Source) -> Interval:
        """The 95 % interval over one source alone."""
        return _student(self.value, [c for c in self.components if c.source == source], 0.95)

    def variance(self, source: Source) -> float:
        """What one source adds to the squared error; 0 where it was not estimated."""
        return sum(c.variance for c in self.components if c.source == source)


@dataclass(frozen=True)
class Pair:
    """Two methods compared.

    Attributes:
        first, second: names; the difference is first less second.
        difference: with its interval.
        p_holm: adjusted over all pairs (Holm 1979).
        separated: whether the sign of the difference is a claim this sweep supports.
    """

    first: str
    second: str
    difference: Interval
    p_holm: float
    separated: bool


@dataclass(frozen=True)
class Design:
    """The size of a sweep.

    Attributes:
        people: test people in all folds together.
        seeds: trainings of each method on each fold.
        folds: of people.
        methods: trained ones, over which the seed variance is pooled.
    """

    people: int
    seeds: int
    folds: int = 1
    methods: int = 2


@dataclass(frozen=True)
class CrossedComparison:
    """What `compare_crossed` returns.

    Attributes:
        means: method -> mean with its interval.
        pairs: all pairs of methods, in the order of `means`.
        pooled: methods whose seed variance was pooled; empty where spreads differ.
        seed_variance: method -> variance of a run's score over seeds (people held fixed).
        spreads_p: of equal seed variances (Bartlett), or None with fewer than three seeds.
        missing: sources of variation that no interval here contains.
        size: of the sweep; the seeds are those of most runs.
    """

    means: Mapping[str, Interval]
    pairs: tuple[Pair, ...]
    pooled: tuple[str, ...]
    seed_variance: Mapping[str, float]
    spreads_p: float | None
    missing: tuple[Source, ...]
    size: Design

    def pair(self, first: str, second: str) -> Pair:
        """The comparison of two methods, first less second.

        Raises:
            KeyError: one of them was not compared.
        """
        for pair in self.pairs:
            if (pair.first, pair.second) == (first, second):
                return pair
            if (pair.first, pair.second) == (second, first):
                return Pair(first, second, _negated(pair.difference), pair.p_holm, pair.separated)
        raise KeyError((first, second))


def compare_crossed(
    runs: Iterable[RunScore],
    *,
    deterministic: Collection[str] = (),
    own_spread: Collection[str] = (),
    derived: Mapping[str, str] | None = None,
    level: float = 0.95,
    alpha: float = 0.05,
) -> CrossedComparison:
    """Means and paired differences of methods over people, seeds and folds.

    The model is `score = method + person + seed + fold + interactions`, one observation per person
    and run. The variance of a difference is the sum of three parts:

    - *people*: jackknife over test people of the difference, averaged over seeds.
    - *seeds*: the variance of a run's score over seeds, less the part the first term holds
      already (person by seed), pooled over methods and folds. Where Bartlett's test says that
      the spreads differ (three seeds or more), each method keeps its own.
    - *folds*: what the differences of folds vary beyond the other two, with the correction of
      Nadeau and Bengio (2003) for training sets that overlap: `1 / K + 1 / (K - 1)`.

    Degrees of freedom are Satterthwaite's. Where a source has fewer than four, as two seeds of two
    methods have, the tails of the sources' Student distributions are averaged instead, weighted by
    variance as Cochran and Cox (1950) weighted their quantiles.

    Two methods are *separated* where the Holm-adjusted p is below `alpha` and something about
    training varied: two seeds (three for differences of 5 points and less) or three folds.

    Args:
        runs: one entry per method, seed and fold.
        deterministic: methods that do not depend on the seed: their seed variance is zero.
        own_spread: methods that keep their own seed variance because it says nothing about the
            others: collapsed ones, those at chance.
        derived: method -> the method whose trained runs it starts from (an eraser of ERM). The
            two are paired by seed, and a derived method never enters the pool.
        level: of the intervals.
        alpha: error rate of `separated` over all pairs.

    Raises:
        FerBenchError: no runs, two runs of one method, seed and fold, or runs of one fold that
            were scored on different people.

    >>> rng = np.random.default_rng(0)
    >>> person = rng.normal(0, 0.1, 40)
    >>> runs = [
    ...     RunScore.of_mean(m, s, 0, base + person + rng.normal(0, 0.01, 40), np.arange(40))
    ...     for m, base in (("a", 0.9), ("b", 0.5)) for s in range(3)]
    >>> pair = compare_crossed(runs).pair("a", "b")
    >>> round(pair.difference.value, 1), pair.separated
    (0.4, True)
    """
    table = _Table.of(runs)
    parents, fixed = dict(derived or {}), set(deterministic)
    spread = _spreads(table, set(own_spread) | set(parents), fixed)
    means = {name: _interval(table, spread, {name: 1.0}, parents, level) for name in table.methods}
    order = sorted(table.methods, key=lambda name: -means[name].value)
    differences = [
        (a, b, _interval(table, spread, {a: 1.0, b: -1.0}, parents, level))
        for a, b in combinations(order, 2)
    ]
    adjusted = holm([difference.p for _, _, difference in differences])
    pairs = tuple(
        Pair(a, b, d, float(p), bool(p < alpha) and _may_claim(table, {a, b} - fixed, d.value))
        for (a, b, d), p in zip(differences, adjusted, strict=True)
    )
    return CrossedComparison(
        means={name: means[name] for name in order},
        pairs=pairs,
        pooled=spread.pooled,
        seed_variance=dict(spread.variance),
        spreads_p=spread.p,
        missing=_missing(table),
        size=_size(table, spread),
    )


@dataclass
class _Fold:
    """The runs of one method on one fold, seeds in order."""

    seeds: tuple[int, ...]
    values: Floats  # [S]
    effects: Floats  # [S, G]; G = 0 where only errors are known
    errors: Floats  # [S]


@dataclass
class _Table:
    """All runs, by method and fold, with people in one order per fold."""

    methods: tuple[str, ...]
    cells: dict[tuple[str, int], _Fold]
    people: dict[int, NDArray[np.generic]]
    shares: dict[int, Floats] = field(default_factory=dict)

    @classmethod
    def of(cls, runs: Iterable[RunScore]) -> _Table:
        listed = [run for run in runs if np.isfinite(run.value)]
        if not listed:
            raise FerBenchError("no run has a value: there is nothing to compare.")
        people: dict[int, NDArray[np.generic]] = {}
        shares: dict[int, Floats] = {}
        grouped: dict[tuple[str, int], dict[int, RunScore]] = {}
        for run in listed:
            ids = np.sort(run.people)
            if ids.size and not np.array_equal(people.setdefault(run.fold, ids), ids):
                raise FerBenchError(
                    f"method {run.method!r}, seed {run.seed}, was scored on other people of fold "
                    f"{run.fold} than {listed[0].method!r}: compare runs of one test part."
                )
            if ids.size:
                share = run.faces[np.argsort(run.people)] / run.faces.sum()
                shares.setdefault(run.fold, share)
            cell = grouped.setdefault((run.method, run.fold), {})
            if run.seed in cell:
                raise FerBenchError(
                    f"two runs tell of method {run.method!r}, seed {run.seed}, fold {run.fold}: "
                    "keep one."
                )
            cell[run.seed] = run
        cells = {place: _stacked(cell) for place, cell in grouped.items()}
        return cls(tuple(dict.fromkeys(run.method for run in listed)), cells, people, shares)

    def folds(self, methods: Iterable[str]) -> list[int]:
        """Folds that all of some methods have."""
        names = list(methods)
        known = sorted({fold for _, fold in self.cells})
        return [f for f in known if all((m, f) in self.cells for m in names)]


def _stacked(cell: Mapping[int, RunScore]) -> _Fold:
    seeds = tuple(sorted(cell))
    paired = all(cell[s].people.size for s in seeds)
    return _Fold(
        seeds,
        np.array([cell[s].value for s in seeds]),
        np.stack([cell[s].effects[np.argsort(cell[s].people)] for s in seeds])
        if paired
        else np.empty((len(seeds), 0)),
        np.array([cell[s].error for s in seeds]),
    )


@dataclass(frozen=True)
class _Spreads:
    """Seed variance of each method, and whether it was pooled."""

    variance: dict[str, float]  # of one run, people held fixed; NaN where unknown
    dof: dict[str, float]
    pooled: tuple[str, ...]
    p: float | None


def _spreads(table: _Table, apart: set[str], fixed: set[str]) -> _Spreads:
    """The variance of a run's score over seeds, pooled where that is fair."""
    raw: dict[str, float] = {}
    own: dict[str, float] = {}
    dof: dict[str, int] = {}
    for name in table.methods:
        total, inside, count = 0.0, 0.0, 0
        for fold in table.folds([name]):
            cell = table.cells[name, fold]
            if len(cell.seeds) > 1:
                free = len(cell.seeds) - 1
                total += float(cell.values.var(ddof=1)) * free
                inside += _moved(cell.effects) * free
                count += free
        raw[name] = total / count if count else float("nan")
        own[name] = raw[name] - inside / count if count else float("nan")
        dof[name] = count
    pool = [name for name in table.methods if name not in apart | fixed and dof[name]]
    p = _equal_spreads(raw, dof, pool)
    variance = {name: max(value, 0.0) for name, value in own.items()}
    freedom = {name: float(dof[name]) for name in table.methods}
    shared = tuple(pool) if pool and not (p is not None and p < SPREADS_DIFFER) else ()
    free = sum(dof[name] for name in pool)
    for name in table.methods:
        if name in fixed:
            variance[name], freedom[name] = 0.0, float("inf")
        elif free and (name in shared or not dof[name]):
            # With one seed, the spread of the others is the best guess there is.
            variance[name] = max(sum(own[n] * dof[n] for n in pool) / free, 0.0)
            freedom[name] = float(free)
    return _Spreads(variance, freedom, shared, p)


def _equal_spreads(
    variance: Mapping[str, float], dof: Mapping[str, int], names: Sequence[str]
) -> float | None:
    """Bartlett's test (1937) that normal variances are equal; None with too little to test."""
    if len(names) < 2 or min(dof[name] for name in names) < 2:
        return None
    v = np.array([variance[name] for name in names])
    f = np.array([dof[name] for name in names], dtype=np.float64)
    if not (v > 0).all():
        return 0.0 if (v > 0).any() else 1.0
    pooled = float(f @ v / f.sum())
    statistic = f.sum() * np.log(pooled) - float(f @ np.log(v))
    correction = 1 + (float((1 / f).sum()) - 1 / f.sum()) / (3 * (len(v) - 1))
    return float(scipy.stats.chi2.sf(statistic / correction, len(v) - 1))


def _interval(
    table: _Table,
    spread: _Spreads,
    weights: Mapping[str, float],
    parents: Mapping[str, str],
    level: float,
) -> Interval:
    """A weighted sum of methods: its value, and the error from people, seeds and folds."""
    folds = table.folds(weights)
    if not folds:
        nan = float("nan")
        return Interval(nan, nan, nan, nan, nan, nan, ())
    cells = {f: [(w, table.cells[name, f]) for name, w in weights.items()] for f in folds}
    values = np.array([sum(w * cell.values.mean() for w, cell in cells[f]) for f in folds])
    squared_errors = [_squared_error(cells[f]) for f in folds]
    if all(_paired(cells[f]) for f in folds):
        people = _people({f: _effects(cells[f]) for f in folds}, table)
    else:
        people = _unpaired(squared_errors)
    seeds, within = _seeds(table, spread, weights, parents, folds)
    between = _folds(values, squared_errors, within)
    parts = [part for part in (people, seeds, between) if part is not None]
    return _student(float(values.mean()), parts, level)


_Weighted = Sequence[tuple[float, _Fold]]


def _paired(cells: _Weighted) -> bool:
    """Whether every method of a weighted sum knows the effects of the same people."""
    return all(cell.effects.shape[1] for _, cell in cells)


def _effects(cells: _Weighted) -> Floats:
    """Person effects [G] on a weighted sum, averaged over each method's seeds."""
    return np.asarray(sum(w * cell.effects.mean(axis=0) for w, cell in cells))


def _squared_error(cells: _Weighted) -> float:
    """Variance over people of a weighted sum on one fold."""
    if _paired(cells):
        return _jackknife(_effects(cells))
    # Seeds share their test people, so that their errors average and do not shrink.
    return float(sum(w**2 * _own_squared_error(cell) for w, cell in cells))


def _own_squared_error(cell: _Fold) -> float:
    if cell.effects.shape[1]:
        return _jackknife(cell.effects.mean(axis=0))
    return float(np.mean(cell.errors) ** 2)


def _unpaired(squared_errors: Sequence[float]) -> Component | None:
    """Variance over people where only standard errors are known."""
    known = np.asarray(squared_errors)
    if not np.isfinite(known).all():
        return None
    return Component("people", float(known.sum()) / len(known) ** 2, float("inf"))


def _jackknife(effects: Floats) -> float:
    """Variance of a score from its delete-one effects [G]."""
    count = len(effects)
    if count < 2:
        return float("nan")
    return float(((effects - effects.mean()) ** 2).sum() * (count - 1) / count)


def _moved(effects: Floats) -> float:
    """What person-by-seed interactions add to the variance over seeds, from effects [S, G]."""
    seeds, count = effects.shape
    if count < 2 or seeds < 2:
        return 0.0
    return float(effects.var(axis=0, ddof=1).sum() * (count - 1) / count)


def _people(effects: Mapping[int, Floats], table: _Table) -> Component | None:
    """Variance over people; a person who is tested in several folds counts as one."""
    ids = np.concatenate([table.people[f] for f in effects])
    names, codes = np.unique(ids, return_inverse=True)
    if len(names) < 2:
        return None
    centred = np.concatenate([e - e.mean() for e in effects.values()]) / len(effects)
    shares = np.concatenate([table.shares[f] for f in effects]) / len(effects)
    summed = np.bincount(codes, weights=centred)
    share = np.bincount(codes, weights=shares)
    groups = min(len(e) for e in effects.values())
    variance = float((summed**2).sum()) * (groups - 1) / groups
    # A person with half of the faces leaves few degrees of freedom, however many others there are.
    dof = max(1 / float((share**2).sum()) - len(effects), 1.0)
    return Component("people", variance, dof)


def _seeds(
    table: _Table,
    spread: _Spreads,
    weights: Mapping[str, float],
    parents: Mapping[str, str],
    folds: Sequence[int],
) -> tuple[Component | None, float]:
    """Variance over seeds of the mean over folds, and of one fold's value."""
    names = list(weights)
    if len(names) == 2 and _related(names[0], names[1], parents):
        return _paired_seeds(table, names[0], names[1], folds)
    parts = []
    for name, weight in weights.items():
        variance = spread.variance[name]
        if not np.isfinite(variance):
            return None, 0.0
        runs = [len(table.cells[name, f].seeds) for f in folds]
        inverse = float(np.mean([1 / n for n in runs]))
        parts.append((weight**2 * variance * inverse, spread.dof[name], name in spread.pooled))
    within = sum(v for v, _, _ in parts)
    if all(pooled for _, _, pooled in parts):
        dof = parts[0][1]  # one variance, estimated once
    else:
        dof = _satterthwaite([(v, f) for v, f, _ in parts])
    return Component("seeds", within / len(folds), dof), within


def _related(first: str, second: str, parents: Mapping[str, str]) -> bool:
    """Whether two methods share trained runs: parent and child, or two children."""
    return parents.get(first, first) == parents.get(second, second)


def _paired_seeds(
    table: _Table, first: str, second: str, folds: Sequence[int]
) -> tuple[Component | None, float]:
    """Seed variance of a difference of two methods that share trained runs, by their seeds."""
    total, count, inverse = 0.0, 0, []
    for fold in folds:
        a, b = table.cells[first, fold], table.cells[second, fold]
        both = [s for s in a.seeds if s in b.seeds]
        inverse.append(1 / max(len(both), 1))
        if len(both) > 1:
            rows_a = [a.seeds.index(s) for s in both]
            rows_b = [b.seeds.index(s) for s in both]
            gap = a.values[rows_a] - b.values[rows_b]
            paired = a.effects.shape[1] == b.effects.shape[1]
            inside = _moved(a.effects[rows_a] - b.effects[rows_b]) if paired else 0.0
            free = len(both) - 1
            total += max(float(gap.var(ddof=1)) - inside, 0.0) * free
            count += free
    if not count:
        return None, 0.0
    within = total / count * float(np.mean(inverse))
    return Component("seeds", within / len(folds), float(count)), within


def _folds(values: Floats, people: Sequence[float], seeds: float) -> Component | None:
    """What fold values vary beyond people and seeds, corrected for overlapping training sets."""
    count = len(values)
    if count < 2:
        return None
    expected = float(np.nanmean(people)) + seeds if len(people) else seeds
    excess = max(float(values.var(ddof=1)) - expected, 0.0)
    return Component("folds", excess * (1 / count + 1 / (count - 1)), count - 1)


def _student(value: float, parts: Sequence[Component], level: float) -> Interval:
    known = [part for part in parts if np.isfinite(part.variance)]
    nan = float("nan")
    if not known:
        return Interval(value, nan, nan, nan, nan, nan, ())
    variance = sum(part.variance for part in known)
    error = float(np.sqrt(variance))
    if error <= 1e-12:
        p = 1.0 if abs(value) <= 1e-12 else 0.0
        return Interval(value, value, value, 0.0, float("inf"), p, tuple(known))
    dof = _satterthwaite([(part.variance, part.dof) for part in known])
    shares = [(part.variance / variance, part.dof) for part in known if part.variance > 0]
    tails = shares if min(f for _, f in shares) < FEW_DOF else [(1.0, dof)]
    half = quantile((1 - level) / 2, tails) * error
    p = 2 * _tail(abs(value) / error, tails)
    return Interval(value, value - half, value + half, error, dof, p, tuple(known))


_Tails = Sequence[tuple[float, float]]  # share, degrees of freedom


def _tail(t: float, tails: _Tails) -> float:
    """Chance of a value above `t` under a mixture of Student distributions."""
    return float(sum(share * scipy.special.stdtr(dof, -t) for share, dof in tails))


def quantile(chance: float, tails: _Tails) -> float:
    """The value that is exceeded with a chance under a mixture of Student distributions."""
    each = [-float(scipy.special.stdtrit(dof, chance)) for _, dof in tails]
    low, high = 0.999 * min(each), 1.001 * max(each)  # an end may be the root, but for rounding
    return float(scipy.optimize.brentq(lambda t: _tail(t, tails) - chance, low, high))


def _satterthwaite(parts: Sequence[tuple[float, float]]) -> float:
    """Degrees of freedom of a sum of variances [(variance, dof)]."""
    total = sum(v for v, _ in parts)
    spent = sum(v**2 / f for v, f in parts if f > 0)
    return float(total**2 / spent) if spent > 0 else float("inf")


def _negated(interval: Interval) -> Interval:
    return Interval(
        -interval.value,
        -interval.high,
        -interval.low,
        interval.error,
        interval.dof,
        interval.p,
        interval.components,
    )


def _may_claim(table: _Table, trained: Collection[str], difference: float) -> bool:
    """Whether training was repeated often enough for a claim about methods that depend on it."""
    cells = [cell for (name, _), cell in table.cells.items() if name in trained]
    if not cells or len(table.folds(trained)) >= 3:
        return True
    seeds = min(len(cell.seeds) for cell in cells)
    return seeds >= 3 or (seeds == 2 and abs(difference) > SMALL_MARGIN)


def _size(table: _Table, spread: _Spreads) -> Design:
    return Design(
        people=len(set().union(*(ids.tolist() for ids in table.people.values()))),
        seeds=max(len(cell.seeds) for cell in table.cells.values()),
        folds=len({fold for _, fold in table.cells}),
        methods=max(len(spread.pooled), 1),
    )


def _missing(table: _Table) -> tuple[Source, ...]:
    sources: list[Source] = []
    if max(len(cell.seeds) for cell in table.cells.values()) < 2:
        sources.append("seeds")
    if len({fold for _, fold in table.cells}) < 2:
        sources.append("folds")
    return tuple(sources)
