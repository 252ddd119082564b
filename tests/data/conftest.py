"""Small pictures and trees in which data sets come."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image


class Pictures:
    """Writes small pictures that differ from each other, below one root."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.count = 0

    def array(self, size: tuple[int, int] = (40, 40)) -> np.ndarray:
        """A new picture: noise of coarse blocks, so that JPEG keeps it."""
        self.count += 1
        rng = np.random.default_rng(self.count)
        blocks = rng.integers(0, 255, (5, 5, 3), dtype=np.uint8)
        picture = Image.fromarray(blocks).resize(size, Image.Resampling.BILINEAR)
        return np.asarray(picture)

    def save(self, path: str, size: tuple[int, int] = (40, 40), **options) -> Path:
        file = self.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(self.array(size)).save(file, **options)
        return file

    def text(self, path: str, content: str, encoding: str = "utf-8") -> Path:
        file = self.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content.encode(encoding))
        return file


@pytest.fixture
def pictures(tmp_path: Path) -> Pictures:
    return Pictures(tmp_path / "set")
