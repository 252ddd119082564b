"""The picture of a registered method, drawn with its losses on generated faces."""

from __future__ import annotations

from dataclasses import replace

from fer_bench.conformance.examples import example_batch, example_task
from fer_bench.conformance.rehearsal import training_mode
from fer_bench.diagram import plan_svg
from fer_bench.method import Method, Oracle
from fer_bench.registry import methods
from fer_bench.training.loop import materialise
from fer_bench.training.session import build_method
from fer_bench.training.stages import training_plan


def method_diagram(name: str) -> str:
    """SVG of a method's stages, players, frozen parts and loss terms, with default parameters.

    Args:
        name: registered name.

    Raises:
        UnknownNameError: there is no such method.
        FerBenchError: it cannot be built without parameters.
    """
    adapter = methods.get(name)
    method = build_method(adapter, adapter.Config(), example_task(), seed=0)
    if not isinstance(method, Oracle):
        materialise(method, example_batch(method.task))
    return plan_svg(training_plan(method), adapter.info.title, _terms(method))


def _terms(method: Method) -> dict[tuple[str, str], tuple[str, ...]]:
    """The terms that each player's loss gives on the example batch."""
    batch = example_batch(method.task)
    terms = {}
    for stage in method.stages():
        faces = batch if stage.batch == "pairs" else replace(batch, partner=None)
        with training_mode(method, stage):
            for player in stage.players:
                losses = player.loss(faces)
                terms[stage.name, player.name] = tuple(t for t in losses if t != "total")
    return terms
