"""Closed forms, brute force and reference values."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import digamma
from sklearn.feature_selection import mutual_info_classif

from fer_bench.errors import DataError
from fer_bench.information import EstimatorError, estimate_mi, tasks
from fer_bench.information.estimators.gaussian import Gaussian, gaussian_bias
from fer_bench.information.estimators.neighbours import KSG, KSG2, Ross, conditional_ksg
from fer_bench.information.inputs import clean_pair


def brute_ksg(x, y, k):
    """The definition, pair by pair."""
    dx = np.abs(x[:, None] - x[None]).max(-1)
    dy = np.abs(y[:, None] - y[None]).max(-1)
    n = len(x)
    joint = np.maximum(dx, dy)
    np.fill_diagonal(joint, np.inf)
    total = 0.0
    for i in range(n):
        radius = np.sort(joint[i])[k - 1]
        nx, ny = (dx[i] < radius).sum() - 1, (dy[i] < radius).sum() - 1
        total += digamma(nx + 1) + digamma(ny + 1)
    return digamma(k) + digamma(n) - total / n


@pytest.mark.parametrize(("d", "k"), [(1, 3), (1, 1), (2, 5), (5, 3), (25, 10)])
def test_ksg_equals_brute_force(d, k):
    rng = np.random.default_rng(d)
    x = rng.normal(size=(500, d))
    y = x + rng.normal(size=(500, d))
    sample = clean_pair(x, y)
    found = KSG(k=k, scores=False).fit(x, y).estimate().value
    assert found == pytest.approx(brute_ksg(sample.x, sample.y, k), abs=1e-12)


def test_ksg2_equals_brute_force():
    rng = np.random.default_rng(1)
    x = rng.normal(size=(300, 2))
    y = x + rng.normal(size=(300, 2))
    sample, k, n = clean_pair(x, y), 4, 300
    dx = np.abs(sample.x[:, None] - sample.x[None]).max(-1)
    dy = np.abs(sample.y[:, None] - sample.y[None]).max(-1)
    total = 0.0
    for i in range(n):
        joint = np.maximum(dx[i], dy[i])
        joint[i] = np.inf
        near = np.argsort(joint)[:k]
        nx = (dx[i] <= dx[i][near].max()).sum() - 1
        ny = (dy[i] <= dy[i][near].max()).sum() - 1
        total += digamma(nx) + digamma(ny)
    want = digamma(k) - 1 / k + digamma(n) - total / n
    assert KSG2(k=k, scores=False).fit(x, y).estimate().value == pytest.approx(want, abs=1e-12)


def test_ksg_beyond_the_tree_and_within_agree():
    """Three dimensions go through a tree, four through the kernel: a constant-free extra column."""
    rng = np.random.default_rng(2)
    x = rng.normal(size=(400, 2))
    y = x[:, :1] + rng.normal(size=(400, 1))
    by_tree = KSG(scores=False).fit(x, y).estimate().value
    sample = clean_pair(x, y)
    assert by_tree == pytest.approx(brute_ksg(sample.x, sample.y, 5), abs=1e-12)


@pytest.mark.parametrize("name", ["independent-5-5", "1v1-normal-0.75"])
def test_the_standard_error_of_neighbours_is_that_of_repeated_draws(name):
    """Rows share their neighbours: taken for independent they would err by a third less."""
    found = [estimate_mi(*tasks.get(name).sample(300, s), estimator="ksg", null=0)
             for s in range(100)]  # fmt: skip
    spread = np.std([score.value for score in found])
    stated = np.mean([score.details["standard_error"] for score in found])
    assert 0.8 < stated / spread < 1.4


def test_ross_equals_scikit_learn():
    rng = np.random.default_rng(3)
    y = rng.integers(0, 5, 600)
    x = rng.normal(size=(600, 1)) + y[:, None]
    want = mutual_info_classif(x, y, n_neighbors=3)[0]
    assert Ross(k=3, scores=False).fit(x, y).estimate().value == pytest.approx(want, abs=1e-6)


def test_conditional_ksg_finds_independence_given_a_common_cause():
    rng = np.random.default_rng(4)
    z = rng.normal(size=(2000, 1))
    x, y = z + rng.normal(size=(2000, 1)), z + rng.normal(size=(2000, 1))
    assert abs(conditional_ksg(clean_pair(x, y), z).value) < 0.03
    assert estimate_mi(x, y, estimator="ksg", null=0).value > 0.1


def test_conditional_information_of_normals_by_the_chain_rule():
    rng = np.random.default_rng(5)
    z = rng.normal(size=(5000, 2))
    e = rng.normal(size=(5000, 1))
    x, y = z[:, :1] + e, z[:, 1:] + 0.75 * e + np.sqrt(1 - 0.75**2) * rng.normal(size=(5000, 1))
    score = estimate_mi(x, y, z=z, estimator="gaussian")
    assert score.value == pytest.approx(0.413339, abs=0.03)
    assert any("difference of two estimates" in str(w) for w in score.cautions)


def test_conditioning_on_labels_averages_over_classes():
    rng = np.random.default_rng(6)
    z = rng.integers(0, 3, 3000)
    x, y = z[:, None] + rng.normal(size=(2, 3000, 1))
    score = estimate_mi(x, y, z=z, estimator="ksg")
    assert abs(score.value) < 0.03
    assert len(score.details["by_class"]) == 3


@pytest.mark.parametrize(("rho", "nats"), [(0.5, 0.143841), (0.75, 0.413339), (0.9, 0.830366)])
@pytest.mark.parametrize("estimator", ["gaussian", "copula", "student", "ksg", "auto"])
def test_normal_pairs_have_their_closed_form(estimator, rho, nats):
    x, y = tasks.normal("pair", tasks.paired_covariance(1, 1, [rho]), 1).sample(5000, 0)
    score = estimate_mi(x, y, estimator=estimator, null=0)
    assert score.value == pytest.approx(nats, abs=0.04)
    assert estimate_mi(x, y, estimator=estimator, null=0, unit="bits").value == pytest.approx(
        score.value / np.log(2)
    )


def test_the_gaussian_bias_is_exact():
    """Over many draws of independent rows the corrected estimate averages zero."""
    rng = np.random.default_rng(7)
    n, dx, dy = 60, 8, 5
    values = [
        Gaussian(max_dim=99).fit(rng.normal(size=(n, dx)), rng.normal(size=(n, dy))).estimate()
        for _ in range(300)
    ]
    mean = np.mean([v.value for v in values])
    error = np.std([v.value for v in values]) / np.sqrt(300)
    assert abs(mean) < 4 * error
    assert gaussian_bias(n, dx, dy) > 0.3  # what would have been reported without it


@pytest.mark.parametrize(
    ("x", "y", "nats"),
    [
        ([1, 3, 2, 0, 1] * 2, [0, 3, 2, 2, 1] * 2, 1.054920),
        ([2, 1, 0, 1, 0] * 2, [0, 2, 1, 1, 0] * 2, 0.500402),
    ],
)
def test_discrete_reference_values(x, y, nats):
    assert estimate_mi(x, y, estimator="plugin", null=0).value == pytest.approx(nats, abs=1e-6)


def test_miller_madow_takes_the_first_order_bias_out():
    rng = np.random.default_rng(8)
    found = {
        e: np.mean(
            [
                estimate_mi(
                    rng.integers(0, 7, 300), rng.integers(0, 7, 300), estimator=e, null=0
                ).value
                for _ in range(200)
            ]
        )
        for e in ("plugin", "miller-madow")
    }
    assert found["plugin"] == pytest.approx(36 / 600, abs=0.01)
    assert abs(found["miller-madow"]) < 0.01


@given(st.integers(0, 2**31), st.integers(2, 6), st.integers(2, 6))
@settings(max_examples=25, deadline=None)
def test_plugin_lies_between_zero_and_the_entropies(seed, kx, ky):
    rng = np.random.default_rng(seed)
    x, y = rng.integers(0, kx, 60), rng.integers(0, ky, 60)
    score = estimate_mi(x, y, estimator="plugin", null=0)
    limit = min(score.details.get("entropy_x", 0), score.details.get("entropy_y", 0))
    assert -1e-12 <= score.value <= limit + 1e-12
    assert estimate_mi(y, x, estimator="plugin", null=0).value == pytest.approx(score.value)


def test_student_copula_reads_heavy_tails_that_have_no_correlation():
    task = tasks.get("asinh-student-identity-5-5-2")
    x, y = task.sample(4000, 0)
    score = estimate_mi(x, y, estimator="student", null=0)
    assert score.value == pytest.approx(task.mi, abs=0.05)
    assert score.details["dof"] == pytest.approx(2, abs=0.3)
    assert abs(estimate_mi(x, y, estimator="copula", null=0).value) < 0.03


def test_club_equals_its_loose_closed_form_and_l1out_is_near_the_truth():
    x, y = tasks.get("1v1-normal-0.75").sample(4000, 1)
    club = estimate_mi(x, y, estimator="club", null=0, folds=4, steps=400)
    assert club.value == pytest.approx(0.75**2 / (1 - 0.75**2), abs=0.1)
    near = estimate_mi(x, y, estimator="l1out", null=0, folds=4, steps=400)
    assert near.value == pytest.approx(0.4133, abs=0.05)


def test_sliced_information_sees_what_no_coordinate_shows():
    rng = np.random.default_rng(9)
    x = rng.normal(size=(1000, 2))
    y = rng.normal(size=(1000, 2)) * (1 + np.linalg.norm(x, axis=1, keepdims=True))
    score = estimate_mi(x, y, estimator="sliced")
    assert score.value > score.details["null_interval"][1]


def test_a_t_copula_of_normal_rows_is_the_normal_one():
    """In many dimensions even 200 degrees of freedom would tie the sides: 0.08 nats here."""
    x, y = np.random.default_rng(0).normal(size=(2, 300, 64))
    student, copula = (estimate_mi(x, y, estimator=e, null=0).value for e in ("student", "copula"))
    assert student == pytest.approx(copula, abs=0.01)


def test_a_correlation_of_one_is_said_to_be_infinite():
    x = np.random.default_rng(0).normal(size=(300, 2))
    turned = x @ np.array([[0.6, -0.8], [0.8, 0.6]])
    score = estimate_mi(x, turned, estimator="gaussian")
    assert any("infinitely" in str(w) for w in score.cautions)
    noisy = turned + 0.01 * np.random.default_rng(1).normal(size=(300, 2))
    assert not estimate_mi(x, noisy, estimator="gaussian").cautions


def test_a_number_that_did_not_come_out_is_said():
    x, y = np.random.default_rng(0).normal(size=(2, 60, 40))
    score = estimate_mi(x, y, estimator="student", null=0)
    assert np.isnan(score.value)
    assert any("no number" in str(w) for w in score.cautions)


def test_conditional_neighbours_heed_the_options_of_an_instance():
    x, y, z = np.random.default_rng(0).normal(size=(3, 200, 1))
    by_name = estimate_mi(x, x + y, z=z, estimator="ksg", k=20)
    assert estimate_mi(x, x + y, z=z, estimator=KSG(k=20)).value == by_name.value
    assert by_name.value != estimate_mi(x, x + y, z=z, estimator="ksg").value


@pytest.mark.parametrize("estimator", ["copula", "ksg", "student"])
def test_a_side_that_is_constant_within_a_class_shares_nothing_there(estimator):
    random = np.random.default_rng(0)
    z = np.arange(400) % 2
    x = np.where(z[:, None] == 0, 0.0, random.normal(size=(400, 2)))
    y = x + random.normal(size=(400, 2))
    score = estimate_mi(x, y, z=z, estimator=estimator, null=2)
    assert score.details["by_class"][0] == 0.0
    assert score.value == pytest.approx(score.details["by_class"][1] / 2)


@pytest.mark.parametrize("estimator", ["gaussian", "copula", "ksg", "student"])
@pytest.mark.filterwarnings("error")
def test_columns_that_vary_in_other_classes_only_are_left_out(estimator):
    x, noise = np.random.default_rng(0).normal(size=(2, 300, 2))
    y, z = 0.8 * x + 0.6 * noise, (x[:, 0] > 0).astype(int)
    x[z == 1, 1] = 0
    found = estimate_mi(x, y, z=z, estimator=estimator, null=0)
    within = [
        estimate_mi(x[z == 0], y[z == 0], estimator=estimator, null=0),
        estimate_mi(x[z == 1, :1], y[z == 1], estimator=estimator, null=0),
    ]
    assert found.details["by_class"] == pytest.approx([s.value for s in within], abs=1e-6)


@pytest.mark.parametrize("estimator", ["gaussian", "copula", "ksg"])
@pytest.mark.filterwarnings("error")
def test_constant_conditions_and_sides(estimator):
    x, noise = np.random.default_rng(0).normal(size=(2, 300, 2))
    y, same = x + noise, np.full(300, 0.5)
    given = estimate_mi(x, y, z=same, estimator=estimator, null=0)
    assert given.value == pytest.approx(estimate_mi(x, y, estimator=estimator, null=0).value)
    assert any("z is constant" in str(w) for w in given.cautions)
    assert estimate_mi(same, y, z=x[:, :1], estimator=estimator).value == 0


def test_small_classes_of_a_condition_are_said():
    x, noise = np.random.default_rng(0).normal(size=(2, 600, 20))
    score = estimate_mi(x, x + noise, z=np.arange(600) % 24, estimator="ksg", null=0)
    assert any("24 of 24 classes of z have fewer than 30 rows" in str(w) for w in score.cautions)
    assert any("in 40 dimensions" in str(w) for w in score.cautions)


def test_ross_without_variation_among_classes_of_two_reads_nothing():
    x = np.where(np.arange(20) < 10, 1.0, np.arange(20))
    labels = np.where(np.arange(20) < 10, 0, np.arange(20))
    score = estimate_mi(x, labels, estimator="ross")
    assert score.value == 0
    assert any("one member" in str(w) for w in score.cautions)


def test_a_condition_is_read_as_it_says():
    x, y = np.random.default_rng(0).normal(size=(2, 400))
    days = np.arange(400, dtype=float) % 4
    with pytest.raises(DataError, match="discrete_z=True"):
        estimate_mi(x, y, z=days.astype("datetime64[D]"), estimator="gaussian")
    by_class = estimate_mi(x, y, z=days, discrete_z=True, estimator="gaussian", null=0)
    assert len(by_class.details["by_class"]) == 4
    measured = estimate_mi(x, y, z=days.astype(int), discrete_z=False, estimator="gaussian")
    assert "by_class" not in measured.details
    with pytest.raises(EstimatorError, match="give z as well"):
        estimate_mi(x, y, discrete_z=True)


def test_conditions_that_do_not_suit_are_refused():
    x, z = np.random.default_rng(0).normal(size=(2, 100, 1))
    labels = np.arange(100) % 3
    with pytest.raises(EstimatorError, match="which 'ross' does not read"):
        estimate_mi(x, labels, z=z, estimator="ross")
    with pytest.raises(EstimatorError, match="no null for a measured z"):
        estimate_mi(x, -x, z=z, estimator="ksg", null=20)
    with pytest.raises(DataError, match="discrete_z=False"):
        estimate_mi(x, -x, z=np.arange(100), estimator="ksg")
    with pytest.raises(EstimatorError, match="with z"):
        estimate_mi(x, labels, z=z, clusters=labels)
    with pytest.raises(EstimatorError, match="this package's"):
        estimate_mi(x, labels, z=z, estimator=Correlation())


class Correlation:
    """Somebody's estimator, a number and no more."""

    def fit(self, x, y):
        self.rho = np.corrcoef(x[:, 0], y[:, 0])[0, 1]

    def estimate(self):
        return -0.5 * np.log(1 - self.rho**2)


def test_somebody_elses_estimator_gets_a_null_and_a_calibration():
    random = np.random.default_rng(0)
    x = random.normal(size=(500, 1))
    y = x + random.normal(size=(500, 1))
    score = estimate_mi(x, y, estimator=Correlation(), null=19)
    assert (score.low, score.high, score.p) == (None, None, 0.05)
    assert abs(score.null) < 0.01
    calibrated = estimate_mi(x, y, estimator=Correlation(), calibrated=6)
    assert calibrated.low < 0.5 * np.log(2) < calibrated.high


def test_somebodys_estimator_reads_the_sides_it_says():
    x, labels = np.random.default_rng(0).normal(size=(100, 2)), np.arange(100) % 3
    with pytest.raises(EstimatorError, match="let its attribute `sides` say"):
        estimate_mi(x, labels, estimator=Correlation())
    odd = Correlation()
    odd.sides = "both"
    with pytest.raises(EstimatorError, match="sides is 'both'"):
        estimate_mi(x, x, estimator=odd)


def test_somebodys_estimator_may_work_in_place():
    class Shuffles(Correlation):
        def fit(self, x, y):
            super().fit(x, y)
            np.random.default_rng(0).shuffle(y)

    x, noise = np.random.default_rng(0).normal(size=(2, 200, 1))
    found = estimate_mi(x, x + noise, estimator=Shuffles(), null=2)
    assert (
        found.details["null_values"]
        == (estimate_mi(x, x + noise, estimator=Correlation(), null=2).details["null_values"])
    )


def test_what_somebodys_class_needs_is_given_or_named():
    class Needs(Correlation):
        def __init__(self, seed, bins):
            self.seed, self.bins = seed, bins

    x, y = np.random.default_rng(0).normal(size=(2, 100, 1))
    with pytest.raises(EstimatorError, match="Needs cannot be built: .*'bins'"):
        estimate_mi(x, y, estimator=Needs)
    assert estimate_mi(x, y, estimator=Needs, bins=3, seed=4).value >= 0


class Numbers:
    """Somebody's estimator that gives these numbers in turn."""

    def __init__(self, *values):
        self.values = list(values)

    def fit(self, x, y):
        pass

    def estimate(self):
        return self.values.pop(0)


def test_what_is_no_number_has_no_p_value():
    x, y = np.random.default_rng(0).normal(size=(2, 100, 1))
    none = estimate_mi(x, y, estimator=Numbers(*[np.nan] * 20), null=19)
    assert (none.p, none.null) == (None, None)
    assert any("no number came out" in str(w) for w in none.cautions)
    alone = estimate_mi(x, y, estimator=Numbers(0.5, *[np.nan] * 19), null=19)
    assert (alone.value, alone.p, alone.null) == (0.5, None, None)
    assert any("19 of 19 permuted copies gave no number" in str(w) for w in alone.cautions)
    score = estimate_mi(x, y, estimator=Numbers(0.5, *[np.nan] * 3), calibrated=3)
    assert score.value == 0.5
    assert any("is not calibrated" in str(w) for w in score.cautions)


@pytest.mark.parametrize(
    "options",
    [
        {"estimator": "smile", "tau": -5}, {"estimator": "ksg", "k": 99},
        {"estimator": "ksg", "k": 2.5}, {"estimator": "ksg", "scores": "no"},
        {"estimator": "doe", "components": 0},
        {"estimator": "gaussian", "max_dim": -1}, {"estimator": "mine", "steps": 0},
        {"estimator": "mine", "batch": 1}, {"estimator": "mine", "hidden": 0},
        {"estimator": "mine", "folds": 1000}, {"estimator": "mine", "device": "nowhere"},
        {"estimator": "mine", "rate": 0}, {"estimator": "sliced", "slices": 0},
        {"calibrated": 1}, {"null": -1}, {"seed": -1}, {"estimator": None},
    ],
    ids=str,
)  # fmt: skip
def test_impossible_options_are_refused_in_one_sentence(options):
    x, y = np.random.default_rng(0).normal(size=(2, 100, 2))
    with pytest.raises(EstimatorError, match="give|cut|no estimator"):
        estimate_mi(x, y, **options)


def test_clusters_are_one_to_a_row():
    x, y = np.random.default_rng(0).normal(size=(2, 100, 2))
    with pytest.raises(DataError, match="clusters has 2 entries"):
        estimate_mi(x, y, estimator="copula", clusters=[1, 2])


def test_few_permuted_copies_give_no_p_value():
    x, y = np.random.default_rng(0).normal(size=(2, 100, 1))
    assert estimate_mi(x, x + y, estimator="ksg", null=5).p is None
    assert estimate_mi(x, x + y, estimator="ksg", null=19).p == 0.05


def test_a_class_of_estimators_takes_a_constant_side():
    x = np.random.default_rng(0).normal(size=(60, 2))
    assert KSG2().fit(np.ones((60, 2)), x).estimate().value == 0.0


def test_bits_are_nats_over_log_two_in_the_calibration_as_well():
    x, y = np.random.default_rng(0).normal(size=(2, 200, 2))
    nats, bits = (
        estimate_mi(x, x + y, estimator="copula", calibrated=4, null=0, unit=unit)
        for unit in ("nats", "bits")
    )
    for key in ("high", "planted"):
        want = np.asarray(nats.details["calibration"][key]) / np.log(2)
        assert np.asarray(bits.details["calibration"][key]) == pytest.approx(want)
    assert bits.details["calibration"]["slope"] == nats.details["calibration"]["slope"]
