"""Information-theoretic separation of expression and identity: `adapter`, and `DICEFER`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fer_bench.baselines.dice_fer.front import DICEFER

__all__ = ["DICEFER"]


def __getattr__(name: str) -> Any:
    # Loaded when first asked for: the registry imports the adapter alone.
    if name != "DICEFER":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from fer_bench.baselines.dice_fer.front import DICEFER

    return DICEFER
