"""Lightning Fabric without what it imports and this package does not use.

Where torchmetrics is installed, Fabric imports all of it to compare its version, and with it
matplotlib, scipy and torchvision: half of what a run waits for before its first step.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

_UNUSED = "torchmetrics"


def _import_fabric() -> Any:
    hide = _UNUSED not in sys.modules
    if hide:
        sys.modules[_UNUSED] = None  # type: ignore[assignment]
    try:
        from lightning_fabric import Fabric
    finally:
        if hide:
            del sys.modules[_UNUSED]
    return Fabric


if TYPE_CHECKING:
    from lightning_fabric import Fabric
else:
    Fabric = _import_fabric()

__all__ = ["Fabric"]
