"""MobileFaceNet: a small face-recognition network to start from.

Chen, Liu, Gao and Han, MobileFaceNets: Efficient CNNs for accurate real-time face verification on
mobile devices, CCBR 2018, table 1. Activations are ReLU6 (ReLU after the two layers of the first
depthwise convolution) instead of the paper's PReLU, as in the weights that were published for it
(github.com/foamliu/MobileFaceNet).
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Literal

from torch import Tensor, nn
from torch.nn import functional

from fer_bench.backbones.backbone import Backbone

SIDE = 112
DIM = 128
Output = Literal["middle", "last", "code"]
STAGES = {  # expansion, channels and stride of every bottleneck
    "stage1": [(2, 64, 2), *[(2, 64, 1)] * 4],
    "stage2": [(4, 128, 2), *[(2, 128, 1)] * 6],
    "stage3": [(4, 128, 2), *[(2, 128, 1)] * 2],
}


class MobileFaceNet(nn.Sequential):
    """Faces [B, C, 112, 112] -> codes [B, 128] of unit length, through named parts.

    `stem` gives 64 x 56 x 56, `stage1` 64 x 28 x 28, `stage2` 128 x 14 x 14, `stage3`
    128 x 7 x 7 (the middle map), `last` 512 x 7 x 7 (the last map), and `code` the code.

    Faces should be aligned with the eyes at (38.3, 51.7) and (73.5, 51.5).

    >>> import torch
    >>> MobileFaceNet()(torch.zeros(2, 3, 112, 112)).shape
    torch.Size([2, 128])
    """

    def __init__(self, channels: int = 3) -> None:
        parts: OrderedDict[str, nn.Module] = OrderedDict()
        parts["stem"] = nn.Sequential(
            ConvNorm(channels, 64, 3, stride=2, act=nn.ReLU6()),
            ConvNorm(64, 64, 3, groups=64, act=nn.ReLU()),
            ConvNorm(64, 64, 1, act=nn.ReLU()),
        )
        fan_in = 64
        for name, blocks in STAGES.items():
            stage = nn.Sequential()
            for expansion, fan_out, stride in blocks:
                stage.append(Bottleneck(fan_in, fan_out, expansion, stride))
                fan_in = fan_out
            parts[name] = stage
        parts["last"] = ConvNorm(fan_in, 512, 1, act=nn.ReLU6())
        parts["code"] = nn.Sequential(
            ConvNorm(512, 512, 7, groups=512, padding=0),  # one weight a position: "global"
            ConvNorm(512, DIM, 1, bias=True),
            nn.Flatten(),
            UnitLength(),
        )
        super().__init__(parts)

    def backbone(self, output: Output = "middle") -> Backbone:
        """The network up to what is handed on.

        Args:
            output: "middle" gives the map of `stage3` and, as features, all its 6,272 values;
                "last" that of `last` (25,088 values); "code" the same map and the code.
        """
        parts = OrderedDict(self.named_children())
        code = parts.pop("code")
        if output == "code":
            return Backbone(nn.Sequential(parts), map_channels=512, pool=code, num_features=DIM)
        if output == "middle":
            del parts["last"]
        channels = 128 if output == "middle" else 512
        return Backbone(
            nn.Sequential(parts),
            map_channels=channels,
            pool=nn.Flatten(),
            num_features=channels * 7 * 7,
        )


class ConvNorm(nn.Module):
    """Convolution, batch normalisation, activation."""

    def __init__(
        self,
        fan_in: int,
        fan_out: int,
        kernel: int,
        *,
        stride: int = 1,
        groups: int = 1,
        padding: int | None = None,
        bias: bool = False,
        act: nn.Module | None = None,
    ) -> None:
        super().__init__()
        self.conv = nn.Conv2d(
            fan_in,
            fan_out,
            kernel,
            stride=stride,
            padding=kernel // 2 if padding is None else padding,
            groups=groups,
            bias=bias,
        )
        self.norm = nn.BatchNorm2d(fan_out)
        self.act = act if act is not None else nn.Identity()

    def forward(self, images: Tensor) -> Tensor:
        """[B, fan_in, h, w] -> [B, fan_out, h', w']."""
        return self.act(self.norm(self.conv(images)))


class Bottleneck(nn.Module):
    """Expand, filter each channel alone, project; the input is added where shapes allow it."""

    def __init__(self, fan_in: int, fan_out: int, expansion: int, stride: int) -> None:
        super().__init__()
        width = expansion * fan_in
        self.expand = ConvNorm(fan_in, width, 1, act=nn.ReLU6())
        self.depthwise = ConvNorm(width, width, 3, stride=stride, groups=width, act=nn.ReLU6())
        self.project = ConvNorm(width, fan_out, 1)
        self.shortcut = stride == 1 and fan_in == fan_out

    def forward(self, maps: Tensor) -> Tensor:
        """[B, fan_in, h, w] -> [B, fan_out, h / stride, w / stride]."""
        made = self.project(self.depthwise(self.expand(maps)))
        return maps + made if self.shortcut else made


class UnitLength(nn.Module):
    """[B, d] -> [B, d] of length 1."""

    def forward(self, codes: Tensor) -> Tensor:
        """Divide by the length."""
        return functional.normalize(codes)


_PUBLISHED = {
    "stem.0.conv": "conv1.0",
    "stem.0.norm": "conv1.1",
    "stem.1.conv": "dw_conv.depthwise",
    "stem.1.norm": "dw_conv.bn1",
    "stem.2.conv": "dw_conv.pointwise",
    "stem.2.norm": "dw_conv.bn2",
    "last.conv": "conv2.0",
    "last.norm": "conv2.1",
    "code.0.conv": "gdconv.depthwise",
    "code.0.norm": "gdconv.bn",
    "code.1.conv": "conv3",
    "code.1.norm": "bn",
}
_IN_BLOCK = {
    "expand.conv": "0.0",
    "expand.norm": "0.1",
    "depthwise.conv": "1.0",
    "depthwise.norm": "1.1",
    "project.conv": "2",
    "project.norm": "3",
}


def published_key(key: str) -> str:
    """What a tensor of `MobileFaceNet` is called in the published weights.

    A layer keeps the name of its tensor ("weight", "running_mean"). Bottlenecks are counted
    through all stages there: number i of all is `features.i`. All other layers have the names of
    a table.

    >>> published_key("stage2.1.depthwise.norm.bias"), published_key("last.conv.weight")
    ('features.6.conv.1.1.bias', 'conv2.0.weight')
    """
    layer, _, tensor = key.rpartition(".")
    if layer in _PUBLISHED:
        return f"{_PUBLISHED[layer]}.{tensor}"
    stage, block, inner = layer.split(".", 2)
    before = sum(len(STAGES[name]) for name in STAGES if name < stage)
    return f"features.{before + int(block)}.conv.{_IN_BLOCK[inner]}.{tensor}"
