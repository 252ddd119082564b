"""Training bounds and negatives: closed forms, gradients, and no row paired with itself."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional

from fer_bench.baselines.common.bounds import (
    Bound,
    class_aware_negatives,
    derangements,
    label_ceiling,
)
from fer_bench.baselines.common.networks import Critic, SeparableCritic


@settings(deadline=None, max_examples=60)
@given(batch=st.integers(2, 40), count=st.integers(1, 50), seed=st.integers(0, 99))
def test_derangements_pair_no_row_with_itself_and_use_each_once(batch, count, seed):
    torch.manual_seed(seed)
    rows = derangements(batch, count)
    assert rows.shape == (min(count, batch - 1), batch)
    assert not (rows == torch.arange(batch)).any()
    assert torch.equal(rows.sort(1).values, torch.arange(batch).expand_as(rows))
    assert len({tuple(row.tolist()) for row in rows}) == len(rows)


def test_one_row_has_no_derangement():
    with pytest.raises(ValueError, match="two rows"):
        derangements(1, 1)


@settings(deadline=None, max_examples=60)
@given(labels=st.lists(st.integers(0, 3), min_size=2, max_size=30), seed=st.integers(0, 99))
def test_class_aware_negatives_are_of_other_classes_where_there_are_any(labels, seed):
    torch.manual_seed(seed)
    labels = torch.tensor(labels)
    rows = class_aware_negatives(labels, 5)
    assert rows.shape == (5, len(labels))
    if labels.unique().numel() > 1:
        assert (labels[rows] != labels).all()
    else:
        assert not (rows == torch.arange(len(labels))).any()


def test_dv_at_the_best_critic_of_a_gaussian_pair_is_its_information():
    rho, n = 0.8, 200_000
    torch.manual_seed(0)
    x, z = torch.randn(2, n)
    y = rho * x + math.sqrt(1 - rho**2) * z
    truth = -0.5 * math.log(1 - rho**2)

    def ratio(a, b):
        quadratic = (a * a - 2 * rho * a * b + b * b) / (2 * (1 - rho**2)) - (a * a + b * b) / 2
        return truth - quadratic

    shifted = y.roll(1)
    dv = Bound("dv").eval()(ratio(x, y)[:, None], ratio(x, shifted)[None, :, None])
    assert dv == pytest.approx(truth, abs=0.03)
    jsd = Bound("jsd")(ratio(x, y)[:, None], ratio(x, shifted)[None, :, None])
    assert 0 < jsd < 2 * math.log(2)


def test_jsd_reaches_two_ln_two_for_separate_distributions():
    bound = Bound("jsd")(torch.full((4, 1), 50.0), torch.full((2, 4, 1), -50.0))
    assert bound == pytest.approx(2 * math.log(2), abs=1e-5)


def test_the_moving_average_is_corrected_for_its_start():
    """After the first batch the gradient is exactly that of the batch's own bound."""
    torch.manual_seed(0)
    joint, marginal = torch.randn(6, 1), torch.randn(2, 6, 1, requires_grad=True)
    first = torch.autograd.grad(Bound("dv")(joint, marginal), marginal)[0]
    plain = torch.autograd.grad(Bound("dv").eval()(joint, marginal), marginal)[0]
    assert torch.allclose(first, plain, atol=1e-6)


def test_the_moving_average_weighs_batches():
    bound = Bound("dv", decay=0.5)
    bound(torch.zeros(2, 1), torch.zeros(1, 2, 1))
    scores = torch.full((1, 2, 1), math.log(3.0), requires_grad=True)
    gradient = torch.autograd.grad(bound(torch.zeros(2, 1), scores), scores)[0]
    # Means 1 then 3 at decay 1/2: (1/4 + 3/2) / (3/4) = 7/3, so each score gets -(3 / (7/3)) / 2.
    assert torch.allclose(gradient, torch.full_like(gradient, -9 / 14), atol=1e-5)


def test_evaluation_does_not_move_the_average():
    bound = Bound("dv").eval()
    before = {k: v.clone() for k, v in bound.state_dict().items()}
    bound(torch.randn(4, 1), torch.randn(3, 4, 1))
    assert all(torch.equal(v, before[k]) for k, v in bound.state_dict().items())


def test_huge_scores_stay_finite():
    marginal = torch.full((2, 4, 1), 1e4, requires_grad=True)
    value = Bound("dv")(torch.full((4, 1), 1e4), marginal)
    assert torch.isfinite(value)
    assert torch.isfinite(torch.autograd.grad(value, marginal)[0]).all()


@pytest.mark.parametrize("kind", [Critic, SeparableCritic])
def test_critics_score_the_pairs_they_are_asked_for(kind):
    torch.manual_seed(0)
    critic = kind(5, 3, 16)
    features, code = torch.randn(4, 2, 5), torch.randn(4, 3)
    negatives = derangements(4, 3)
    joint, marginal = critic(features, code, negatives)
    assert joint.shape == (4, 2)
    assert marginal.shape == (3, 4, 2)
    for k in range(3):
        again, _ = critic(features, code[negatives[k]], negatives)
        assert torch.allclose(marginal[k], again, atol=1e-5)


def test_the_concatenating_critic_is_two_layers_on_the_concatenation():
    torch.manual_seed(0)
    critic = Critic(5, 3, 16)
    features, code = torch.randn(4, 1, 5), torch.randn(4, 3)
    weight = torch.cat([critic.of_features.weight, critic.of_code.weight], 1)
    hidden = torch.relu(torch.cat([features[:, 0], code], 1) @ weight.T + critic.of_features.bias)
    joint, _ = critic(features, code, derangements(4, 1))
    assert torch.allclose(joint[:, 0], critic.out(hidden)[:, 0], atol=1e-5)


# What every bound must do, and bounds that public re-implementations get wrong ----------------


def faults(bound):
    """What is wrong with a bound on joint scores [B, P] and marginal scores [K, B, P]."""
    torch.manual_seed(0)
    joint = 1 + 0.3 * torch.randn(64, 1)
    marginal = -1 + 0.3 * torch.randn(8, 64, 1)
    value = float(bound(joint, marginal))
    repeated = float(bound(joint.expand(-1, 16), marginal.expand(-1, -1, 16)))
    far = (8 * joint).requires_grad_()
    sharper = bound(far, 8 * marginal)
    gradient = torch.autograd.grad(sharper, far)[0]
    checks = {
        "not 0 for scores that carry no information": abs(
            float(bound(torch.zeros(64, 1), torch.zeros(8, 64, 1)))
        )
        < 1e-5,
        "joint and marginal swapped": value > 0 > float(bound(marginal[0], joint[None])),
        "positions summed": abs(repeated - value) < 1e-4,
        "scores clamped": bool(gradient.any()) and float(sharper) > value,
    }
    return {fault for fault, passed in checks.items() if not passed}


@pytest.mark.parametrize("name", ["dv", "jsd"])
def test_our_bounds_have_no_fault(name):
    assert not faults(Bound(name).eval())


def dv(joint, marginal):
    marginal = marginal.flatten(0, 1)
    return (joint.mean(0) - torch.logsumexp(marginal, 0) + math.log(len(marginal))).mean()


@pytest.mark.parametrize(
    ("bound", "fault"),
    [
        (lambda j, m: dv(j.clamp(-1, 1), m.clamp(-1, 1)), "scores clamped"),
        (lambda j, m: dv(j.sum(1, keepdim=True), m.sum(2, keepdim=True)), "positions summed"),
        (lambda j, m: dv(m[0], j[None]), "joint and marginal swapped"),
        (lambda j, m: dv(j, m) + 1, "not 0 for scores that carry no information"),
    ],
)
def test_a_broken_bound_is_named(bound, fault):
    assert not faults(dv)
    assert fault in faults(bound)


@given(st.lists(st.integers(0, 60), min_size=2, max_size=6).filter(lambda c: sum(map(bool, c)) > 1))
def test_ceilings_are_the_bounds_of_the_best_critic(counts):
    """Of labels y and y': T = log p/q for Donsker-Varadhan, and for Jensen-Shannon as well."""
    p = torch.tensor(counts, dtype=torch.float64)
    p = p[p > 0] / p.sum()
    joint, marginal = torch.diag(p), torch.outer(p, p)
    critic = torch.log(joint / marginal)
    entropy = (joint * critic.nan_to_num(neginf=0.0)).sum()
    assert label_ceiling("dv", counts) == pytest.approx(float(entropy))
    of_joint = (joint * functional.logsigmoid(critic).nan_to_num(neginf=0.0)).sum()
    of_marginal = (marginal * functional.logsigmoid(-critic).nan_to_num()).sum()
    jsd = float(of_joint + of_marginal) + 2 * math.log(2)
    assert label_ceiling("jsd", counts) == pytest.approx(jsd, abs=1e-9)
    assert label_ceiling("jsd", counts, class_aware=True) == pytest.approx(2 * math.log(2))
    assert label_ceiling("dv", counts, class_aware=True) == math.inf
