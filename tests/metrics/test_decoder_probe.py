"""Decoders of planted faces: what is in an embedding is drawn, what is not stays away."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from fer_bench.arrays import PartArrays, RunArrays
from fer_bench.cautions import Caution, has
from fer_bench.metrics.decoder import Drawings, PersonReader, decoder
from fer_bench.metrics.face_decoder import Basis, explained, fit_decoder
from fer_bench.metrics.metric import load_metrics, score_run

SIDE, CLASSES = 16, ("neutral", "happiness", "sadness", "anger")
PEOPLE = {"train": 40, "validation": 8, "test": 10}
IMAGES = 8


def planted_run(*, e="expression", i="person", channels=1, parts=tuple(PEOPLE), subjects=True):
    """Faces are a person's look (4 numbers) plus the look of an expression plus noise.

    `e` and `i` name what an embedding holds: "expression", "person", "noise" or, for `i`, None.
    """
    rng = np.random.default_rng(0)
    patterns = np.kron(rng.normal(size=(4 + len(CLASSES), 4, 4)), np.ones((4, 4)))
    made, faces, start = {}, [], 0
    for name in parts:
        s = np.repeat(np.arange(PEOPLE[name]), IMAGES)
        y = np.tile(np.arange(IMAGES) % len(CLASSES), PEOPLE[name])
        look = rng.normal(size=(PEOPLE[name], 4))[s]
        drawn = np.tensordot(np.hstack([look, 1.5 * np.eye(len(CLASSES))[y]]), patterns, 1)
        drawn = 128 + 15 * drawn + 4 * rng.normal(size=drawn.shape)
        faces.append(np.clip(drawn, 0, 255).astype(np.uint8)[..., None].repeat(channels, -1))
        holds = {
            "expression": np.eye(len(CLASSES))[y],
            "person": look,
            "noise": rng.normal(size=(len(s), 3)),
        }
        embedding = {
            k: (v + 0.05 * rng.normal(size=v.shape)).astype(np.float32) for k, v in holds.items()
        }
        labels = pd.DataFrame(
            {
                "expression": [CLASSES[c] for c in y],
                "subject": [f"{name}{k}" if subjects else None for k in s],
                "valence": np.nan,
                "arousal": np.nan,
                "row": np.arange(start, start + len(s)),
            }
        )
        identity = None if i is None else embedding[i]
        made[name] = PartArrays(name, embedding[e], identity, None, None, labels, CLASSES)
        start += len(s)
    everything = np.concatenate(faces)
    return RunArrays(made, CLASSES, read_faces=lambda: everything)


@pytest.fixture(scope="module", autouse=True)
def short():
    """Planted faces are easy: a part of the steps will do."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("fer_bench.metrics.decoder.STEPS", 160)
        patch.setattr("fer_bench.metrics.decoder.READER_STEPS", 100)
        patch.setattr("fer_bench.metrics.decoder._READERS", {})
        yield


@pytest.fixture(scope="module")
def apart():
    """E the expression, I the person."""
    return decoder(planted_run())


# Pieces -------------------------------------------------------------------------------------


def test_basis_is_that_of_scikit_learn():
    from sklearn.decomposition import PCA

    faces = np.random.default_rng(0).normal(size=(40, 90))
    basis, pca = Basis.of(faces, 7), PCA(7, svd_solver="full").fit(faces)
    assert basis.spread**2 * 40 / 39 == pytest.approx(pca.explained_variance_)
    assert np.abs(basis.axes @ pca.components_.T) == pytest.approx(np.eye(7), abs=1e-9)


def test_all_components_give_the_faces_back():
    faces = np.random.default_rng(1).normal(size=(12, 50))
    basis = Basis.of(faces)
    assert len(basis.axes) == 11  # one dimension goes to the mean
    assert basis.faces(basis.coordinates(faces)) == pytest.approx(faces, abs=1e-9)


def test_equal_faces_have_a_basis_without_axes_or_a_negligible_one():
    basis = Basis.of(np.full((5, 9), 0.3))
    assert basis.faces(np.zeros((2, len(basis.axes)))) == pytest.approx(np.full((2, 9), 0.3))


def test_explained_is_0_for_the_mean_face_and_1_for_the_faces():
    faces = np.random.default_rng(2).random((6, 5))
    mean = faces.mean(axis=0)
    assert explained(faces, np.tile(mean, (6, 1)), mean) == pytest.approx(0)
    assert explained(faces, faces, mean) == 1
    assert explained(faces, 2 * mean - faces, mean) == pytest.approx(-3)


def test_a_decoder_of_noise_draws_the_mean_face():
    rng = np.random.default_rng(3)
    x, faces = rng.normal(size=(300, 5)), 0.5 + 0.1 * rng.normal(size=(300, 20))
    held = rng.normal(size=(100, 5)), 0.5 + 0.1 * rng.normal(size=(100, 20))
    fitted = fit_decoder(x, faces, held=held, hidden=64, steps=200)
    assert fitted.validation < 0.02
    assert fitted.validation > -0.2  # the state is chosen before it overfits


def test_a_far_embedding_draws_something_finite():
    rng = np.random.default_rng(4)
    x = rng.normal(size=(50, 3))
    fitted = fit_decoder(x, rng.random((50, 12)), hidden=16, steps=30)
    assert np.isfinite(fitted(1e12 * x)).all()


def test_fitting_leaves_random_numbers_alone():
    import torch

    torch.manual_seed(5)
    expected = torch.rand(2)
    torch.manual_seed(5)
    fit_decoder(np.eye(6), np.random.default_rng(0).random((6, 9)), hidden=4, steps=3)
    assert torch.equal(torch.rand(2), expected)


def test_people_are_told_apart_by_what_differs_between_them():
    rng = np.random.default_rng(6)
    s = np.repeat(np.arange(10), 12)
    own, other = rng.normal(size=(10, 3)), rng.normal(size=(len(s), 30))
    faces = np.hstack([own[s], 5 * other]) @ rng.normal(size=(33, 60))
    reader = PersonReader(faces, s, basis=Basis.of(faces))
    seen = reader(faces)
    cosine = seen @ seen.T
    assert cosine[s[:, None] == s[None]].mean() > cosine[s[:, None] != s[None]].mean() + 0.3


# Scores -------------------------------------------------------------------------------------


def test_separate_embeddings_swap(apart):
    assert apart["faces.expression"].value > 0.9
    assert apart["faces.identity"].value > 0.9
    assert apart["swap.expression"].low > 0.8
    assert apart["swap.expression_of_I"].high < 0.2
    assert apart["swap.identity"].low > 0.8
    assert apart["EI.r2"].value > apart["E.r2"].high
    assert apart["E.r2"].low > 0.1
    assert apart["E.identity"].value < 0.65
    assert apart["EI.identity"].low > 0.8


def test_embeddings_that_changed_places_are_seen():
    scores = decoder(planted_run(e="person", i="expression"))
    assert scores["E.identity"].low > 0.8
    assert scores["E.expression"].value < 0.45
    assert scores["swap.expression"].value < 0.2
    assert scores["swap.expression_of_I"].low > 0.8
    assert scores["swap.identity"].high < 0.2


def test_noise_draws_nothing():
    scores = decoder(planted_run(e="noise", i=None))
    assert not [key for key in scores if key.startswith(("EI", "swap"))]
    assert scores["E.r2"].low < 0 < 0.06 > scores["E.r2"].value
    assert abs(scores["E.expression"].value - scores["E.expression"].null) < 0.12
    assert abs(scores["E.identity"].value - 0.5) < 0.15


def test_scores_are_on_test_faces_and_people(apart):
    assert {score.n for score in apart.values()} == {PEOPLE["test"] * IMAGES}
    assert all(score.low <= score.value <= score.high for score in apart.values())
    assert all(score.null is not None and not score.cautions for score in apart.values())


def test_the_decoder_never_looks_at_test_faces(apart):
    run = planted_run()
    faces = run.faces.copy()
    faces[run.test.labels["row"]] = 0
    blind = decoder(replace(run, read_faces=lambda: faces))
    for key in ("E.r2", "EI.r2"):
        assert blind[key].details["validation"] == apart[key].details["validation"]


def test_the_same_seed_gives_the_same_numbers_and_drawings(apart):
    again = decoder(planted_run())
    assert {k: s.value for k, s in again.items()} == {k: s.value for k, s in apart.items()}
    assert all(np.array_equal(again.arrays[k], apart.arrays[k]) for k in apart.arrays)


def test_without_a_validation_part_people_are_held_back():
    scores = decoder(planted_run(parts=("train", "test")))
    assert scores["swap.expression"].low > 0.7


def test_unknown_people_are_said():
    scores = decoder(planted_run(subjects=False))
    assert "E.r2" in scores
    assert not [key for key in scores if "identity" in key]
    assert all(has(s.cautions, "unknown-people") for s in scores.values())


def test_people_on_both_sides_are_said():
    run = planted_run()
    labels = run.test.labels.assign(subject=["train0"] * IMAGES * 5 + ["x"] * IMAGES * 5)
    mixed = replace(run, parts={**run.parts, "test": replace(run.test, labels=labels)})
    assert Caution("people-overlap", n=1) in decoder(mixed)["E.r2"].cautions


def test_without_small_faces_it_is_skipped_with_a_reason():
    metrics = load_metrics(["decoder"])
    outcome = score_run(replace(planted_run(), read_faces=None), metrics)["decoder"]
    assert "small copies" in outcome.skipped
    assert "decoder" not in load_metrics()


def test_a_decoder_of_the_method_s_own_is_read_as_the_faces_are(apart):
    """One that draws the faces themselves scores what the readers make of real faces."""
    run = planted_run()
    faces = run.faces[run.test.labels["row"]]
    parts = {**run.parts, "test": replace(run.test, drawn=faces)}
    scores = decoder(replace(run, parts=parts))
    assert scores["own.r2"].value == pytest.approx(1)
    for key in ("expression", "identity"):
        assert scores[f"own.{key}"].value == scores[f"faces.{key}"].value
    drawings = Drawings.from_arrays(scores.arrays)
    assert np.array_equal(drawings.drawn["own"], run.faces[drawings.rows])
    assert {k: s.value for k, s in scores.items() if not k.startswith("own.")} == {
        k: s.value for k, s in apart.items()
    }


def test_a_run_is_scored_with_its_drawings():
    run = planted_run(i=None)
    outcome = score_run(run, load_metrics(["decoder"]))["decoder"]
    assert outcome.failed is None
    assert "arrays" not in outcome.to_json()
    assert outcome.arrays["drawn.E"].dtype == np.uint8


def test_missing_values_in_an_embedding_do_not_spread():
    run = planted_run()
    broken = run.test.expression.copy()
    broken[3] = np.nan
    parts = {**run.parts, "test": replace(run.test, expression=broken)}
    scores = decoder(replace(run, parts=parts))
    assert np.isfinite([s.value for s in scores.values()]).all()


# Drawings -----------------------------------------------------------------------------------


@pytest.mark.parametrize("channels", [1, 3])
def test_drawings_have_their_shapes(channels):
    drawings = Drawings.from_arrays(decoder(planted_run(channels=channels)).arrays)
    face = (SIDE, SIDE, channels)
    assert drawings.drawn["E"].shape == drawings.drawn["EI"].shape == (4, *face)
    assert drawings.swap.shape == (4, 4, *face)
    assert drawings.means.shape == (3, 5, *face)
    assert drawings.axes_i.shape == (3, 5, *face)
    assert drawings.swap.dtype == np.uint8
    assert drawings.expression.tolist() == [0, 1, 2, 3]


def test_the_diagonal_of_the_swap_is_the_reconstruction(apart):
    drawings = Drawings.from_arrays(apart.arrays)
    for k in range(4):
        assert np.array_equal(drawings.swap[k, k], drawings.drawn["EI"][k])


def test_shown_faces_are_of_the_test_part_and_of_different_people(apart):
    run = planted_run()
    rows = Drawings.from_arrays(apart.arrays).rows
    assert set(rows) <= set(run.test.labels["row"])
    assert run.test.labels.set_index("row").loc[rows, "subject"].nunique() == 4


def test_drawings_survive_their_arrays(apart):
    drawings = Drawings.from_arrays(apart.arrays)
    again = drawings.to_arrays()
    assert again.keys() == apart.arrays.keys()
    assert all(np.array_equal(again[k], v) for k, v in apart.arrays.items())


def test_a_walk_between_class_means_changes_the_expression(apart):
    drawings = Drawings.from_arrays(apart.arrays)
    [first, *_, last] = drawings.means[0].astype(float)
    assert np.abs(last - first).mean() > 10
    assert np.abs(drawings.means[0][1].astype(float) - first).mean() < np.abs(last - first).mean()
