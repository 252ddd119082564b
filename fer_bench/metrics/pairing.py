"""Pairs of images that share an expression and nothing else that is known."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from fer_bench.labels import equal_runs, groups_of_codes, outside_run, read_labels, renumbered
from fer_bench.metrics.common import Ints

BLOCKS = 20  # groups of images within which pairs are drawn


def expression_pairs(
    expression: ArrayLike,
    subject: ArrayLike | None,
    *,
    sequence: ArrayLike | None = None,
    blocks: int = BLOCKS,
    seed: int = 0,
) -> tuple[Ints, Ints, Ints]:
    """Pair every image with one of the same expression and another subject.

    Images (whole sequences, where they are known) are dealt at random into blocks, evenly over
    expressions, and partners are looked for within the block. A block can so be kept out as a
    whole: a critic has seen neither image of a kept-out pair, in neither role. Subjects are
    spread over all blocks on purpose. Critics that are valued on strangers only miss what the
    embeddings tell of people (a planted leak of two nats read -1.1), and blocks of two
    subjects would let the one image betray the subject of the other.

    Args:
        expression: [n] labels; rows without one (-1) have no partner.
        subject: [n] labels; None or -1: any other image of the expression will do.
        sequence: [n] labels of images to keep together, -1 alone.
        blocks: at most; fewer where a block could not hold several pairs of each expression.
        seed: of blocks and partners.

    Returns:
        Rows m, their partners and the block of each pair, equally long; rows without a partner
        are left out.

    Raises:
        DataError: lengths differ, or labels cannot be read.

    >>> m, partner, block = expression_pairs([0, 0, 1, 1], [0, 1, 0, 1])
    >>> partner.tolist()
    [1, 0, 3, 2]
    """
    y = renumbered(read_labels(expression, "expression"))
    s = np.full(len(y), -1) if subject is None else read_labels(subject, "subject", rows=len(y))
    q = None if sequence is None else read_labels(sequence, "sequence", rows=len(y))
    rng = np.random.default_rng(seed)
    known = np.flatnonzero(y >= 0)
    smallest = np.unique(y[known], return_counts=True)[1].min() if len(known) else 0
    count = int(np.clip(smallest // 4, 1, blocks))
    block = _deal(y, q, count, rng)
    partner = np.full(len(y), -1, dtype=np.int64)
    cell = np.where(y >= 0, block * (y.max(initial=0) + 1) + y, -1)
    for code in np.unique(cell[cell >= 0]):
        rows = rng.permutation(np.flatnonzero(cell == code))
        partner[rows] = _partners(rows, s[rows], rng)
    m = np.flatnonzero(partner >= 0)
    return m, partner[m], block[m]


def _deal(y: Ints, sequence: Ints | None, count: int, rng: np.random.Generator) -> Ints:
    """Deal images (or sequences) into blocks, evenly over expressions."""
    unit = np.arange(len(y)) if sequence is None else groups_of_codes(sequence)
    _, first, unit = np.unique(unit, return_index=True, return_inverse=True)
    order = rng.permutation(len(first))
    order = order[np.argsort(y[first[order]], kind="stable")]
    block = np.empty(len(first), dtype=np.int64)
    block[order] = np.arange(len(first)) % count
    return block[unit]


def _partners(rows: Ints, s: Ints, rng: np.random.Generator) -> Ints:
    """A random other row of another subject for each row, -1 where there is none."""
    n = len(rows)
    out = np.full(n, -1, dtype=np.int64)
    if n < 2:
        return out
    # Sorted by subject, everybody outside a subject's run is a partner: draw among those.
    order = np.argsort(s, kind="stable")
    ordered = s[order]
    start, stop = equal_runs(ordered)
    unknown = ordered < 0
    own = np.arange(n)
    start, stop = np.where(unknown, own, start), np.where(unknown, own + 1, stop)
    others = n - (stop - start)
    draw = np.floor(rng.random(n) * others).astype(np.int64)
    choice = outside_run(draw, start, stop - start)
    out[order] = np.where(others > 0, rows[order[np.minimum(choice, n - 1)]], -1)
    return out
