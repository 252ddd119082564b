"""The metric of a run: keys, what it lacks, and where it appears."""

from dataclasses import replace

import numpy as np
import pytest

from fer_bench.arrays import FROZEN_ATTACKER, RunArrays
from fer_bench.attackers.closed_forms import Cosine
from fer_bench.attackers.comparisons import compared_pairs
from fer_bench.attackers.faces import part_faces
from fer_bench.attackers.metric import attackers, fixed_scores, ladder_scores
from fer_bench.cautions import has
from fer_bench.metrics.metric import load_metrics, score_run, score_specs
from fer_bench.metrics.sanity import planted_run
from fer_bench.score import Score


@pytest.fixture(scope="module")
def scores():
    return {leak: attackers(planted_run(leak=leak, subjects=24)) for leak in (0.0, 0.6)}


def test_a_leak_in_e_and_none(scores):
    assert scores[0.6]["E.identity.auc"].low > 0.6
    assert scores[0.0]["E.identity.auc"].value == pytest.approx(0.5, abs=0.06)
    assert scores[0.0]["I.expression.auc"].value == pytest.approx(0.5, abs=0.06)


@pytest.mark.parametrize("key", ["eer", "auc", "fixed.auc", "lda.auc"])
def test_rates_are_kept_with_what_each_test_person_changes(scores, key):
    effects = scores[0.6][f"E.identity.{key}"].effects
    assert len(effects.people) == len(set(effects.people.tolist())) > 2
    assert effects.changes.any()


def test_every_step_and_what_it_rests_on_is_told(scores):
    for step in ("cosine", "lda", "plda"):
        assert 0 <= scores[0.6][f"E.identity.{step}.eer"].value <= 1
    score = scores[0.6]["E.identity.auc"]
    assert score.details["people"] == 24
    assert score.details["attacker"] in ("cosine", "lda", "plda")
    assert {"genuine_pairs", "impostor_pairs", "validation"} <= score.details.keys()


def test_six_training_people_are_called_few(scores):
    assert has(scores[0.6]["E.identity.auc"].cautions, "few-attacked")


def test_it_is_registered_with_its_columns():
    assert "attackers" in load_metrics()
    assert "attackers-all" not in load_metrics()
    assert "attackers/E.identity.eer" in score_specs()


def test_a_run_without_subjects_in_training_says_so():
    run = planted_run(leak=0.5)
    train = run.parts["train"]
    labels = train.labels.assign(subject=None)
    fields = {k: getattr(train, k) for k in train.__dataclass_fields__}
    parts = {**run.parts, "train": type(train)(**{**fields, "labels": labels})}
    scores = attackers(RunArrays(parts=parts, classes=run.classes))
    assert has(scores["E.identity.auc"].cautions, "no-labels")


def test_sequences_keep_apart_where_they_run_through_expressions():
    run = planted_run(leak=0.5)
    test = run.test
    n = len(test)
    labels = test.labels.assign(sequence=[f"take{k // 7 % 3}" for k in range(n)])
    fields = {k: getattr(test, k) for k in test.__dataclass_fields__}
    faces = part_faces(type(test)(**{**fields, "labels": labels}), "E", "identity")
    assert len(np.unique(faces.apart)) == 3 * len(test.subjects)


def test_a_collapsed_embedding_is_at_chance():
    scores = ladder_scores(planted_run(oracle="collapsed"), "E", "identity", (Cosine(),))
    assert scores["E.identity.auc"].value == pytest.approx(0.5)


def test_the_trained_attacker_stands_beside_the_others(monkeypatch):
    from fer_bench.attackers import metric

    small = metric.all_attackers()[-1].__class__(widths=(8,), epochs=1, seeds=1)
    monkeypatch.setattr(metric, "power_score", lambda ladder, seed: Score(0.4))
    monkeypatch.setattr(metric, "all_attackers", lambda: (*metric.closed_forms(), small))
    outcome = score_run(planted_run(leak=0.6), load_metrics(["attackers-all"]))["attackers-all"]
    assert outcome.failed is None
    assert "E.identity.network.auc" in outcome.scores


def test_what_would_have_been_detected_stands_beside_the_leak(scores):
    score = scores[0.0]["E.identity.auc"]
    assert score.null < score.details["detectable"] < 0.7
    assert scores[0.6]["E.identity.auc"].value > scores[0.6]["E.identity.auc"].details["detectable"]


def test_a_frozen_attacker_that_is_fooled_hides_what_others_see():
    run, rng = planted_run(leak=1.5, subjects=24), np.random.default_rng(0)
    blind = {
        name: replace(part, further={FROZEN_ATTACKER: rng.normal(size=(len(part), 4))})
        for name, part in run.parts.items()
    }
    plain, fooled = attackers(run), attackers(replace(run, parts=blind))
    assert plain["E.identity.fixed.auc"].value == plain["E.identity.cosine.auc"].value
    assert fooled["E.identity.fixed.auc"].value == pytest.approx(0.5, abs=0.05)
    assert fooled["E.identity.auc"] == plain["E.identity.auc"]
    rise = fooled["E.identity.rise"]
    gap = fooled["E.identity.auc"].value - fooled["E.identity.fixed.auc"].value
    assert rise.value == pytest.approx(gap)
    assert rise.low > 0.1


def test_an_attacker_does_not_rise_above_itself():
    faces = part_faces(planted_run(leak=0.6).test, "E", "identity")
    compared = compared_pairs(Cosine().fit(faces, faces), faces)
    rise = fixed_scores(compared, compared)["rise"]
    assert (rise.value, rise.low, rise.high) == (0, 0, 0)
