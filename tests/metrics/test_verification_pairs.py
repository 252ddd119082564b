"""Verification and retrieval against scikit-learn and brute force; ties stay ties."""

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, roc_auc_score, roc_curve

import fer_bench.metrics.verification as module
from fer_bench.cautions import Caution
from fer_bench.metrics import nearest_images, retrieval_scores, roc_auc, verification_scores
from fer_bench.metrics.retrieval import expected_average_precision
from fer_bench.metrics.verification import (
    equal_error_rate,
    pair_cosines,
    verification_pairs,
)


@pytest.fixture
def faces():
    rng = np.random.default_rng(0)
    s, y = np.repeat(np.arange(12), 10), np.tile(np.arange(10) % 5, 12)
    return rng.normal(size=(120, 8)) + rng.normal(size=(12, 8))[s], s, y


def test_pairs_are_what_they_say(faces):
    _, s, y = faces
    genuine, impostor = verification_pairs(s, y)
    assert (s[genuine.first] == s[genuine.second]).all()
    assert (s[impostor.first] != s[impostor.second]).all()
    for pairs in (genuine, impostor):
        assert (y[pairs.first] != y[pairs.second]).all()
    assert len(genuine) == 12 * (45 - 5)


def test_sampled_pairs_are_what_they_say(faces, monkeypatch):
    _, s, y = faces
    everything, _ = verification_pairs(s, y)
    monkeypatch.setattr(module, "IMPOSTOR_PAIRS", 2000)
    genuine, impostor = verification_pairs(s, y)
    assert len(impostor) == 2000
    assert (s[impostor.first] != s[impostor.second]).all()
    assert (y[impostor.first] != y[impostor.second]).all()

    def as_set(pairs):
        return {tuple(sorted(p)) for p in zip(pairs.first, pairs.second, strict=True)}

    assert as_set(genuine) == as_set(everything)
    assert len(genuine) == len(everything)


def test_auc_and_eer_are_scikit_learns(faces):
    x, s, y = faces
    genuine, impostor = verification_pairs(s, y)
    g, m = pair_cosines(x, genuine), pair_cosines(x, impostor)
    truth, score = np.r_[np.ones(len(g)), np.zeros(len(m))], np.r_[g, m]
    scores = verification_scores(x, s, y)
    assert scores["auc"].value == pytest.approx(roc_auc_score(truth, score))
    accept, hit, _ = roc_curve(truth, score, drop_intermediate=False)
    at = np.argmin(np.abs(accept - (1 - hit)))
    assert scores["eer"].value == pytest.approx((accept[at] + 1 - hit[at]) / 2, abs=0.01)
    for rate in (0.1, 0.01):
        expected = hit[accept <= rate].max()
        assert scores[f"tar@{rate:g}"].value == pytest.approx(expected, abs=0.01)
    assert scores["auc"].low < scores["auc"].value < scores["auc"].high


def test_jackknife_is_brute_force(faces):
    x, s, y = faces
    genuine, impostor = verification_pairs(s, y)
    g, m = pair_cosines(x, genuine), pair_cosines(x, impostor)
    fast = module._leave_one_subject_out(
        g, s[genuine.first], m, np.sort(m), s[impostor.first], s[impostor.second]
    )
    slow = [
        roc_auc(
            g[s[genuine.first] != k],
            m[(s[impostor.first] != k) & (s[impostor.second] != k)],
        )
        for k in range(12)
    ]
    assert np.allclose(fast, slow)


def test_perfect_expression_embedding_says_nothing_of_persons(faces):
    _, s, y = faces
    scores = verification_scores(np.eye(5)[y], s, y)
    assert scores["auc"].value == 0.5
    constant = verification_scores(np.full((120, 3), 0.7), s, y)
    assert constant["auc"].value == 0.5
    assert constant["tar@0.01"].value == 0.0


def test_perfect_identity_embedding(faces):
    _, s, y = faces
    scores = verification_scores(np.eye(12)[s], s, y)
    values = [scores[key].value for key in ("auc", "eer", "tar@0.1", "tar@0.01")]
    assert values == pytest.approx([1, 0, 1, 1], abs=1e-9)


def test_nothing_to_verify():
    scores = verification_scores(np.ones((4, 2)), [0, 1, 2, 3], [0, 1, 0, 1])
    assert np.isnan(scores["auc"].value)
    assert scores["auc"].cautions


def test_equal_error_rate_of_straight_lines():
    t = np.linspace(0, 1, 11)
    assert equal_error_rate(t, 1 - t) == pytest.approx([0.5])
    assert equal_error_rate(np.stack([t, t**2]), 1 - t).shape == (2,)


def test_mean_average_precision_is_scikit_learns(faces):
    x, s, y = faces
    score = retrieval_scores(x, s, groups=s, same_target_excluded=y)["map"]
    unit = x / np.linalg.norm(x, axis=1, keepdims=True)
    expected = []
    for q in range(120):
        allowed = (y != y[q]) & (np.arange(120) != q)
        expected.append(average_precision_score(s[allowed] == s[q], unit[allowed] @ unit[q]))
    assert score.value == pytest.approx(np.mean(expected), abs=1e-4)


def test_expected_precision_is_that_of_random_rankings():
    rng = np.random.default_rng(0)
    relevant = np.arange(20) < 4
    drawn = [
        average_precision_score(rng.permutation(relevant), -np.arange(20)) for _ in range(1500)
    ]
    assert float(expected_average_precision(4, 20)) == pytest.approx(np.mean(drawn), abs=0.02)


def test_collapsed_embedding_retrieves_at_chance(faces):
    """All cosines tie; were ties broken by file order, neighbours would be one's own images."""
    _, s, y = faces
    score = retrieval_scores(np.ones((120, 3)), s, groups=s, same_target_excluded=y)["map"]
    assert score.value == pytest.approx(score.null, abs=0.05)


def test_subsets_are_stated(faces, monkeypatch):
    x, s, y = faces
    monkeypatch.setattr("fer_bench.metrics.retrieval.QUERIES", 50)
    score = retrieval_scores(x, s, groups=s, same_target_excluded=y)["map"]
    assert Caution("queries-subset", queries=50, gallery=120, total=120) in score.cautions


def test_nearest_images_take_turns_over_expressions(faces):
    x, _, y = faces
    lists = nearest_images(x, y, queries=5)
    assert sorted(y[item["query"]] for item in lists) == [0, 1, 2, 3, 4]
    for item in lists:
        assert item["query"] not in item["hits"]
        assert len(item["hits"]) == 6
        assert item["cosine"] == sorted(item["cosine"], reverse=True)


def test_nearest_images_of_few():
    assert nearest_images(np.ones((2, 2)), [0, 0])[0]["hits"] in ([0], [1])
