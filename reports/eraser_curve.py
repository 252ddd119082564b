"""Whether a method lies above the curve of an eraser: more useful at the same leak.

The rows that erase the person from ERM's embedding, and ERM itself, are points of usefulness
against leak; between neighbours the curve is straight, which is what mixing the two would give. A
method separates expression from identity only where it lies above that curve. Whether it does is
decided by person, seed and fold, as all differences are (`crossed_contrast`).
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
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
        gain: usefulness less that of the curve at the same leak; None outside its range.
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
class _Segment:
    """Two neighbours of the curve, the one that leaks less first."""

    low: _Point
    high: _Point

    @property
    def slope(self) -> float:
        return (self.high.use - self.low.use) / (self.high.leak - self.low.leak)

    def weights(self, leak: float) -> dict[str, float]:
        """How much of each end makes the point of the curve at a leak."""
        share = (leak - self.low.leak) / (self.high.leak - self.low.leak)
        return {self.high.label: share, self.low.label: 1 - share}


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
    segments = list(_segments([points[label] for label in curve if label in points]))
    out = []
    for label, point in points.items():
        if label in curve or not segments:
            continue
        segment = next((s for s in segments if s.low.leak <= point.leak <= s.high.leak), None)
        if segment is None:
            out.append(AboveCurve(label, None))
            continue
        weights = {label: 1.0, **{k: -w for k, w in segment.weights(point.leak).items()}}
        runs = paired.combined({use.key: 1.0, leak.key: -sign * segment.slope}, weights)
        if told_of_people(runs):
            derived = paired.derived_within(weights)
            gain, decided = crossed_contrast(runs, weights, derived=derived, own_spread=own_spread)
            out.append(AboveCurve(label, gain.value, gain.low, gain.high, decided))
    return tuple(out)


def _segments(points: Sequence[_Point]) -> Iterator[_Segment]:
    """Neighbours of the curve: points that no other beats in both, from the least leak."""
    best: list[_Point] = []
    for point in sorted(points, key=lambda p: (p.leak, -p.use)):
        if not best or (point.use > best[-1].use and point.leak > best[-1].leak):
            best.append(point)
    return (_Segment(*ends) for ends in pairwise(best))
