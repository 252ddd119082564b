"""Faces from PyTorch's loaders and datasets, tensors and arrays: the same whichever way."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from torch.utils.data import (
    DataLoader,
    Dataset,
    IterableDataset,
    Subset,
    SubsetRandomSampler,
    TensorDataset,
    WeightedRandomSampler,
)

from fer_bench.data.faces import FaceData
from fer_bench.data.sources import FaceReader, joined
from fer_bench.errors import DataError

PIXELS = np.random.default_rng(0).integers(0, 256, (10, 8, 8, 3), dtype=np.uint8)
LABELS = [0, 1, 2, 0, 1, 2, 0, 1, 2, -1]
PEOPLE = [*"aabbccddee"]
NAMES = ("neutral", "happy", "Sad")
WANTED = ["neutral", "happiness", "sadness"] * 3 + [None]


class Items(Dataset):
    """Face by face, in the form that `make` gives."""

    def __init__(self, make, classes=None):
        self.make = make
        if classes is not None:
            self.classes = classes

    def __len__(self):
        return len(PIXELS)

    def __getitem__(self, i):
        return self.make(i)


def floats(i):
    return torch.from_numpy(PIXELS[i]).permute(2, 0, 1) / 255


WAYS = {
    "pairs": lambda i: (floats(i), LABELS[i], PEOPLE[i]),
    "mapping": lambda i: {"image": floats(i), "label": LABELS[i], "subject": PEOPLE[i]},
    "other keys": lambda i: {"pixel_values": floats(i), "emotion": LABELS[i], "person": PEOPLE[i]},
    "uint8 array": lambda i: (PIXELS[i], np.int64(LABELS[i]), PEOPLE[i]),
    "channels first array": lambda i: (PIXELS[i].transpose(2, 0, 1), LABELS[i], PEOPLE[i]),
    "tensor label": lambda i: (floats(i), torch.tensor([LABELS[i]]), PEOPLE[i]),
    "minus one to one": lambda i: (floats(i) * 2 - 1, LABELS[i], PEOPLE[i]),
    "float 0 to 255": lambda i: (floats(i) * 255, LABELS[i], PEOPLE[i]),
}


def table(faces):
    expression = faces.table["expression"].astype(object)
    return expression.where(expression.notna(), None).tolist(), faces.table["subject"].tolist()


def check(faces):
    assert np.abs(faces.images.astype(int) - PIXELS).max() <= 1
    assert table(faces) == (WANTED, PEOPLE)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("batched", [False, True])
def test_every_way_gives_the_same_faces(way, batched):
    source = Items(WAYS[way], NAMES)
    check(FaceReader()(DataLoader(source, batch_size=4) if batched else source))


def test_pictures_of_pil_and_names_as_labels():
    source = Items(lambda i: (Image.fromarray(PIXELS[i]), WANTED[i], PEOPLE[i]))
    check(FaceReader()(source))


@pytest.mark.parametrize("as_mapping", [False, True])
def test_arrays_as_a_whole(as_mapping):
    images = torch.from_numpy(PIXELS).permute(0, 3, 1, 2)
    source = (images, torch.tensor(LABELS), PEOPLE)
    if as_mapping:
        source = dict(zip(("images", "labels", "subjects"), source, strict=True))
    check(FaceReader(classes=NAMES)(source))


def test_faces_alone_have_no_labels():
    faces = FaceReader()(torch.rand(4, 1, 8, 8))
    assert (faces.shape, faces.classes, faces.has_subjects) == ((1, 8, 8), (), False)


def test_face_data_passes_through():
    faces = FaceReader()(Items(WAYS["pairs"], NAMES))
    assert FaceReader()(faces) is faces


def test_a_shuffled_loader_is_read_in_order_and_to_the_end():
    loader = DataLoader(Items(WAYS["pairs"], NAMES), batch_size=4, shuffle=True, drop_last=True)
    check(FaceReader()(loader))


def test_a_subset_stays_one():
    source = Items(WAYS["pairs"], NAMES)
    chosen = [7, 1, 4]
    loader = DataLoader(source, batch_size=2, sampler=SubsetRandomSampler(chosen))
    assert FaceReader()(loader).table["subject"].tolist() == [PEOPLE[i] for i in sorted(chosen)]
    faces = FaceReader()(Subset(source, chosen))
    assert faces.table["subject"].tolist() == [PEOPLE[i] for i in chosen]
    assert faces.classes == ("happiness",)


def test_a_loader_that_draws_with_weights_is_taken_at_its_word():
    sampler = WeightedRandomSampler([1.0] + [0.0] * 9, num_samples=6)
    faces = FaceReader()(DataLoader(Items(WAYS["pairs"], NAMES), batch_size=4, sampler=sampler))
    assert faces.table["subject"].tolist() == ["a"] * 6


def test_iterable_datasets_and_generators():
    class Stream(IterableDataset):
        def __iter__(self):
            return (WAYS["pairs"](i) for i in range(10))

    check(FaceReader(classes=NAMES)(DataLoader(Stream(), batch_size=3)))
    check(FaceReader(classes=NAMES)(WAYS["pairs"](i) for i in range(10)))


def test_valence_and_arousal_and_further_columns():
    targets = np.linspace(-1, 1, 20).reshape(10, 2).astype(np.float32)
    faces = FaceReader()(Items(lambda i: {"image": floats(i), "y": targets[i], "sex": "fm"[i % 2]}))
    assert np.allclose(faces.valence_arousal, targets)
    assert faces.attributes == ("sex",)


def test_codes_without_names_stay_codes():
    source = TensorDataset(torch.rand(12, 1, 8, 8), torch.arange(12) % 11)
    reader = FaceReader()
    faces = reader(source)
    assert len(faces.classes) == 11
    assert reader.label_names[10] == "class 10"
    few = reader(TensorDataset(torch.rand(2, 1, 8, 8), torch.tensor([10, 3])))
    assert few.table["expression"].tolist() == ["class 10", "class 3"]


def test_a_test_folder_that_lacks_a_class_keeps_its_own_names():
    reader = FaceReader()
    reader(Items(WAYS["pairs"], NAMES))
    source = Items(lambda i: (floats(i), i % 2), ["happy", "sad"])
    assert set(reader(source).classes) == {"happiness", "sadness"}


@settings(max_examples=25, deadline=None)
@given(st.floats(-5, 5), st.floats(0.1, 8))
def test_a_test_face_is_what_a_training_face_was(shift, scale):
    """Whatever a transform does to the values, the same picture becomes the same pixels."""
    first = torch.from_numpy(PIXELS).permute(0, 3, 1, 2) / 255 * scale + shift
    reader = FaceReader()
    train = reader((first, torch.tensor(LABELS)))
    alone = reader(first[3:4])
    assert (alone.images[0] == train.images[3]).all()


def test_batches_of_different_ranges_are_one_set():
    """The first batch looks like [0, 1], the second shows that it was not."""
    dark, bright = torch.full((2, 1, 8, 8), 0.5), torch.full((2, 1, 8, 8), -0.5)
    images = FaceReader()(iter([(dark, [0, 1]), (bright, [0, 1])])).images
    assert images[0, 0, 0, 0] - images[2, 0, 0, 0] == pytest.approx(128, abs=1)


@pytest.mark.parametrize(
    ("source", "words"),
    [
        (7, "cannot be read from int"),
        ([], "no face"),
        (Items(lambda i: "a.png"), "yields str"),
        (Items(lambda i: {"label": 1}), "must be under 'image'"),
        (Items(lambda i: (torch.rand(2, 8, 8), 0)), "has shape"),
        (Items(lambda i: (torch.rand(3, 8 + i, 8), 0)), "face 1 has shape"),
        (Items(lambda i: (torch.full((3, 8, 8), float("nan")), 0)), "not finite"),
        (Items(lambda i: (torch.full((3, 8, 8), 300), 0)), "outside 0 to 255"),
        (Items(lambda i: (floats(i), [1, 2, 3])), "has 3 numbers"),
        ((torch.rand(4, 3, 8, 8), [0, 1]), "4 faces, but 2 values of 'label'"),
    ],
)
def test_what_is_no_face_is_said(source, words):
    with pytest.raises(DataError, match=words):
        FaceReader()(source, what="test faces")


def test_labels_beyond_the_classes_are_said():
    source = TensorDataset(torch.rand(3, 1, 8, 8), torch.tensor([0, 1, 7]))
    with pytest.raises(DataError, match="face 2 has the label 7.*7 classes"):
        FaceReader(n_classes=7)(source)
    with pytest.raises(DataError, match="3 classes .*, not 7"):
        FaceReader(n_classes=7)(Items(WAYS["pairs"], NAMES))


def test_two_sets_as_one():
    first, second = (FaceReader()(Items(WAYS["pairs"], NAMES)) for _ in range(2))
    both = joined(first, second)
    assert isinstance(both, FaceData)
    assert len(both) == 20
    with pytest.raises(DataError, match="bring both to one size"):
        joined(first, FaceReader()(torch.rand(2, 1, 8, 8)))
