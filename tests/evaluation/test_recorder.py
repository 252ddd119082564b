"""A few lines around evaluation loops as public FER code has them."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

import fer_bench
from fer_bench.errors import DataError
from fer_bench.evaluation.files import read_contents
from fer_bench.evaluation.front import plan_files

CLASSES = ["Surprise", "Fear", "Disgust", "Happiness", "Sadness", "Anger", "Neutral"]


class Net(nn.Module):
    """A backbone with an average pool and a fully connected layer, as a ResNet ends."""

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Conv2d(3, 8, 3)
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Linear(8, 7)

    def forward(self, x):
        return self.fc(self.avgpool(self.features(x)).flatten(1))


class Embedding(Net):
    """A network that returns its features beside the class scores."""

    def forward(self, x):
        feature = self.avgpool(self.features(x)).flatten(1)
        return self.fc(feature), feature


@pytest.fixture
def faces():
    torch.manual_seed(0)
    images = torch.rand(42, 3, 12, 12)
    labels, people = torch.arange(42) % 7, torch.arange(42) // 6
    return TensorDataset(images, labels, people)


def test_a_loop_that_counts_correct_predictions(faces, tmp_path):
    """The style of RAF-DB code: `_, predicts = torch.max(outputs, 1)` and a running sum."""
    model = Net().eval()
    loader = DataLoader(faces, batch_size=16)
    correct = 0
    file = tmp_path / "raf.npz"
    record = fer_bench.Recorder(file, classes=CLASSES, expression=model.avgpool)
    with record, torch.no_grad():
        for imgs, targets, person in loader:
            outputs = model(imgs)
            _, predicts = torch.max(outputs, 1)
            correct += torch.eq(predicts, targets).sum().item()
            record(logits=outputs, labels=targets, subjects=person)
    contents = read_contents(tmp_path / "raf.npz", {})
    assert contents.arrays["E"].shape == (42, 8)
    accuracy = (contents.arrays["logits"].argmax(1) == contents.columns["expression"]).mean()
    assert accuracy == correct / 42
    plan = plan_files([str(tmp_path / "raf.npz")])
    assert plan.gathered.table["expression"][0] == "surprise"


def test_a_loop_that_returns_features_and_lists_paths(faces, tmp_path):
    """The style of AffectNet code: features come back, paths are lists of text, half precision."""
    model = Embedding().eval()
    names = [f"{int(s)}/{i}.jpg" for i, (_, _, s) in enumerate(faces)]
    with fer_bench.Recorder(tmp_path / "aff.npz", classes=CLASSES) as record, torch.no_grad():
        for start in range(0, len(faces), 10):
            image, label, person = faces[start : start + 10]
            logits, feature = model(image)
            record(
                expression=feature.half(),
                logits=logits,
                labels=label.tolist(),
                ids=names[start : start + 10],
                subjects=[f"s{p}" for p in person.tolist()],
            )
    contents = read_contents(tmp_path / "aff.npz", {})
    assert contents.columns["id"].tolist() == names
    assert contents.columns["subject"][41] == "s6"


def test_an_engine_with_a_validation_step_and_a_dictionary_batch(faces, tmp_path):
    """The style of Lightning and timm engines: a step takes a dictionary, features come by name."""

    class Engine:
        def __init__(self, model, record):
            self.model, self.record = model.eval(), record

        @torch.inference_mode()
        def validation_step(self, batch):
            out = self.model(batch["image"])
            self.record(
                logits=out.softmax(1).log(),
                labels=batch["label"],
                sequences=batch["video"],
                frames=batch["frame"],
            )

    model = Net()
    path = tmp_path / "engine.npz"
    with fer_bench.Recorder(path, expression=model.avgpool, identity=model.features) as record:
        engine = Engine(model, record)
        for start in range(0, 42, 14):
            image, label, person = faces[start : start + 14]
            video = [f"clip{int(p)}" for p in person]
            engine.validation_step(
                {"image": image, "label": label, "video": video, "frame": torch.arange(14)}
            )
    contents = read_contents(path, {})
    assert contents.arrays["I"].shape == (42, 8 * 100)
    assert contents.columns["sequence"][0] == "clip0"


def test_nothing_is_written_when_the_loop_fails(tmp_path):
    with (
        pytest.raises(ZeroDivisionError),
        fer_bench.Recorder(tmp_path / "m.npz") as record,
    ):
        record(expression=np.ones((2, 3)), labels=[0, 1 // 0])
    assert not list(tmp_path.iterdir())


def test_wrong_batches_are_one_sentence(tmp_path):
    with pytest.raises(DataError, match=r"\.npz"):
        fer_bench.Recorder(tmp_path / "m.pt")
    with (
        pytest.raises(DataError, match="different lengths: expression 2, labels 1|E 2"),
        fer_bench.Recorder(tmp_path / "m.npz") as record,
    ):
        record(expression=np.ones((2, 3)), labels=[0])
    with (
        pytest.raises(DataError, match="'expression' is not in all"),
        fer_bench.Recorder(tmp_path / "m.npz") as record,
    ):
        record(expression=np.ones((2, 3)), labels=[0, 1])
        record(expression=np.ones((2, 3)))
    with (
        pytest.raises(DataError, match="nothing was recorded"),
        fer_bench.Recorder(tmp_path / "m.npz"),
    ):
        pass
