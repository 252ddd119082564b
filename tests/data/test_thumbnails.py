"""Small copies of faces, from arrays and from tensors."""

import numpy as np
import pandas as pd
import pytest
import torch

from fer_bench.data.faces import FaceData
from fer_bench.data.thumbnails import reduced, thumbnails


@pytest.mark.parametrize("size", [20, 48, 50, 112])
@pytest.mark.parametrize("channels", [1, 3])
def test_tensors_become_as_small_as_faces_do(size, channels):
    images = np.random.default_rng(0).integers(0, 256, (3, size, size, channels), dtype=np.uint8)
    small = thumbnails(FaceData(images, pd.DataFrame({"expression": ["anger"] * 3})))
    assert max(small.shape[1:3]) <= 48
    again = reduced(torch.from_numpy(images).permute(0, 3, 1, 2).float())
    assert np.abs(again.permute(0, 2, 3, 1).numpy() - small).max() <= 0.51


def test_too_many_faces_are_not_kept():
    faces = FaceData(np.zeros((3, 8, 8, 1), np.uint8), pd.DataFrame(index=range(3)))
    assert thumbnails(faces, most=2) is None
