"""The leakage matrix: oracles at their places, planted leakage seen, nothing seen in noise."""

import json

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fer_bench.arrays import RunArrays
from fer_bench.cautions import has
from fer_bench.metrics import normalised_leak
from fer_bench.metrics.attacks import centred
from fer_bench.metrics.leakage import identity_scores, leakage
from fer_bench.metrics.probe_problems import LEAST_PEOPLE, effective_people
from fer_bench.score import Score


def names_code(part, size=400):
    return np.eye(size)[[int(name[1:]) for name in part.labels["subject"]]]


def with_embeddings(planted, run, e, i=None):
    parts = {
        name: planted.replaced(
            part,
            expression=e(part).astype(np.float32),
            identity=(i or e)(part).astype(np.float32),
        )
        for name, part in run.parts.items()
    }
    return RunArrays(parts=parts, classes=run.classes)


@pytest.fixture(scope="module")
def run(planted):
    return planted.run(subjects=10, images=14, train_subjects=12)


@pytest.fixture(scope="module")
def scored(run):
    return leakage(run, seed=3)


def test_label_oracle_sits_at_the_floor(planted, run):
    scores = leakage(with_embeddings(planted, run, lambda p: np.eye(7)[p.y]))
    assert scores["E.identity.strongest"].value == scores["E.identity.floor"].value
    assert scores["E.identity.excess"].value == 0.0
    assert scores["E.identity.strongest"].p > 0.05
    assert scores["E.identity.auc"].value == 0.5
    assert scores["E.expression.strongest"].value == 1.0


def test_subject_oracle_leaks_all_and_tells_no_expression(planted, run):
    scores = leakage(with_embeddings(planted, run, names_code))
    for probe in ("linear", "knn", "mlp", "strongest"):
        assert scores[f"E.identity.{probe}"].value == 1.0
    assert scores["E.identity.excess"].value > 0.7
    assert scores["E.identity.auc"].value == 1.0
    assert scores["E.expression.strongest"].p > 0.05


def test_both_oracle(planted, run):
    both = with_embeddings(planted, run, lambda p: np.c_[np.eye(7)[p.y], names_code(p)])
    scores = leakage(both)
    assert scores["E.identity.strongest"].value == 1.0
    assert scores["E.expression.strongest"].value == 1.0


def test_collapsed_oracle_is_at_chance(planted, run):
    scores = leakage(with_embeddings(planted, run, lambda p: np.ones((len(p), 8))))
    assert scores["E.identity.strongest"].value == pytest.approx(0.1)
    assert scores["E.identity.auc"].value == 0.5
    assert scores["E.expression.linear"].value < 0.3


def test_clean_embeddings_show_no_leak(planted):
    scores = leakage(planted.run(subjects=15, images=14))
    for key in ("E.identity.strongest", "I.expression.strongest"):
        assert scores[key].p > 0.01
        assert scores[key].value < scores[key].null + 0.1
    assert scores["E.expression.strongest"].value > 0.95
    assert scores["I.identity.strongest"].value > 0.95
    assert abs(scores["E.identity.auc"].value - 0.5) < 0.03


def test_planted_leakage_rises_with_its_strength(planted):
    values = [
        leakage(planted.run(subjects=12, images=21, train_subjects=2, e_identity=strength))[
            "E.identity.strongest"
        ].value
        for strength in (0.0, 0.3, 0.6, 1.2)
    ]
    assert values == sorted(values)
    assert values[0] < 0.2
    assert values[-1] > 0.9


def test_strong_expression_does_not_hide_the_leak(planted):
    """The attacker may centre by expression: without it this leak reads near chance."""
    part = planted.part(subjects=12, images=28, e_identity=0.8, e_expression=8.0)
    score = identity_scores(part, {"E": part.expression})["E.identity.linear"]
    assert "expression-centred" in score.details["setting"]
    assert score.value > 0.6


def test_strongest_is_the_maximum_and_says_who(scored):
    scores = scored
    for cell in ("E.identity", "I.identity", "E.expression", "I.expression"):
        strongest = scores[f"{cell}.strongest"]
        attackers = strongest.details["attackers"]
        assert strongest.value == max(attackers.values())
        assert attackers[strongest.details["attacker"]] == strongest.value
        assert strongest.null >= scores[f"{cell}.linear"].null - 0.02


def test_controls_stay_low(scored):
    score = scored["I.identity.linear"]
    assert score.details["control"] < 0.3
    assert score.details["selectivity"] > 0.6
    assert score.details["chance"] == pytest.approx(0.1)


def test_every_number_is_from_rows_kept_out(scored, run):
    scores = scored
    n = len(run.test)
    for key in ("E.identity.linear", "E.identity.mlp"):
        details = scores[key].details
        assert scores[key].n + details["fitted"] + details["validated"] == n
    assert scores["E.expression.linear"].n == n


def test_scores_are_json_and_repeatable(scored, run):
    first, again = scored, leakage(run, seed=3)
    for key, score in first.items():
        text = json.dumps(score.to_json())
        assert text == json.dumps(again[key].to_json())
        assert np.isfinite(score.value) or score.cautions


def test_top_six_lists(scored):
    details = scored["E.expression.precision@6"].details
    assert len(details["top6"]) == 14
    assert len(details["top6"][0]["hits"]) == 6


@pytest.mark.parametrize(
    "shape",
    [
        {"subjects": 4, "images": 15},
        {"subjects": 8, "images": 1},
        {"subjects": 2, "images": 2},
        {"subjects": 1, "images": 20},
    ],
)
def test_small_parts_never_crash(planted, shape):
    scores = leakage(planted.run(train_subjects=4, **shape))
    assert {"E.identity.strongest", "I.identity.strongest"} <= set(scores)
    for score in scores.values():
        assert np.isfinite(score.value) or score.cautions


def test_without_identity_embedding_subjects_or_labels(planted, run):
    parts = {k: planted.replaced(p, identity=None) for k, p in run.parts.items()}
    alone = leakage(RunArrays(parts=parts, classes=run.classes))
    assert not any(key.startswith("I.") for key in alone)

    parts = {
        k: planted.replaced(p, labels=p.labels.assign(subject=pd.NA)) for k, p in run.parts.items()
    }
    nobody = leakage(RunArrays(parts=parts, classes=run.classes))
    assert has(nobody["E.identity.strongest"].cautions, "no-labels")
    assert nobody["E.expression.linear"].value > 0.9

    parts = {
        k: planted.replaced(p, labels=p.labels.assign(expression=pd.NA))
        for k, p in run.parts.items()
    }
    unlabelled = leakage(RunArrays(parts=parts, classes=run.classes))
    assert np.isnan(unlabelled["E.expression.strongest"].value)


def test_sequences_serve_where_expressions_are_unknown(planted):
    part = planted.part(subjects=6, images=24)
    sequence = [f"c{k % 24 // 4}" for k in range(len(part))]
    part = planted.replaced(part, labels=part.labels.assign(expression=pd.NA, sequence=sequence))
    assert len(np.unique(part.sequences)) == 36
    score = identity_scores(part, {"E": part.expression, "I": part.identity})
    assert score["I.identity.strongest"].details["unit"] == "sequence"
    assert score["I.identity.strongest"].value > 0.95


def test_centred_takes_group_means_off():
    x = np.array([[1.0], [3.0], [10.0], [7.0]])
    assert centred(x, [0, 0, 1, -1]).ravel().tolist() == [-1.0, 1.0, 0.0, 0.0]


def test_normalised_leak():
    score = normalised_leak(Score(0.3, 0.2, 0.4, null=0.1, n=9, unit="fraction"), 0.9, 0.1)
    assert (score.value, score.low, score.high, score.null) == pytest.approx(
        (0.25, 0.125, 0.375, 0)
    )
    assert normalised_leak(Score(0.1), Score(0.9), 0.1).value == 0
    assert np.isnan(normalised_leak(Score(0.5), 0.1, 0.1).value)


def test_large_parts_are_thinned_and_say_so(planted, run, monkeypatch):
    import fer_bench.metrics.probe_problems as module

    monkeypatch.setattr(module, "PROBE_ROWS", 100)
    scores = leakage(run)
    assert scores["E.expression.linear"].n == 100
    assert scores["E.expression.linear"].details["fitted"] == 100
    for key in ("E.expression.linear", "E.identity.linear"):
        assert has(scores[key].cautions, "random-rows")


def test_further_embeddings_are_probed_and_change_nothing(planted):
    """A further embedding that is I reads like I; E and I read as they do without it."""
    run = planted.run(subjects=6, images=14, train_subjects=6)
    parts = {
        name: planted.replaced(part, further={"z_exp": part.identity})
        for name, part in run.parts.items()
    }
    scores = leakage(RunArrays(parts=parts, classes=run.classes), seed=3)
    alone = leakage(run, seed=3)
    assert {key: scores[key] for key in alone} == alone
    added = scores.keys() - alone.keys()
    assert added == {key.replace("I.", "z_exp.", 1) for key in alone if key.startswith("I.")}
    for probe in ("linear", "knn"):
        assert scores[f"z_exp.identity.{probe}"].value == alone[f"I.identity.{probe}"].value


def faces_of(planted, counts):
    """A part with so many faces of each person, in two expressions."""
    part = planted.run(subjects=len(counts), images=14).test
    first = np.arange(len(counts)) * 14
    rows = np.concatenate([f + np.arange(n) % 2 for f, n in zip(first, counts, strict=True)])
    labels = part.labels.iloc[rows].reset_index(drop=True)
    return planted.replaced(
        part,
        expression=part.expression[rows],
        identity=None,
        logits=None,
        valence_arousal=None,
        labels=labels,
    )


def test_naming_people_is_left_out_where_a_few_have_most_faces(planted):
    """As on LFW, where all probes read the share of one person."""
    part = faces_of(planted, [520, *[4] * 40])
    scores = identity_scores(part, {"E": part.expression})
    assert not np.isfinite([score.value for score in scores.values()]).any()
    for key in ("strongest", "auc"):
        assert has(scores[f"E.identity.{key}"].cautions, "uneven-people")
    even = faces_of(planted, [6] * 12)
    assert np.isfinite(identity_scores(even, {"E": even.expression})["E.identity.auc"].value)


@given(st.lists(st.integers(2, 10), min_size=2, max_size=30))
def test_people_of_a_few_faces_each_are_never_too_uneven(counts):
    s = np.repeat(np.arange(len(counts)), counts)
    assert effective_people(s) >= min(LEAST_PEOPLE, len(counts) / 2)
