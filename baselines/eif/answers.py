"""What CLIP answers about faces: EIF's attribute inference (eq. 3) as attribute readers."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from fer_bench.baselines.eif.attributes import AttributeConfig, load_clip
from fer_bench.baselines.eif.encoders import ClipEncoder
from fer_bench.baselines.eif.tiny_clip import load_tiny_clip
from fer_bench.data.answers import Answers
from fer_bench.data.faces import FaceData

_BATCH = 128


def clip(data: FaceData) -> Answers:
    """The answers of CLIP ViT-B/32, which must be cached or can be fetched.

    Raises:
        MethodError: its weights are neither here nor to be fetched.
    """
    return answered(ClipEncoder(*load_clip(AttributeConfig(encoder="clip"))), data)


def tiny_clip(data: FaceData) -> Answers:
    """The answers of this suite's own small CLIP, which knows generated faces alone."""
    return answered(ClipEncoder(*load_tiny_clip()), data)


def answered(encoder: ClipEncoder, data: FaceData) -> Answers:
    """Eq. 3 for every face: a softmax over the cosines of a face and the words."""
    parts: dict[str, list[Tensor]] = {name: [] for name in encoder.levels}
    for start in range(0, len(data), _BATCH):
        pixels = data.gather(np.arange(start, min(start + _BATCH, len(data))))
        images = torch.from_numpy(pixels).permute(0, 3, 1, 2).float()
        for name, chunk in encoder.probabilities(images).items():
            parts[name].append(chunk)
    shares = {name: torch.cat(chunks).double().numpy() for name, chunks in parts.items()}
    return Answers(dict(encoder.levels), shares)
