"""What a method says of its training, as plain data that a run keeps."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from torch import nn

from fer_bench.method import Method, Player, Stage


def training_plan(method: Method) -> list[dict[str, Any]]:
    """What a method says of its training, as plain JSON types: one entry per stage.

    Returns:
        For each stage its "name", "batch" ("images" or "pairs"), "share" of the epochs, "select"
        (what decides the kept epoch), the names of "frozen" modules, and its "players": "name",
        the names of the "modules" they own, "steps" a batch, and "claims", the terms they claim
        to raise or lower.

    >>> from fer_bench.conformance import example_task
    >>> from fer_bench.registry import methods
    >>> erm = methods.get("erm")
    >>> [stage] = training_plan(erm(example_task(), erm.Config()))
    >>> stage["name"], stage["batch"], [player["name"] for player in stage["players"]]
    ('train', 'images', ['model'])
    """
    names = {id(module): name for name, module in method.named_modules()}
    names |= {id(parameter): name for name, parameter in method.named_parameters()}
    return [_stage(stage, names) for stage in method.stages()]


def _stage(stage: Stage, names: Mapping[int, str]) -> dict[str, Any]:
    return {
        "name": stage.name,
        "batch": stage.batch,
        "share": stage.share,
        "select": stage.select,
        "frozen": [names.get(id(module), "?") for module in stage.frozen],
        "players": [_player(player, stage, names) for player in stage.players],
    }


def _player(player: Player, stage: Stage, names: Mapping[int, str]) -> dict[str, Any]:
    return {
        "name": player.name,
        "modules": [names.get(id(owned), "?") for owned in _grouped(player.modules)],
        "steps": player.steps,
        "claims": [
            {"term": claim.term, "effect": claim.effect, "what": claim.what}
            for claim in stage.claims
            if claim.player == player.name
        ],
    }


def _grouped(owned: Iterable[nn.Module | nn.Parameter]) -> list[nn.Module | nn.Parameter]:
    return list({id(part): part for part in owned}.values())
