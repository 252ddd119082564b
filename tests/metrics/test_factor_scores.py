"""Factor metrics: the reference values of the field's own unit tests, and honest behaviour."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import log_softmax
from sklearn.metrics import mutual_info_score, roc_auc_score

from fer_bench.errors import FerBenchError
from fer_bench.metrics import (
    beta_vae_score,
    dci_importance,
    dci_scores,
    discretise,
    explicitness,
    factor_scores,
    factor_vae_score,
    infoe_score,
    infomec_scores,
    information,
    irs_score,
    mig_score,
    modularity_score,
    mutual_information,
    sap_score,
)
from fer_bench.metrics.disentanglement.discrete import entropy, halves
from fer_bench.metrics.factors import factors
from fer_bench.metrics.probes import Discriminant

EYE = np.eye(5)


def test_equal_width_bins():
    x = np.array([[0.1, 0.2, 0.3, 0.4, 0.5, 0.6], [0.6, 0.5, 0.4, 0.3, 0.2, 0.1]]).T
    binned = discretise(x, bins=3, binning="width") + 1
    assert binned.T.tolist() == [[1, 1, 2, 2, 3, 3], [3, 3, 2, 2, 1, 1]]


@pytest.mark.parametrize(
    ("a", "b", "expected"),
    [
        ([1, 3, 2, 0, 1], [0, 3, 2, 2, 1], 1.054920),
        ([2, 1, 0, 1, 0], [0, 2, 1, 1, 0], 0.500402),
    ],
)
def test_discrete_mutual_information(a, b, expected):
    assert mutual_information(a, b) == pytest.approx(expected, abs=1e-6)


def test_entropy():
    assert entropy([1, 1, 2, 2, 3, 3]) == pytest.approx(1.098612, abs=1e-6)


@pytest.mark.parametrize(
    ("importance", "disentanglement", "completeness"),
    [
        (EYE, 1, 1),
        ([[1, 0], [0, 1], [0, 0]], 1, 1),
        (np.zeros((10, 10)), 0, 0),
        (np.vstack([EYE, EYE]), 1, 0.698970),
        (EYE[:2], 1, 1),
        (np.hstack([EYE, EYE]), 0.698970, 1),
    ],
)
def test_dci_of_importances(importance, disentanglement, completeness):
    assert dci_scores(importance) == pytest.approx((disentanglement, completeness), abs=1e-6)


@pytest.mark.parametrize(
    ("mi", "expected"),
    [
        (np.eye(3), 1),
        (np.diag([1.0, 0, 1]), 0.666667),
        (np.zeros((3, 3)), 0),
        (np.vstack([np.eye(3), np.eye(3)]), 1),
        (np.eye(3)[:2], 1),
        (np.hstack([np.eye(3), np.eye(3)[:, :1]]), 0.888889),
    ],
    ids=["diagonal", "empty code", "zeros", "redundant", "missed factor", "two in one"],
)
def test_modularity(mi, expected):
    assert modularity_score(mi) == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("binning", ["quantile", "width"])
@pytest.mark.parametrize(("n", "expected"), [(1000, 0.977649), (3000, 0.992159), (10000, 0.997765)])
def test_mig_of_the_identity_representation(n, expected, binning):
    f = np.random.RandomState(0).randint(1, 11, size=(n, 10))
    shared = information(f, f, binning=binning)
    assert mig_score(shared.mi, shared.entropies) == pytest.approx(expected, abs=1e-6)


def test_mig_of_constant_and_duplicated_codes():
    f = np.random.default_rng(0).integers(0, 10, size=(1000, 4))
    for codes in (np.zeros((1000, 3)), np.hstack([f, f])):
        shared = information(codes, f)
        assert mig_score(shared.mi, shared.entropies) == pytest.approx(0, abs=1e-12)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 9), st.integers(1, 200))
def test_information_is_scikit_learns(seed, size, n):
    rng = np.random.default_rng(seed)
    a, b = rng.integers(-3, size, (n, 3)), rng.integers(0, 4, (n, 2)) * 1_000_003
    ours = mutual_information(a, b)
    for i in range(3):
        for j in range(2):
            assert ours[i, j] == pytest.approx(mutual_info_score(a[:, i], b[:, j]), abs=1e-9)


def test_many_labels_take_the_sparse_way_to_the_same_value():
    rng = np.random.default_rng(0)
    a = rng.integers(0, 3000, (6000, 1))
    b = np.c_[a[:, 0] // 2, rng.integers(0, 3000, 6000)]
    ours = mutual_information(a, b)[0]
    theirs = [mutual_info_score(a[:, 0], b[:, j]) for j in range(2)]
    assert ours == pytest.approx(theirs)


def test_one_outlier_ruins_equal_width_bins_only():
    rng = np.random.default_rng(0)
    f = rng.integers(0, 6, size=(2000, 1))
    codes = f + 0.01 * rng.normal(size=(2000, 1))
    codes[0] = 1e6
    assert information(codes, f, binning="width").mi[0, 0] < 0.01
    assert information(codes, f).mi[0, 0] > 1.5


def test_null_is_subtracted():
    rng = np.random.default_rng(0)
    codes = rng.normal(size=(1000, 6))
    f = np.c_[rng.integers(0, 7, 1000), rng.integers(0, 100, 1000)]
    plain = information(codes, f).mi.mean(axis=0)
    assert plain[0] == pytest.approx(0.056, abs=0.01)
    assert plain[1] > 0.5
    assert information(codes, f, permutations=20).mi.max() < 0.02


def test_infom_and_infoc():
    assert infomec_scores(EYE) == (1, 1)
    m, c = infomec_scores(np.hstack([EYE, EYE]))
    assert m == pytest.approx((0.5 - 0.1) / 0.9)
    assert c == 1
    assert infomec_scores(np.zeros((3, 2))) == (0, 0)


@pytest.fixture(scope="module")
def clean():
    """Codes that are the factors with a little noise, and two empty codes."""
    rng = np.random.default_rng(0)
    f = np.c_[rng.integers(0, 5, (2000, 3)), rng.normal(size=2000)]
    return np.c_[f + 0.02 * rng.normal(size=f.shape), rng.normal(size=(2000, 2))], f


@pytest.fixture(scope="module")
def mixed(clean):
    """The same codes rotated: all is there, nothing is apart."""
    codes, f = clean
    rotation = np.linalg.qr(np.random.default_rng(1).normal(size=(6, 6)))[0]
    return codes @ rotation, f


@pytest.fixture(scope="module")
def scored(clean, mixed):
    noise = np.random.default_rng(2).normal(size=clean[0].shape)
    return {
        "clean": factor_scores(*clean),
        "mixed": factor_scores(*mixed),
        "noise": factor_scores(noise, clean[1]),
    }


@pytest.mark.parametrize(
    "key",
    ["mig", "sap", "dci_disentanglement", "dci_completeness", "infoc", "factor_vae", "irs"],
)
def test_rotation_costs(scored, key):
    assert scored["clean"][key] > scored["mixed"][key] + 0.05
    assert scored["clean"][key] > scored["noise"][key] + 0.05


def test_rotation_keeps_what_is_read_from_all_codes(scored):
    assert scored["mixed"]["explicitness"] > 0.9
    assert scored["mixed"]["dci_informativeness"] > 0.5
    assert scored["mixed"]["infoe"] == pytest.approx(scored["clean"]["infoe"], abs=0.05)


def test_infoe_is_the_share_of_entropy_a_linear_model_explains():
    """A code that is the factor through a channel: its log-loss is the closed form."""
    rng = np.random.default_rng(0)
    f = rng.integers(0, 2, size=(20_000, 1))
    code = np.where(rng.random(f.shape) < 0.1, 1 - f, f).astype(float)
    noise = -(0.1 * np.log(0.1) + 0.9 * np.log(0.9))
    assert infoe_score(code, f) == pytest.approx(1 - noise / np.log(2), abs=0.02)
    assert infoe_score(f.astype(float), f) > 0.97
    # What is there, but not linearly, does not count.
    a = rng.normal(size=(4_000, 2))
    assert infoe_score(a, (a[:, :1] * a[:, 1:] > 0).astype(int)) < 0.02
    assert infoe_score(np.ones((100, 2)), f[:100]) < 0.02


@pytest.mark.parametrize(
    ("key", "chance"),
    [
        ("mig", 0),
        ("sap", 0),
        ("modularity", 0),
        ("explicitness", 0),
        ("dci_disentanglement", 0),
        ("dci_informativeness", 0),
        ("infom", 0),
        ("infoe", 0),
        ("factor_vae", 0.25),
        ("beta_vae", 0.25),
    ],
)
def test_noise_is_at_chance(scored, key, chance):
    assert scored["noise"][key] == pytest.approx(chance, abs=0.06)


def test_scores_stay_in_bounds(scored):
    for scores in scored.values():
        assert all(0 <= value <= 1 for value in scores.values())


def test_perfect_codes_win_the_votes(clean):
    codes, f = clean
    assert factor_vae_score(codes[:, :4], f) > 0.99
    assert beta_vae_score(codes[:, :4], f) > 0.9


def test_many_identities_do_not_betray_themselves_by_pairs_with_themselves():
    rng = np.random.default_rng(0)
    f = np.c_[rng.integers(0, 5, 1000), rng.integers(0, 250, 1000)]
    assert beta_vae_score(rng.normal(size=(1000, 6)), f) < 0.6


def test_sap_sees_a_class_in_the_middle():
    rng = np.random.default_rng(0)
    y = rng.integers(0, 3, 3000)
    codes = np.c_[y + 0.1 * rng.normal(size=3000), rng.normal(size=3000)]
    assert sap_score(codes, y[:, None]) > 0.6


def test_sap_of_a_continuous_factor_is_squared_correlation():
    rng = np.random.default_rng(0)
    codes = rng.normal(size=(500, 2))
    f = codes[:, :1] + 0.5 * rng.normal(size=(500, 1))
    r = [np.corrcoef(codes[:, i], f[:, 0])[0, 1] ** 2 for i in range(2)]
    assert sap_score(codes, f) == pytest.approx(abs(r[0] - r[1]))


def test_irs_by_hand():
    codes = np.array([[0.0], [1.0], [10.0], [12.0]])
    # Deviations at fixed factor: .5 and 1 (99 % quantile of two equal values); largest 6.25.
    assert irs_score(codes, [[0], [0], [1], [1]]) == pytest.approx(1 - 0.75 / 6.25)


def test_importance_finds_its_code(clean):
    importance, quality = dci_importance(*clean)
    assert importance.argmax(axis=0).tolist() == [0, 1, 2, 3]
    assert (quality > 0.9).all()


def test_capacity_shows_what_is_not_linear():
    rng = np.random.default_rng(0)
    codes = rng.normal(size=(2000, 2))
    f = ((codes[:, :1] > 0) ^ (codes[:, 1:] > 0)).astype(int)
    scores = explicitness(codes, f)
    assert scores["linear"] < 0.2
    assert scores["forest"] > 0.8


@pytest.mark.parametrize("codes", [np.zeros((300, 3)), np.full((300, 3), 1e8)])
def test_collapsed_codes_score_nothing(codes):
    f = np.random.default_rng(0).integers(0, 4, (300, 2))
    scores = factor_scores(codes, f)
    for key in ("mig", "sap", "modularity", "dci_informativeness", "factor_vae", "irs"):
        assert scores[key] == pytest.approx(0, abs=0.01), key


def test_bad_shapes():
    with pytest.raises(FerBenchError, match=r"codes have shape \(5, 2\) and factors \(4, 1\)"):
        sap_score(np.zeros((5, 2)), np.zeros((4, 1)))
    with pytest.raises(FerBenchError, match=r"give \[n, d\]"):
        information(np.zeros(5), np.zeros((5, 1)))


def test_metric(planted):
    run = planted.run(subjects=8, images=28)
    part = run.test
    rng = np.random.default_rng(0)
    table = part.labels.assign(
        factor_age=rng.normal(size=8)[part.s], factor_light=part.expression[:, 0], factor_flat=1.0
    )
    run.parts["test"] = planted.replaced(part, labels=table)
    scores = factors(run)
    assert scores["E.mig"].details["factors"] == ["factor_age", "factor_light"]
    assert scores["E.dci_informativeness"].value > 0.2
    assert {key.split(".")[0] for key in scores} == {"E", "I"}


SCORES = {
    "dci": lambda codes, f: np.concatenate(
        [part.ravel() for part in dci_importance(codes, f, trees=5)]
    ).tolist(),
    "explicitness": explicitness,
    "factor_vae": lambda codes, f: factor_vae_score(codes, f, votes=300),
    "beta_vae": lambda codes, f: beta_vae_score(codes, f, votes=100),
    "infoe": infoe_score,
    "irs": irs_score,
    "sap": sap_score,
    "mig": lambda codes, f: mig_score(information(codes, f).mi, information(codes, f).entropies),
}


@pytest.mark.parametrize("score", SCORES.values(), ids=SCORES)
@settings(max_examples=4, deadline=None)
@given(st.integers(-12, 12), st.sampled_from([0.0, 1e4, -1e8]), st.integers(0, 1000))
def test_neither_unit_nor_offset_of_codes_and_factors_matters(score, power, offset, seed):
    """Powers of two scale without rounding; an offset of 1e8 leaves eight digits."""
    rng = np.random.default_rng(seed)
    f = np.c_[rng.integers(0, 3, (120, 2)), rng.integers(0, 2**12, 120) / 2**12]
    codes = np.round((f + 0.2 * rng.normal(size=f.shape)) * 2**14) / 2**14
    scaled = codes * 2.0**power
    expected, other = score(codes, f), score(scaled, f * 2.0 ** min(power, 0))
    assert other == pytest.approx(expected, rel=1e-5, abs=1e-6)
    assert score(codes + offset, f) == pytest.approx(expected, rel=1e-3, abs=0.02)


@pytest.mark.parametrize("score", SCORES.values(), ids=SCORES)
def test_a_tiny_spread_at_an_offset_is_a_spread(score):
    rng = np.random.default_rng(0)
    f = rng.integers(0, 3, (200, 2))
    codes = f + 0.05 * rng.normal(size=f.shape)
    expected = score(codes, f)
    for spread, offset in ((1e-3, 1e4), (1e-8, 0.0), (1.0, 1e8), (1e-150, 0.0), (1e150, 0.0)):
        assert score(offset + spread * codes, f) == pytest.approx(expected, abs=0.02), offset


@pytest.mark.parametrize("score", list(SCORES)[1:])
def test_a_constant_factor_changes_no_score(score):
    rng = np.random.default_rng(1)
    f = rng.integers(0, 3, (150, 2))
    codes = f + 0.3 * rng.normal(size=f.shape)
    beside = np.insert(f, 1, 7, axis=1)
    assert SCORES[score](codes, beside) == pytest.approx(SCORES[score](codes, f), abs=1e-9)


def test_all_scores_leave_constant_factors_out():
    rng = np.random.default_rng(2)
    f = rng.integers(0, 3, (150, 2))
    codes = f + 0.3 * rng.normal(size=f.shape)
    alone, beside = factor_scores(codes, f), factor_scores(codes, np.c_[f, np.full(150, 0.1)])
    assert beside == pytest.approx(alone, abs=1e-9)
    with pytest.raises(FerBenchError, match="no factor varies"):
        factor_scores(codes, np.ones((150, 2)))


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10_000), st.integers(2, 4))
def test_auc_of_tied_codes_is_scikit_learns(seed, classes):
    rng = np.random.default_rng(seed)
    y = rng.permutation(np.arange(80) % classes)
    codes = np.c_[y == 0, rng.random(80) < 0.3].astype(float)
    fit, held = halves(80, 0)
    model = Discriminant(codes[fit], y[fit], classes)
    z = log_softmax(model.decision(codes[held], 0.05), axis=1)
    present = [k for k in range(classes) if 0 < (y[held] == k).sum() < len(held)]
    areas = [2 * roc_auc_score(y[held] == k, z[:, k]) - 1 for k in present if (y[fit] == k).any()]
    expected = max(float(np.mean(areas)), 0.0)
    assert explicitness(codes, y[:, None])["auc"] == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("score", SCORES.values(), ids=SCORES)
def test_gaps_are_no_class_and_no_code(score):
    rng = np.random.default_rng(0)
    f, codes = rng.integers(0, 3, (40, 2)).astype(float), rng.normal(size=(40, 2))
    for side in (f, codes):
        kept = side[5, 1]
        side[5, 1] = np.nan
        with pytest.raises(FerBenchError, match="NaN or infinite.*row 5"):
            score(codes, f)
        side[5, 1] = kept


def test_factors_may_be_text():
    rng = np.random.default_rng(0)
    f = rng.integers(0, 3, (60, 2))
    codes = f + rng.normal(size=f.shape)
    named = pd.DataFrame({"mood": np.array(["a", "b", "c"])[f[:, 0]], "light": f[:, 1]})
    for score in SCORES.values():
        assert score(codes, named) == score(codes, f)
