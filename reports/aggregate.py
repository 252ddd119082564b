"""Means, intervals and paired differences of a sweep, as the summary keeps them.

The statistics are those of `fer_bench.statistics`; here they become plain values by label.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from fer_bench import statistics
from fer_bench.cautions import Caution, as_cautions
from fer_bench.statistics.crossed import CrossedComparison, Interval, Pair

ALPHA = 0.05
# Scores of the rows a method was fitted on, beyond the accuracy: kept in the runs, not averaged.
_UNSHOWN = re.compile(r"(classification|affect)/train\.(?!accuracy|ccc\.mean)")
_RESTS_ON = {
    "folds": "Student interval over the means of {folds} folds",
    "subjects": "bootstrap over subjects",
    "subjects + seeds": "bootstrap over subjects, widened by the spread over {seeds} seeds",
    "seeds": "Student interval over {seeds} seeds",
    "": "no interval",
}


@dataclass(frozen=True)
class Estimate:
    """The mean of a score over the runs of a row.

    Attributes:
        mean, low, high: with a 95 % interval; bounds are None where there is none.
        spread: standard deviation over the runs (0 for one run).
        null: mean of the values under the runs' permutation nulls, or None.
        n_runs: how many runs have the score.
        n: samples it was computed on, summed over the runs.
        unit: of the score.
        how: what the interval rests on.
        values: one per run, in the order of seed and fold.
        cautions: of any run.
        p: of the runs' own tests, combined (`combined_p`), or None where there is none.
        floor: lower bound over people alone, by which guessing is judged: who guesses does so
            with every seed and on every fold, and two of these tell too little of how far they
            vary. None where runs say nothing of people.
    """

    mean: float
    low: float | None
    high: float | None
    spread: float
    null: float | None
    n_runs: int
    n: int
    unit: str
    how: str
    values: tuple[float, ...]
    cautions: tuple[Caution, ...] = ()
    p: float | None = None
    floor: float | None = None


@dataclass(frozen=True)
class Difference:
    """A paired difference of two rows, the first less the second.

    Attributes:
        mean, low, high: with its 95 % interval, by the crossed model over people, seeds and
            folds; by the corrected resampled t-test where runs say nothing of people.
        p: of the same test, Holm-adjusted over the pairs of methods.
        p_wilcoxon: of the signed-rank test over runs, a second opinion, likewise.
        n_pairs: runs of equal seed and fold.
        separated: whether the sign of the difference is a claim these runs support.
        verdict: the same as a code with values.
    """

    mean: float | None
    low: float | None
    high: float | None
    p: float | None
    p_wilcoxon: float | None
    n_pairs: int
    separated: bool
    verdict: Caution


@dataclass(frozen=True)
class Ranking:
    """Average ranks of the methods on one score, and whether a diagram of them is allowed.

    Attributes:
        ranks: label -> average rank, 1 is best.
        blocks: folds (or seeds) ranked.
        friedman_p: of equal ranks, or None.
        critical_difference: Nemenyi's, or None where a diagram is not allowed.
        why_not: the reason for that, or None.
        cliques: labels that cannot be told apart by it.
        notes: what a reader must know.
    """

    ranks: dict[str, float]
    blocks: int
    friedman_p: float | None
    critical_difference: float | None
    why_not: Caution | None
    cliques: tuple[tuple[str, ...], ...]
    notes: tuple[Caution, ...]


def estimates(frame: pd.DataFrame) -> dict[str, dict[str, Estimate]]:
    """Label -> key -> mean over seeds and folds, of the tidy table of all scores."""
    unshown = {key for key in frame["key"].unique() if _UNSHOWN.match(key)}
    frame = frame[~frame["key"].isin(unshown)].sort_values(["seed", "fold"])
    summary = statistics.summarise(_for_statistics(frame))
    known = frame[frame["value"].notna()]
    groups = known.groupby(["label", "key"], sort=False).indices
    values, nulls, ps, n = (known[name].to_numpy() for name in ("value", "null", "p", "n"))
    units, cautions = known["unit"].to_numpy(), known["cautions"].to_numpy()
    out: dict[str, dict[str, Estimate]] = defaultdict(dict)
    for row in summary.itertuples():
        label, key = str(row.method), str(row.metric)
        runs = groups.get((label, key))
        if runs is None:
            continue
        unit, some = str(units[runs[0]]), nulls[runs][np.isfinite(nulls[runs])]
        low, high = _within_range(unit, row.low, row.high, values[runs])
        out[label][key] = Estimate(
            mean=float(row.mean),
            low=low,
            high=high,
            spread=_finite(row.sd) or 0.0,
            null=float(some.mean()) if len(some) else None,
            n_runs=int(row.runs),
            n=int(n[runs].sum()),
            unit=unit,
            how=_RESTS_ON[row.interval].format(folds=row.folds, seeds=row.seeds),
            values=tuple(values[runs].tolist()),
            cautions=as_cautions(chain.from_iterable(cautions[runs])),
            p=combined_p(ps[runs]),
        )
    return dict(out)


def combined_p(values: ArrayLike) -> float | None:
    """One p-value of many that may depend on one another in any way, as seeds on one fold do.

    Twice the median (Rüger 1978); a single one is itself.

    >>> combined_p([0.01]), combined_p([0.01, 0.02, 0.9])
    (0.01, 0.04)
    """
    given = np.asarray(values, dtype=np.float64)
    known = given[np.isfinite(given)]
    if not len(known):
        return None
    return float(known[0]) if len(known) == 1 else min(1.0, 2 * float(np.median(known)))


def comparison(
    frame: pd.DataFrame,
    key: str,
    labels: Sequence[str],
    *,
    best: str,
    higher_is_better: bool,
    crossed: CrossedComparison | None = None,
) -> tuple[dict[str, Difference], Ranking]:
    """The best row against each of the others on one score, and the ranks of all of them.

    Args:
        frame: all scores.
        key: of the score.
        labels: of the rows.
        best: label of the best row.
        higher_is_better: which way is better.
        crossed: the same rows paired by person; it decides where it is given.
    """
    part = _for_statistics(frame[(frame["key"] == key) & frame["label"].isin(labels)])
    compared = statistics.compare(part, key, higher_is_better=higher_is_better, methods=labels)
    against = {}
    for pair in compared.pairs.itertuples():
        if best not in (pair.better, pair.worse):
            continue
        turn = 1 if pair.better == best else -1
        low, high = (pair.low, pair.high) if turn == 1 else (pair.high, pair.low)
        against[str(pair.worse if turn == 1 else pair.better)] = Difference(
            mean=_finite(turn * pair.difference),
            low=_finite(turn * low),
            high=_finite(turn * high),
            p=_finite(pair.corrected_p_holm),
            p_wilcoxon=_finite(pair.wilcoxon_p_holm),
            n_pairs=int(pair.n),
            separated=bool(pair.separated),
            verdict=pair.verdict,
        )
    if crossed is not None:
        against = {label: _by_person(d, crossed.pair(best, label)) for label, d in against.items()}
    return {label: against[label] for label in labels if label in against}, Ranking(
        ranks=dict(compared.ranks),
        blocks=compared.blocks,
        friedman_p=None if compared.friedman is None else _finite(compared.friedman.f_p),
        critical_difference=compared.critical_difference,
        why_not=compared.diagram,
        cliques=compared.cliques,
        notes=compared.notes,
    )


def _by_person(by_runs: Difference, pair: Pair) -> Difference:
    """A difference by the crossed model, with the rank test over runs beside it."""
    difference = pair.difference
    if pair.separated:
        verdict = Caution("separated", better=pair.first if difference.value > 0 else pair.second)
    elif pair.p_holm < ALPHA:
        verdict = Caution("few-trainings")
    else:
        verdict = Caution("may-be-chance")
    return replace(
        by_runs,
        mean=_finite(difference.value),
        low=_finite(difference.low),
        high=_finite(difference.high),
        p=_finite(pair.p_holm),
        separated=pair.separated,
        verdict=verdict,
    )


def with_intervals(
    scores: Mapping[str, Estimate], crossed: Mapping[str, CrossedComparison], label: str
) -> dict[str, Estimate]:
    """The estimates of a row, with the intervals of the crossed model where there are any."""
    out = dict(scores)
    for key, comparison_ in crossed.items():
        if key in out and label in comparison_.means:
            out[key] = _with_interval(out[key], comparison_.means[label])
    return out


def _with_interval(estimate: Estimate, interval: Interval) -> Estimate:
    low, high = _within_range(estimate.unit, interval.low, interval.high, estimate.values)
    sources = [part.source for part in interval.components if part.variance > 0]
    if low is None or not sources:
        return estimate
    how, floor = f"varying {' and '.join(sources)}", _finite(interval.over("people").low)
    return replace(estimate, low=low, high=high, how=how, floor=floor)


def _for_statistics(frame: pd.DataFrame) -> pd.DataFrame:
    columns = {"label": "method", "key": "metric"}
    return frame[[*columns, "seed", "fold", "value", "low", "high"]].rename(columns=columns)


def _within_range(
    unit: str, low: float, high: float, values: ArrayLike
) -> tuple[float | None, float | None]:
    """A t interval over few runs can leave the range of a fraction: nothing lies out there.

    Excesses, gaps and normalised leaks may lie outside: a bound holds only where no run is.
    """
    if unit == "fraction":
        high = min(high, max(1.0, float(np.max(values))))
        low = max(low, 0.0) if np.min(values) >= 0 else low
    return _finite(low), _finite(high)


def _finite(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
