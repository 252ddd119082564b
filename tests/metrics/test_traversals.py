"""Faces along a direction: who stays the same person."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import roc_curve

from fer_bench.arrays import PartArrays, RunArrays
from fer_bench.errors import FerBenchError
from fer_bench.metrics.traversals import MIDDLE, directions, equal_error, shifts, traverse

SIDE, PEOPLE, IMAGES = 7, 12, 4  # too small for the reader of expressions, which is slow
CLASSES = ("neutral", "anger")
PATTERNS = np.random.default_rng(5).normal(size=(6, SIDE * SIDE))


def drawn(codes):
    """A generator: two numbers for the expression and four for the person, each a pattern."""
    pixels = torch.as_tensor(codes).double() @ torch.from_numpy(PATTERNS) / 24
    return pixels.reshape(-1, 1, SIDE, SIDE)


def blind(codes):
    """A generator that keeps everybody as they are, whatever moves beyond the expression."""
    codes = torch.as_tensor(codes)
    return drawn(torch.cat([codes[:, :2], 3 * codes[:, 2:].sign()], dim=1))


def seen(faces):
    """A recognition that reads the four numbers of the person."""
    pixels = (faces.reshape(len(faces), -1) - 127.5) / 127.5 * 24
    return np.linalg.lstsq(PATTERNS.T, pixels.T, rcond=None)[0][2:].T


def planted(*, subjects=True):
    rng = np.random.default_rng(0)
    looks = np.where(rng.random((3 * PEOPLE, 4)) < 0.5, -1.0, 1.0) * [6, 3, 3, 3]
    parts, faces, start = {}, [], 0
    for k, name in enumerate(("train", "validation", "test")):
        s = np.repeat(np.arange(PEOPLE), IMAGES) + k * PEOPLE
        y = np.tile([0, 1], len(s) // 2)
        e = np.hstack([np.eye(2)[y], looks[s]]).astype(np.float32)
        faces.append((drawn(e) * 127.5 + 127.5).clamp(0, 255).byte().numpy()[:, 0, :, :, None])
        labels = pd.DataFrame(
            {
                "expression": [CLASSES[c] for c in y],
                "subject": [f"s{i:02d}" if subjects else None for i in s],
                "row": np.arange(start, start + len(s)),
                "beard": np.where(looks[s, 0] > 0, "yes", "no"),
            }
        )
        parts[name] = PartArrays(name, e, None, None, None, labels, CLASSES)
        start += len(s)
    return RunArrays(parts, CLASSES, read_faces=lambda: np.concatenate(faces))


@pytest.fixture(scope="module")
def run():
    return planted()


def test_directions_are_all_ones_and_from_level_to_level(run):
    found = directions(run.parts["train"], "E")
    assert len(set(found["all ones"])) == 1
    [name] = set(found) - {"all ones"}
    assert name in ("beard: no to yes", "beard: yes to no")
    assert abs(found[name][2]) == pytest.approx(12, abs=1e-5)


def test_a_person_shifts_where_the_embedding_holds_the_person(run):
    walks = {w.direction: w for w in traverse(run, generator=drawn, recognise=seen)}
    beard = walks[next(name for name in walks if name.startswith("beard"))]
    assert beard.error == pytest.approx(0, abs=0.1)
    assert beard.identity_shift > 0.4
    assert not beard.shifted[:, MIDDLE].any()
    assert np.allclose(beard.likeness[:, MIDDLE], 1)
    [still, *_] = traverse(run, generator=blind, recognise=seen)
    assert still.identity_shift == 0


def test_a_generator_of_e_beside_i_moves_one_and_keeps_the_other(run):
    """The person is I here: along E everybody keeps their looks, along I some lose them."""
    parts = {
        name: replace(part, expression=part.expression[:, :2], identity=part.expression[:, 2:])
        for name, part in run.parts.items()
    }
    apart = replace(run, parts=parts)
    along_e, along_i = (
        traverse(apart, space=space, generator=drawn, beside=True, recognise=seen)
        for space in ("E", "I")
    )
    assert along_e[0].likeness.min() > 0.999
    beard = next(walk for walk in along_i if walk.direction.startswith("beard"))
    assert beard.likeness.min() < 0.5


def test_drawings_that_do_not_tell_people_apart_give_no_verdict(run):
    [walk, *_] = traverse(run, generator=lambda codes: drawn(codes * 0 + 1), recognise=seen)
    assert walk.error == pytest.approx(0.5, abs=0.01)
    assert np.isnan(walk.identity_shift)


def test_without_people_there_is_no_verdict():
    [walk, *_] = traverse(planted(subjects=False), generator=drawn, recognise=seen)
    assert np.isnan(walk.threshold)
    assert np.isnan(walk.identity_shift)
    assert not shifts([walk])


def test_the_pixels_judge_where_there_is_no_recognition(run):
    [walk, *_] = traverse(run, generator=drawn)
    assert "pixels" in walk.judged_by


def test_an_embedding_that_is_not_there_is_named(run):
    with pytest.raises(FerBenchError, match="no embedding 'z_ex'"):
        traverse(run, space="z_ex", generator=drawn)


@given(
    st.lists(st.integers(-20, 20), min_size=1, max_size=30),
    st.lists(st.integers(-20, 20), min_size=1, max_size=30),
)
def test_the_equal_error_is_that_of_the_roc_curve(genuine, impostor):
    cut, error = equal_error(np.array(genuine, float), np.array(impostor, float))
    rejected = np.mean(np.array(genuine) < cut)
    accepted = np.mean(np.array(impostor) >= cut)
    assert error == pytest.approx((rejected + accepted) / 2)
    labels = [1] * len(genuine) + [0] * len(impostor)
    accepts, right, _ = roc_curve(labels, genuine + impostor, drop_intermediate=False)
    gaps = np.abs(1 - right[1:] - accepts[1:])
    assert abs(rejected - accepted) <= gaps.min() + 1e-9
