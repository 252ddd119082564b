"""Every method with a backbone trains on a frozen one, and leaves it as it was."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from fer_bench import registry
from fer_bench.backbones import build_backbone
from fer_bench.data.splits import make_folds
from fer_bench.experiment import TrainingSpec
from fer_bench.training.loop import backbones_of
from fer_bench.training.session import Session

METHODS = [
    name
    for name in registry.methods.names()
    if "backbone" in registry.methods.get(name).Config.model_fields and name != "random-encoder"
]


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    torch.manual_seed(0)
    file = tmp_path_factory.mktemp("weights") / "conv4.safetensors"
    save_file(build_backbone("conv4", size=32, width=4).body.state_dict(), file)
    return str(file)


def session(name, data, weights, *, augment="flip", freeze="7"):
    adapter = registry.methods.get(name)
    backbone = {"name": "conv4", "width": 4, "weights": weights, "freeze": freeze}
    training = TrainingSpec(epochs=1, batch_size=32, augment=augment)
    fold = make_folds(data)[0]
    built = Session.build(
        adapter,
        adapter.Config.model_validate({"backbone": backbone}),
        data,
        fold.train,
        training=training,
    )
    return built, fold


@pytest.mark.parametrize("name", METHODS)
def test_the_frozen_part_is_untouched_and_the_rest_is_trained(name, small_faces, weights):
    method_of, fold = session(name, small_faces, weights)
    source = build_backbone("conv4", size=32, width=4, weights=weights)
    position = method_of.train(fold.train, fold.validation)
    frozen = [backbone for backbone in backbones_of(method_of.method) if backbone.frozen]
    assert frozen  # EIF also has an encoder of attributes, which is its own
    for backbone in frozen:
        for key, value in source.body.state_dict().items():
            if int(key.split(".")[0]) <= 7:
                assert torch.equal(backbone.body.state_dict()[key], value), key
    assert not [c for c in position.cautions if c.code.startswith("frozen-features")]


def test_a_second_method_reads_what_the_first_computed(small_faces, weights, monkeypatch, tmp_path):
    monkeypatch.setenv("FER_BENCH_CACHE", str(tmp_path))
    computed = []
    for name in ("erm", "irm", "multitask"):
        built, fold = session(name, small_faces, weights)
        faces: list[int] = []
        first = backbones_of(built.method)[0].body[0]
        first.register_forward_hook(lambda m, args, out, faces=faces: faces.append(len(out)))
        built.train(fold.train, fold.validation)
        computed.append(sum(faces))
    assert computed[0] >= len(fold.train)
    assert sum(computed) <= 2 * len(small_faces) + 1  # plain and mirrored, and a blank face
    assert computed[1] < computed[0]  # mirror images that the first did not draw


def test_known_features_train_the_same_bits(small_faces, weights):
    embeddings = []
    for _ in range(2):
        built, fold = session("erm", small_faces, weights, freeze="4")
        built.train(fold.train, fold.validation)
        embeddings.append(built.extract(fold.test, name="test").expression)
    assert np.array_equal(*embeddings)


def test_other_augmentation_goes_past_the_cache_and_says_so(small_faces, weights):
    built, fold = session("erm", small_faces, weights, augment="affine")
    position = built.train(fold.train, fold.validation)
    (caution,) = [c for c in position.cautions if c.code == "frozen-features-augmented"]
    assert caution.values["augment"] == "affine"
    assert not backbones_of(built.method)[0].cached


def test_reference_rows_are_shown_plain_faces_whatever_the_augmentation(small_faces, weights):
    built, fold = session("frozen-backbone", small_faces, weights, augment="affine", freeze=None)
    position = built.train(fold.train, fold.validation)
    assert backbones_of(built.method)[0].cached
    assert not [c for c in position.cautions if c.code.startswith("frozen-features")]
