"""Critics: kept-out values, seeds, groups, batching, warnings."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from fer_bench.information import estimate_mi, tasks
from fer_bench.information.critics import AllPairs, Critic, Scores, log_sum_exp, product_scores
from fer_bench.information.estimator import Problem, make
from fer_bench.information.estimators.neural import (
    DEMI,
    MINE,
    donsker_varadhan,
    info_nce,
    interpolated,
    jensen_shannon,
    nguyen_wainwright_jordan,
)
from fer_bench.information.estimators.neural import Test as Held
from fer_bench.information.inputs import clean_pair
from fer_bench.information.scoring import permute_pairs, score_samples
from fer_bench.information.training import Budget, Fold, split, split_groups, train

CRITICS = ["mine", "mine-f", "nwj", "jsd", "demi", "smile", "infonce", "alpha"]
PAIR = tasks.normal("pair", tasks.paired_covariance(3, 3, [0.8]), 3)


@pytest.mark.parametrize("estimator", CRITICS)
def test_critics_find_a_normal_pair_on_kept_out_rows(estimator):
    score = estimate_mi(*PAIR.sample(1500, 0), estimator=estimator, null=1, steps=300)
    assert score.value == pytest.approx(PAIR.mi, abs=0.1)
    assert score.low < PAIR.mi < score.high + 0.05
    assert score.p <= 0.01
    assert abs(score.null) < 0.1
    assert score.n == 1500  # cross-fitted: every row valued once


@pytest.mark.parametrize("kind", Critic.kinds)
def test_every_kind_of_critic_learns(kind):
    score = estimate_mi(*PAIR.sample(1500, 1), estimator="mine", critic=kind, null=0, steps=300)
    assert score.value == pytest.approx(PAIR.mi, abs=0.12)


@pytest.mark.parametrize("estimator", [*CRITICS, "doe", "auto", "classifier"])
def test_independent_rows_of_64_dimensions_read_zero(estimator):
    x, y = tasks.get("independent-64-64").sample(300, 0)
    if estimator == "classifier":
        y = np.random.default_rng(1).integers(0, 5, 300)
    options = {"calibrated": 0} if estimator == "auto" else {"steps": 200}
    score = estimate_mi(x, y, estimator=estimator, null=0, **options)
    error = score.details["standard_error"]
    assert abs(score.value) < 0.02 + 2 * error
    assert score.low <= 0 <= score.high
    assert score.p is None or score.p > 0.01


@pytest.mark.parametrize(
    ("name", "within"),
    [("multinormal-dense-5-5-0.5", 0.06), ("multinormal-sparse-25-25-2-2.0", 0.12)],
)
def test_entropies_of_correlated_columns_differ_by_the_information(name, within):
    """What the mixtures cannot fit must not count: it read 1.0 for 0.6 once."""
    task = tasks.get(name)
    score = estimate_mi(*task.sample(3000, 0), estimator="doe", null=0)
    assert score.value == pytest.approx(task.mi, abs=within)


@pytest.mark.parametrize("kind", Critic.kinds)
def test_an_untrained_critic_says_nothing(kind):
    """A random own term of x would: it read -0.02 where there was nothing, and certain of it."""
    x, y = torch.randn(2, 40, 5, generator=torch.Generator().manual_seed(0))
    rows = np.arange(40)
    fold = Fold(x, y, torch.arange(40), rows[:20], rows[20:30], rows[30:], seed=0)
    critic = Critic(5, 5, kind=kind, base=False)
    weights = critic.initial(torch.Generator().manual_seed(0), fold, lambda blocks: blocks)
    batched = {name: value[None] for name, value in weights.items()}
    scores = critic.scores(batched, x[None], y[None])
    assert not scores.positive.any()
    assert not scores.negative[scores.negative > -math.inf].any()


@pytest.mark.parametrize("estimator", ["mine", "nwj", "jsd", "smile", "demi", "classifier"])
def test_nothing_in_common_is_covered_by_the_sampling_error_alone(estimator):
    """Not only because an interval about a negative value reaches up to zero."""
    task = tasks.get("clusters-7-64-0" if estimator == "classifier" else "independent-64-64")
    samples = [clean_pair(*task.sample(300, seed)) for seed in range(8)]
    scores = score_samples(samples, make(estimator))
    assert sum(abs(s.value) < 2 * s.details["standard_error"] for s in scores) >= 7


def test_training_that_dips_below_nothing_is_not_given_up():
    """Its best counts as progress, though the untrained model stays ahead of it for a while."""
    dip = [0.0, *np.linspace(-1, -0.1, 10), 0.5]

    class Dipping:
        def initial(self, generator, fold):
            self.at = -1
            return {"w": torch.zeros(1)}

        def loss(self, parameters, x, y, state):
            return parameters["w"].sum(1)

        def score(self, parameters, blocks):
            self.at += 1
            return torch.tensor([dip[min(self.at, len(dip) - 1)]])

    x = torch.zeros(40, 1)
    rows = np.arange(40)
    fold = Fold(x, x, torch.arange(40), rows[:20], rows[20:30], rows[30:], seed=0)
    fitted = train(Dipping(), [fold], Budget(steps=300, patience=3))
    assert fitted.curve_of(0)[: len(dip)] == pytest.approx(dip, abs=1e-4)
    assert fitted.parameters["w"].item() < 0  # trained, not the untrained zero


def test_logits_off_their_level_are_doubted():
    """DEMI reads a mean logit: what the ratio fails to integrate to one by is an error."""
    flat = torch.full((6,), 0.3)
    test = Held(flat, flat, flat, per_row=5, shifted=torch.zeros(5), span=(0.0, 1.0))
    assert DEMI().doubt(test) == pytest.approx(0.3**2)
    assert MINE().doubt(test) == 0.0


def test_in_sample_values_would_have_been_large():
    """What the kept-out part protects from: the same critic on its own training rows."""
    x, y = tasks.get("independent-64-64").sample(300, 0)
    score = estimate_mi(
        x, y, estimator="mine", base=False, null=0, steps=300, patience=10**6, folds=1
    )
    curve = np.array(score.details["curve"])
    assert curve.argmax() < len(curve) - 1  # validation turned down while training went on


def test_a_seed_decides_everything_and_another_changes_it():
    x, y = PAIR.sample(300, 2)
    first, again, other = (
        estimate_mi(x, y, estimator="mine", seed=s, steps=100, null=2) for s in (5, 5, 6)
    )
    assert first == again
    assert first.value != other.value


def test_problems_come_out_the_same_alone_or_together():
    x, y = PAIR.sample(400, 3)
    sample = clean_pair(x, y)
    random = np.random.default_rng(0)
    problems = [Problem(sample, 0)] + [
        Problem(sample, s, permute_pairs(400, None, random)) for s in (1, 2)
    ]
    tool = MINE(steps=400, base=False)
    together = tool.estimate_many(problems)
    lengths = [len(estimate.details["curve"]) for estimate in together]
    assert lengths[0] > max(lengths[1:])  # what has stopped is trained no longer
    for problem, estimate in zip(problems, together, strict=True):
        alone = tool.estimate_many([problem])[0]
        assert alone.value == pytest.approx(estimate.value, abs=1e-3)
        assert alone.details["curve"] == pytest.approx(estimate.details["curve"], abs=1e-3)


def test_a_critic_that_sees_nothing_is_not_certain_of_it():
    x, y = tasks.get("independent-64-64").sample(1000, 3)
    score = estimate_mi(x, y, estimator="infonce", null=0)
    assert abs(score.value) < 0.005
    assert score.low <= 0 <= score.high
    assert score.details["standard_error"] >= 1 / 1000


def test_fit_then_estimate_and_not_the_other_way_round():
    from fer_bench.information import EstimatorError

    with pytest.raises(EstimatorError, match="fit"):
        MINE().estimate()
    x, y = PAIR.sample(400, 4)
    tool = MINE(steps=60)
    value = tool.fit(x, y).estimate().value
    assert value == estimate_mi(x, y, estimator=MINE(steps=60), null=0).value


def test_info_nce_says_when_it_is_saturated():
    x, y = tasks.normal("high", tasks.paired_covariance(8, 8, [0.9] * 8), 8).sample(2000, 0)
    score = estimate_mi(x, y, estimator="infonce", batch=128, null=0)
    assert score.value <= math.log(2 * 128)
    assert any("saturated at ln(batch)" in str(w) for w in score.cautions)


def test_a_group_lies_in_one_part_only():
    groups = np.repeat(np.arange(20), 15)
    for parts in split(300, groups=groups, folds=5, seed=0):
        owners = [set(groups[rows]) for rows in parts]
        assert not owners[0] & owners[1]
        assert not owners[0] & owners[2]
        assert not owners[1] & owners[2]
        assert sum(len(rows) for rows in parts) == 300
    tested = np.concatenate([test for *_, test in split(300, groups=groups, folds=5, seed=0)])
    assert sorted(tested) == list(range(300))


def test_few_groups_are_said_not_to_be_kept_apart():
    random = np.random.default_rng(0)
    for count, said in ((8, True), (12, False)):
        groups = np.arange(240) % count
        x = random.normal(size=(count, 3))[groups] + 0.1 * random.normal(size=(240, 3))
        for estimator in ("classifier", "mine"):
            y = groups % 2 if estimator == "classifier" else x + random.normal(size=(240, 3))
            options = {"steps": 40, "null": 0, "groups": groups}
            score = estimate_mi(x, y, estimator=estimator, **options)
            assert any(f"only {count} groups" in str(w) for w in score.cautions) is said


@pytest.mark.parametrize("estimator", ["doe", "club", "l1out"])
def test_densities_of_more_columns_than_rows_stay_numbers(estimator):
    """Directions that the fitted rows do not fill made it 1e30 nats."""
    x, y = np.random.default_rng(0).normal(size=(2, 60, 40))
    score = estimate_mi(x, y, estimator=estimator, null=0, steps=100)
    assert score.low <= 0 <= score.high
    assert abs(score.value) < 500
    assert any("reduce it first" in str(w) for w in score.cautions)


def test_alpha_says_when_it_is_saturated():
    x, y = tasks.normal("high", tasks.paired_covariance(8, 8, [0.95] * 8), 8).sample(1000, 0)
    score = estimate_mi(x, y, estimator="alpha", alpha=1.0, null=0, steps=300)
    assert any("saturated" in str(w) for w in score.cautions)
    assert score.value <= np.log(1000)


def test_a_label_that_is_the_group_is_not_split_by_group():
    subjects = np.repeat(np.arange(20), 15)
    sample = clean_pair(np.random.default_rng(0).normal(size=(300, 2)), subjects, groups=subjects)
    assert split_groups(sample) is None
    score = estimate_mi(
        np.eye(20)[subjects] + 0.1 * np.random.default_rng(1).normal(size=(300, 20)),
        subjects, estimator="classifier", groups=subjects, null=0,
    )  # fmt: skip
    assert score.value > 2


def test_subject_fingerprints_do_not_pass_for_information():
    """x and y each carry the subject but nothing in common that generalises to other subjects."""
    rng = np.random.default_rng(0)
    subjects = np.repeat(np.arange(30), 30)
    x = rng.normal(size=(30, 8))[subjects] + 0.3 * rng.normal(size=(900, 8))
    y = rng.normal(size=(30, 8))[subjects] + 0.3 * rng.normal(size=(900, 8))
    blind = estimate_mi(x, y, estimator="mine", null=0)
    aware = estimate_mi(x, y, estimator="mine", null=0, groups=subjects)
    assert blind.value > 0.8
    assert aware.value < 0.15
    assert aware.low <= 0.0 <= aware.high


def test_intervals_count_subjects_not_rows():
    x, y = PAIR.sample(300, 5)
    subjects = np.repeat(np.arange(300), 5)
    copies = estimate_mi(
        np.repeat(x, 5, 0), np.repeat(y, 5, 0), estimator="copula", groups=subjects, null=0
    )
    once = estimate_mi(x, y, estimator="copula", null=0)
    assert copies.high - copies.low == pytest.approx(once.high - once.low, rel=0.1)


def test_repaired_rows_keep_groups_together_and_nobody_stays():
    subjects = np.repeat(np.arange(12), 10)
    order = permute_pairs(120, subjects, np.random.default_rng(0))
    assert sorted(order) == list(range(120))
    assert (order != np.arange(120)).all()
    met = {(subjects[i], subjects[j]) for i, j in enumerate(order)}
    assert len(met) <= 24  # blocks meet blocks, instead of all 144 combinations


def all_pairs(matrix: torch.Tensor) -> Scores:
    eye = torch.eye(matrix.shape[-1], dtype=torch.bool)
    negative = matrix.masked_fill(eye, -math.inf)
    return Scores(matrix.diagonal(dim1=-2, dim2=-1), negative, matrix.shape[-1] - 1)


def test_a_product_scores_all_pairs():
    f, g = torch.randn(2, 3, 7, 5, generator=torch.Generator().manual_seed(0))
    want, found = all_pairs(f @ g.transpose(1, 2)), product_scores(f, g)
    assert torch.allclose(found.positive, want.positive, atol=1e-5)
    assert torch.allclose(found.negative, want.negative, atol=1e-5)


def test_log_sum_exp_and_its_gradient_are_those_of_torch():
    values = 30 * torch.randn(4, 50, generator=torch.Generator().manual_seed(1)).double()
    values[0, 3] = -math.inf
    values.requires_grad_()
    weights = torch.arange(4.0).double()
    found, want = (
        torch.autograd.grad((f(values) * weights).sum(), values)[0]
        for f in (log_sum_exp, lambda v: torch.logsumexp(v, -1))
    )
    assert torch.allclose(log_sum_exp(values), torch.logsumexp(values, -1))
    assert torch.allclose(found, want)


def test_test_rows_meet_all_others_slab_by_slab():
    f, g = 2 * torch.randn(2, 300, 5, generator=torch.Generator().manual_seed(2))
    low, high, tau = -7.0, 9.0, 4.0
    matrix = (f @ g.T).clamp(low, high)
    others = all_pairs(matrix.clamp(-tau, tau)[None]).negative[0]
    scored = AllPairs(f, g, slab=128)
    found = scored.negatives(low, high, lambda v: v.clamp(-tau, tau))
    assert scored.span() == pytest.approx((float((f @ g.T).min()), float((f @ g.T).max())))
    assert torch.allclose(found.log_row, others.logsumexp(1) - math.log(299), atol=1e-5)
    assert torch.allclose(found.log_column, others.logsumexp(0) - math.log(299), atol=1e-5)
    i = torch.arange(300)
    shifted = torch.stack([matrix[i, (i + k) % 300].mean() for k in range(1, 300)])
    assert torch.allclose(found.shifted, shifted, atol=1e-5)


def test_objectives_agree_with_their_formulas():
    random = torch.Generator().manual_seed(0)
    matrix = torch.randn(2, 9, 9, generator=random)
    scores = all_pairs(matrix)
    for p in range(2):
        t = matrix[p].double()
        positive = t.diagonal()
        negative = t[~torch.eye(9, dtype=torch.bool)]
        dv = positive.mean() - negative.exp().mean().log()
        nwj = 1 + positive.mean() - negative.exp().mean()
        jsd = (
            math.log(4) - torch.log1p((-positive).exp()).mean() - torch.log1p(negative.exp()).mean()
        )
        nce = (positive - t.logsumexp(1)).mean() + math.log(9)
        assert donsker_varadhan(scores)[p] == pytest.approx(float(dv), abs=1e-5)
        assert nguyen_wainwright_jordan(scores)[p] == pytest.approx(float(nwj), abs=1e-5)
        assert jensen_shannon(scores)[p] == pytest.approx(float(jsd), abs=1e-5)
        assert info_nce(scores)[p] == pytest.approx(float(nce), abs=1e-5)
    assert torch.allclose(interpolated(0.0)(scores), nguyen_wainwright_jordan(scores), atol=1e-4)


def test_the_moving_average_starts_where_the_batches_are():
    """Uncorrected it would start at a tenth of the first batch's mean."""
    state: dict[str, torch.Tensor] = {}
    scores = all_pairs(torch.full((1, 6, 6), 2.0))
    for _ in range(3):
        donsker_varadhan(scores, state)
        corrected = state["average"] - torch.log(1 - 0.9 ** state["steps"])
        assert corrected.item() == pytest.approx(2.0, abs=1e-5)


def test_smile_clips_the_negatives_only():
    x, y = tasks.get("normal-5-5-4nats").sample(1500, 0)
    tight = estimate_mi(x, y, estimator="smile", tau=0.5, null=0, steps=200)
    free = estimate_mi(x, y, estimator="smile", tau=50.0, null=0, steps=200)
    assert tight.value > free.value + 0.2


def test_the_classifier_reads_h_of_y_at_most_and_logs_its_entropy():
    labels = np.random.default_rng(0).integers(0, 7, 700)
    x = np.eye(7)[labels] + 0.05 * np.random.default_rng(1).normal(size=(700, 7))
    score = estimate_mi(x, labels, estimator="classifier", null=2)
    assert score.details["entropy"] - 0.1 < score.value <= score.details["entropy"]
    assert abs(score.null) < 0.1


def test_classifier_finds_the_information_of_clusters():
    task = tasks.get("clusters-7-16-0.8")
    score = estimate_mi(*task.sample(2000, 0), estimator="classifier", null=0)
    assert score.value == pytest.approx(task.mi, abs=0.08)
    swapped = estimate_mi(*task.sample(2000, 0)[::-1], estimator="classifier", null=0)
    assert swapped.value == pytest.approx(score.value, abs=0.02)


@pytest.mark.gpu
def test_a_gpu_gives_what_a_cpu_gives():
    if not torch.cuda.is_available():
        pytest.skip("no CUDA device")
    x, y = PAIR.sample(1500, 6)
    cpu, gpu = (
        estimate_mi(x, y, estimator="infonce", device=d, null=0).value for d in ("cpu", "cuda")
    )
    assert gpu == pytest.approx(cpu, abs=0.03)


def test_few_rows_for_a_network_are_said():
    x, noise = np.random.default_rng(0).normal(size=(2, 60, 2))
    score = estimate_mi(x, x + noise, estimator="infonce", null=0, steps=50)
    assert any("60 rows are few for a network" in str(w) for w in score.cautions)
