"""Rendered 3-D faces with exact factors: made from a morphable model, not read."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fer_bench.data.faces import DataInfo
from fer_bench.data.reader import Renderer
from fer_bench.data.readers.generated import dependence_notes
from fer_bench.errors import DataError


class Morphable(Renderer):
    """Faces of `fer_bench.data.synthetic.morphable`, from ICT-FaceKit."""

    info = DataInfo(
        name="morphable",
        title="Rendered 3-D faces (ICT-FaceKit)",
        terms="MIT licence of ICT-FaceKit; the faces are no real people.",
        citation="Li et al., Learning Formation of Physically-Based Face Attributes, CVPR 2020",
        subjects="generated",
        valence_arousal=True,
        attributes=("skin", "hair", "hair_style", "beard"),
        publish_faces=True,
        protocol="subject-disjoint folds; the training part may tie expression to subject group",
    )
    folder = "ict_facekit"

    def maker(self) -> Callable[..., Any]:
        """`generate_morphable`."""
        from fer_bench.data.synthetic.morphable import generate_morphable

        return generate_morphable

    def render(
        self, root: Path | None, *, size: int, color: bool, **options: Any
    ) -> tuple[NDArray[np.uint8], pd.DataFrame, Mapping[str, Any]]:
        """Make faces from the `.npz` of the model or the official folder of OBJ files."""
        if root is None:
            raise DataError(
                "data set 'morphable' needs the ICT-FaceKit model: pass root= (the .npz or the "
                "official folder), or provide $FER_BENCH_DATA/ict_facekit."
            )
        models = sorted(root.glob("*.npz")) if root.is_dir() else []
        model = models[0] if models else root
        images, table, about = self.maker()(model, size=size, color=color, **options)
        return images, table, dependence_notes(about)


reader = Morphable()
