"""MobileFaceNet: the paper's table, the published weights, and the figures stated for them."""

from __future__ import annotations

import importlib.util

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from fer_bench.backbones import BackboneConfig, build_backbone
from fer_bench.backbones.mobilefacenet import MobileFaceNet, published_key
from fer_bench.data import load_dataset
from fer_bench.data.augment import normalise
from fer_bench.errors import MethodError
from fer_bench.weights import read_state


@pytest.fixture(scope="module")
def weights(data_pack):
    file = data_pack / "weights" / "mobilefacenet.pt"
    if not file.is_file():
        pytest.skip("no face-recognition weights in the data pack")
    return file


@pytest.fixture(scope="module")
def reference(weights):
    """The forward pass that came with the weights: other code, the same arithmetic."""
    spec = importlib.util.spec_from_file_location(
        "lite", weights.with_name("mobilefacenet_lite.py")
    )
    lite = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(lite)
    return lite.load(str(weights))


def test_maps_have_the_sizes_of_the_paper():
    sizes, maps = {}, torch.zeros(1, 3, 112, 112)
    for name, part in MobileFaceNet().eval().named_children():
        maps = part(maps)
        sizes[name] = tuple(maps.shape[1:])
    assert sizes == {
        "stem": (64, 56, 56),
        "stage1": (64, 28, 28),
        "stage2": (128, 14, 14),
        "stage3": (128, 7, 7),
        "last": (512, 7, 7),
        "code": (128,),
    }


def test_it_has_about_a_million_weights_as_the_paper_says():
    count = sum(p.numel() for p in MobileFaceNet().parameters())
    assert 0.95e6 < count < 1.05e6  # 0.99 million


def test_published_keys_are_those_of_the_file(weights):
    ours = {published_key(key) for key in MobileFaceNet().state_dict()}
    assert ours == set(read_state(weights).tensors)


def test_codes_are_those_of_the_reference(weights, reference):
    net = build_backbone("mobilefacenet", size=112, weights=weights, output="code").eval()
    pixels = torch.randint(0, 256, (4, 3, 112, 112), generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        codes = net(normalise(pixels.byte(), "imagenet"))
    assert torch.allclose(codes, reference(pixels / 255), atol=1e-5)
    assert "307 tensors" in net.weights_report


@pytest.mark.parametrize("prefix", ["", "module."])
def test_own_names_are_read_too(tmp_path, weights, prefix):
    source = build_backbone("mobilefacenet", size=112, weights=weights)
    published = read_state(weights).tensors
    state = {prefix + key: published[published_key(key)] for key in MobileFaceNet().state_dict()}
    save_file(state, tmp_path / "own.safetensors")
    again = build_backbone("mobilefacenet", size=112, weights=tmp_path / "own.safetensors")
    for key, value in source.state_dict().items():
        assert torch.equal(value, again.state_dict()[key])


def test_gray_faces_are_three_equal_channels(weights):
    colour = build_backbone("mobilefacenet", size=112, weights=weights).eval()
    gray = build_backbone("mobilefacenet", size=112, channels=1, weights=weights).eval()
    image = torch.randn(1, 1, 112, 112)
    with torch.no_grad():
        assert torch.allclose(gray(image), colour(image.expand(-1, 3, -1, -1)), atol=1e-3)


@pytest.mark.parametrize(
    ("output", "channels", "features"),
    [("middle", 128, 6272), ("last", 512, 25088), ("code", 512, 128)],
)
def test_what_is_handed_on(output, channels, features):
    net = build_backbone("mobilefacenet", size=112, output=output).eval()
    with torch.no_grad():
        maps = net.features(torch.randn(1, 3, 112, 112))
    assert maps.shape == (1, channels, 7, 7) == (1, net.map_channels, 7, 7)
    assert net.pool(maps).shape == (1, features) == (1, net.num_features)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"name": "mobilefacenet", "size": 64}, "data.size = 112"),
        ({"name": "conv4", "output": "code"}, "only 'mobilefacenet'"),
        ({"name": "mobilefacenet", "size": 112, "pretrained": True}, "no weights on any hub"),
    ],
)
def test_what_it_cannot_do_is_said(options, message):
    with pytest.raises(MethodError, match=message):
        build_backbone(**options)


def test_an_unknown_output_names_the_known_ones():
    with pytest.raises(ValueError, match="'middle', 'last' or 'code'"):
        BackboneConfig(name="mobilefacenet", output="map")


@pytest.mark.slow
def test_smiling_people_are_known_by_their_neutral_faces(data_pack, weights):
    """What the pack states: 102 of 102; .03 between others, .29 at their 99th percentile."""
    faces = load_dataset("london", data_pack / "london", version="recognition_112", size=112)
    net = build_backbone("mobilefacenet", size=112, weights=weights, output="code").eval()
    pixels = torch.from_numpy(faces.images.copy()).permute(0, 3, 1, 2)
    with torch.no_grad():
        codes = torch.cat([net(normalise(part, "imagenet")) for part in pixels.split(32)]).numpy()
    order = np.argsort(faces.subject, kind="stable")
    smiling = order[faces.expression[order] == faces.classes.index("happiness")]
    neutral = order[faces.expression[order] == faces.classes.index("neutral")]
    cosine = codes[smiling] @ codes[neutral].T
    assert (cosine.argmax(1) == np.arange(102)).all()
    others = cosine[~np.eye(102, dtype=bool)]
    assert np.diag(cosine).mean() > 0.88
    assert others.mean() == pytest.approx(0.032, abs=0.005)
    assert np.quantile(others, 0.99) == pytest.approx(0.288, abs=0.01)
