"""Procedural faces with exact factors: made, not read."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fer_bench.data.faces import DataInfo
from fer_bench.data.reader import Renderer


class Generated(Renderer):
    """Faces of `fer_bench.data.synthetic.generated`."""

    info = DataInfo(
        name="generated",
        title="Generated faces",
        terms="Made by this program; no person is shown, no terms apply.",
        subjects="generated",
        valence_arousal=True,
        publish_faces=True,
        protocol="subject-disjoint folds; the training part may tie expression to subject group",
    )

    def maker(self) -> Callable[..., Any]:
        """`generate`."""
        from fer_bench.data.synthetic.generated import generate

        return generate

    def render(
        self, root: Path | None, *, size: int, color: bool, **options: Any
    ) -> tuple[NDArray[np.uint8], pd.DataFrame, Mapping[str, Any]]:
        """Render the faces; options as for `generate`."""
        images, table, about = self.maker()(size=size, color=color, **options)
        return images, table, dependence_notes(about)


def dependence_notes(about: Mapping[str, Any]) -> dict[str, str]:
    """How far group and expression depend on each other, in words for the data card."""
    return {
        f"group and expression in {part}": ", ".join(
            f"{measure.replace('_', ' ')} {value:.3f}" for measure, value in measures.items()
        )
        for part, measures in about["dependence"].items()
    }


reader = Generated()
