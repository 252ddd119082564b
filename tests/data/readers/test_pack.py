"""The sets of the data pack: counts, alignment, folds by people."""

from __future__ import annotations

import numpy as np
import pytest

from fer_bench.data import FaceData, load_dataset
from fer_bench.data.readers.pack import lfw_expressions, london
from fer_bench.data.splits import make_folds
from fer_bench.errors import DataError


def test_lfw_people_are_in_one_part_only(data_pack):
    root = data_pack / "lfw_expressions"
    if not root.is_dir():
        pytest.skip("no lfw_expressions/ in the data pack")
    results = lfw_expressions.read(root)
    blank = np.broadcast_to(np.zeros(1, np.uint8), (len(results.table), 8, 8, 1))
    faces = FaceData(blank, results.table, info=results.info)
    expected = faces.info.expected
    assert len(faces) == expected["images"]
    assert len(faces.subjects) == expected["subjects"]
    assert not faces.info.publish_faces
    chosen = faces.select(classes=["neutral", "happiness"])
    assert len(chosen) == expected["neutral"] + expected["happiness"]
    for fold in make_folds(chosen).folds:
        people = [set(chosen.subject[rows]) for rows in (fold.train, fold.validation, fold.test)]
        assert not people[0] & people[2]
        assert not people[1] & people[2]
        assert not people[0] & people[1]
        share = (chosen.expression[fold.test] == 0).mean()
        assert abs(share - (chosen.expression == 0).mean()) < 0.02


def test_london_as_face_recognition_expects_it(data_pack):
    """Every eye of the manifest comes to lie where the networks' template has it."""
    from fer_bench.data.prepare import CROPS, Settings, alignment

    table = london.read(data_pack / "london", version="raw_256").table
    columns = ["left_eye_x", "left_eye_y", "right_eye_x", "right_eye_y"]
    settings = Settings(size=112, **CROPS["recognition"])
    for eyes in table[columns].to_numpy(float).reshape(-1, 2, 2)[:10]:
        back = alignment(eyes, settings)  # from the aligned face to the photograph
        there = np.linalg.solve(back[:, :2], (eyes - back[:, 2]).T).T
        np.testing.assert_allclose(there, [[38.4, 51.6], [73.6, 51.6]], atol=1e-6)
    results = london.read(data_pack / "london", version="recognition_112")
    assert results.pixels(0).shape == (112, 112, 3)
    assert not set(columns) & set(results.table)


def test_an_unknown_version_names_the_known_ones(data_pack):
    with pytest.raises(DataError, match="did you mean 'recognition_112'"):
        load_dataset("london", data_pack / "london", version="recognition")


def test_versions_made_of_the_same_photographs_are_decoded_apart(data_pack):
    """Aligned faces and photographs have the same files, and were once kept under one key."""
    aligned, raw = (
        load_dataset("london", data_pack / "london", size=32, version=version)
        for version in ("recognition_112", "raw_256")
    )
    assert list(aligned.table["path"]) == list(raw.table["path"])
    assert not np.array_equal(aligned.gather(np.arange(3)), raw.gather(np.arange(3)))
