"""Retrieval by cosine: is a person found in another mood, and a mood on another person?"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import digamma

from fer_bench.cautions import Caution
from fer_bench.labels import read_groups, read_labels
from fer_bench.metrics.common import Floats, Ints, mean_scores, undefined
from fer_bench.metrics.probes import unit_rows
from fer_bench.metrics.verification import ROUND
from fer_bench.reading import read_matrix
from fer_bench.score import Score

QUERIES = 1_000
GALLERY = 20_000
RETRIEVAL_KEYS = ("map", "precision@6")


def expected_average_precision(relevant: ArrayLike, gallery: ArrayLike) -> Floats:
    """Mean average precision of a random ranking of R relevant among N images.

    `(H_N + (R - 1)(N - H_N) / (N - 1)) / N`, H_N the harmonic number.

    >>> float(expected_average_precision(1, 2))
    0.75
    """
    r, n = np.asarray(relevant, dtype=np.float64), np.asarray(gallery, dtype=np.float64)
    harmonic = digamma(n + 1) + np.euler_gamma
    return (harmonic + (r - 1) * (n - harmonic) / np.maximum(n - 1, 1)) / n


def retrieval_scores(
    x: ArrayLike,
    target: ArrayLike,
    *,
    groups: ArrayLike | None,
    same_target_excluded: ArrayLike,
    draws: int = 1000,
    seed: int = 0,
) -> dict[str, Score]:
    """Mean average precision and precision in the first six of cosine retrieval.

    Args:
        x: [n, d] embeddings.
        target: [n] labels that make a hit (subject or expression); missing ones (-1) are left
            out.
        groups: [n] subjects, for intervals over the queries' subjects.
        same_target_excluded: [n] labels, -1 where unknown; gallery images with the query's
            label are not candidates (identity: images of the query's own expression;
            expression: images of the query's own subject), so that no near-duplicate counts as
            a find.
        draws: bootstrap resamples.
        seed: of the subset of queries (at most 1,000) and gallery (at most 20,000).

    Returns:
        "map" and "precision@6"; null = a random ranking.

    Raises:
        DataError: x has gaps, lengths differ, or labels cannot be read.
    """
    t = read_labels(target, "target")
    x = read_matrix(x, "x", rows=len(t))
    excluded = read_labels(same_target_excluded, "same_target_excluded", rows=len(t))
    people = None if groups is None else read_groups(groups, len(t))[0]
    rng = np.random.default_rng(seed)
    known = np.flatnonzero(t >= 0)
    # A random order of the gallery makes ties random, where file order would favour subjects.
    gallery = rng.permutation(known)[:GALLERY]
    queries = np.sort(rng.permutation(known)[:QUERIES])
    values, chance = _ranked(unit_rows(x), t, excluded, queries, gallery)
    usable = np.isfinite(values[:, 0])
    if not usable.any():
        reason = Caution("no-candidates")
        return {key: undefined(reason, unit="fraction") for key in RETRIEVAL_KEYS}
    group = None if people is None else people[queries][usable]
    n = int(usable.sum())
    scores = mean_scores(
        dict(zip(RETRIEVAL_KEYS, values[usable].T, strict=True)), group, draws=draws, seed=seed
    )
    cautions = []
    if len(known) > min(len(gallery), len(queries)):
        cautions.append(
            Caution("queries-subset", queries=len(queries), gallery=len(gallery), total=len(known))
        )
    details = {"queries": n, "gallery": len(gallery)}
    return {
        key: replace(scores[key], null=float(null), details=details).with_caution(*cautions)
        for key, null in zip(RETRIEVAL_KEYS, chance[usable].mean(axis=0), strict=True)
    }


def _ranked(
    rows: NDArray[np.float32], target: Ints, excluded: Ints, queries: Ints, gallery: Ints
) -> tuple[Floats, Floats]:
    """Average precision and precision in the first six of each query, and of a random ranking.

    Returns:
        Two arrays [q, 2]; NaN for queries without a candidate to find.
    """
    values, chance = (np.full((len(queries), 2), np.nan) for _ in range(2))
    step = max(1, 8_000_000 // max(1, len(gallery)))
    for start in range(0, len(queries), step):
        q = queries[start : start + step]
        candidate = (excluded[q][:, None] != excluded[gallery]) | (excluded[q] < 0)[:, None]
        candidate &= q[:, None] != gallery
        cosine = np.round(rows[q] @ rows[gallery].T, ROUND)
        cosine[~candidate] = -np.inf
        order = np.argsort(-cosine, axis=1, kind="stable")
        hit = (target[q][:, None] == target[gallery]) & candidate
        ranked = np.take_along_axis(hit, order, axis=1)
        hits = ranked.cumsum(axis=1)
        precision = hits / np.arange(1, len(gallery) + 1)
        relevant, size = hits[:, -1], candidate.sum(axis=1)
        ok = relevant > 0
        at = start + np.flatnonzero(ok)
        relevant, size = relevant[ok], size[ok]
        values[at, 0] = (precision * ranked)[ok].sum(axis=1) / relevant
        values[at, 1] = ranked[ok, :6].sum(axis=1) / np.minimum(6, size)
        chance[at, 0] = expected_average_precision(relevant, size)
        chance[at, 1] = relevant / size
    return values, chance


def nearest_images(
    x: ArrayLike, expression: ArrayLike, *, queries: int = 7, hits: int = 6, seed: int = 0
) -> list[dict[str, object]]:
    """Top lists by cosine for a few queries, one expression after the other.

    Returns:
        For each query {"query": row, "hits": [rows], "cosine": [values]}, nearest first; rows
        are positions in x.

    Raises:
        DataError: x has gaps, lengths differ, or labels cannot be read.

    >>> nearest_images([[1, 0], [1, 0.1], [0, 1]], [0, 0, 1], queries=1, hits=2)[0]["hits"]
    [1, 2]
    """
    y = read_labels(expression, "expression")
    rows = unit_rows(read_matrix(x, "x", rows=len(y)))
    order = np.random.default_rng(seed).permutation(len(y))
    # The k-th image of every expression before the (k + 1)-th of any.
    turn = np.empty(len(y), dtype=np.int64)
    for code in np.unique(y):
        mine = order[y[order] == code]
        turn[mine] = np.arange(len(mine))
    chosen = np.lexsort((y, turn))[:queries]
    out: list[dict[str, object]] = []
    for query in chosen:
        cosine = np.round(rows @ rows[query], ROUND)
        cosine[query] = -np.inf
        near = order[np.argsort(-cosine[order], kind="stable")][: min(hits, len(y) - 1)]
        out.append(
            {
                "query": int(query),
                "hits": [int(k) for k in near],
                "cosine": [float(cosine[k]) for k in near],
            }
        )
    return out
