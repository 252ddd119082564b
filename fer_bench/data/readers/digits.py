"""Coloured digits as a data set: made, not read; no download."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fer_bench.data.cache import source_hash
from fer_bench.data.faces import DataInfo
from fer_bench.data.reader import Renderer, keyword_options


class Digits(Renderer):
    """Digits of `fer_bench.data.synthetic.digits`."""

    info = DataInfo(
        name="digits",
        title="Coloured digits",
        terms="Digits: UCI machine learning repository, CC BY 4.0, as scikit-learn ships them.",
        citation="Alpaydin and Kaynak, Optical recognition of handwritten digits, UCI, 1998; in "
        "the design of Sanchez, Serrurier and Ortner, Learning disentangled representations via "
        "mutual information estimation, ECCV 2020.",
        subjects="generated",
        attributes=("ink", "paper"),
        publish_faces=True,
        protocol="folds disjoint in pairs of colours; every digit is used once",
    )

    def render(
        self, root: Path | None, *, size: int, color: bool, **options: Any
    ) -> tuple[NDArray[np.uint8], pd.DataFrame, Mapping[str, Any]]:
        """Paint the digits."""
        from fer_bench.data.synthetic.digits import coloured_digits

        return coloured_digits(size=size, color=color, **options)

    def version(self) -> str:
        """Changes with the code that paints them."""
        from fer_bench.data import synthetic

        return source_hash(Path(synthetic.__file__).parent)

    def options(self) -> tuple[str, ...]:
        """Options of `coloured_digits`."""
        from fer_bench.data.synthetic.digits import coloured_digits

        return tuple(o for o in keyword_options(coloured_digits) if o not in ("size", "color"))


reader = Digits()
