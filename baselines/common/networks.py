"""Small networks that several adapters are made of."""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn

from fer_bench.backbones import BackboneConfig
from fer_bench.method import Method


class EncoderConfig(Method.Config):
    """Parameters of every method with an encoder.

    Attributes:
        backbone: its name ("conv4", "resnet18", ...) or a table with name, weights, pretrained.
        dim: length of the embedding.
    """

    backbone: BackboneConfig = BackboneConfig()
    dim: int = 64


class Encoder(nn.Module):
    """A backbone and a linear map to a code: images [B, C, H, W] -> code [B, dim].

    >>> encoder = Encoder(BackboneConfig(width=8), (3, 32, 32), dim=5)
    >>> encoder(torch.zeros(2, 3, 32, 32)).shape
    torch.Size([2, 5])
    """

    def __init__(self, backbone: BackboneConfig, shape: tuple[int, int, int], dim: int) -> None:
        super().__init__()
        self.backbone = backbone.build(shape)
        self.project = nn.Linear(self.backbone.num_features, dim)
        self.dim = dim

    def forward(self, images: Tensor) -> Tensor:
        """The code alone."""
        return self.project(self.backbone(images))

    def with_features(self, images: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Feature map [B, M, h, w], pooled features [B, F] and code [B, dim]."""
        maps = self.backbone.features(images)
        pooled = self.backbone.pool(maps)
        return maps, pooled, self.project(pooled)

    @torch.no_grad()
    def positions(self, shape: tuple[int, int, int]) -> int:
        """Number of positions of the feature map, h * w."""
        training = self.training
        self.eval()
        maps = self.backbone.features(torch.zeros(1, *shape))
        self.train(training)
        return maps.shape[2] * maps.shape[3]


def mlp(*sizes: int) -> nn.Sequential:
    """Linear layers with ReLU between them.

    >>> [type(layer).__name__ for layer in mlp(4, 8, 1)]
    ['Linear', 'ReLU', 'Linear']
    """
    layers: list[nn.Module] = []
    for fan_in, fan_out in pairwise(sizes):
        layers += [nn.Linear(fan_in, fan_out), nn.ReLU()]
    return nn.Sequential(*layers[:-1])


class Critic(nn.Module):
    """Two fully connected layers on [features; code], at every position of a feature map.

    The first layer of a concatenation is the sum of two layers, so that features and codes are
    mapped once and paired afterwards: the marginal pairs cost only the second layer. With one
    position it is the global critic, with h * w positions the 1x1-convolution local critic.
    """

    def __init__(self, features: int, code: int, hidden: int = 512) -> None:
        super().__init__()
        bound = (features + code) ** -0.5  # torch's default for one layer on the concatenation
        self.of_features = nn.Linear(features, hidden)
        self.of_code = nn.Linear(code, hidden, bias=False)
        for weight in (self.of_features.weight, self.of_code.weight, self.of_features.bias):
            nn.init.uniform_(weight, -bound, bound)
        self.out = nn.Linear(hidden, 1)

    def forward(self, features: Tensor, code: Tensor, negatives: Tensor) -> tuple[Tensor, Tensor]:
        """Scores of joint and marginal pairs.

        Args:
            features: [B, P, M], P positions.
            code: [B, d]; row i belongs to row i.
            negatives: [K, B] rows of `code` to pair with each row of `features`.

        Returns:
            Joint scores [B, P], marginal scores [K, B, P], both float32.
        """
        of_features = self.of_features(features)
        of_code = self.of_code(code)[:, None]
        joint = self.out(torch.relu(of_features + of_code))
        marginal = self.out(torch.relu(of_features + of_code[negatives]))
        return joint.squeeze(-1).float(), marginal.squeeze(-1).float()


class SeparableCritic(nn.Module):
    """Inner product of an embedded feature and an embedded code, at every position.

    One matrix product scores every face with every code, so that all other faces of a batch can
    serve as marginal pairs at no cost.
    """

    def __init__(self, features: int, code: int, hidden: int = 512) -> None:
        super().__init__()
        self.of_features = mlp(features, hidden, hidden // 4)
        self.of_code = mlp(code, hidden, hidden // 4)
        self.scale = (hidden // 4) ** -0.5

    def forward(self, features: Tensor, code: Tensor, negatives: Tensor) -> tuple[Tensor, Tensor]:
        """As `Critic`."""
        of_features, of_code = self.of_features(features), self.of_code(code)
        scores = self.scale * torch.einsum("bpd,cd->bcp", of_features, of_code).float()
        rows = torch.arange(len(code), device=code.device)
        return scores[rows, rows], scores[rows, negatives]


def as_positions(maps: Tensor) -> Tensor:
    """Feature map [B, M, h, w] -> [B, h * w, M]."""
    return maps.flatten(2).transpose(1, 2)


class Decoder(nn.Module):
    """Code [B, d] -> images [B, C, H, W], by four or more up-sampling convolutions."""

    def __init__(self, dim: int, shape: tuple[int, int, int], width: int = 32) -> None:
        super().__init__()
        channels, height, width_px = shape
        self.size = (height, width_px)
        self.start = nn.Linear(dim, 4 * width * 4 * 4)
        layers: list[nn.Module] = []
        fan_in, side = 4 * width, 4
        while side < max(height, width_px):
            fan_out = max(width // 2, fan_in // 2)
            layers += [
                nn.Upsample(scale_factor=2, mode="nearest"),
                nn.Conv2d(fan_in, fan_out, 3, padding=1),
                nn.ReLU(),
            ]
            fan_in, side = fan_out, side * 2
        self.body = nn.Sequential(*layers, nn.Conv2d(fan_in, channels, 3, padding=1))

    def forward(self, code: Tensor) -> Tensor:
        """Images, in the range of the normalised faces they were trained on."""
        start = torch.relu(self.start(code)).unflatten(1, (-1, 4, 4))
        images = self.body(start)
        if images.shape[2:] != self.size:
            images = nn.functional.interpolate(
                images, size=self.size, mode="bilinear", align_corners=False
            )
        return images
