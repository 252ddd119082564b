"""The README's Python works as printed, on faces of its kind."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader, Dataset, TensorDataset

import fer_bench
from fer_bench import baselines
from fer_bench.baselines.dice_fer import DICEFER
from fer_bench.errors import FerBenchError, MethodError

README = """
from dice_fer import DICEFER

# Initialize model
model = DICEFER(
    num_classes=7,
    feature_dim=64,
    lambda_exp=1.0,
    lambda_id=1.0,
    lambda_adv=0.1
)

# Train the model
model.train(
    train_loader=train_loader,
    val_loader=val_loader,
    epochs=100,
    learning_rate=1e-4
)

# Evaluate on test set
accuracy = model.evaluate(test_loader)
print(f"Test Accuracy: {accuracy:.4f}")

# Get disentanglement metrics
mig_score = model.compute_mig_score(test_loader)
print(f"MIG Score: {mig_score:.4f}")
"""
"""The two blocks of the README of the DICE-FER implementation."""


class Faces(Dataset):
    """What the README's reader has: pictures in [0, 1] with codes, here without people."""

    def __init__(self, data, people=False):
        self.data, self.people = data, people

    def __len__(self):
        return len(self.data)

    def __getitem__(self, i):
        image = torch.from_numpy(self.data.gather([i])[0]).permute(2, 0, 1) / 255
        label = int(self.data.expression[i])
        return (image, label, int(self.data.subject[i])) if self.people else (image, label)


@pytest.fixture(scope="module")
def generated():
    return fer_bench.load_dataset("generated", subjects=9, images_per_subject=14, size=16)


@pytest.fixture(scope="module")
def loaders(generated):
    parts = {"train": [0], "val": [1], "test": range(2, 9)}
    return {
        f"{name}_loader": DataLoader(
            Faces(generated.subset(np.isin(generated.subject, list(people)))),
            batch_size=14,
            shuffle=name == "train",
        )
        for name, people in parts.items()
    }


@pytest.mark.slow
def test_the_readme_runs_as_printed(loaders, monkeypatch, capsys):
    monkeypatch.syspath_prepend(str(Path(baselines.__file__).parent))
    printed = dict(loaders)
    exec(README, printed)
    lines = capsys.readouterr().out
    assert re.search(r"Test Accuracy: [01]\.\d{4}\nMIG Score: -?\d+\.\d{4}", lines)
    assert printed["accuracy"] == printed["model"].evaluate(loaders["test_loader"])


def test_the_readme_here_is_the_one_at_hand():
    path = Path(__file__).parents[2].parent / "shared" / "papers" / "dice_fer_readme.txt"
    if not path.is_file():
        pytest.skip("the source documents are not here")
    blocks = re.findall(r"```python\n(.*?)```", path.read_text(encoding="utf-8"), re.DOTALL)
    assert "".join(README.split()) == "".join("".join(blocks).split())


@pytest.fixture(scope="module")
def trained(loaders):
    model = DICEFER(feature_dim=8, backbone={"width": 8}, critic_hidden=16)
    return model.train(loaders["train_loader"], loaders["val_loader"], epochs=2, learning_rate=1e-3)


def test_arguments_reach_the_method(trained):
    config = trained.recognizer.method.config
    assert (config.dim, config.mu, config.nu, config.zeta) == (8, 0.5, 1.0, 0.1)
    assert trained.recognizer.training.batch_size == 14
    assert trained.recognizer.training.lr == 1e-3
    other = DICEFER(lambda_exp=2, lambda_id=4, lambda_adv=0.3).parameters
    assert [other[k] for k in ("mu", "nu", "mu_id", "nu_id", "zeta")] == [1, 2, 2, 4, 0.3]


def test_the_validation_set_is_its_own(trained, loaders):
    fitted = trained.recognizer._fitted
    assert len(fitted["train"]) == len(loaders["train_loader"].dataset)
    assert len(fitted["validation"]) == len(loaders["val_loader"].dataset)


def test_predictions_compare_with_the_codes_of_the_loader(trained, loaders):
    codes = np.concatenate([labels.numpy() for _, labels in loaders["test_loader"]])
    right = trained.predict(loaders["test_loader"]) == codes
    assert right.mean() == pytest.approx(trained.evaluate(loaders["test_loader"]))


def test_saved_and_loaded_it_is_the_same(trained, loaders, tmp_path):
    path = trained.save(tmp_path / "model.safetensors")
    again = DICEFER.load(path)
    test = loaders["test_loader"]
    assert np.array_equal(again.predict(test), trained.predict(test))
    embedded = [m.recognizer.transform(test) for m in (again, trained)]
    assert np.array_equal(*embedded)
    scores = [m.recognizer.evaluate(test, metrics=("classification",)) for m in (again, trained)]
    assert scores[0].keys() == scores[1].keys()
    for key, score in scores[0].items():
        assert score.value == scores[1][key].value


def test_people_of_the_data_are_used(generated):
    model = DICEFER(feature_dim=8, backbone={"width": 8}, critic_hidden=16)
    model.train(Faces(generated, people=True), epochs=1)
    assert model.recognizer.method.task.subjects
    assert not any("subject" in c.code for c in model.recognizer.cautions)


def test_what_cannot_be_is_said(tmp_path, loaders):
    with pytest.raises(MethodError, match="not trained yet"):
        DICEFER().evaluate(loaders["test_loader"])
    model = DICEFER(feature_dim=8, backbone={"width": 8}, critic_hidden=16)
    model.train(loaders["val_loader"], loaders["val_loader"], epochs=1)
    with pytest.raises(FerBenchError, match="no MIG on these faces: 14 pairs .* too few"):
        model.compute_mig_score(loaders["train_loader"])
    with pytest.raises(FerBenchError, match="did you mean 'critic_hidden'"):
        DICEFER(critic_hiden=3)
    nine = TensorDataset(torch.rand(9, 3, 8, 8), torch.arange(9))
    with pytest.raises(FerBenchError, match="9 has the label|label 7"):
        DICEFER(num_classes=7).train(nine, epochs=1)
    (tmp_path / "other.safetensors").write_bytes(b"no")
    with pytest.raises(MethodError, match="no saved recognizer"):
        DICEFER.load(tmp_path / "other.safetensors")
