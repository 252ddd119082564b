"""The face descriptor: what a face-recognition network reads, where its weights are installed."""

import sys
from importlib import util

import numpy as np
import pytest
import torch

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
    found = chips(normalise(pixels, mode)).astype(int)
    # Each channel's own mean and deviation ("imagenet") shift the colours, and no more.
    assert np.abs(found - expected).mean() < (16 if mode == "imagenet" else 0.1)
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
    data = load_dataset("london", str(data_pack / "london"), size=64)
    people = np.flatnonzero(data.subject < 12)
    pixels = torch.from_numpy(data.gather(people)).permute(0, 3, 1, 2)
    codes = build().embed(normalise(pixels, "image")).expression.numpy()
    codes /= np.linalg.norm(codes, axis=1, keepdims=True)
    same = data.subject[people][:, None] == data.subject[people]
    other = data.expression[people][:, None] != data.expression[people]
    cosine = codes @ codes.T
    assert roc_auc(cosine[same & other], cosine[~same & other]) > 0.98
