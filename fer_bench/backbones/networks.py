"""Backbones that start from random weights, and those of timm."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from fer_bench.backbones.backbone import Backbone
from fer_bench.errors import MethodError, did_you_mean

OWN = ("conv4", "alexnet-tuned", "mobilefacenet")
"""Names that are not timm's."""


def conv4(channels: int, size: int, width: int) -> Backbone:
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


def alexnet_tuned(channels: int, size: int) -> Backbone:
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


def timm(name: str, channels: int, size: int, pretrained: bool) -> Backbone:
    import timm as library

    logging.getLogger("huggingface_hub").setLevel(logging.ERROR)  # we say it in one sentence
    if name not in library.list_models() and name.split(".")[0] not in library.list_models():
        known = [*OWN, *library.list_models()]
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
            body: Any = library.create_model(name, img_size=size, **options)
        except TypeError:  # convolutional nets take any size and do not know the option
            body = library.create_model(name, **options)
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

    def to_map(features: Tensor) -> Tensor:
        if features.ndim == 4:
            return features if features.shape[1] == width else features.permute(0, 3, 1, 2)
        tokens = features[:, prefix:] if features.ndim == 3 else features[:, None]
        side = int(tokens.shape[1] ** 0.5)
        shape = (side, side) if side * side == tokens.shape[1] else (tokens.shape[1], 1)
        return tokens.transpose(1, 2).unflatten(2, shape)

    return to_map
