"""Groups and transfer: small groups are not compared, equal groups show no gap."""

import numpy as np
import pytest

from fer_bench.cautions import has
from fer_bench.metrics.groups import group_scores, groups, worst_cell_score
from fer_bench.metrics.transfer import transfer


def faces(rates, *, people=30, images=10, seed=0):
    """People of groups with given accuracies."""
    rng = np.random.default_rng(seed)
    group = np.repeat(np.arange(len(rates)), people * images)
    who = np.arange(len(rates) * people).repeat(images)
    return rng.random(len(group)) < np.array(rates)[group], group, who


def test_gap_and_worst():
    correct, group, who = faces([0.9, 0.6, 0.8])
    scores = group_scores(correct, group, names=["a", "b", "c"], subjects=who)
    for k, name in enumerate("abc"):
        assert scores[name].value == correct[group == k].mean()
    assert scores["worst"].details["group"] == "b"
    assert scores["gap"].value == pytest.approx(scores["a"].value - scores["b"].value)
    assert scores["gap"].p < 0.01
    assert scores["gap"].low > 0


def test_the_worst_cell_is_found():
    rng = np.random.default_rng(0)
    group, y = np.divmod(np.tile(np.arange(6), 200), 3)
    who = np.arange(1200) // 24
    right = rng.random(1200) < np.where((group == 1) & (y == 2), 0.3, 0.9)
    options = {"names": ["a", "b"], "classes": ["x", "y", "z"]}
    score = worst_cell_score(right, group, y, subjects=who, **options)
    assert score.details["cell"] == "b x z"
    assert score.value == right[(group == 1) & (y == 2)].mean()
    assert score.low < 0.3 < score.high
    few = (group == 1) & (y == 2) & (np.arange(1200) > 50)
    without = worst_cell_score(right[~few], group[~few], y[~few], **options)
    assert without.value > 0.8
    assert without.details["left_out"] == 1
    assert np.isnan(worst_cell_score(right[:12], group[:12], y[:12], **options).value)


@pytest.mark.slow
def test_equal_groups_seldom_differ():
    """Accuracy differs between people: the test must deal groups to people, not to images."""
    rng = np.random.default_rng(0)
    p = []
    for repetition in range(200):
        rate = np.clip(0.7 + 0.25 * rng.normal(size=40), 0, 1)
        correct = rng.random(400) < rate.repeat(10)
        group = np.repeat(rng.integers(0, 2, 40), 10)
        scores = group_scores(
            correct, group, names=["a", "b"], subjects=np.arange(40).repeat(10), seed=repetition
        )
        p.append(scores["gap"].p)
    assert 0.02 <= np.mean(np.array(p) < 0.05) <= 0.09


def test_small_groups_are_shown_not_compared():
    correct = np.r_[np.ones(40), np.zeros(9)]
    group = np.r_[np.zeros(20), np.ones(20), np.full(9, 2)].astype(int)
    scores = group_scores(correct, group, names=["a", "b", "few"])
    assert scores["few"].value == 0
    assert has(scores["few"].cautions, "small-group")
    assert scores["gap"].value == 0
    assert np.isnan(group_scores(correct[:25], group[:25], names=["a", "b"])["gap"].value)


def test_metric_reads_attributes(planted):
    scores = groups(planted.run(subjects=12, train_subjects=2))
    keys = ("f", "m", "gap", "worst", "worst_cell")
    assert {f"gender.{key}" for key in keys} == set(scores)
    assert scores["gender.gap"].p > 0.01


def test_transfer_on_shared_classes(planted):
    run = planted.run(subjects=12, train_subjects=2, extra=True)
    other = run.parts["test:other"]
    rows = other.y < 4
    part = planted.replaced(
        other,
        expression=other.expression[rows],
        identity=other.identity[rows],
        logits=other.logits[rows],
        valence_arousal=other.valence_arousal[rows],
        labels=other.labels[rows].reset_index(drop=True),
    )
    run.parts["test:other"] = part
    scores = transfer(run)
    expected = np.mean(part.logits[:, :4].argmax(axis=1) == part.y)
    assert scores["other.accuracy"].value == pytest.approx(expected)
    assert scores["other.drop"].details["classes"] == list(run.classes[:4])
    assert scores["other.drop"].low < 0 < scores["other.drop"].high
