"""Encoders: shapes for every kind of net, and weights that load completely or not at all."""

from __future__ import annotations

import pytest
import torch
from safetensors.torch import save_file

from fer_bench.backbones import BackboneConfig, build_backbone
from fer_bench.errors import MethodError
from fer_bench.weights import load_weights


@pytest.mark.parametrize(
    ("name", "size", "channels"),
    [
        ("conv4", 32, 3),
        ("conv4", 64, 1),
        ("alexnet-tuned", 64, 3),
        ("resnet18", 64, 1),
        ("mixer_s32_224", 64, 3),
        ("vit_tiny_patch16_224", 64, 3),
        ("swin_tiny_patch4_window7_224", 64, 3),
    ],
)
def test_map_and_vector_have_announced_shapes(name, size, channels):
    net = build_backbone(name, channels=channels, size=size).eval()
    images = torch.randn(2, channels, size, size)
    with torch.no_grad():
        maps, vectors = net.features(images), net(images)
    assert maps.ndim == 4
    assert maps.shape[:2] == (2, net.map_channels)
    assert vectors.shape == (2, net.num_features)
    assert not torch.allclose(vectors[0], vectors[1])


def test_conv4_has_sixteen_positions_at_64_pixels():
    assert build_backbone("conv4").features(torch.zeros(1, 3, 64, 64)).shape[2:] == (4, 4)


def test_config_takes_a_bare_name_and_refuses_unknown_keys():
    assert BackboneConfig.model_validate("resnet18").name == "resnet18"
    with pytest.raises(ValueError, match="widht"):
        BackboneConfig.model_validate({"name": "conv4", "widht": 8})


def test_unknown_name_suggests_a_near_one():
    with pytest.raises(MethodError, match="resnet18"):
        build_backbone("resnet_18")


def test_non_square_faces_are_refused():
    with pytest.raises(MethodError, match="square"):
        BackboneConfig().build((3, 64, 48))


def test_too_small_faces_are_refused_in_words():
    with pytest.raises(MethodError, match="at least 63 pixels"):
        build_backbone("alexnet-tuned", size=32)


def test_hub_weights_without_network_give_one_clear_sentence(monkeypatch):
    import timm

    def offline(name, **options):
        raise ConnectionError("no route")

    monkeypatch.setattr(timm, "create_model", offline)
    with pytest.raises(MethodError, match=r"resnet18.*local file"):
        build_backbone("resnet18", pretrained=True)


def test_own_nets_have_no_hub_weights():
    with pytest.raises(MethodError, match="no weights on any hub"):
        build_backbone("conv4", pretrained=True)


@pytest.fixture
def source():
    torch.manual_seed(1)
    return build_backbone("conv4", size=32, width=8)


def same_weights(a, b):
    return all(torch.equal(x, y) for x, y in zip(a.state_dict().values(), b.values(), strict=True))


@pytest.mark.parametrize("suffix", [".safetensors", ".pt"])
def test_weights_load_with_prefix_stripped_and_head_dropped(tmp_path, source, suffix):
    state = {f"module.encoder.{k}": v for k, v in source.body.state_dict().items()}
    state["module.encoder.fc.weight"] = torch.zeros(7, 64)
    path = tmp_path / f"weights{suffix}"
    if suffix == ".pt":
        torch.save({"state_dict": state, "epoch": 3}, path)
    else:
        save_file(state, path)
    net = build_backbone("conv4", size=32, width=8, weights=path)
    assert same_weights(net.body, source.body.state_dict())
    assert "'module.encoder.' taken off" in net.weights_report
    assert "fc.weight" in net.weights_report


def test_gray_net_takes_colour_weights(tmp_path, source):
    save_file(source.body.state_dict(), tmp_path / "w.safetensors")
    gray = build_backbone("conv4", size=32, width=8, channels=1, weights=tmp_path / "w.safetensors")
    gray.eval()
    source.eval()
    image = torch.randn(1, 1, 32, 32)
    assert torch.allclose(gray(image), source(image.expand(1, 3, 32, 32)), atol=1e-5)
    assert "gray" in gray.weights_report


@pytest.mark.parametrize("damage", ["missing", "shape", "unknown"])
def test_weights_that_do_not_fit_are_refused_and_change_nothing(tmp_path, source, damage):
    state = dict(source.body.state_dict())
    if damage == "missing":
        del state["3.weight"]
    elif damage == "shape":
        state["3.weight"] = torch.zeros(5, 5)
    else:
        state["extra.weight"] = torch.zeros(2)
    save_file(state, tmp_path / "w.safetensors")
    net = build_backbone("conv4", size=32, width=8)
    before = {k: v.clone() for k, v in net.body.state_dict().items()}
    key = "extra.weight" if damage == "unknown" else "3.weight"
    with pytest.raises(MethodError, match=key):
        load_weights(net.body, tmp_path / "w.safetensors")
    assert same_weights(net.body, before)


class Payload:
    def __reduce__(self):
        return (print, ("executed",))


def test_a_pickle_with_code_is_not_run(tmp_path, capsys):
    torch.save({"a": Payload()}, tmp_path / "w.pt")
    with pytest.raises(MethodError, match="without running its code"):
        build_backbone("conv4", weights=tmp_path / "w.pt")
    assert "executed" not in capsys.readouterr().out


def test_missing_or_empty_weights_file(tmp_path):
    with pytest.raises(MethodError, match="no weights file"):
        build_backbone("conv4", weights=tmp_path / "none.pt")
    torch.save({}, tmp_path / "empty.pt")
    with pytest.raises(MethodError, match="no state dict"):
        build_backbone("conv4", weights=tmp_path / "empty.pt")
