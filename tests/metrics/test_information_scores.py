"""MI scores and the modified MIG: closed forms, bounds, pairs, and what must be warned of."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fer_bench import registry
from fer_bench.arrays import RunArrays
from fer_bench.cautions import Caution, has
from fer_bench.metrics import (
    expression_pairs,
    label_entropy,
    label_information,
    modified_mig,
    normalised_mig,
)
from fer_bench.metrics.mi import conditional_information, mi
from fer_bench.metrics.modified_mig import (
    _bounded,
    _difference,
    mig,
    mig_estimators,
    mig_mine,
    mig_of_part,
)
from fer_bench.score import Score


@settings(max_examples=100, deadline=None)
@given(
    st.lists(st.tuples(st.integers(-1, 8), st.integers(-1, 3)), min_size=1, max_size=60),
    st.integers(0, 5),
)
def test_pairs_share_the_expression_and_nothing_else(rows, seed):
    s, y = (np.array(side) for side in zip(*rows, strict=True))
    m, n, block = expression_pairs(y, s, seed=seed)
    assert (y[m] == y[n]).all()
    assert (y[m] >= 0).all()
    assert (m != n).all()
    known = (s[m] >= 0) & (s[n] >= 0)
    assert (s[m] != s[n])[known].all()
    assert len(np.unique(m)) == len(m)
    # An image lies in one block, on whichever side it stands.
    both, blocks = np.r_[m, n], np.r_[block, block]
    for image in np.unique(both):
        assert len(np.unique(blocks[both == image])) == 1


def test_sequences_stay_in_one_block():
    s, q = np.repeat(np.arange(20), 14), np.repeat(np.arange(140), 2)
    y = q % 7
    m, n, block = expression_pairs(y, s, sequence=q)
    both, blocks = np.r_[q[m], q[n]], np.r_[block, block]
    assert len(np.unique(block)) == 10
    for sequence in np.unique(both):
        assert len(np.unique(blocks[both == sequence])) == 1


def test_everybody_finds_a_partner_where_there_is_one():
    s, y = np.repeat(np.arange(40), 14), np.tile(np.arange(14) % 7, 40)
    m, _, block = expression_pairs(y, s)
    assert len(m) == 560
    assert len(np.unique(block)) == 20


def test_partners_are_spread_evenly():
    y = np.zeros(60, dtype=int)
    s = np.repeat(np.arange(6), 10)
    counts = np.zeros(60)
    for seed in range(200):
        _, n, _ = expression_pairs(y, s, blocks=1, seed=seed)
        counts += np.bincount(n, minlength=60)
    assert counts.min() > 0.7 * counts.mean()
    assert counts.max() < 1.3 * counts.mean()


def test_pairs_without_subjects():
    m, n, block = expression_pairs([0, 0, 1], None)
    assert m.tolist() == [0, 1]
    assert n.tolist() == [1, 0]
    assert block.tolist() == [0, 0]


def gaussian(n, d, rho_e, rho_i, seed=0):
    rng = np.random.default_rng(seed)
    m = rng.normal(size=(n, d))

    def partner(rho):
        return rho * m + np.sqrt(1 - rho**2) * rng.normal(size=(n, d))

    return m, partner(rho_e), partner(rho_i)


def test_modified_mig_of_gaussians_is_the_closed_form():
    scores = modified_mig(*gaussian(20_000, 8, 0.9, 0.3), estimator="gaussian")
    assert scores["mig"].value == pytest.approx(6.265682, abs=0.1)
    assert scores["shared"].value == pytest.approx(8 * 0.830366, abs=0.1)
    assert scores["mig"].low < 6.265682 < scores["mig"].high
    assert scores["normalised"].value == pytest.approx(0.47, abs=0.03)


def test_small_infonce_says_saturated():
    e_m, e_n, i_m = gaussian(6_000, 8, 0.9, 0.3)
    scores = modified_mig(e_m, e_n, i_m, estimator="infonce", batch=128, null=0, folds=1)
    assert scores["shared"].value <= np.log(129)
    assert has(scores["mig"].cautions, "saturated", "near-ceiling")


def test_one_critic_where_no_closed_form_serves_both_terms():
    rng = np.random.default_rng(0)
    e_m, e_n, i_m = gaussian(1_000, 4, 0.8, 0.0)
    i_m = np.sin(3 * e_m) + 0.3 * rng.normal(size=e_m.shape)  # no normal model sees this
    scores = modified_mig(e_m, e_n, i_m, kept_out=True, null=0)
    assert scores["mig"].details["estimator"] == "contrast"
    for key in ("shared", "leaked"):
        assert scores[key].value == scores[key].details["held_out_value"]


def test_both_terms_carry_their_null_and_have_one_dimension():
    e_m, e_n, i_m = gaussian(600, 6, 0.8, 0.8)
    scores = modified_mig(e_m, e_n, i_m[:, :3], estimator="gaussian")
    assert scores["mig"].details["dimension"] == 3
    for key in ("shared", "leaked"):
        assert scores[key].null is not None
        assert scores[key].n == 600
    assert scores["mig"].details["shared"] == scores["shared"].value
    assert scores["mig"].low < scores["mig"].value < scores["mig"].high


@given(*[st.floats(-2, 12, allow_subnormal=False)] * 2)
def test_normalised_form_is_bounded_and_odd(a, b):
    value = normalised_mig(a, b)
    assert -1 <= value <= 1
    assert value == -normalised_mig(b, a)
    assert normalised_mig(a, a) == 0


def test_collapsed_embedding_is_flagged():
    rng = np.random.default_rng(0)
    e = rng.normal(size=(300, 1)) @ np.ones((1, 6)) + 1e-4 * rng.normal(size=(300, 6))
    scores = modified_mig(e, e, rng.normal(size=(300, 6)), estimator="gaussian")
    assert has(scores["mig"].cautions, "collapsed")


def test_label_information_of_oracles():
    y = np.tile(np.arange(7), 60)
    own = label_information(np.eye(7)[y], y)
    assert own.value == pytest.approx(np.log(7), abs=0.03)
    assert own.details["uncertainty"] == pytest.approx(1, abs=0.02)
    assert not has(own.cautions, "above-entropy")
    nothing = label_information(np.random.default_rng(0).normal(size=(420, 8)), y)
    assert abs(nothing.value) < 0.1


def test_label_entropy_ignores_missing():
    assert label_entropy([0, 1, -1, -1]) == pytest.approx(np.log(2))
    assert label_entropy([-1]) == 0


@pytest.mark.parametrize(
    ("labels", "reason"),
    [(np.zeros(100, dtype=int), "one-label"), (np.r_[np.arange(10), -np.ones(90)], "few-rows")],
)
def test_label_information_that_cannot_be(labels, reason):
    score = label_information(np.zeros((100, 2)), labels.astype(int))
    assert np.isnan(score.value)
    assert has(score.cautions, reason)


def test_mi_metric_tells_the_blocks(planted):
    run = planted.run(subjects=20, images=21, train_subjects=2)
    scores = mi(run)
    assert scores["E.expression"].value > 1.5
    assert scores["I.identity"].value > 2
    assert scores["E.identity"].value < 0.3
    assert scores["E.gap"].value > 0.7
    assert scores["I.gap"].value > 0.7
    assert scores["E.expression"].null < 0.1


@pytest.mark.slow
def test_mig_metric_sees_planted_leakage(planted):
    clean = mig_of_part(planted.part(subjects=40, images=28, dims=8))
    leaky = mig_of_part(planted.part(subjects=40, images=28, dims=8, i_expression=3.0))
    assert clean["normalised"].value > 0.5
    assert leaky["leaked"].value > clean["leaked"].value + 0.5
    assert leaky["normalised"].value < clean["normalised"].value
    for scores in (clean, leaky):
        assert scores["shared"].value <= scores["shared"].details["bound"] + 0.05


@pytest.mark.parametrize("shape", [{"subjects": 8, "images": 1}, {"subjects": 4, "images": 15}])
def test_small_parts(planted, shape):
    run = planted.run(train_subjects=2, **shape)
    for scores in (mi(run), mig(run)):
        for score in scores.values():
            assert np.isfinite(score.value) or score.cautions


def test_unknown_subjects_are_said(planted):
    part = planted.part(subjects=6, images=14)
    part = planted.replaced(part, labels=part.labels.assign(subject=None))
    run = RunArrays(parts={"train": part, "test": part}, classes=part.classes)
    assert has(mi(run)["E.identity"].cautions, "no-labels")
    scores = mig_of_part(part, estimator="gaussian")
    assert has(scores["mig"].cautions, "one-person-twice")


def test_mig_knows_what_each_person_changes(planted):
    part = planted.part(subjects=20, images=14, dims=3)
    scores = mig_of_part(part, estimator="gaussian", null=0)
    gap, bounded = scores["mig"], scores["normalised"]
    assert gap.effects.people.tolist() == np.unique(part.groups).tolist()
    shared, leaked = (
        scores[key].effects.changes * (scores[key].value > 0) for key in ("shared", "leaked")
    )
    assert gap.effects.changes == pytest.approx(shared - leaked)
    # The bounded form changes as it would by its formula, were each person left out.
    a, b = (max(scores[key].value, 0.0) for key in ("shared", "leaked"))
    without = [normalised_mig(a - x, b - y) for x, y in zip(shared, leaked, strict=True)]
    assert bounded.effects.changes == pytest.approx(bounded.value - np.array(without), abs=0.01)
    # Jackknifed over people it is the error that the interval of a term rests on.
    centred = shared - shared.mean()
    error = np.sqrt((centred**2).sum() * (len(centred) - 1) / len(centred))
    assert error == pytest.approx(scores["shared"].details["standard_error"], rel=0.1)


def test_calibration_stands_beside_the_number():
    e_m, e_n, i_m = gaussian(400, 3, 0.8, 0.0)
    scores = modified_mig(e_m, e_n, i_m, estimator="gaussian", calibration=6)
    calibration = scores["shared"].details["calibration"]
    truth = -1.5 * np.log(1 - 0.64)
    assert calibration["low"] < truth < calibration["high"]
    assert len(calibration["planted"]) == 6
    assert abs(scores["mig"].details["corrected"] - truth) < 0.3


def test_a_poor_estimator_is_found_out():
    """KSG in 20 dimensions reads far too little; the planted problems show it."""
    e_m, e_n, i_m = gaussian(500, 20, 0.6, 0.0)
    scores = modified_mig(e_m, e_n, i_m, estimator="ksg", calibration=6, null=0)
    assert has(scores["mig"].cautions, "calibration-bias", "calibration-slope")
    assert scores["shared"].details["calibration"]["fault"]


LOW = Caution("calibration-bias", nats=1.0, direction="low")
HIGH = Caution("calibration-bias", nats=1.0, direction="high")
FLAT = Caution("calibration-slope", share=0.3)
AT_MOST = Caution("gap-at-most")


@pytest.mark.parametrize(
    ("shared", "leaked", "gap"),
    [
        ((), (), ()),
        ((), (LOW,), (AT_MOST,)),
        ((), (FLAT,), (FLAT,)),  # whatever is planted, it reads the same: no bound
        ((), (HIGH,), (HIGH,)),
        ((LOW,), (), (LOW,)),
        ((LOW,), (FLAT,), (LOW, FLAT)),
        ((FLAT,), (LOW,), (FLAT, LOW)),
    ],
)
def test_a_leak_read_too_low_leaves_a_bound_from_above(shared, leaked, gap):
    first, second = (Score(1.0, 0.9, 1.1, n=9, unit="nats", cautions=c) for c in (shared, leaked))
    made = _difference(first, second, estimator="copula", dimension=2)
    assert made.cautions == gap
    assert _bounded(made, first, second).cautions == gap


def test_a_sound_estimator_passes_its_calibration():
    e_m, e_n, i_m = gaussian(2000, 3, 0.8, 0.0)
    scores = modified_mig(e_m, e_n, i_m, estimator="copula", calibration=6)
    for key in ("shared", "leaked"):
        calibration = scores[key].details["calibration"]
        assert not calibration["fault"]
        assert abs(calibration["bias"]) < 0.1
        assert calibration["spread"] < 0.2
        # The bias is that of the problems nearest to the estimate, never of an extrapolation.
        assert max(calibration["planted"]) <= max(2 * scores[key].value, 0.3) + 1e-9


def test_labels_are_calibrated_too():
    rng = np.random.default_rng(0)
    y = np.tile(np.arange(5), 120)
    x = np.c_[y + 0.5 * rng.normal(size=600), rng.normal(size=600)]
    score = label_information(x, y, calibration=6).details["calibration"]
    assert len(score["planted"]) == len(score["read"]) == 6
    assert max(score["planted"]) <= 0.9 * np.log(5) + 1e-9
    assert score["low"] <= score["corrected"] <= score["high"]
    assert not score["fault"]


def test_a_constant_embedding_needs_no_calibration():
    y = np.tile(np.arange(5), 40)
    assert "calibration" not in label_information(np.ones((200, 3)), y, calibration=4).details
    scores = modified_mig(*[np.ones((200, 3))] * 3, estimator="gaussian", calibration=4)
    assert scores["mig"].value == 0


def test_information_on_people_beyond_the_expression():
    """People show some expressions more than others, so labels alone tell of people."""
    rng = np.random.default_rng(0)
    s = np.repeat(np.arange(6), 150)
    y = np.where(rng.random(900) < 0.7, s % 3, rng.integers(0, 3, 900))
    e = 4 * np.eye(3)[y] + rng.normal(size=(900, 3))
    plain, given = label_information(e, s), conditional_information(e, s, y)
    assert plain.value > 0.3
    assert abs(given.value) < 0.1
    assert given.details["condition_alone"] == pytest.approx(plain.value, abs=0.1)
    leaky = conditional_information(e + 3 * rng.normal(size=(6, 3))[s], s, y)
    assert leaky.value > 0.3
    assert leaky.low > 0
    assert leaky.details["entropy"] < np.log(6)


@pytest.mark.slow
def test_the_estimator_of_the_papers_is_a_default_and_calibrated(planted):
    assert registry.metrics.get("mig-mine").default
    scores = mig_mine(planted.run(subjects=20, images=21, dims=8, train_subjects=2))
    assert {*scores} == {"mine.shared", "mine.leaked", "mine.mig", "mine.normalised"}
    assert {"bias", "spread", "fault"} <= set(scores["mine.shared"].details["calibration"])
    assert 1.0 < scores["mine.shared"].value < np.log(7) + 0.2


def test_two_further_estimators(planted):
    run = planted.run(subjects=20, images=21, dims=8, train_subjects=2)
    scores = mig_estimators(run)
    assert {key.partition(".")[0] for key in scores} == {"infonce", "copula", "leaked"}
    for name in ("infonce.shared", "copula.shared", "copula.leaked"):
        assert {"bias", "spread", "fault"} <= set(scores[name].details["calibration"])
    assert 1.2 < scores["infonce.shared"].value < np.log(7) + 0.1
    given = scores["leaked.given_expression"]
    assert given.value < 0.2
    assert given.null is not None


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize(("people", "faces"), [(200, 2), (20, 20)])
def test_no_information_is_below_zero_for_certain(people, faces, seed):
    """Faces that tell of the expression alone; people show some expressions more than others."""
    rng = np.random.default_rng(seed)
    s = np.repeat(np.arange(people), faces)
    y = np.where(rng.random(len(s)) < 0.5, s % 5, rng.integers(0, 5, len(s)))
    e = 3 * rng.normal(size=(5, 24))[y] + rng.normal(size=(len(s), 24))
    given = conditional_information(e, s, y, clusters=s, seed=seed)
    assert given.low <= 0 <= given.high
    assert abs(given.value) < 0.1
    assert has(given.cautions, "few-rows-per-label") == (faces < 5)
    plain = label_information(e, s, clusters=s, seed=seed)
    assert plain.high >= 0
    assert has(plain.cautions, "few-rows-per-label") == (faces < 5)


def test_terms_of_the_mig_are_never_below_zero_for_certain():
    rng = np.random.default_rng(0)
    e, n, i = rng.normal(size=(3, 300, 6))
    scores = modified_mig(e, n, i, estimator="mine", steps=100, null=0)
    for key in ("shared", "leaked"):
        assert scores[key].high >= 0


def test_conditional_information_is_that_of_the_closed_form():
    """A binary label seen through a channel that z switches: I(X; Y | Z) is the mean of both."""
    rng = np.random.default_rng(0)
    y, z = rng.integers(0, 2, (2, 6000))
    x = np.where(rng.random(6000) < np.array([0.1, 0.5])[z], 1 - y, y)
    truth = 0.5 * (np.log(2) + 0.1 * np.log(0.1) + 0.9 * np.log(0.9))
    score = conditional_information(x[:, None].astype(float), y, z)
    assert score.value == pytest.approx(truth, abs=0.02)
    assert score.low - 0.01 < truth < score.high + 0.01
