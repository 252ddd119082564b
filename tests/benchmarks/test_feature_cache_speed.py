"""Features of a frozen network: computed, and read again by content."""

from __future__ import annotations

import pytest
import torch

from fer_bench.backbones import build_backbone
from fer_bench.normalisers import estimating_statistics


@pytest.mark.benchmark(group="64 faces of 112 pixels through MobileFaceNet, frozen to stage2")
@pytest.mark.parametrize("cached", [True, False], ids=["from the cache", "computed"])
def test_frozen_features(benchmark, cached):
    torch.manual_seed(0)
    net = build_backbone("mobilefacenet", size=112)
    images = torch.randn(64, 3, 112, 112)
    with torch.no_grad(), estimating_statistics(net):  # else values fade to denormal numbers
        net.features(images)
    net.freeze("stage2")
    network = net.eval().body[: net.parts.index("stage2") + 1]
    net.cached = cached
    net.features(images)
    maps = benchmark(lambda: net._read(network, images))
    assert maps.shape == (64, 128, 14, 14)
