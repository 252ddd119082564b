"""The columns that attackers learn from: standardised, or the leading components of many.

Learning is cubic in the columns, and a few thousand faces say little of more directions than a few
hundred. The ignorant attacker learns nothing and sees all columns.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from fer_bench.attackers.faces import Faces
from fer_bench.cautions import Caution
from fer_bench.metrics.common import Floats, column_scale, scaled

MOST = 512  # columns that attackers learn from
PASSES = 2  # of the randomised decomposition over the faces


@dataclass(frozen=True)
class Columns:
    """An affine map from embeddings to what attackers learn from, fitted on training faces.

    Attributes:
        mean, spread: [d] of the training faces.
        axes: [d, k] principal axes of the standardised columns; None where these are few.
        variance: share of the variance of the training faces that is left.
    """

    mean: Floats
    spread: Floats
    axes: Floats | None = None
    variance: float = 1.0

    def __call__(self, x: Floats) -> Floats:
        """[n, k] of rows [n, d]."""
        standard = scaled(x, self.mean, self.spread)
        return standard if self.axes is None else standard @ self.axes

    def of(self, faces: Faces) -> Faces:
        """The same faces in these columns."""
        return faces.with_x(self(faces.x))

    def narrow(self, faces: Faces) -> Faces:
        """The faces as they are, in components where there are too many columns to learn from."""
        return faces if self.axes is None else self.of(faces)

    @property
    def cautions(self) -> tuple[Caution, ...]:
        """That attackers learn from components, where they do."""
        if self.axes is None:
            return ()
        columns, kept = self.axes.shape
        return (Caution("wide-embedding", columns=columns, kept=kept, variance=self.variance),)


@lru_cache(maxsize=1)  # every attacker learns from the same faces, one after the other
def columns_of(train: Faces, most: int = MOST) -> Columns:
    """The columns for attackers that learn from these faces.

    Up to `most` of them are the standardised ones. More are replaced by their principal components
    (Halko, Martinsson and Tropp, SIAM Review 2011), `most` at most: nothing is lost where the
    standardised faces span no more dimensions, as with fewer faces than that.

    >>> rng = np.random.default_rng(0)
    >>> wide = rng.normal(size=(60, 3)) @ rng.normal(size=(3, 900))
    >>> columns_of(Faces.of_people(wide, np.arange(60) // 4, np.arange(60) % 4))(wide).shape
    (60, 3)
    """
    mean, spread = column_scale(train.x)
    plain = Columns(mean, spread)
    if len(mean) <= most:
        return plain
    from sklearn.utils.extmath import randomized_svd  # heavy

    standard = plain(train.x)
    k = min(most, len(standard))
    _, size, axes = randomized_svd(standard, k, n_iter=PASSES, random_state=0)
    kept = size > 1e-7 * max(size[0], 1e-300)
    kept[0] = True  # a constant embedding has no component, and attackers need a column
    share = float(np.sum(size[kept] ** 2) / max(np.sum(standard**2), 1e-300))
    return Columns(mean, spread, axes[kept].T, share)
