"""Size and speed of a method, as they were measured when it was trained."""

from __future__ import annotations

from collections.abc import Mapping

from fer_bench.arrays import RunArrays
from fer_bench.metrics.metric import metric
from fer_bench.score import Score, ScoreSpec

REGIMES = ((5e6, "light"), (20e6, "middle"))
"""Table 3 of the EIF paper: below 5 M light, over 20 M heavy; it has no word for 5 to 10 M."""

SPECS = (
    ScoreSpec(
        "parameters",
        "Parameters (M)",
        "Millions of parameters that take part in a prediction; below 5 a model is called light, "
        "over 20 heavy.",
        unit="",
        range=(0, float("inf")),
        column="more",
        order=200,
    ),
    ScoreSpec(
        "multiply_adds",
        "Multiply-adds (M)",
        "Millions of multiply-adds in matrix products and convolutions for one face.",
        unit="",
        range=(0, float("inf")),
        column="more",
        order=201,
    ),
    ScoreSpec(
        "images_per_s",
        "Faces/s",
        "Faces predicted in a second, 64 at once, on the machine that trained.",
        unit="count",
        range=(0, float("inf")),
        column="more",
        order=202,
    ),
)


@metric("size", needs={"size"}, default=False, scores=SPECS)
def size(run: RunArrays, *, seed: int = 0) -> dict[str, Score]:
    """Parameters, multiply-adds and faces a second; asked for by name."""
    measured = run.facts["size"]
    assert isinstance(measured, Mapping)
    millions = float(measured["parameters"]) / 1e6
    return {
        "parameters": Score(millions, unit="", details={"regime": regime(millions * 1e6)}),
        "multiply_adds": Score(float(measured["multiply_adds"]) / 1e6, unit=""),
        "images_per_s": Score(float(measured["images_per_s"]), unit="count"),
    }


def regime(parameters: float) -> str:
    """Light, middle or heavy, as in the EIF paper's tables.

    >>> regime(60_000), regime(11.2e6), regime(59e6)
    ('light', 'middle', 'heavy')
    """
    return next((word for limit, word in REGIMES if parameters < limit), "heavy")
