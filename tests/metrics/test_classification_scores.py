"""Recognition figures against scikit-learn, torchmetrics and hand-made cases."""

import numpy as np
import pytest
import torch
from scipy.special import log_softmax
from sklearn import metrics as sk
from torchmetrics.functional.classification import multiclass_calibration_error

from fer_bench.arrays import RunArrays
from fer_bench.cautions import Caution, has
from fer_bench.errors import FerBenchError
from fer_bench.metrics import classification_scores, confusion_matrix
from fer_bench.metrics.classification import FITTED, classification

NAMES = ["a", "b", "c", "d"]


@pytest.fixture(scope="module")
def sample():
    rng = np.random.default_rng(0)
    y = rng.integers(0, 4, 500)
    return rng.normal(size=(500, 4)) + 1.5 * np.eye(4)[y], y


@pytest.fixture(scope="module")
def scores(sample):
    return classification_scores(*sample, classes=NAMES, groups=np.arange(500) // 25)


def test_scikit_learn_agrees(sample, scores):
    z, y = sample
    guess = z.argmax(1)
    assert scores["accuracy"].value == pytest.approx(sk.accuracy_score(y, guess))
    balanced = sk.balanced_accuracy_score(y, guess)
    assert scores["balanced_accuracy"].value == pytest.approx(balanced)
    assert scores["macro_f1"].value == pytest.approx(sk.f1_score(y, guess, average="macro"))
    p, r, f, n = sk.precision_recall_fscore_support(y, guess)
    for k, name in enumerate(NAMES):
        values = [scores[f"{key}.{name}"].value for key in ("precision", "recall", "f1")]
        assert values == pytest.approx([p[k], r[k], f[k]])
        assert scores[f"support.{name}"].value == n[k]
    assert scores["nll"].value == pytest.approx(sk.log_loss(y, np.exp(log_softmax(z, axis=1))))
    assert scores["confusion"].details["matrix"] == sk.confusion_matrix(y, guess).tolist()


def test_torchmetrics_agrees_on_calibration(sample, scores):
    z, y = sample
    expected = multiclass_calibration_error(
        torch.tensor(z).softmax(1), torch.tensor(y), num_classes=4, n_bins=15
    )
    assert scores["ece"].value == pytest.approx(float(expected), abs=1e-6)


def test_intervals_hold_the_value_and_count_subjects(sample, scores):
    for key in ("accuracy", "macro_f1", "nll", "f1.a"):
        assert scores[key].low < scores[key].value < scores[key].high
    z, y = sample
    few = classification_scores(z, y, classes=NAMES, groups=np.arange(500) // 250)
    assert Caution("few-clusters", clusters=2, of="subjects") in few["accuracy"].cautions


def test_missing_labels_are_left_out(sample):
    z, y = sample
    y = np.where(np.arange(500) < 100, -1, y)
    scores = classification_scores(z, y, classes=NAMES)
    assert scores["accuracy"].n == 400
    assert scores["accuracy"].value == pytest.approx(np.mean(z[100:].argmax(1) == y[100:]))
    nothing = classification_scores(z, np.full(500, -1), classes=NAMES)
    assert np.isnan(nothing["accuracy"].value)


def test_class_without_images_is_undefined_and_out_of_the_means():
    z = np.eye(3)[[0, 1, 2, 0]] * 5
    scores = classification_scores(z, [0, 1, 1, 0], classes=["a", "b", "c"])
    assert scores["support.c"].value == 0
    assert np.isnan(scores["f1.c"].value)
    assert has(scores["f1.c"].cautions, "no-images")
    assert scores["balanced_accuracy"].value == pytest.approx((1 + 0.5) / 2)


def test_random_guessing_is_near_the_null():
    rng = np.random.default_rng(0)
    y = rng.choice(3, size=3000, p=[0.7, 0.2, 0.1])
    z = np.eye(3)[rng.choice(3, size=3000, p=[0.7, 0.2, 0.1])]
    score = classification_scores(z, y, classes=["a", "b", "c"])["accuracy"]
    assert score.value == pytest.approx(score.null, abs=0.03)
    assert score.null == pytest.approx(0.7**2 + 0.2**2 + 0.1**2, abs=0.03)


def test_extreme_logits_stay_finite():
    z = np.array([[1e30, -1e30], [-1e30, 1e30]])
    scores = classification_scores(z, [0, 1], classes=["a", "b"])
    assert scores["nll"].value == 0
    assert scores["ece"].value == 0


@pytest.mark.parametrize(
    ("logits", "message"),
    [
        (np.zeros((3, 2)), r"shape \(3, 2\), expected \(2, 2\)"),
        (np.array([[0, 1], [np.nan, 0]]), "NaN or infinite.*row 1"),
    ],
)
def test_bad_logits(logits, message):
    with pytest.raises(FerBenchError, match=message):
        classification_scores(logits, [0, 1], classes=["a", "b"])


def test_confusion_rows_are_truth():
    assert confusion_matrix([0, 0, 1], [1, 1, 1], 2).tolist() == [[0, 2], [0, 1]]


def test_metric_covers_the_parts(planted):
    run = planted.run(subjects=6, train_subjects=6, extra=True)
    scores = classification(run)
    assert {key.split(".")[0] for key in scores} == {"test", "train", "test:other"}
    assert FITTED in scores["train.accuracy"].cautions
    assert not scores["test.accuracy"].cautions
    assert scores["test:other.accuracy"].n == 8 * 28


def test_images_are_resampled_without_subjects(planted):
    part = planted.part(subjects=5)
    labels = part.labels.assign(subject=None)
    part = planted.replaced(part, labels=labels)
    run = RunArrays(parts={"train": part, "test": part}, classes=part.classes)
    score = classification(run)["test.accuracy"]
    assert has(score.cautions, "images-resampled")
    assert score.low < score.value < score.high
