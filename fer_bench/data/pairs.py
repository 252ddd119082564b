"""Partners: another person with the same expression."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fer_bench.cautions import Caution
from fer_bench.labels import equal_runs, outside_run


class PairSampler:
    """Draws, for every anchor, an image of the same expression and a different subject.

    Drawn uniformly over the images that qualify, in constant time an anchor. Where none does
    it falls back, and `cautions` says how often: first to another image of the same expression,
    then to the image itself. An image of an unknown subject may show the anchor's person, so it
    is only drawn as a fallback.

    Args:
        expression: [N] int codes, -1 where missing.
        subject: [N] int codes, -1 where missing.
        seed: of the generator used when `partners` is given none.

    >>> sampler = PairSampler([0, 0, 1, 1], [7, 8, 7, 8], seed=0)
    >>> sampler.partners([0, 1, 2, 3]).tolist(), sampler.cautions
    ([1, 0, 3, 2], ())
    """

    def __init__(self, expression: ArrayLike, subject: ArrayLike, *, seed: int = 0) -> None:
        expression = np.asarray(expression, dtype=np.int64)
        subject = np.asarray(subject, dtype=np.int64)
        if expression.shape != subject.shape or expression.ndim != 1:
            raise ValueError(
                f"expression {expression.shape} and subject {subject.shape} must be [N] both."
            )
        self._rng = np.random.default_rng(seed)
        # Sorted by expression, then subject: both "same expression" and "same person within it"
        # are contiguous blocks, and "another person" is a block with a hole.
        self._order = np.lexsort((subject, expression))
        e, s = expression[self._order], subject[self._order]
        position = np.empty_like(self._order)
        position[self._order] = np.arange(len(e))
        self._position = position
        start, end = equal_runs(e)
        hole, hole_end = equal_runs(e, s)
        unknown = np.where(s < 0, hole_end - hole, 0)
        first_known = (
            start
            + np.maximum.reduceat(unknown, np.unique(start))[
                np.searchsorted(np.unique(start), start)
            ]
            if len(e)
            else start
        )
        strict = (e >= 0) & (s >= 0)
        n_strict = np.where(strict, (end - first_known) - (hole_end - hole), 0)
        loose = (e >= 0) & (n_strict == 0)
        here = np.arange(len(e))
        # Per sorted position: the block to draw from, and the hole in it.
        self._start = np.where(n_strict > 0, first_known, start)
        self._hole = np.where(n_strict > 0, hole, here)
        self._width = np.where(n_strict > 0, hole_end - hole, 1)
        self._count = np.where(n_strict > 0, n_strict, np.where(e >= 0, end - start - 1, 0))
        self.cautions = _cautions(
            unlabelled=int((e < 0).sum()),
            unknown_subject=int(((e >= 0) & (s < 0) & (self._count > 0)).sum()),
            same_person=int((loose & (s >= 0) & (self._count > 0)).sum()),
            alone=int(((e >= 0) & (self._count == 0)).sum()),
        )

    def partners(
        self, anchors: ArrayLike, rng: np.random.Generator | None = None
    ) -> NDArray[np.int64]:
        """[B] rows -> [B] rows of their partners.

        Args:
            anchors: rows of the arrays given at construction.
            rng: the source of randomness, for runs that repeat exactly.
        """
        rng = rng or self._rng
        at = self._position[np.asarray(anchors, dtype=np.int64)]
        count = self._count[at]
        drawn = self._start[at] + rng.integers(0, np.maximum(count, 1))
        drawn = outside_run(drawn, self._hole[at], self._width[at])
        return self._order[np.where(count > 0, drawn, at)]


def _cautions(**faces: int) -> tuple[Caution, ...]:
    return tuple(
        Caution(f"pairs-{code.replace('_', '-')}", faces=n) for code, n in faces.items() if n
    )
