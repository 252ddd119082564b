"""Whether a method lies above the curve of an eraser: more useful at the same leak.

The rows that erase the person from ERM's embedding, and ERM itself, are points of usefulness
against leak. Between neighbours the curve is straight, which is what mixing the two would give;
beyond its most useful point it is flat. A method separates expression from identity only where it
lies above that curve. Whether it does is decided by person, seed and fold, adjusted for the number
of rows, as all differences are (`compare_crossed`).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from fer_bench.reports.columns import Column
from fer_bench.reports.paired import PairedScores, told_of_people
from fer_bench.statistics import compare_crossed
from fer_bench.statistics.comparison import holm
from fer_bench.statistics.crossed import Pair, weighted_sum

ALPHA = 0.05  # error rate over all rows
_RIVAL = "the curve"


@dataclass(frozen=True)
class AboveCurve:
    """A row against the eraser's curve, in the unit of usefulness.

    Attributes:
        label: of the row.
        gain: usefulness less what the curve gives for no more leak; None where all of the curve
            leaks more.
        low, high: 95 % interval of the gain.
        decided: whether the sign of the gain is a claim that these runs support.
    """

    label: str
    gain: float | None
    low: float | None = None
    high: float | None = None
    decided: bool = False

    @property
    def above(self) -> bool:
        """Whether the row lies above the curve, beyond doubt."""
        return self.decided and self.gain is not None and self.gain > 0


@dataclass(frozen=True)
class _Point:
    label: str
    leak: float  # more is worse
    use: float


@dataclass(frozen=True)
class _Rival:
    """The point of the curve that a row is compared with: a mixture of at most two of its ends.

    Attributes:
        weights: label -> share.
        slope: of usefulness against leak.
    """

    weights: Mapping[str, float]
    slope: float


def above_curve(
    means: Mapping[str, tuple[float, float]],
    curve: Collection[str],
    paired: PairedScores,
    use: Column,
    leak: Column,
    *,
    own_spread: Collection[str] = (),
) -> tuple[AboveCurve, ...]:
    """Every row but the curve's own against the curve; empty where that has fewer than two points.

    Args:
        means: label -> usefulness and leak.
        curve: labels of ERM and of its erased rows.
        paired: the runs.
        use, leak: what is wanted, and what is not.
        own_spread: as in `compare_crossed`.
    """
    sign = _sign(leak)
    front = [
        _Point(label, sign * means[label][1], means[label][0])
        for label in curve_front(means, curve, leak)
    ]
    rivals = {
        label: _rival(front, sign * amount)
        for label, (_, amount) in means.items()
        if label not in curve and len(curve) > 1
    }
    pairs = {}
    for label, rival in rivals.items():
        if rival is not None:
            weights = {use.key: 1.0, leak.key: -sign * rival.slope}
            pair = _compared(paired, label, rival, weights, own_spread)
            if pair is not None:
                pairs[label] = pair
    adjusted = dict(zip(pairs, holm([p.difference.p for p in pairs.values()]), strict=True))
    return tuple(
        _told(label, pairs[label], float(adjusted[label]))
        if label in pairs
        else AboveCurve(label, None)
        for label in rivals
    )


def curve_front(
    means: Mapping[str, tuple[float, float]], curve: Collection[str], leak: Column
) -> tuple[str, ...]:
    """The rows of the curve that no other beats in both, from the least leak to the most.

    Args:
        means, curve, leak: as of `above_curve`.
    """
    sign = _sign(leak)
    best: list[str] = []
    known = sorted(set(curve) & set(means))  # of equal rows always the same one
    for label in sorted(known, key=lambda k: (sign * means[k][1], -means[k][0])):
        if not best or means[label][0] > means[best[-1]][0]:
            best.append(label)
    return tuple(best)


def _sign(leak: Column) -> float:
    return 1.0 if leak.better == "low" else -1.0


def _compared(
    paired: PairedScores,
    label: str,
    rival: _Rival,
    weights: Mapping[str, float],
    own_spread: Collection[str],
) -> Pair | None:
    """A row less its rival by a weighted sum of scores; None where runs say nothing of people."""
    own = paired.combined(weights, [label])
    ends = [
        {(run.seed, run.fold): run for run in paired.combined(weights, [end])}
        for end in rival.weights
    ]
    # The ends start from one training of ERM a seed and fold: mixed first, they vary together.
    mixed = [
        replace(
            weighted_sum([end[place] for end in ends], list(rival.weights.values())), method=_RIVAL
        )
        for place in ends[0]
        if all(place in end for end in ends)
    ]
    if not told_of_people([*own, *mixed]) or not own or not mixed:
        return None
    return compare_crossed(
        [*own, *mixed],
        deterministic=paired.deterministic & {label},
        own_spread={_RIVAL, *own_spread} & {_RIVAL, label},
    ).pair(label, _RIVAL)


def _told(label: str, pair: Pair, p: float) -> AboveCurve:
    gain = pair.difference
    return AboveCurve(label, gain.value, gain.low, gain.high, pair.separated and p < ALPHA)


def _rival(front: Sequence[_Point], leak: float) -> _Rival | None:
    """What the curve gives for at most this leak; None where all of it leaks more."""
    if not front or leak < front[0].leak:
        return None
    for low, high in pairwise(front):
        if leak <= high.leak:
            share = (leak - low.leak) / (high.leak - low.leak)
            slope = (high.use - low.use) / (high.leak - low.leak)
            return _Rival({high.label: share, low.label: 1 - share}, slope)
    return _Rival({front[-1].label: 1.0}, 0.0)
