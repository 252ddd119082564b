"""What a face-recognition network reads of a person: the ceiling of identity leaks."""

from __future__ import annotations

from functools import lru_cache
from hashlib import blake2b
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from fer_bench.backbones import build_backbone
from fer_bench.backbones.mobilefacenet import DIM, SIDE
from fer_bench.baselines.references.adapter import Frozen
from fer_bench.data.augment import normalise
from fer_bench.errors import MissingExtraError
from fer_bench.method import Method, MethodInfo, Task

CHIP = 150  # side of the faces that the network was trained on
WEIGHTS = "models/dlib_face_recognition_resnet_model_v1.dat"

_known: dict[bytes, NDArray[np.float32]] = {}  # 0.7 kB a face


class FaceDescriptor(Frozen):
    """A 128-d descriptor of a face-recognition network, and a linear head on it.

    Without weights of one's own it is that of dlib, trained on some three million faces; with
    `weights` that of MobileFaceNet. It is not trained further. Every face is seen whole, as the
    data set stores it: prepared crops need no detector, which misses most small faces.
    """

    info = MethodInfo(
        name="face-descriptor",
        title="face descriptor",
        paper="King, dlib 19.3: face recognition with deep metric learning",
        year=2017,
        role="reference",
    )

    class Config(Method.Config):
        """Attributes:
        weights: a local file of MobileFaceNet weights, instead of dlib's network.
        """

        later_keys = ("weights",)
        weights: str | None = None

    def __init__(self, task: Task, config: Config) -> None:
        super().__init__(task, config)
        self.network = None
        if config.weights is None:
            _network()  # a missing package is told before anything is trained
        else:
            self.network = build_backbone(
                "mobilefacenet", size=SIDE, weights=config.weights, output="code", freeze="all"
            )
        self.build_head(DIM)

    def features(self, images: Tensor) -> Tensor:
        """[B, C, H, W] -> [B, 128]; a face that was seen before is looked up."""
        if self.network is not None:
            pixels = torch.from_numpy(chips(images, SIDE)).permute(0, 3, 1, 2)
            return self.network(normalise(pixels, "imagenet").to(images.device))
        descriptors = np.stack([descriptor(chip) for chip in chips(images)])
        return torch.from_numpy(descriptors).to(images.device)

    def frozen_modules(self) -> list[nn.Module]:
        """The network, where it is one of torch's."""
        return [] if self.network is None else [self.network]


def descriptor(chip: NDArray[np.uint8]) -> NDArray[np.float32]:
    """One face uint8 [150, 150, 3] -> [128]; once a face, and not once an epoch, seed and fold."""
    key = blake2b(chip.tobytes(), digest_size=16).digest()
    if key not in _known:
        _known[key] = np.array(_network().compute_face_descriptor(chip), dtype=np.float32)
    return _known[key]


def chips(images: Tensor, side: int = CHIP) -> NDArray[np.uint8]:
    """Normalised faces [B, C, H, W] as photographs again: uint8 [B, side, side, 3].

    However faces were normalised, each gets the mean and contrast of a usual photograph.

    >>> chips(torch.zeros(1, 1, 32, 32)).shape
    (1, 150, 150, 3)
    """
    pixels = images.detach().float().cpu().flatten(1)
    pixels = (pixels - pixels.mean(1, keepdim=True)) / pixels.std(1, keepdim=True).clamp_min(1e-6)
    faces = (128 + 56 * pixels).clamp(0, 255).reshape(images.shape)
    faces = functional.interpolate(faces, (side, side), mode="bicubic", align_corners=False)
    faces = faces.clamp(0, 255).round().byte().expand(-1, 3, -1, -1)
    return np.ascontiguousarray(faces.permute(0, 2, 3, 1).numpy())


@lru_cache(maxsize=1)
def _network() -> Any:
    """The network with the weights that `face-recognition-models` ships (CC0).

    That package is not imported: it needs `pkg_resources`, which setuptools no longer has.
    """
    what = "the method 'face-descriptor'"
    try:
        import dlib
    except ImportError:
        raise MissingExtraError("dlib", "face-recognition", what) from None
    package = find_spec("face_recognition_models")
    if package is None or not package.submodule_search_locations:
        raise MissingExtraError("face-recognition-models", "face-recognition", what)
    weights = Path(next(iter(package.submodule_search_locations))) / WEIGHTS
    return dlib.face_recognition_model_v1(str(weights))
