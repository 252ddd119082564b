"""From the name in an experiment file to an encoder with its weights."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from pydantic import (
    BaseModel,
    ConfigDict,
    SerializerFunctionWrapHandler,
    model_serializer,
    model_validator,
)
from torch import nn

from fer_bench.backbones.backbone import Backbone
from fer_bench.backbones.mobilefacenet import SIDE, MobileFaceNet, Output, published_key
from fer_bench.backbones.networks import OWN, alexnet_tuned, conv4, timm
from fer_bench.errors import MethodError
from fer_bench.weights import load_weights

logger = logging.getLogger(__name__)


class BackboneConfig(BaseModel):
    """Which encoder a method uses; in an experiment file also just its name.

    Attributes:
        name: "conv4", "alexnet-tuned", "mobilefacenet", or any timm model ("resnet18",
            "mixer_b16_224", ...).
        weights: a local file of weights.
        pretrained: fetch timm's weights for `name` from the hub.
        width: channels of the first layer of "conv4"; the other nets ignore it.
        freeze: the last part that is not trained, with all before it, by its name: for
            "mobilefacenet" "stem", "stage1", "stage2", "stage3" or "last"; for other nets the
            name of a direct child ("layer2" of a ResNet); "all" trains nothing. Without it all
            parts are trained.
        output: what "mobilefacenet" hands on: its "middle" map (128 x 7 x 7, the default), its
            "last" map (512 x 7 x 7), or its "code" (128 values).

    >>> BackboneConfig.model_validate("resnet18").name
    'resnet18'
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = "conv4"
    weights: str | None = None
    pretrained: bool = False
    width: int = 16
    freeze: str | None = None
    output: Output | None = None

    @model_validator(mode="before")
    @classmethod
    def _from_name(cls, value: Any) -> Any:
        return {"name": value} if isinstance(value, str) else value

    @model_serializer(mode="wrap")
    def _written(self, plain: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Keys that came later are left out where they are not set: run ids stay."""
        content = plain(self)
        later = ("freeze", "output")
        return {k: v for k, v in content.items() if v is not None or k not in later}

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
            freeze=self.freeze,
            output=self.output,
        )


def build_backbone(
    name: str,
    *,
    channels: int = 3,
    size: int = 64,
    weights: str | Path | None = None,
    pretrained: bool = False,
    width: int = 16,
    freeze: str | None = None,
    output: Output | None = None,
) -> Backbone:
    """Build an encoder for square faces.

    Args:
        name: "conv4", "alexnet-tuned", "mobilefacenet", or a timm model.
        channels, size: of the images.
        weights: a local file: safetensors, or a state dict that torch can read with
            ``weights_only=True``. Prefixes ("module.", "backbone.") are stripped, classifier
            heads dropped; anything else that does not fit is refused with the keys.
        pretrained: fetch timm's weights from the hub (needs network or a filled cache).
        width: channels of conv4's first layer.
        freeze, output: see `BackboneConfig`.

    Raises:
        MethodError: unknown name or part, images too small, weights that do not fit or cannot be
            had.
    """
    if pretrained and name in OWN:
        raise MethodError(
            f"the backbone {name!r} has no weights on any hub: set backbone.weights to a file "
            "or backbone.pretrained to false."
        )
    if output is not None and name != "mobilefacenet":
        raise MethodError(
            f"backbone.output is {output!r}, which only 'mobilefacenet' knows: leave it out."
        )
    if name == "mobilefacenet":
        backbone = _mobilefacenet(channels, size, weights, output or "middle")
    else:
        backbone = _plain(name, channels, size, pretrained, width)
        _refuse_too_small(backbone, name, channels, size)
        if weights is not None:
            backbone.weights_report = _loaded(backbone.body, weights)
    if freeze is not None:
        backbone.freeze(freeze)
    return backbone


def _plain(name: str, channels: int, size: int, pretrained: bool, width: int) -> Backbone:
    if name == "conv4":
        return conv4(channels, size, width)
    if name == "alexnet-tuned":
        return alexnet_tuned(channels, size)
    return timm(name, channels, size, pretrained)


def _mobilefacenet(
    channels: int, size: int, weights: str | Path | None, output: Output
) -> Backbone:
    """The file must hold the whole network, also where only its first parts are used."""
    if size != SIDE:
        raise MethodError(
            f"the backbone 'mobilefacenet' takes faces of {SIDE} pixels, not {size}: set "
            f"data.size = {SIDE}."
        )
    network = MobileFaceNet(channels)
    report = "" if weights is None else _loaded(network, weights, published_key)
    backbone = network.backbone(output)
    backbone.weights_report = report
    return backbone


def _loaded(
    module: nn.Module, weights: str | Path, published: Callable[[str], str] | None = None
) -> str:
    report = load_weights(module, weights, published=published)
    logger.info("%s", report)
    return str(report)


@torch.no_grad()
def _refuse_too_small(backbone: Backbone, name: str, channels: int, size: int) -> None:
    training = backbone.training
    backbone.eval()
    try:
        maps = backbone.features(torch.zeros(1, channels, size, size))
    except (RuntimeError, AssertionError) as error:
        raise MethodError(
            f"the backbone {name!r} cannot take {channels} x {size} x {size} faces: "
            f"{str(error).splitlines()[0]}"
        ) from None
    finally:
        backbone.train(training)
    if maps.shape[1] != backbone.map_channels:
        raise MethodError(
            f"the backbone {name!r} gives maps of {maps.shape[1]} channels, not the "
            f"{backbone.map_channels} it announces: it cannot be used."
        )
