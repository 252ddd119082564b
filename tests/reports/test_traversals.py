"""Faces along a direction: who stays the same person, and what generators may be."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import roc_curve
from typer.testing import CliRunner

from fer_bench.arrays import Part, RunArrays
from fer_bench.cli.app import app
from fer_bench.errors import FerBenchError
from fer_bench.reports.figures.traversals import failures_figure, traversal_figure
from fer_bench.reports.material import Material
from fer_bench.reports.sections.failures import SECTION, misread
from fer_bench.reports.traversals import (
    MIDDLE,
    STEPS,
    Traversal,
    directions,
    equal_error,
    read_generator,
    save_traversals,
    shifts,
    traversals_of,
    traverse,
)
from fer_bench.runs.store import RunRecord

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
        parts[name] = Part(name, e, None, None, None, labels, CLASSES)
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


# Generators ---------------------------------------------------------------------------------


class Marks:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (Path.touch, (Path(self.path),))


def test_a_torchscript_file_draws_and_a_pickle_is_not_opened(tmp_path):
    net = torch.nn.Sequential(torch.nn.Linear(6, 3 * 64), torch.nn.Unflatten(1, (3, 8, 8)))
    torch.jit.save(torch.jit.trace(net, torch.zeros(1, 6)), tmp_path / "g.pt")
    assert read_generator(str(tmp_path / "g.pt"))(torch.zeros(2, 6)).shape == (2, 3, 8, 8)
    mark = tmp_path / "opened"
    (tmp_path / "p.pt").write_bytes(pickle.dumps(Marks(mark)))
    torch.save({"w": Marks(mark)}, tmp_path / "q.pt")
    for name in ("p.pt", "q.pt"):
        with pytest.raises(FerBenchError, match="is no TorchScript file"):
            read_generator(str(tmp_path / name))
    assert not mark.exists()


@pytest.mark.parametrize("name", ["nowhere.pt", "math:sine", "no_such_module:f", ":", "math"])
def test_what_is_no_generator_is_named(name):
    with pytest.raises(FerBenchError, match="neither a file nor a function"):
        read_generator(name)


def test_a_function_is_a_generator():
    assert read_generator("math:sin")(0) == 0


@pytest.mark.parametrize(
    ("generator", "why"),
    [
        (lambda codes: codes, r"gives \[\d+, 6\]"),
        (lambda codes: "face", "gives str"),
        (torch.nn.Linear(5, 4), "cannot draw codes of 6 numbers"),
    ],
)
def test_a_generator_that_does_not_fit_is_one_sentence(run, generator, why):
    with pytest.raises(FerBenchError, match=why):
        traverse(run, generator=generator, recognise=seen)


# Kept, on the page, as figures --------------------------------------------------------------


def walk_of(k=3, threshold=0.5):
    rng = np.random.default_rng(1)
    likeness = np.tile([0.9, 0.95, 1.0, 0.8, 0.2], (k, 1))
    return Traversal(
        "E", "all ones", "decoder probe", "the pixels", threshold, 0.1, np.arange(k),
        rng.integers(0, 255, (k, len(STEPS), 8, 8, 3)).astype(np.uint8),
        np.tile([0, 0, 0, 1, 1], (k, 1)), likeness,
    )  # fmt: skip


def test_traversals_are_kept_with_the_run_and_damage_is_none(tmp_path):
    record = RunRecord(tmp_path)
    assert traversals_of(record) == []
    save_traversals(record, [walk_of(), walk_of(2, threshold=np.nan)])
    first, second = traversals_of(record)
    assert np.array_equal(first.faces, walk_of().faces)
    assert first.identity_shift == first.expression_change == 1
    assert np.isnan(second.threshold)
    (tmp_path / "traversals.safetensors").write_bytes(b"not that")
    assert traversals_of(record) == []


def test_the_figure_has_a_face_a_step_and_shifts_are_framed():
    figure = traversal_figure(walk_of())
    assert len(figure.axes) == 3 * len(STEPS)
    framed = [a for a in figure.axes if a.spines["left"].get_visible()]
    assert len(framed) == 2 * 3
    assert len(failures_figure([walk_of()]).axes) == 2 * 3
    assert failures_figure([walk_of(threshold=np.nan)]) is None


def test_the_surest_mistakes_come_first():
    logits = np.array([[2, 0], [0, 3], [0, 1], [5, 0]], np.float32)
    labels = pd.DataFrame({"expression": ["neutral", "neutral", "neutral", "anger"]})
    part = Part("test", np.zeros((4, 1), np.float32), None, logits, None, labels, CLASSES)
    assert misread(part).tolist() == [3, 1, 2]


def test_the_command_draws_and_the_page_shows(build, two_methods, tmp_path):
    results = build(tmp_path / "results", methods=two_methods, seeds=1, folds=2)
    pictures = tmp_path / "pictures"
    options = ["--method", "DICE-FER", "--generator", f"{__name__}:drawn_16"]
    called = CliRunner().invoke(
        app, ["traverse", str(results), *options, "--pictures", str(pictures)]
    )
    assert called.exit_code == 0, called.output
    assert "DICE-FER: E, all ones" in called.output
    assert len(list((pictures / "dice-fer" / "e-all-ones").glob("*.png"))) % len(STEPS) == 0
    shown, hidden = (
        SECTION.render(Material(results, maps="none", faces=faces)) for faces in ("show", "none")
    )
    for section in (shown, hidden):
        assert "E, all ones" in section
    assert "Misread" in shown
    assert "data:image/webp" in shown
    assert "data:image" not in hidden


def drawn_16(codes):
    return torch.as_tensor(codes)[:, :1, None, None].expand(-1, 3, 24, 24).tanh()
