"""Coloured digits as a data set: made, not read; no download."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from fer_bench.data.faces import DataInfo
from fer_bench.data.reader import Renderer


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

    def maker(self) -> Callable[..., Any]:
        """`coloured_digits`."""
        from fer_bench.data.synthetic.digits import coloured_digits

        return coloured_digits


reader = Digits()
