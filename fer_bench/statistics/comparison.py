"""Can two methods be told apart? Paired tests that know how few folds there are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations

import numpy as np
import pandas as pd
import scipy  # its parts load at first use
from numpy.typing import ArrayLike, NDArray

from fer_bench.cautions import Caution
from fer_bench.errors import DataError, FerBenchError, did_you_mean
from fer_bench.reading import read_number, read_vector
from fer_bench.statistics.summary import check_frame

MIN_BLOCKS = 5  # folds (or seeds) that average ranks need
MIN_PAIRS = 6  # the exact Wilcoxon test of n pairs cannot go below 2 / 2^n; 2 / 2^5 > .05

Floats = NDArray[np.float64]


def holm(p_values: ArrayLike) -> Floats:
    """Holm's step-down adjusted p-values (NaN stays NaN and does not count).

    Raises:
        DataError: a value is no probability.

    >>> holm([0.01, 0.04, 0.03]).tolist()
    [0.03, 0.06, 0.06]
    """
    p = read_vector(p_values, "p_values", missing=True, least=0)
    if ((p < 0) | (p > 1)).any():
        raise DataError(f"p_values holds {p[(p < 0) | (p > 1)][0]:g}: give values from 0 to 1.")
    out = np.full(p.shape, np.nan)
    known = np.flatnonzero(np.isfinite(p))
    order = known[np.argsort(p[known], kind="stable")]
    factor = len(order) - np.arange(len(order))
    out[order] = np.minimum(np.maximum.accumulate(p[order] * factor), 1.0)
    return out


@dataclass(frozen=True)
class CorrectedT:
    """Result of `corrected_t_test`."""

    t: float
    p: float
    low: float
    high: float
    dof: int


def corrected_t_test(
    differences: ArrayLike, *, test_to_train: float, level: float = 0.95
) -> CorrectedT:
    """Corrected resampled t-test of Nadeau and Bengio (Machine Learning, 2003).

    The variance of the mean of J differences is (1/J + n_test/n_train) s^2 rather than s^2/J,
    as the folds share training images.

    Args:
        differences: [J] over folds and seeds.
        test_to_train: n_test / n_train; 1 / (K - 1) for K folds, 0 for one fixed split.
        level: of the interval.

    Raises:
        DataError: a difference is missing or no number, or a setting is out of range.

    >>> round(corrected_t_test([1.0, 2.0, 3.0, 2.0], test_to_train=1 / 3).p, 3)
    0.049
    """
    d = read_vector(differences, "differences", least=0)
    read_number(test_to_train, "test_to_train", least=0)
    read_number(level, "level", least=0, most=1)
    n = len(d)
    nan = float("nan")
    if n < 2:
        return CorrectedT(nan, nan, nan, nan, max(n - 1, 0))
    mean, variance = float(d.mean()), float(d.var(ddof=1))
    error = float(np.sqrt((1 / n + test_to_train) * variance))
    if error <= 1e-12 * max(abs(mean), 1e-300):
        # No spread at all: equal methods, or a constant lead (an oracle). A few equal
        # differences say nothing about their spread: scores move in steps of 1 / n_test.
        if mean != 0 and n < MIN_PAIRS:
            return CorrectedT(nan, nan, nan, nan, n - 1)
        p = 1.0 if mean == 0 else 0.0
        return CorrectedT(0.0 if mean == 0 else np.inf * np.sign(mean), p, mean, mean, n - 1)
    t = mean / error
    half = scipy.stats.t.ppf((1 + level) / 2, n - 1) * error
    p = float(2 * scipy.stats.t.sf(abs(t), n - 1))
    return CorrectedT(float(t), p, float(mean - half), float(mean + half), n - 1)


def wilcoxon_p(differences: ArrayLike) -> float:
    """Two-sided Wilcoxon signed-rank p-value (exact for few pairs); 1 without a difference.

    Args:
        differences: [n] of pairs, none missing; those of 0 are left out.

    Raises:
        DataError: a difference is missing or no number.

    >>> wilcoxon_p([1.0, 2.0, 3.0])
    0.25
    """
    d = read_vector(differences, "differences", least=0)
    d = d[d != 0]
    if not len(d):
        return 1.0
    ranks = scipy.stats.rankdata(np.abs(d))
    if len(d) <= 16:  # all sign patterns: exact with ties too, where tables are not
        signs = (np.arange(2 ** len(d))[:, None] >> np.arange(len(d))) & 1
        sums = signs @ ranks
        observed = abs(ranks[d > 0].sum() - ranks.sum() / 2)
        return float(np.mean(np.abs(sums - ranks.sum() / 2) >= observed - 1e-9))
    return float(scipy.stats.wilcoxon(d).pvalue)


def nemenyi_critical_difference(methods: int, blocks: int, *, alpha: float = 0.05) -> float:
    """Critical difference of average ranks (Nemenyi; Demsar, JMLR 2006, eq. for CD).

    `q sqrt(k (k + 1) / (6 N))`, q the studentised range over sqrt(2).

    Raises:
        DataError: fewer than two methods, no blocks, or alpha outside 0 to 1.

    >>> round(nemenyi_critical_difference(4, 14), 4)
    1.2536
    """
    methods = int(read_number(methods, "methods", least=2, integer=True))
    blocks = int(read_number(blocks, "blocks", least=1, integer=True))
    read_number(alpha, "alpha", least=0, most=1)
    q = scipy.stats.studentized_range.ppf(1 - alpha, methods, np.inf) / np.sqrt(2)
    return float(q * np.sqrt(methods * (methods + 1) / (6 * blocks)))


@dataclass(frozen=True)
class Friedman:
    """Friedman's chi-square and the F of Iman and Davenport."""

    chi2: float
    chi2_p: float
    f: float
    f_p: float


def friedman(ranks: ArrayLike, blocks: int) -> Friedman:
    """Friedman test from average ranks [k] over N blocks (Demsar 2006).

    Raises:
        DataError: fewer than two ranks, one that no average of 1 to k is, or no blocks.

    >>> test = friedman([3.143, 2.000, 2.893, 1.964], 14)
    >>> round(test.chi2, 2), round(test.f, 2)
    (9.28, 3.69)
    """
    r = read_vector(ranks, "ranks", least=2)
    blocks = int(read_number(blocks, "blocks", least=2, integer=True))
    k = len(r)
    if abs(r.sum() - k * (k + 1) / 2) > 1e-2 * k or r.min() < 1 or r.max() > k:
        raise DataError(
            f"ranks {r.round(3).tolist()}: give the mean ranks of {k} methods, each from 1 to {k}."
        )
    chi2 = 12 * blocks / (k * (k + 1)) * (np.sum(r**2) - k * (k + 1) ** 2 / 4)
    room = blocks * (k - 1) - chi2
    f = np.inf if room <= 0 else (blocks - 1) * chi2 / room
    f_p = 0.0 if np.isinf(f) else float(scipy.stats.f.sf(f, k - 1, (k - 1) * (blocks - 1)))
    return Friedman(float(chi2), float(scipy.stats.chi2.sf(chi2, k - 1)), float(f), f_p)


@dataclass(frozen=True)
class Comparison:
    """How the methods of a sweep compare on one metric.

    Attributes:
        metric: compared.
        methods: best mean first.
        means: by method, over the cells all methods have (equal to the table's means only
            where nothing is missing).
        ranks: average rank by method (1 = best) over `blocks` folds (seeds with one fold).
        blocks: number of ranked folds (or seeds).
        friedman: test of equal ranks, None with fewer than three methods or two blocks.
        critical_difference: Nemenyi CD, None where a diagram is not allowed.
        diagram: None where a critical-difference diagram is allowed, else why not.
        cliques: methods that cannot be told apart by the CD, each from best to worst.
        pairs: data frame, one row a pair of methods with `better`, `worse` (by the mean),
            `n` pairs of runs, `difference` (better - worse, in the metric's unit and sign),
            `low`, `high` (corrected t), `wins`, `losses`, `ties` (of `better`),
            `wilcoxon_p`, `wilcoxon_p_holm`, `corrected_p`, `corrected_p_holm`,
            `effect` (Cohen's d_z), `rank_biserial`, `separated`, and `verdict`, a `Caution`:
            "few-pairs", "not-separated" or "separated".
        notes: what a reader must know.
    """

    metric: str
    methods: tuple[str, ...]
    means: Mapping[str, float]
    ranks: Mapping[str, float]
    blocks: int
    friedman: Friedman | None
    critical_difference: float | None
    diagram: Caution | None
    cliques: tuple[tuple[str, ...], ...]
    pairs: pd.DataFrame
    notes: tuple[Caution, ...] = field(default=())


def compare(
    frame: pd.DataFrame,
    metric: str,
    *,
    higher_is_better: bool = True,
    alpha: float = 0.05,
    methods: Sequence[str] | None = None,
) -> Comparison:
    """Compare methods on one metric, paired over the same folds and seeds.

    Two methods are called separated only where both the Wilcoxon signed-rank test and the
    corrected resampled t-test (Nadeau and Bengio), each Holm-adjusted over the pairs of
    methods, are below alpha. With fewer than six pairs the verdict is that they cannot be
    separated: the exact Wilcoxon test cannot reach .05 there.

    Args:
        frame: as for `summarise`.
        metric: which rows.
        higher_is_better: False for errors and leaks.
        alpha: error rate over all pairs.
        methods: to compare; by default all in the frame.

    >>> rng = np.random.default_rng(0)
    >>> runs = pd.DataFrame([
    ...     {"method": m, "metric": "accuracy", "seed": 0, "fold": f, "value": v + f / 50}
    ...     for m, v in (("a", 0.9), ("b", 0.5)) for f in range(5)])
    >>> str(compare(runs, "accuracy").pairs.iloc[0]["verdict"])
    'cannot be separated with 5 pairs'
    """
    table, notes = _cells(check_frame(frame), metric, methods)
    complete = table.dropna()
    if len(complete) < len(table):
        lacking = len(table) - len(complete)
        notes.append(Caution("cells-incomplete", lacking=lacking, cells=len(table)))
    if len(table) > 1 and table.index.get_level_values("fold").nunique() == 1:
        notes.append(Caution("one-fold"))
    sign = 1.0 if higher_is_better else -1.0
    means = (complete if len(complete) else table).mean()
    order = sorted(map(str, means.index), key=lambda name: -sign * means[name])
    blocks = _blocks(complete)
    ranks = _average_ranks(blocks[order], sign) if len(blocks) else {}
    test, reason = _rank_test(ranks, len(blocks), alpha)
    distance = None
    if reason is None:
        distance = nemenyi_critical_difference(len(order), len(blocks), alpha=alpha)
    return Comparison(
        metric=metric,
        methods=tuple(order),
        means={name: float(means[name]) for name in order},
        ranks=ranks,
        blocks=len(blocks),
        friedman=test,
        critical_difference=distance,
        diagram=reason,
        cliques=() if distance is None else _cliques(ranks, distance),
        pairs=_pairs(table, order, sign, alpha),
        notes=tuple(notes),
    )


def _cells(
    data: pd.DataFrame, metric: str, methods: Sequence[str] | None
) -> tuple[pd.DataFrame, list[Caution]]:
    """(fold, seed) x method -> value of one metric; methods without any value are left out."""
    known = sorted(data["metric"].unique())
    if metric not in known:
        raise FerBenchError(f"no run has the metric {metric!r}: {did_you_mean(metric, known)}")
    table = data[data["metric"] == metric].pivot(
        index=["fold", "seed"], columns="method", values="value"
    )
    wanted = list(methods) if methods is not None else list(table.columns)
    for name in wanted:
        if name not in table:
            raise FerBenchError(
                f"no run of method {name!r} has the metric {metric!r}: "
                f"{did_you_mean(name, map(str, table.columns))}"
            )
    table = table[wanted].replace([np.inf, -np.inf], np.nan)
    empty = [name for name in wanted if table[name].isna().all()]
    notes = [Caution("no-value-from", methods=", ".join(empty))] if empty else []
    return table.drop(columns=empty), notes


def _average_ranks(blocks: pd.DataFrame, sign: float) -> dict[str, float]:
    """Method -> average rank over the blocks, 1 = best."""
    ranked = scipy.stats.rankdata(-sign * blocks.to_numpy().round(12), axis=1)
    return dict(zip(map(str, blocks.columns), map(float, ranked.mean(axis=0)), strict=True))


def _rank_test(
    ranks: Mapping[str, float], blocks: int, alpha: float
) -> tuple[Friedman | None, Caution | None]:
    """Friedman's test where there is one, and why no critical difference may be drawn."""
    if len(ranks) < 3:
        return None, Caution("few-to-rank", least=3)
    if blocks < 2:
        return None, Caution("few-blocks", blocks=blocks)
    test = friedman(list(ranks.values()), blocks)
    if blocks < MIN_BLOCKS:
        return test, Caution("few-blocks", blocks=blocks)
    return test, None if test.f_p < alpha else Caution("ranks-alike", p=test.f_p)


def _blocks(complete: pd.DataFrame) -> pd.DataFrame:
    """What is ranked: folds (mean over seeds), or seeds where there is one fold."""
    if complete.empty:
        return complete
    folds = complete.index.get_level_values("fold").nunique()
    return complete.groupby("fold" if folds > 1 else "seed").mean()


def _pairs(table: pd.DataFrame, order: list[str], sign: float, alpha: float) -> pd.DataFrame:
    rows = []
    for better, worse in combinations(order, 2):
        both = table[[better, worse]].dropna()
        # Rounding noise is no difference.
        d = (both[better] - both[worse]).to_numpy().round(12)
        folds = both.index.get_level_values("fold").nunique()
        gain = sign * d
        t = corrected_t_test(d, test_to_train=1 / (folds - 1) if folds > 1 else 0.0)
        ranks = scipy.stats.rankdata(np.abs(d[d != 0]))
        signed = float((np.sign(gain[d != 0]) * ranks).sum() / ranks.sum()) if len(ranks) else 0.0
        spread = d.std(ddof=1) if len(d) > 1 else 0.0
        rows.append(
            {
                "better": better,
                "worse": worse,
                "n": len(d),
                "difference": float(d.mean()) if len(d) else np.nan,
                "low": t.low,
                "high": t.high,
                "wins": int((gain > 0).sum()),
                "losses": int((gain < 0).sum()),
                "ties": int((d == 0).sum()),
                "wilcoxon_p": wilcoxon_p(d) if len(d) else np.nan,
                "corrected_p": t.p,
                "effect": float(gain.mean() / spread) if spread > 0 else np.nan,
                "rank_biserial": signed,
            }
        )
    columns = ["better", "worse", "n", "difference", "low", "high", "wins", "losses", "ties"]
    columns += ["wilcoxon_p", "corrected_p", "effect", "rank_biserial"]
    pairs = pd.DataFrame(rows, columns=columns)
    for name in ("wilcoxon_p", "corrected_p"):
        pairs[f"{name}_holm"] = holm(pairs[name].to_numpy(dtype=float))
    pairs["separated"] = (
        (pairs["n"] >= MIN_PAIRS)
        & (pairs["wilcoxon_p_holm"] < alpha)
        & (pairs["corrected_p_holm"] < alpha)
    )
    pairs["verdict"] = [_verdict(row, alpha) for _, row in pairs.iterrows()]
    return pairs


def _verdict(row: pd.Series, alpha: float) -> Caution:
    if row["n"] < MIN_PAIRS:
        return Caution("few-pairs", n=row["n"])
    if not row["separated"]:
        return Caution("not-separated", n=row["n"], alpha=alpha)
    return Caution("separated", better=row["better"])


def _cliques(ranks: Mapping[str, float], distance: float) -> tuple[tuple[str, ...], ...]:
    """Maximal runs of methods whose ranks lie within the critical difference."""
    names = sorted(ranks, key=lambda name: ranks[name])
    cliques: list[tuple[str, ...]] = []
    for start, first in enumerate(names):
        run = tuple(n for n in names[start:] if ranks[n] - ranks[first] < distance)
        if len(run) > 1 and not (cliques and set(run) <= set(cliques[-1])):
            cliques.append(run)
    return tuple(cliques)
