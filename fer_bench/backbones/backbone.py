"""The encoder that every method with a backbone owns, and what of it is not trained."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from fer_bench.backbones.feature_cache import FeatureCache
from fer_bench.errors import MethodError, did_you_mean

ALL = "all"

Encode = Callable[[Tensor], Tensor]


class Backbone(nn.Module):
    """An encoder with a feature map and a feature vector.

    Attributes:
        map_channels: M, channels of `features`.
        num_features: F, length of `forward`.
        weights_report: where its weights came from, key by key where it matters; empty for
            random ones.
        cached: whether features of frozen parts are kept; the harness switches it off where
            faces are augmented beyond mirroring, since no face would be met twice.
        spread: computes `features` on several devices; set by the harness while they train.

    >>> from fer_bench.backbones import build_backbone
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
        self.cached = True
        self.spread: Callable[[Encode, Tensor], Tensor] | None = None
        self._to_map = to_map
        self._frozen: list[nn.Module] = []
        self._known: FeatureCache | None = None
        self.register_load_state_dict_post_hook(_forget)

    def features(self, images: Tensor) -> Tensor:
        """[B, C, H, W] images -> feature map [B, M, h, w]."""
        return self._map(images) if self.spread is None else self.spread(self._map, images)

    def forward(self, images: Tensor) -> Tensor:
        """[B, C, H, W] images -> feature vectors [B, F]."""
        return self.pool(self.features(images))

    # ------------------------------------------------------------------ frozen parts

    @property
    def parts(self) -> tuple[str, ...]:
        """Names of the parts that `freeze` knows, in the order in which images pass them."""
        return tuple(name for name, _ in self.body.named_children())

    @property
    def frozen(self) -> bool:
        """Whether some of it is never trained."""
        return bool(self._frozen)

    @property
    def caches(self) -> bool:
        """Whether some of it is frozen and can be run apart from the rest."""
        parts = len(self.parts)
        return len(self._frozen) >= parts or (
            bool(self._frozen) and isinstance(self.body, nn.Sequential)
        )

    def freeze(self, stage: str) -> None:
        """Never train a part, nor any before it: weights and running statistics stay.

        Frozen weights are buffers: no player owns them, and a checkpoint holds them. On the CPU
        what frozen parts make of a face is computed once and kept by content (`FeatureCache`).

        Args:
            stage: a name of `parts`, or "all" for the pool, too.

        Raises:
            MethodError: there is no such part.
        """
        if stage != ALL and stage not in self.parts:
            raise MethodError(
                f"backbone.freeze is {stage!r}: {did_you_mean(stage, [*self.parts, ALL])}"
            )
        count = len(self.parts) if stage == ALL else self.parts.index(stage) + 1
        self._frozen = [*self.body.children()][:count]
        _fix(self.body, self._frozen)  # parameters beside all parts, such as tokens, come first
        if stage == ALL:
            self._frozen.append(self.pool)
            _fix(self.pool, [self.pool])
        self.train(self.training)

    def train(self, mode: bool = True) -> Backbone:
        """Training mode for all but the frozen parts."""
        super().train(mode)
        for part in self._frozen:
            part.eval()
        return self

    def _map(self, images: Tensor) -> Tensor:
        encoded = self._encoded(images)
        return encoded if self._to_map is None else self._to_map(encoded)

    def _encoded(self, images: Tensor) -> Tensor:
        if not self.caches:
            return self.body(images)
        if len(self._frozen) >= len(self.parts):
            return self._read(self.body, images)
        count = len(self._frozen)
        assert isinstance(self.body, nn.Sequential)
        return self.body[count:](self._read(self.body[:count], images))

    @torch.no_grad()
    def _read(self, network: nn.Module, images: Tensor) -> Tensor:
        """What a frozen network makes of faces; an accelerator is faster than looking them up."""
        if not self.cached or images.device.type != "cpu":
            return network(images)
        if self._known is None:
            self._known = FeatureCache.of(network, tuple(images.shape[1:]))
        return self._known.read(images, network)


class GlobalAverage(nn.Module):
    """[B, M, h, w] -> [B, M], the mean over positions."""

    def forward(self, maps: Tensor) -> Tensor:
        """Average over the last two axes."""
        return maps.mean((2, 3))


def _fix(owner: nn.Module, parts: list[nn.Module]) -> None:
    """Turn the parameters of some parts, and those that stand beside them, into buffers."""
    modules = [owner, *(module for part in parts for module in part.modules())]
    for module in modules:
        for name, parameter in [*module.named_parameters(recurse=False)]:
            delattr(module, name)
            module.register_buffer(name, parameter.detach())


def _forget(module: nn.Module, _: object) -> None:
    """Other weights make other features."""
    assert isinstance(module, Backbone)
    module._known = None
