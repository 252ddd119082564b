"""Small copies of faces: what a result folder keeps of them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from fer_bench.data.faces import FaceData

SIDE = 48  # of a small copy, in pixels, at most
MOST = 20_000  # faces of a set that are kept as small copies


def thumbnails(data: FaceData, *, side: int = SIDE, most: int = MOST) -> NDArray[np.uint8] | None:
    """Small copies of all faces for maps and grids; None where there are too many to keep."""
    if len(data) > most:
        return None
    step = _block(data.shape[1], side)
    chunks = []
    for start in range(0, len(data), 2048):
        faces = data.gather(np.arange(start, min(start + 2048, len(data))))
        n, h, w, c = faces.shape
        faces = faces[:, : h - h % step, : w - w % step]
        blocks = faces.reshape(n, h // step, step, w // step, step, c)
        chunks.append(blocks.mean((2, 4)).round().astype(np.uint8))
    return np.concatenate(chunks)


def reduced(images: Tensor, *, side: int = SIDE) -> Tensor:
    """Images [B, C, H, W] in the size of the `thumbnails` of such faces: means of blocks.

    >>> import torch
    >>> reduced(torch.zeros(2, 3, 112, 112)).shape
    torch.Size([2, 3, 37, 37])
    """
    return functional.avg_pool2d(images, _block(images.shape[2], side))


def _block(height: int, side: int) -> int:
    """Pixels of a face, along either side, that become one."""
    return max(1, -(-height // side))
