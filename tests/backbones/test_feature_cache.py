"""Features are kept by content, for all processes, and are the same bits known or new."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from fer_bench.backbones.feature_cache import FeatureCache
from fer_bench.errors import MethodError


class Counted(nn.Module):
    """A small network that counts the faces it is shown."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.conv = nn.Conv2d(1, 2, 3)
        self.seen = 0

    @torch.no_grad()
    def forward(self, images):
        self.seen += len(images)
        return self.conv(images)


@pytest.fixture
def cache(tmp_path):
    return FeatureCache(tmp_path / "deep" / "features.sqlite")


@settings(max_examples=15)
@given(rows=st.lists(st.integers(0, 5), min_size=1, max_size=12))
def test_any_batch_gives_what_the_network_gives_and_no_face_is_computed_twice(
    tmp_path_factory, rows
):
    cache = FeatureCache(tmp_path_factory.mktemp("cache") / "f.sqlite")
    faces = torch.randn(6, 1, 8, 8, generator=torch.Generator().manual_seed(1))
    network = Counted()
    alone = torch.cat([network(face[None]) for face in faces])
    network.seen = 0
    for _ in range(2):
        assert torch.equal(cache.read(faces[rows], network), alone[rows])
    assert network.seen == len(set(rows))


def test_a_mirrored_face_is_another_face(cache):
    faces, network = torch.randn(3, 1, 8, 8), Counted()
    plain = cache.read(faces, network)
    mirrored = cache.read(faces.flip(3), network)
    assert network.seen == 6
    assert not torch.equal(plain, mirrored)


def test_more_faces_than_one_question_holds(cache):
    faces, network = torch.randn(1_203, 1, 4, 4), Counted()
    first = cache.read(faces, network)
    assert torch.equal(cache.read(faces.flip(0), network), first.flip(0))
    assert network.seen == 1_203


def test_vectors_are_kept_as_well_as_maps(cache):
    faces = torch.randn(2, 1, 4, 4)
    assert cache.read(faces, lambda images: images.flatten(1)).shape == (2, 16)
    assert torch.equal(cache.read(faces, lambda images: images.flatten(1)), faces.flatten(1))


def test_the_name_says_network_weights_and_shape():
    first, second = Counted(), Counted()
    same = FeatureCache.of(first, (1, 8, 8)).file
    assert FeatureCache.of(second, (1, 8, 8)).file == same
    assert FeatureCache.of(first, (1, 9, 9)).file != same
    with torch.no_grad():
        second.conv.bias += 1e-6
    assert FeatureCache.of(second, (1, 8, 8)).file != same


def test_several_writers_share_one_file(cache):
    """Every read has a connection of its own, so threads meet as processes do."""
    batches = [
        torch.randn(30, 1, 8, 8, generator=torch.Generator().manual_seed(seed % 2))
        for seed in range(6)
    ]
    networks = [Counted() for _ in batches]  # they seed the one generator of all threads
    with ThreadPoolExecutor(4) as pool:
        read_back = list(pool.map(cache.read, batches, networks))
    network = Counted()
    for faces, features in zip(batches, read_back, strict=True):
        assert torch.equal(cache.read(faces, network), features)
    assert network.seen == 0


def test_a_damaged_file_is_named(cache):
    cache.file.parent.mkdir()
    cache.file.write_bytes(b"no table" * 1000)
    with pytest.raises(MethodError, match=r"features.sqlite.*delete the file"):
        cache.read(torch.randn(1, 1, 8, 8), Counted())
