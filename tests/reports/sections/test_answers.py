"""Answers of a model about test faces: in numbers, as a picture, or why there are none."""

from __future__ import annotations

import numpy as np
import pytest

from fer_bench.data.answers import Answers
from fer_bench.errors import MethodError
from fer_bench.registry import attribute_readers
from fer_bench.reports.material import Material
from fer_bench.reports.sections.answers import SECTION


@pytest.fixture(scope="module")
def folder(build, two_methods, tmp_path_factory):
    return build(
        tmp_path_factory.mktemp("r"), methods=two_methods, seeds=1, folds=3, failure=False,
        n_subjects=6, per_subject=8, score=False,
    )  # fmt: skip


def men_all_over(data):
    """Everybody is a man, by 75 %."""
    shares = np.tile([0.75, 0.25], (len(data), 1))
    return Answers({"gender": ("man", "woman")}, {"gender": shares})


def rendered(folder, monkeypatch, reader, **options):
    monkeypatch.setattr(attribute_readers, "get", lambda name: reader)
    written = SECTION.render(Material(folder, maps="none", **options))
    return None if written is None else written[1]


def test_answers_stand_beside_the_column(folder, monkeypatch):
    shown = rendered(folder, monkeypatch, men_all_over, answers="clip")
    assert "16 test faces" in shown
    assert "<td>50.0</td><td>0.00</td>" in shown  # one woman of two: right half, kappa 0
    assert "data:image" in shown


def test_faces_left_out_leave_the_numbers(folder, monkeypatch):
    hidden = rendered(folder, monkeypatch, men_all_over, answers="clip", faces="none")
    assert "<td>50.0</td>" in hidden
    assert "data:image" not in hidden


def test_a_model_that_is_not_there_is_said(folder, monkeypatch):
    def gone(data):
        raise MethodError("CLIP has no weights here.")

    assert "CLIP has no weights here." in rendered(folder, monkeypatch, gone, answers="clip")


def test_nobody_is_asked_by_default(folder, monkeypatch):
    assert rendered(folder, monkeypatch, men_all_over) is None
