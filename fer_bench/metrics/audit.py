"""How far each measure can be trusted, measured on runs of known quality.

`fer-bench check-protocol --measures` prints it, `python -m fer_bench.metrics.audit` the rows of the
documentation's table as JSON. A run of known quality has one dial, its fault: at 0, E holds the
expression alone, I the person alone, and predictions are right; at 1, both embeddings hold both
alike, and predictions are mostly noise. Of every column of the leaderboard that such runs have, the
table tells

- the reseeding noise: standard deviation over scoring seeds on the same arrays, as a share of the
  distance between the best and the worst run;
- the rank correlation with the planted fault (Spearman; 1 is perfect), the least of all worlds;
- how often it tells apart what differs: of two runs with neighbouring faults, drawn from different
  worlds, the share that it puts in the right order.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise, product

import numpy as np
from scipy.stats import binomtest, spearmanr

from fer_bench.arrays import PartArrays, RunArrays
from fer_bench.metrics.common import Floats
from fer_bench.metrics.metric import Metric, load_metrics, score_run
from fer_bench.metrics.sanity import planted_run
from fer_bench.score import ScoreSpec

FAULTS = (0.0, 0.25, 0.5, 0.75, 1.0)
WORLDS, RESEEDINGS = 3, 3
PEOPLE = (20, 20, 10)  # of the test, train and validation part


@dataclass(frozen=True)
class Audited:
    """What is known of one measure.

    Attributes:
        key: "<metric>/<score key>".
        title: of its column.
        noise: of reseeding, as a share of the distance between the best and the worst run.
        rank: Spearman's correlation of the quality it tells with the planted one.
        apart: share of runs of neighbouring quality that are in the right order; .5 is guessing.
        pairs: of such runs.
    """

    key: str
    title: str
    noise: float
    rank: float
    apart: float
    pairs: int

    def __str__(self) -> str:
        return (
            f"{self.title} ({self.key}): rank correlation {self.rank:.2f}, {self.apart:.0%} of "
            f"{self.pairs} pairs told apart, reseeding noise {self.noise:.1%}"
        )


def faulty_run(fault: float, *, seed: int = 0) -> RunArrays:
    """A run of known quality: 0 is perfect, 1 has both E and I hold both alike.

    >>> run = faulty_run(0.0)
    >>> float((run.test.logits.argmax(axis=1) == run.test.y).mean()) > 0.9
    True
    """
    test, train, validation = PEOPLE
    run = planted_run(subjects=test, train=train, validation=validation, seed=seed)
    rng = np.random.default_rng([seed, 1])
    axes = {"y": rng.normal(size=(7, 16)), "s": rng.normal(size=(sum(PEOPLE), 16))}
    parts = {name: _faulty(part, fault, axes, rng) for name, part in run.parts.items()}
    return replace(run, parts=parts)


def _faulty(
    part: PartArrays, fault: float, axes: Mapping[str, Floats], rng: np.random.Generator
) -> PartArrays:
    y = part.y
    s = part.labels["subject"].str[1:].astype(int).to_numpy()
    expression, person, noise = axes["y"][y], axes["s"][s], rng.normal(size=(3, len(y), 16))
    circle = np.stack([np.cos(y), np.sin(y)], axis=1)
    spread = 0.1 + fault
    return replace(
        part,
        expression=_mixed(expression, person, fault, noise[0]),
        identity=_mixed(person, expression, fault, noise[1]),
        logits=(8 * (np.eye(7)[y] + spread * noise[2, :, :7])).astype(np.float32),
        valence_arousal=(circle + spread * noise[2, :, 7:9]).astype(np.float32),
        labels=part.labels.assign(valence=circle[:, 0], arousal=circle[:, 1]),
    )


def _mixed(wanted: Floats, other: Floats, fault: float, noise: Floats) -> np.ndarray:
    return (1.2 * ((1 - fault / 2) * wanted + fault / 2 * other) + noise).astype(np.float32)


def audit(
    metrics: Mapping[str, Metric] | None = None,
    *,
    faults: Sequence[float] = FAULTS,
    worlds: int = WORLDS,
    reseedings: int = RESEEDINGS,
) -> list[Audited]:
    """Audit every column of some metrics; those whose needs such runs do not meet are left out.

    Args:
        metrics: by name; by default all default ones.
        faults: of the runs, the best first.
        worlds: sets of people and directions, each with all faults.
        reseedings: of a run with a middling fault.
    """
    tried = load_metrics() if metrics is None else dict(metrics)
    columns = {
        f"{name}/{spec.key}": spec
        for name, metric in tried.items()
        for spec in metric.scores
        if spec.column and spec.better and "<" not in spec.key
    }
    values = np.array(
        [
            [_values(faulty_run(fault, seed=world), tried, columns, seed=0) for fault in faults]
            for world in range(worlds)
        ]
    )  # [worlds, faults, columns]
    middling = faulty_run(faults[len(faults) // 2])
    again = [_values(middling, tried, columns, seed=k) for k in range(reseedings)]
    noise = np.std(again, axis=0, ddof=1)
    out = []
    for at, (key, spec) in enumerate(columns.items()):
        quality = values[..., at] * (1 if spec.better == "high" else -1)
        if np.isfinite(quality).all():
            out.append(_audited(key, spec, quality, float(noise[at]), faults))
    return out


def _values(
    run: RunArrays, metrics: Mapping[str, Metric], columns: Iterable[str], *, seed: int
) -> Floats:
    scores = {
        f"{name}/{key}": score.value
        for name, outcome in score_run(run, metrics, seed=seed).items()
        for key, score in outcome.scores.items()
    }
    return np.array([scores.get(key, np.nan) for key in columns])


def _audited(
    key: str, spec: ScoreSpec, quality: Floats, noise: float, faults: Sequence[float]
) -> Audited:
    """Of [worlds, faults] qualities, larger for better."""
    span = float(np.abs(np.mean(quality[:, 0] - quality[:, -1])))
    ranks = [spearmanr(-np.array(faults), row).statistic if np.ptp(row) else 0.0 for row in quality]
    ordered = [
        float(better > worse) + 0.5 * float(better == worse)
        for first, second in pairwise(quality.T)
        for (i, better), (j, worse) in product(enumerate(first), enumerate(second))
        if i != j
    ]
    share = noise / span if span > 0 else float("inf")
    rank, apart = float(np.round(min(ranks), 6)), float(np.mean(ordered))
    return Audited(key, spec.title, share, rank, apart, len(ordered))


def rows(audited: Sequence[Audited]) -> list[dict[str, object]]:
    """Lines of the table of the docs, the least trustworthy measures first."""
    return [
        {
            "measure": one.title,
            "score": f"`{one.key}`",
            "reseeding noise": one.noise,
            "rank correlation": one.rank,
            "tells apart": (one.apart, *_interval(one.apart, one.pairs)),
            "pairs": one.pairs,
        }
        for one in sorted(audited, key=lambda each: (each.rank, each.apart))
    ]


def _interval(share: float, of: int) -> tuple[float, float]:
    """Of Clopper and Pearson; pairs that share a run are taken for independent."""
    interval = binomtest(int(share * of), of).proportion_ci()
    return interval.low, interval.high


if __name__ == "__main__":
    print(json.dumps(rows(audit()), indent=1))
