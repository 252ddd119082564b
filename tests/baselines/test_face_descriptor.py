"""The face descriptor: what a face-recognition network reads, where its weights are installed."""

import sys
from importlib import util

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from fer_bench.backbones import build_backbone
from fer_bench.backbones.mobilefacenet import MobileFaceNet
from fer_bench.baselines.references import face_descriptor
from fer_bench.baselines.references.face_descriptor import CHIP, FaceDescriptor, chips
from fer_bench.conformance import check_method, example_batch, example_task
from fer_bench.data import load_dataset
from fer_bench.data.augment import normalise
from fer_bench.errors import MissingExtraError
from fer_bench.metrics.verification import roc_auc

installed = util.find_spec("dlib") is not None and util.find_spec("face_recognition_models")
needs_weights = pytest.mark.skipif(
    not installed, reason="the extra 'face-recognition' (dlib, face-recognition-models) is absent"
)


@pytest.fixture(autouse=True)
def fresh():
    face_descriptor._network.cache_clear()
    yield
    face_descriptor._network.cache_clear()


def build():
    return FaceDescriptor(example_task(), FaceDescriptor.Config()).eval()


@pytest.mark.parametrize("mode", ["image", "unit", "imagenet"])
def test_photographs_come_back_whatever_the_normalisation(mode):
    pixels = example_batch(count=4).pixels
    expected = chips(normalise(pixels, "unit")).astype(int)
    assert expected.shape == (4, CHIP, CHIP, 3)
    restored = chips(normalise(pixels, mode)).astype(int)
    # Each channel's own mean and deviation ("imagenet") shift the colours, and no more.
    assert np.abs(restored - expected).mean() < (16 if mode == "imagenet" else 0.1)
    assert 100 < expected.mean() < 156


def test_gray_and_blank_faces_are_taken():
    gray = chips(torch.rand(2, 1, 24, 24))
    assert (gray[..., 0] == gray[..., 2]).all()
    assert (chips(torch.zeros(1, 3, 24, 24)) == 128).all()


def test_without_dlib_the_sentence_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "dlib", None)
    with pytest.raises(MissingExtraError, match=r"'face-descriptor' needs .*fer-bench\[face-rec"):
        build()


def test_without_the_weights_the_sentence_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "dlib", torch)  # anything that can be imported
    monkeypatch.setattr(face_descriptor, "find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match="'face-recognition-models'"):
        build()


@pytest.fixture
def own_weights(tmp_path):
    """Weights of a MobileFaceNet that nobody trained."""
    torch.manual_seed(0)
    save_file(MobileFaceNet().state_dict(), tmp_path / "w.safetensors")
    return str(tmp_path / "w.safetensors")


def test_a_file_of_weights_takes_the_place_of_dlib(monkeypatch, own_weights):
    monkeypatch.setitem(sys.modules, "dlib", None)
    method = FaceDescriptor(example_task(), FaceDescriptor.Config(weights=own_weights)).eval()
    images = example_batch(count=3, seed=9).images
    codes = method.embed(images).expression
    assert codes.shape == (3, 128)
    assert torch.allclose(codes.norm(dim=1), torch.ones(3))
    pixels = torch.from_numpy(chips(images, 112)).permute(0, 3, 1, 2)
    plain = build_backbone("mobilefacenet", size=112, weights=own_weights, output="code").eval()
    assert torch.allclose(codes, plain(normalise(pixels, "imagenet")), atol=1e-5)


def test_the_place_of_the_weights_is_no_part_of_older_runs():
    assert FaceDescriptor.Config().model_dump() == {}


@pytest.mark.slow
def test_the_contract_is_kept_with_a_file_of_weights(own_weights):
    findings = check_method("face-descriptor", weights=own_weights)
    assert [str(f) for f in findings if not f.passed] == []


def test_the_face_network_tells_real_people_apart(data_pack):
    weights = data_pack / "weights" / "mobilefacenet.pt"
    if not weights.is_file():
        pytest.skip("no face-recognition weights in the data pack")
    config = FaceDescriptor.Config(weights=str(weights))
    method = FaceDescriptor(example_task(), config).eval()
    assert across_expressions(method, data_pack, version="recognition_112") > 0.999


@needs_weights
def test_a_face_is_described_once():
    method, images = build(), example_batch(count=3, seed=9).images
    first = method.embed(images).expression
    assert first.shape == (3, 128)
    known = len(face_descriptor._known)
    assert known >= 3
    assert torch.equal(build().embed(images.flip(0)).expression, first.flip(0))
    assert len(face_descriptor._known) == known


@needs_weights
def test_nothing_of_the_network_is_saved_with_a_run():
    assert sum(value.numel() for value in build().state_dict().values()) < 2_000


@pytest.mark.slow
@needs_weights
def test_the_contract_is_kept():
    assert [str(f) for f in check_method("face-descriptor") if not f.passed] == []


@needs_weights
def test_real_people_are_told_apart_across_expressions(data_pack):
    assert across_expressions(build(), data_pack) > 0.98


def across_expressions(method, data_pack, **options):
    """AUC of the cosine: a person's other expression against other people's."""
    data = load_dataset("london", str(data_pack / "london"), size=64, **options)
    people = np.flatnonzero(data.subject < 12)
    pixels = torch.from_numpy(data.gather(people)).permute(0, 3, 1, 2)
    codes = method.embed(normalise(pixels, "image")).expression.numpy()
    codes /= np.linalg.norm(codes, axis=1, keepdims=True)
    same = data.subject[people][:, None] == data.subject[people]
    other = data.expression[people][:, None] != data.expression[people]
    cosine = codes @ codes.T
    return roc_auc(cosine[same & other], cosine[~same & other])
