"""The line that every claim has to beat: utility against leak of an encoder with an eraser.

Whoever wants identity out of an embedding can erase it after the fact. Sweeping the strength of an
eraser on the embeddings of a plain encoder (ERM) draws a curve, and a method separates expression
from identity only if it lies above it.

One point of it has no strength: the class scores alone (`ClassScores`), which keep the utility and
little of the person. They are the line to beat for accuracy, and hold nothing else of E.

Leak (the axis) is the AUC of the closed-form attacker that is best on validation people, in pairs
of one person's different expressions; what only a network reads is not in it, as none is trained
for every strength. Utility is the balanced accuracy of a linear head, refitted on the training
people for every embedding, methods and erased ones alike. The curve is the best utility at that
leak or less, linear between its points. Both are read on the same test people, resampled together.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fer_bench.arrays import RunArrays
from fer_bench.attackers.attacker import Attacker
from fer_bench.attackers.comparisons import compared_pairs
from fer_bench.attackers.faces import Faces
from fer_bench.attackers.ladder import strongest
from fer_bench.attackers.numbers import resampled_auc
from fer_bench.errors import DataError
from fer_bench.metrics.common import Floats, Ints, with_interval
from fer_bench.metrics.metric import Scores, metric
from fer_bench.metrics.probes import Split, linear_probe
from fer_bench.score import Score, ScoreSpec
from fer_bench.statistics.bootstrap import bootstrap_draws, cluster_sums, interval

State = Literal["above", "below", "no verdict"]
ERASER = "leace"  # whose curve a run keeps
SCORES_ALONE = -1  # strength of the point that holds the class scores and no more
DRAWS = 300
WIDEST = 2048  # columns of an embedding whose curve is swept
OUTSIDE = 0.1  # share of resamples that may leave the range of the curve


@dataclass(frozen=True)
class Labelled:
    """One part of a run: embeddings [n, d] with subject and expression codes [n], -1 unknown."""

    x: Floats
    subject: Ints
    expression: Ints

    @classmethod
    def of(cls, x: ArrayLike, subject: ArrayLike, expression: ArrayLike) -> Labelled:
        """Rows whose subject and expression are known."""
        s, y = np.asarray(subject, dtype=np.int64), np.asarray(expression, dtype=np.int64)
        known = (s >= 0) & (y >= 0)
        return cls(np.asarray(x, dtype=np.float64)[known], s[known], y[known])

    @property
    def faces(self) -> Faces:
        """As attackers see them."""
        return Faces.of_people(self.x, self.subject, self.expression)

    def with_x(self, x: Floats) -> Labelled:
        """The same faces with other embeddings."""
        return Labelled(x, self.subject, self.expression)


@dataclass(frozen=True)
class Encoded:
    """The three parts of one encoder's embeddings, of different people."""

    train: Labelled
    validation: Labelled
    test: Labelled

    def erased(self, name: str, strength: int | None = None) -> Encoded:
        """Without identity, by an eraser fitted on the training people (`fit_eraser`)."""
        from fer_bench.attackers.erase import fit_eraser  # heavy

        train = self.train
        classes = np.eye(int(train.expression.max()) + 1)[train.expression]
        eraser = fit_eraser(name, strength, train.x, train.subject, classes)
        return Encoded(
            *(
                part.with_x(eraser.transform(part.x))
                for part in (self.train, self.validation, self.test)
            )
        )


@dataclass(frozen=True)
class Point:
    """Where one embedding stands.

    Attributes:
        strength: of the eraser; 0 without one, -1 for the class scores alone.
        leak, utility: AUC of the attacker and balanced accuracy of the head.
        leaks, utilities: [draws] the same on resampled people, paired between points.
        people: of the test part.
    """

    strength: int
    leak: float
    utility: float
    leaks: Floats
    utilities: Floats
    people: int


@dataclass(frozen=True)
class Verdict:
    """How a method stands to the curve.

    Attributes:
        state: "above", "below" or "no verdict".
        difference: its utility less that of the curve at its leak, NaN outside the curve's range.
        low, high: 95 % interval over resampled people and seeds.
        leak, utility: of the method.
        least, most: leaks between which the curve is known.
        runs, people: that are resampled.
        outside: share of the resamples that leave the curve's range.
    """

    state: State
    difference: float
    low: float
    high: float
    leak: float
    utility: float
    least: float
    most: float
    runs: int
    people: int
    outside: float

    @property
    def inside(self) -> bool:
        """Whether method and resamples stay in the curve's range, so that there is a verdict."""
        return np.isfinite(self.difference) and self.outside <= OUTSIDE


def encoded(run: RunArrays) -> Encoded:
    """The embeddings E of a run.

    Raises:
        DataError: the train, validation or test part has no subjects.
    """
    parts = []
    for name in ("train", "validation", "test"):
        part = run.parts.get(name)
        if part is None or not part.has_subjects:
            raise DataError(
                f"the {name} part of this run has no subjects: erasers and attackers need them."
            )
        parts.append(Labelled.of(part.expression, part.s, part.y))
    return Encoded(*parts)


def measure(
    run: Encoded,
    *,
    strength: int = 0,
    attackers: Sequence[Attacker] | None = None,
    draws: int = DRAWS,
    seed: int = 0,
) -> Point:
    """Leak and utility of one embedding.

    Args:
        run: its parts, erased already where `strength` is not 0.
        strength: to be told.
        attackers: as in `fer_bench.attackers.ladder.climb`.
        draws: resamples of the test people; equal numbers and seeds are paired.
        seed: of resamples and pairs.
    """
    parts = (run.train, run.validation, run.test)
    train, validation, test = (part.faces.at_most(seed=seed) for part in parts)
    compared = compared_pairs(strongest(train, validation, attackers), test)
    leak, leaks = resampled_auc(compared, draws=draws, seed=seed)
    utility, utilities = _balanced_accuracy(run, draws=draws, seed=seed)
    return Point(strength, leak, utility, leaks, utilities, test.n_people)


def eraser_curve(
    run: Encoded,
    name: str,
    *,
    sweep: Sequence[int] | None = None,
    attackers: Sequence[Attacker] | None = None,
    draws: int = DRAWS,
    seed: int = 0,
) -> list[Point]:
    """Leak and utility as an eraser takes more and more; the first point is without it.

    Args:
        run: the embeddings of an encoder.
        name: of the eraser: "mean", "leace", "inlp" or "k-same".
        sweep: strengths; by default 1, 2, 4, ... (`strengths`).
        attackers, draws, seed: as in `measure`.
    """
    from fer_bench.attackers.erase import strengths  # heavy

    if sweep is None:
        people = len(np.unique(run.train.subject))
        sweep = strengths(name, columns=run.train.x.shape[1], people=people)
    points = [(0, run), *((strength, run.erased(name, strength)) for strength in sweep)]
    return [
        measure(each, strength=strength, attackers=attackers, draws=draws, seed=seed)
        for strength, each in points
    ]


LEFT = ("erased",)  # the table of what an eraser leaves
SPECS = (
    ScoreSpec(
        "leace.<rank>.leak",
        "Leak after LEACE",
        "AUC of the closed-form attacker that is best on validation people once LEACE took so many "
        "directions.",
        "",
        range=(0, 1),
        tables=LEFT,
    ),
    ScoreSpec(
        "leace.<rank>.utility",
        "Utility after LEACE",
        "Balanced accuracy of a linear head once LEACE took so many directions.",
        range=(0, 1),
        tables=LEFT,
    ),
    ScoreSpec(
        "scores.leak",
        "Leak of the class scores",
        "AUC of the closed-form attacker that is best on validation people for what a linear head "
        "reads, and no more.",
        "",
        range=(0, 1),
        tables=LEFT,
    ),
    ScoreSpec(
        "scores.utility",
        "Utility of the class scores",
        "Balanced accuracy of a linear head for what a linear head reads, and no more.",
        range=(0, 1),
        tables=LEFT,
    ),
)


@metric("frontier", version=3, needs=("subjects",), default=False, scores=SPECS)
def frontier(run: RunArrays, *, seed: int = 0) -> Scores:
    """What erasers would leave of this embedding: utility against leak, LEACE's rank swept.

    Rank 0 is the embedding as it is; last stands what its class scores alone hold, and nothing lies
    between for an embedding of more than 2,048 columns. Resamples are kept with the run
    (`points_of`), so that a method is compared with the curve of another encoder without its
    embeddings.
    """
    embedded = encoded(run)
    # LEACE is cubic in the columns: on the 4,281 of a subject oracle a sweep takes 20 CPU-minutes.
    sweep = () if embedded.train.x.shape[1] > WIDEST else None
    points = eraser_curve(embedded, ERASER, sweep=sweep, seed=seed)
    points.append(measure(embedded.erased("scores"), strength=SCORES_ALONE, seed=seed))
    scores = {}
    for point in points:
        prefix = f"{ERASER}.{point.strength}" if point.strength >= 0 else "scores"
        for key, unit in (("leak", ""), ("utility", "fraction")):
            score = Score(getattr(point, key), n=point.people, unit=unit)
            drawn = point.leaks if key == "leak" else point.utilities
            scores[f"{prefix}.{key}"] = with_interval(score, drawn, clusters=point.people)
    kept = {
        "strength": np.array([point.strength for point in points]),
        "people": np.array([point.people for point in points]),
        "values": np.array([(point.leak, point.utility) for point in points]),
        "drawn": np.array([(point.leaks, point.utilities) for point in points]),
    }
    return Scores(scores, arrays=kept)


def points_of(arrays: Mapping[str, NDArray[Any]]) -> list[Point]:
    """The curve that the metric `frontier` kept with a run; the first point is without eraser."""
    rows = zip(*(arrays[key] for key in ("strength", "people", "values", "drawn")), strict=True)
    return [
        Point(int(strength), float(leak), float(utility), leaks, utilities, int(people))
        for strength, people, (leak, utility), (leaks, utilities) in rows
    ]


def against_curve(
    method: Sequence[Point], curves: Sequence[Sequence[Point]], *, seed: int = 0
) -> Verdict:
    """Whether a method lies above the curve, over its runs and the test people.

    Args:
        method: its point for every run (seed and fold).
        curves: the curve of the plain encoder for every one of the same runs; each with the same
            test people and resamples as the method's. A strength counts where all of
            them have it: older results lack the class scores.
        seed: of the resampling of runs.

    Raises:
        DataError: points and curves are not paired.
    """
    paired = len(method) == len(curves) > 0 and all(
        {(len(p.leaks), p.people) for p in curve} == {(len(own.leaks), own.people)}
        for own, curve in zip(method, curves, strict=True)
    )
    if not paired:
        raise DataError(
            "a method is compared with the curve on the same seeds, test people and resamples: "
            f"there are {len(method)} runs and {len(curves)} curves, or their people differ."
        )
    curves = _shared(curves)
    draws, people, runs = len(method[0].leaks), min(p.people for p in method), len(method)
    leak, utility = (float(np.mean([getattr(p, k) for p in method])) for k in ("leak", "utility"))
    line = mean_curve(curves)[:, 1:]
    difference = utility - utility_at(leak, line)
    weights = np.random.default_rng(seed).multinomial(runs, np.full(runs, 1 / runs), size=draws)
    own = np.array([(p.leaks, p.utilities) for p in method])  # [seeds, 2, draws]
    lines = np.array([[(p.leaks, p.utilities) for p in curve] for curve in curves])
    own = np.einsum("bs,skb->bk", weights / runs, own)
    lines = np.einsum("bs,spkb->bpk", weights / runs, lines)
    drawn = np.array(
        [height - utility_at(at, curve) for (at, height), curve in zip(own, lines, strict=True)]
    )
    low, high = interval(drawn, clusters=people)
    outside = float(np.mean(~np.isfinite(drawn)))
    state: State = "no verdict"
    if np.isfinite(difference) and outside <= OUTSIDE:
        state = "above" if low > 0 else "below" if high < 0 else "no verdict"
    return Verdict(
        state, float(difference), low, high, leak, utility, float(line[:, 0].min()),
        float(line[:, 0].max()), runs, people, outside,
    )  # fmt: skip


def mean_curve(curves: Sequence[Sequence[Point]]) -> Floats:
    """Strength, leak and utility [points, 3] of an encoder's curve, averaged over its runs.

    In the order of the points, without those that some run lacks.
    """
    return np.mean(
        [[(p.strength, p.leak, p.utility) for p in curve] for curve in _shared(curves)], axis=0
    )


def _shared(curves: Sequence[Sequence[Point]]) -> list[list[Point]]:
    """The points of each curve that all have."""
    strengths = set.intersection(*({p.strength for p in curve} for curve in curves))
    return [[p for p in curve if p.strength in strengths] for curve in curves]


def best_so_far(curve: Floats) -> Floats:
    """A curve [points, 2] by rising leak, its utility the best at that leak or less.

    >>> best_so_far(np.array([[0.8, 0.5], [0.5, 0.2], [0.6, 0.6]])).tolist()
    [[0.5, 0.2], [0.6, 0.6], [0.8, 0.6]]
    """
    ordered = curve[np.argsort(curve[:, 0], kind="stable")]
    return np.c_[ordered[:, 0], np.maximum.accumulate(ordered[:, 1])]


def utility_at(leak: float, curve: Floats) -> float:
    """Utility of a curve [points, 2] at a leak (`best_so_far`), linear between points.

    NaN where the curve has no point on one side.

    >>> utility_at(0.7, np.array([[0.5, 0.2], [0.6, 0.6], [0.8, 0.5]])).round(6)
    np.float64(0.6)
    >>> utility_at(0.9, np.array([[0.5, 0.2], [0.8, 0.5]]))
    nan
    """
    leaks, best = best_so_far(curve).T
    if not leaks[0] <= leak <= leaks[-1]:
        return float("nan")
    return np.interp(leak, leaks, best)


def _balanced_accuracy(run: Encoded, *, draws: int, seed: int) -> tuple[float, Floats]:
    """Mean recall of a linear head fitted on training people, tuned on validation people."""
    parts = (run.train, run.validation, run.test)
    x = np.concatenate([part.x for part in parts])
    y = np.concatenate([part.expression for part in parts])
    ends = np.cumsum([0, *(len(part.x) for part in parts)])
    rows = [np.arange(start, stop) for start, stop in pairwise(ends)]
    guessed, truth = linear_probe(x, y, Split(*rows)).predicted, run.test.expression
    classes = np.eye(int(y.max()) + 1)[truth]
    sums = cluster_sums(
        np.hstack([classes * (guessed == truth)[:, None], classes]), run.test.subject
    )

    def mean_recall(totals: Floats) -> Floats:
        hits, counts = np.split(totals, 2, axis=1)
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.asarray(np.nanmean(np.where(counts > 0, hits / counts, np.nan), axis=1))

    value = mean_recall(sums.sum(axis=0, keepdims=True))
    return float(value[0]), bootstrap_draws(sums, mean_recall, draws=draws, seed=seed)
