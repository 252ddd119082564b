"""Whether a method lies above the curve of an eraser: more useful at the same leak.

The rows that erase the person from ERM's embedding, and ERM itself, are points of usefulness
against leak. Between neighbours the curve is straight, which is what mixing the two would give;
beyond its most useful point it is flat. A method separates expression from identity only where it
lies above that curve. Whether it does is decided by person, seed and fold, as all differences are
(`crossed_contrast`).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from fer_bench.reports.columns import Column
from fer_bench.reports.paired import PairedScores, told_of_people
from fer_bench.statistics.crossed import crossed_contrast


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
    sign = 1.0 if leak.better == "low" else -1.0
    points = {label: _Point(label, sign * y, x) for label, (x, y) in means.items()}
    front = _front([points[label] for label in curve if label in points])
    out = []
    for label, point in points.items():
        if label in curve or len(curve) < 2:
            continue
        rival = _rival(front, point.leak)
        if rival is None:
            out.append(AboveCurve(label, None))
            continue
        weights = {label: 1.0, **{k: -w for k, w in rival.weights.items()}}
        runs = paired.combined({use.key: 1.0, leak.key: -sign * rival.slope}, weights)
        if told_of_people(runs):
            derived = paired.derived_within(weights)
            gain, decided = crossed_contrast(runs, weights, derived=derived, own_spread=own_spread)
            out.append(AboveCurve(label, gain.value, gain.low, gain.high, decided))
    return tuple(out)


def _front(points: Sequence[_Point]) -> list[_Point]:
    """The points that no other beats in both, from the least leak."""
    best: list[_Point] = []
    for point in sorted(points, key=lambda p: (p.leak, -p.use)):
        if not best or point.use > best[-1].use:
            best.append(point)
    return best


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
