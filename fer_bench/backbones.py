"""Image encoders under one name: the suite's own small nets, and every timm model.

A `Backbone` gives a feature map [B, M, h, w] (for local critics and maps) and a feature vector
[B, F]. Weights come from a local file (safetensors, or a state dict read with
``weights_only=True``) or, where the machine has network, from timm's hub.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from pydantic import BaseModel, ConfigDict, model_validator
from torch import Tensor, nn

from fer_bench.errors import MethodError, did_you_mean
from fer_bench.weights import load_weights

logger = logging.getLogger(__name__)


class BackboneConfig(BaseModel):
    """Which encoder a method uses; in an experiment file also just its name.

    Attributes:
        name: "conv4", "alexnet-tuned", or any timm model ("resnet18", "mixer_b16_224", ...).
        weights: a local file of weights.
        pretrained: fetch timm's weights for `name` from the hub.
        width: channels of the first layer of "conv4"; the other nets ignore it.

    >>> BackboneConfig.model_validate("resnet18").name
    'resnet18'
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = "conv4"
    weights: str | None = None
    pretrained: bool = False
    width: int = 16

    @model_validator(mode="before")
    @classmethod
    def _from_name(cls, value: Any) -> Any:
        return {"name": value} if isinstance(value, str) else value

    def build(self, shape: tuple[int, int, int]) -> Backbone:
        """The encoder for faces of (channels, height, width)."""
        channels, height, width = shape
        if height != width:
            raise MethodError(f"backbones take square faces, not {height} x {width} pixels.")
        return build_backbone(
            self.name,
            channels=channels,
            size=height,
            weights=self.weights,
            pretrained=self.pretrained,
            width=self.width,
        )


class Backbone(nn.Module):
    """An encoder with a feature map and a feature vector.

    Attributes:
        map_channels: M, channels of `features`.
        num_features: F, length of `forward`.
        weights_report: where its weights came from, key by key where it matters; empty for
            random ones.

    >>> net = build_backbone("conv4", size=32, width=8)
    >>> images = torch.zeros(2, 3, 32, 32)
    >>> net.features(images).shape, net(images).shape
    (torch.Size([2, 64, 2, 2]), torch.Size([2, 256]))
    """

    def __init__(
        self,
        body: nn.Module,
        *,
        map_channels: int,
        pool: nn.Module | None = None,
        num_features: int | None = None,
        to_map: Callable[[Tensor], Tensor] | None = None,
    ) -> None:
        super().__init__()
        self.body = body
        self.pool = pool if pool is not None else GlobalAverage()
        self.map_channels = map_channels
        self.num_features = num_features if num_features is not None else map_channels
        self.weights_report = ""
        self._to_map = to_map

    def features(self, images: Tensor) -> Tensor:
        """[B, C, H, W] images -> feature map [B, M, h, w]."""
        found = self.body(images)
        return found if self._to_map is None else self._to_map(found)

    def forward(self, images: Tensor) -> Tensor:
        """[B, C, H, W] images -> feature vectors [B, F]."""
        return self.pool(self.features(images))


class GlobalAverage(nn.Module):
    """[B, M, h, w] -> [B, M], the mean over positions."""

    def forward(self, maps: Tensor) -> Tensor:
        """Average over the last two axes."""
        return maps.mean((2, 3))


def build_backbone(
    name: str,
    *,
    channels: int = 3,
    size: int = 64,
    weights: str | Path | None = None,
    pretrained: bool = False,
    width: int = 16,
) -> Backbone:
    """Build an encoder for square faces.

    Args:
        name: "conv4", "alexnet-tuned", or a timm model.
        channels, size: of the images.
        weights: a local file: safetensors, or a state dict that torch can read with
            ``weights_only=True``. Prefixes ("module.", "backbone.") are stripped, classifier
            heads dropped; anything else that does not fit is refused with the keys.
        pretrained: fetch timm's weights from the hub (needs network or a filled cache).
        width: channels of conv4's first layer.

    Raises:
        MethodError: unknown name, images too small, weights that do not fit or cannot be had.
    """
    if name == "conv4":
        backbone = _conv4(channels, size, width)
    elif name == "alexnet-tuned":
        backbone = _alexnet_tuned(channels, size)
    else:
        backbone = _timm(name, channels, size, pretrained)
    if pretrained and name in ("conv4", "alexnet-tuned"):
        raise MethodError(
            f"the backbone {name!r} has no weights on any hub: set backbone.weights to a file "
            "or backbone.pretrained to false."
        )
    _refuse_too_small(backbone, name, channels, size)
    if weights is not None:
        report = load_weights(backbone.body, weights)
        backbone.weights_report = str(report)
        logger.info("%s", report)
    return backbone


def _conv4(channels: int, size: int, width: int) -> Backbone:
    """Four convolutions and a pool that keeps a 4 x 4 layout of the face.

    Halving the resolution in the first layer makes it fast on a CPU; max-pooling after the
    others and keeping the layout make it learn small parts (a mouth corner) from few faces:
    strided convolutions with a global average reach half its accuracy on generated faces.
    """
    layers: list[nn.Module] = []
    for i in range(4):
        fan_in, fan_out = channels if i == 0 else width * 2 ** (i - 1), width * 2**i
        kernel, stride = (5, 2) if i == 0 else (3, 1)
        layers += [
            nn.Conv2d(fan_in, fan_out, kernel, stride=stride, padding=kernel // 2, bias=False),
            nn.BatchNorm2d(fan_out),
            nn.ReLU(),
        ]
        if i > 0:
            layers.append(nn.MaxPool2d(2))
    side = min(4, max(1, math.ceil(size / 2) // 8))
    pool = nn.Sequential(nn.AdaptiveAvgPool2d(side), nn.Flatten())
    channels_out = 8 * width
    return Backbone(
        nn.Sequential(*layers),
        map_channels=channels_out,
        pool=pool,
        num_features=channels_out * side * side,
    )


def _alexnet_tuned(channels: int, size: int) -> Backbone:
    """AlexNet's convolutions, then FC(32) and FC(512), the light backbone of CAF, ELIM and EIF."""
    from torchvision.models import alexnet

    body = alexnet(weights=None).features
    if channels != 3:
        body[0] = nn.Conv2d(channels, 64, kernel_size=11, stride=4, padding=2)
    with torch.no_grad():
        try:
            flat = body(torch.zeros(1, channels, size, size)).numel()
        except RuntimeError:
            raise MethodError(
                f"alexnet-tuned needs faces of at least 63 pixels, not {size}: raise data.size or "
                "take another backbone."
            ) from None
    pool = nn.Sequential(
        nn.Flatten(), nn.Linear(flat, 32), nn.ReLU(), nn.Linear(32, 512), nn.ReLU()
    )
    return Backbone(body, map_channels=256, pool=pool, num_features=512)


def _timm(name: str, channels: int, size: int, pretrained: bool) -> Backbone:
    import timm

    logging.getLogger("huggingface_hub").setLevel(logging.ERROR)  # we say it in one sentence
    if name not in timm.list_models() and name.split(".")[0] not in timm.list_models():
        known = ["conv4", "alexnet-tuned", *timm.list_models()]
        near = did_you_mean(name, known)
        hint = near if near.startswith("did") else "see timm.list_models()."
        raise MethodError(f"there is no backbone {name!r}: {hint}")
    options: dict[str, Any] = {
        "pretrained": pretrained,
        "in_chans": channels,
        "num_classes": 0,
        "global_pool": "",
    }
    try:
        try:
            body: Any = timm.create_model(name, img_size=size, **options)
        except TypeError:  # convolutional nets take any size and do not know the option
            body = timm.create_model(name, **options)
    except (AssertionError, ValueError, RuntimeError) as error:
        if pretrained:
            raise _no_hub(name, error) from None
        raise MethodError(f"timm cannot build {name!r} for {size} pixels: {error}") from None
    except Exception as error:  # the hub client raises a dozen kinds when there is no network
        raise _no_hub(name, error) from None
    width = int(body.num_features)
    prefix = int(getattr(body, "num_prefix_tokens", 0))
    backbone = Backbone(body, map_channels=width, to_map=_map_maker(width, prefix))
    if pretrained:
        backbone.weights_report = f"timm's published weights of {name!r}"
    return backbone


def _no_hub(name: str, error: Exception) -> MethodError:
    return MethodError(
        f"the weights of {name!r} cannot be fetched from the hub ({type(error).__name__}): "
        "connect the machine, or set backbone.weights to a local file, or backbone.pretrained "
        "to false."
    )


def _map_maker(width: int, prefix: int) -> Callable[[Tensor], Tensor]:
    """What turns the output of a timm model into [B, M, h, w]: maps, channels-last or tokens."""

    def to_map(found: Tensor) -> Tensor:
        if found.ndim == 4:
            return found if found.shape[1] == width else found.permute(0, 3, 1, 2)
        tokens = found[:, prefix:] if found.ndim == 3 else found[:, None]
        side = int(tokens.shape[1] ** 0.5)
        shape = (side, side) if side * side == tokens.shape[1] else (tokens.shape[1], 1)
        return tokens.transpose(1, 2).unflatten(2, shape)

    return to_map


@torch.no_grad()
def _refuse_too_small(backbone: Backbone, name: str, channels: int, size: int) -> None:
    training = backbone.training
    backbone.eval()
    try:
        found = backbone.features(torch.zeros(1, channels, size, size))
    except (RuntimeError, AssertionError) as error:
        raise MethodError(
            f"the backbone {name!r} cannot take {channels} x {size} x {size} faces: "
            f"{str(error).splitlines()[0]}"
        ) from None
    finally:
        backbone.train(training)
    if found.shape[1] != backbone.map_channels:
        raise MethodError(
            f"the backbone {name!r} gives maps of {found.shape[1]} channels, not the "
            f"{backbone.map_channels} it announces: it cannot be used."
        )
