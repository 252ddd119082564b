"""Open-set verification by cosine: the same person or not, across expressions?"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fer_bench.cautions import Caution
from fer_bench.labels import read_labels
from fer_bench.metrics.common import Floats, Ints, replace_bounds, undefined, with_interval
from fer_bench.metrics.probes import unit_rows
from fer_bench.reading import read_matrix, read_rows, read_vector
from fer_bench.score import Effects, Score
from fer_bench.statistics.bootstrap import bootstrap_draws, cluster_sums, jackknife_interval

GENUINE_PAIRS = 200_000  # at most, drawn at random beyond
IMPOSTOR_PAIRS = 500_000
FALSE_ACCEPT_RATES = (0.1, 0.01)
ROUND = 6  # decimals of a cosine that count; below is rounding, and ties must stay ties


@dataclass(frozen=True)
class Pairs:
    """Rows of compared images, [m] each."""

    first: Ints
    second: Ints

    def __post_init__(self) -> None:
        object.__setattr__(self, "first", read_rows(self.first, "first"))
        object.__setattr__(self, "second", read_rows(self.second, "second"))

    def __len__(self) -> int:
        return len(self.first)


def verification_pairs(
    subject: ArrayLike, expression: ArrayLike, *, seed: int = 0
) -> tuple[Pairs, Pairs]:
    """Genuine pairs (one person, different expressions) and impostor pairs (two persons).

    Impostor pairs differ in expression as well: were they to share it, a perfect expression
    embedding would look *worse* than chance. Where expressions are unknown any two images do.

    Args:
        subject: [n] labels; missing ones (-1) are left out.
        expression: [n] labels (or those of sequences), -1 where unknown.
        seed: of the subsampling (at most 200,000 genuine and 500,000 impostor pairs).

    >>> genuine, impostor = verification_pairs([0, 0, 1, 1], [0, 1, 0, 1])
    >>> len(genuine), len(impostor)
    (2, 2)
    """
    s = read_labels(subject, "subject")
    y = read_labels(expression, "expression", rows=len(s))
    rng = np.random.default_rng(seed)
    rows = np.flatnonzero(s >= 0)
    n = len(rows)

    def differ(i: Ints, j: Ints) -> NDArray[np.bool_]:
        return (y[i] != y[j]) | (y[i] < 0)

    if n * (n - 1) // 2 <= IMPOSTOR_PAIRS:
        a, b = np.triu_indices(n, k=1)
        i, j = rows[a], rows[b]
        keep = differ(i, j)
        same = s[i] == s[j]
        return Pairs(i[keep & same], j[keep & same]), Pairs(i[keep & ~same], j[keep & ~same])

    order = rows[np.argsort(s[rows], kind="stable")]
    starts = np.flatnonzero(np.r_[True, np.diff(s[order]) > 0])
    sizes = np.diff(np.r_[starts, n])
    # Partners at every distance inside a subject's block give all its pairs without n x n.
    first, second = [], []
    for distance in range(1, int(sizes.max())):
        big = sizes > distance
        spans = sizes[big] - distance
        offset = np.arange(spans.sum()) - np.repeat(np.cumsum(spans) - spans, spans)
        left = np.repeat(starts[big], spans) + offset
        first.append(order[left])
        second.append(order[left + distance])
        if sum(map(len, first)) > 4 * GENUINE_PAIRS:
            break
    i = np.concatenate(first) if first else np.empty(0, dtype=np.int64)
    j = np.concatenate(second) if second else np.empty(0, dtype=np.int64)
    keep = differ(i, j)
    i, j = i[keep], j[keep]
    if len(i) > GENUINE_PAIRS:
        pick = rng.choice(len(i), size=GENUINE_PAIRS, replace=False)
        i, j = i[pick], j[pick]
    p, q = rng.choice(rows, size=(2, 2 * IMPOSTOR_PAIRS))
    keep = (s[p] != s[q]) & differ(p, q)
    return Pairs(i, j), Pairs(p[keep][:IMPOSTOR_PAIRS], q[keep][:IMPOSTOR_PAIRS])


def pair_cosines(x: ArrayLike, pairs: Pairs) -> Floats:
    """Cosine of each pair, [m]; 0 where an embedding is zero."""
    rows = unit_rows(x)
    out = np.empty(len(pairs))
    for start in range(0, len(pairs), 100_000):
        block = slice(start, start + 100_000)
        out[block] = np.einsum("nd,nd->n", rows[pairs.first[block]], rows[pairs.second[block]])
    return np.round(out, ROUND)


def roc_auc(genuine: ArrayLike, impostor: ArrayLike) -> float:
    """Probability that a genuine pair scores above an impostor one (ties count half).

    Args:
        genuine, impostor: [m], [k] similarities, each at least one.

    Raises:
        DataError: a side is empty, or has gaps.

    >>> roc_auc([0.9, 0.5], [0.1, 0.5])
    0.875
    """
    g, m = read_vector(genuine, "genuine"), np.sort(read_vector(impostor, "impostor"))
    return float(_below(g, m).mean() / len(m))


def _below(values: Floats, ordered: Floats) -> Floats:
    """How many of `ordered` are below each value; ties count half."""
    left = np.searchsorted(ordered, values, side="left")
    return (left + np.searchsorted(ordered, values, side="right")) / 2


def equal_error_rate(false_rejects: Floats, false_accepts: Floats) -> Floats:
    """Rate where both errors are equal, interpolated.

    Args:
        false_rejects: [b, t] (or [t]) rising with the threshold.
        false_accepts: [b, t] or [t] falling with the threshold.

    Returns:
        [b] rates.
    """
    gap = np.atleast_2d(np.asarray(false_rejects) - np.asarray(false_accepts))
    accepts = np.broadcast_to(false_accepts, gap.shape)
    right = np.clip(np.sum(gap < 0, axis=1), 1, gap.shape[1] - 1)
    row = np.arange(len(gap))
    before, after = gap[row, right - 1], gap[row, right]
    rise = np.where(after > before, after - before, 1.0)
    share = np.clip(-before / rise, 0.0, 1.0)
    low, high = accepts[row, right - 1], accepts[row, right]
    return np.asarray(low + share * (high - low))


def verification_scores(
    x: ArrayLike,
    subject: ArrayLike,
    expression: ArrayLike,
    *,
    pairs: tuple[Pairs, Pairs] | None = None,
    draws: int = 1000,
    seed: int = 0,
) -> dict[str, Score]:
    """AUC, EER and TAR at FAR of "the same person?" across expressions.

    Args:
        x: [n, d] embeddings, compared by cosine.
        subject: [n] labels; missing ones (-1) are left out.
        expression: [n] labels, -1 where unknown.
        pairs: genuine and impostor pairs (`verification_pairs`), to share them.
        draws: bootstrap resamples.
        seed: of the pairs and the bootstrap.

    Returns:
        "auc" (interval by jackknife over subjects, as pairs join two of them), "eer",
        "tar@0.1", "tar@0.01" (intervals by bootstrap over the subjects of genuine pairs).
        All fractions; n = number of genuine pairs. Chance: AUC .5, EER .5, TAR = FAR.

    Raises:
        DataError: x has gaps, lengths differ, or labels cannot be read.
    """
    s = read_labels(subject, "subject")
    x = read_matrix(x, "x", rows=len(s))
    genuine, impostor = pairs or verification_pairs(s, expression, seed=seed)
    if not len(genuine) or not len(impostor):
        reason = Caution("no-pairs")
        keys = ("auc", "eer", *(f"tar@{rate:g}" for rate in FALSE_ACCEPT_RATES))
        return {key: undefined(reason, unit="fraction") for key in keys}
    g, m = pair_cosines(x, genuine), pair_cosines(x, impostor)
    base = Score(
        math.nan, n=len(g), unit="fraction",
        details={
            "genuine_pairs": len(g),
            "impostor_pairs": len(m),
            "mean_cosine": {"genuine": float(g.mean()), "impostor": float(m.mean())},
        },
    )  # fmt: skip
    options: dict[str, Any] = {"draws": draws, "seed": seed}
    return {
        "auc": _auc_score(base, g, m, genuine, impostor, s),
        "eer": _eer_score(base, g, np.sort(m), s[genuine.first], **options),
        **{
            f"tar@{rate:g}": _tar_score(base, g, np.sort(m), s[genuine.first], rate, **options)
            for rate in FALSE_ACCEPT_RATES
        },
    }


def _auc_score(
    base: Score, g: Floats, m: Floats, genuine: Pairs, impostor: Pairs, s: Ints
) -> Score:
    """AUC of genuine cosines [g] over impostor ones [m]; jackknife over the subjects s [n]."""
    ordered = np.sort(m)
    score = replace(base, value=float(_below(g, ordered).mean() / len(m)), null=0.5)
    left_out = _leave_one_subject_out(
        g, s[genuine.first], m, ordered, s[impostor.first], s[impostor.second]
    )
    low, high = jackknife_interval(score.value, left_out)
    if np.isfinite(left_out).all():
        compared = np.r_[genuine.first, impostor.first, impostor.second]
        people, faces = np.unique(s[compared], return_counts=True)
        effects = Effects(people, score.value - left_out, faces.astype(np.float64))
        score = replace(score, effects=effects)
    if np.isfinite(low):
        bounds = max(low, 0.0), min(high, 1.0)
        score = replace_bounds(score, *bounds, interval="jackknife over subjects")
    return score


def _eer_score(
    base: Score, g: Floats, ordered: Floats, owner: Ints, *, draws: int, seed: int
) -> Score:
    """Equal error rate; bootstrap over the owners [g] of the genuine pairs."""
    # On a grid of thresholds at the impostors' quantiles, fine at the top.
    levels = np.unique(np.r_[np.linspace(0, 1, 401), 1 - np.geomspace(1e-4, 0.05, 100)])
    thresholds = np.unique(np.r_[np.quantile(ordered, levels), ordered[-1] + 10.0**-ROUND])
    accepted = 1 - _below(thresholds, ordered) / len(ordered)
    # [pairs, t] would be large: count rejected pairs of each subject by cumulative histogram.
    people, code = np.unique(owner, return_inverse=True)
    rejected = _cumulative_counts(g, code, len(people), thresholds)
    sums = np.c_[rejected, np.bincount(code, minlength=len(people))]

    def eer(totals: Floats) -> Floats:
        return equal_error_rate(totals[:, :-1] / totals[:, -1:], accepted)

    value = float(eer(sums.sum(axis=0, keepdims=True))[0])
    drawn = bootstrap_draws(sums, eer, draws=draws, seed=seed)
    return with_interval(replace(base, value=value, null=0.5), drawn, clusters=len(people))


def _tar_score(
    base: Score, g: Floats, ordered: Floats, owner: Ints, rate: float, *, draws: int, seed: int
) -> Score:
    """Share of genuine pairs above the smallest threshold whose false accepts stay in the rate."""
    n = len(ordered)
    threshold = ordered[min(n - 1, int(np.ceil((1 - rate) * n)))]
    hits = cluster_sums(np.c_[g > threshold, np.ones(len(g))], owner)
    drawn = bootstrap_draws(hits, lambda t: t[:, 0] / t[:, 1], draws=draws, seed=seed)
    score = replace(base, value=float(np.mean(g > threshold)), null=rate)
    score = with_interval(score, drawn, clusters=len(hits))
    if n * rate < 10:
        score = score.with_caution(Caution("few-impostors", pairs=n, rate=rate))
    return score


def _cumulative_counts(values: Floats, code: Ints, groups: int, thresholds: Floats) -> Floats:
    """[G, t]: values of each group below each threshold (ties count half)."""
    t = len(thresholds)
    out = np.zeros((groups, t))
    sides: tuple[Literal["left", "right"], ...] = ("left", "right")
    for side in sides:
        # A value is below every threshold from this position on.
        at = np.searchsorted(thresholds, values, side=side)
        counts = np.bincount(code * (t + 1) + at, minlength=groups * (t + 1))
        out += counts.reshape(groups, t + 1)[:, :t].cumsum(axis=1) / 2
    return out


def _leave_one_subject_out(
    g: Floats, owner: Ints, m: Floats, ordered: Floats, first: Ints, second: Ints
) -> Floats:
    """AUC without each subject's genuine pairs and without the impostor pairs it stands in."""
    wins = _below(g, ordered)  # impostors beaten by each genuine pair
    g_order = np.sort(g)
    beaten = len(g) - _below(m, g_order)  # genuine pairs above each impostor pair
    total = wins.sum()
    by_owner = np.argsort(owner, kind="stable")
    both = np.r_[first, second]
    row = np.r_[np.arange(len(m)), np.arange(len(m))]
    by_side = np.argsort(both, kind="stable")
    people = np.unique(np.r_[owner, both])
    edges = np.append(people, people.max() + 1)
    own: Ints = np.searchsorted(owner[by_owner], edges)
    side: Ints = np.searchsorted(both[by_side], edges)
    out = np.full(len(people), np.nan)
    for k in range(len(people)):
        mine = by_owner[own[k] : own[k + 1]]
        theirs = row[by_side[side[k] : side[k + 1]]]
        left_g, left_m = len(g) - len(mine), len(m) - len(theirs)
        if not left_g or not left_m:
            continue
        cross = _below(g[mine], np.sort(m[theirs])).sum() if len(mine) and len(theirs) else 0.0
        kept = total - wins[mine].sum() - beaten[theirs].sum() + cross
        out[k] = kept / left_g / left_m
    return out
