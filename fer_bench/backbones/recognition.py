"""Face recognition as a judge: codes of faces whose cosine says how alike two people look."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

from fer_bench.backbones.build import build_backbone
from fer_bench.backbones.mobilefacenet import SIDE
from fer_bench.data.augment import normalise

_BATCH = 64


def recogniser(weights: str | Path) -> Callable[[NDArray[np.uint8]], NDArray[np.float32]]:
    """MobileFaceNet (Chen et al., CCBR 2018) with weights from a file, frozen.

    Args:
        weights: its file.

    Returns:
        From faces uint8 [n, h, w, 1 or 3] of any size, cut as the network expects them, to codes
        [n, 128].

    Raises:
        MethodError: the weights do not fit.
    """
    network = build_backbone("mobilefacenet", size=SIDE, weights=weights, output="code").eval()

    def codes(faces: NDArray[np.uint8]) -> NDArray[Any]:
        out = []
        with torch.no_grad():
            for start in range(0, len(faces), _BATCH):
                block = torch.from_numpy(faces[start : start + _BATCH]).permute(0, 3, 1, 2).float()
                block = functional.interpolate(block, (SIDE, SIDE), mode="bicubic", antialias=True)
                block = block.round().clamp(0, 255).byte().expand(-1, 3, -1, -1)
                out.append(network(normalise(block, "imagenet")).numpy())
        return np.concatenate(out)

    return codes
