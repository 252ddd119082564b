"""What is frozen stays, to the bit, whatever is done to the module around it."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from fer_bench.backbones import BackboneConfig, build_backbone
from fer_bench.errors import MethodError


def states(module):
    return {key: value.clone() for key, value in module.state_dict().items()}


def trained(net, images, steps=3):
    """A few large steps on whatever can be trained."""
    head = nn.Linear(net.num_features, 2)
    owned = [*net.parameters(), *head.parameters()]
    optimizer = torch.optim.SGD(owned, lr=0.1)
    net.train()
    net.requires_grad_(True)  # as the harness does
    for _ in range(steps):
        optimizer.zero_grad()
        head(net(images)).square().mean().backward()
        optimizer.step()
    return net


@pytest.mark.parametrize(
    ("name", "stage", "fixed"),
    [
        ("conv4", "3", ("body.0.", "body.1.", "body.2.", "body.3.")),
        ("conv4", "all", ("",)),
        ("resnet18", "layer1", ("body.conv1.", "body.bn1.", "body.layer1.")),
        ("vit_tiny_patch16_224", "patch_embed", ("body.patch_embed.", "body.pos_embed")),
    ],
)
@pytest.mark.parametrize("cached", [True, False])
def test_frozen_parts_keep_weights_and_statistics(name, stage, fixed, cached):
    torch.manual_seed(0)
    net = build_backbone(name, size=32, width=4, freeze=stage)
    net.cached = cached
    before = states(net)
    trained(net, torch.randn(6, 3, 32, 32))
    for key, value in net.state_dict().items():
        if key.startswith(fixed):
            assert torch.equal(value, before[key]), key
    moved = [key for key in before if not torch.equal(before[key], net.state_dict()[key])]
    assert bool(moved) == (stage != "all")
    owned = {key for key, _ in net.named_parameters()}
    assert not [key for key in owned if key.startswith(fixed)]


def test_a_frozen_net_answers_as_the_same_net_in_eval_mode():
    for name in ("conv4", "resnet18"):
        torch.manual_seed(0)
        plain = build_backbone(name, size=32, width=4).eval()
        frozen = build_backbone(name, size=32, width=4, freeze="all").train()
        frozen.load_state_dict(plain.state_dict())
        images = torch.randn(5, 3, 32, 32)
        with torch.no_grad():
            assert torch.allclose(frozen(images), plain(images), atol=1e-5)
            assert torch.allclose(frozen.features(images), plain.features(images), atol=1e-5)


def test_gradients_reach_what_stands_behind_the_frozen_part():
    net = build_backbone("conv4", size=32, width=4, freeze="3").train()
    net(torch.randn(4, 3, 32, 32)).square().sum().backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in net.parameters())


def test_keys_of_a_checkpoint_do_not_depend_on_what_is_frozen():
    free, frozen = (build_backbone("resnet18", size=32, freeze=f) for f in (None, "layer2"))
    assert free.state_dict().keys() == frozen.state_dict().keys()


def test_other_weights_are_not_answered_from_the_cache():
    torch.manual_seed(0)
    net = build_backbone("conv4", size=32, width=4, freeze="all")
    images = torch.randn(3, 3, 32, 32)
    before = net(images)
    torch.manual_seed(1)
    other = build_backbone("conv4", size=32, width=4)
    net.load_state_dict(other.state_dict())
    assert not torch.allclose(net(images), before)
    assert torch.allclose(net(images), other.eval()(images), atol=1e-5)
    parent = nn.Sequential(copy.deepcopy(net))
    parent.load_state_dict({f"0.{key}": value + 0 for key, value in net.state_dict().items()})
    assert torch.allclose(parent(images), net(images))


def test_what_can_be_run_apart_is_known():
    assert build_backbone("conv4", size=32, width=4, freeze="3").caches
    assert build_backbone("resnet18", size=32, freeze="all").caches
    assert not build_backbone("resnet18", size=32, freeze="layer2").caches
    free = build_backbone("conv4", size=32, width=4)
    assert not free.caches
    assert not free.frozen


def test_an_unknown_part_names_the_known_ones():
    with pytest.raises(MethodError, match=r"backbone.freeze is 'layer9': did you mean 'layer"):
        build_backbone("resnet18", size=32, freeze="layer9")


def test_options_that_came_later_do_not_change_what_is_written():
    assert BackboneConfig().model_dump() == {
        "name": "conv4",
        "weights": None,
        "pretrained": False,
        "width": 16,
    }
    config = BackboneConfig(name="mobilefacenet", freeze="stage3", output="code")
    assert BackboneConfig.model_validate(config.model_dump()) == config
