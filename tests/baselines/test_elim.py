"""Matching by optimal transport, the identity shift, and what the sign audit says of them."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import fer_bench
from fer_bench.baselines.elim.adapter import ELIM, identity_shift, transport, unit_rms
from fer_bench.conformance import audit_claim, check_method, example_batch, example_task
from fer_bench.errors import MethodError


def build(adapter=ELIM, *, task=None, **parameters):
    torch.manual_seed(0)
    config = adapter.Config(backbone={"width": 8}, dim=12, hidden=16, **parameters)
    return adapter(task or example_task(), config)


@pytest.fixture(scope="module")
def batch():
    return example_batch()


# Transport ----------------------------------------------------------------------------------


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 7), st.integers(1, 7), st.integers(0, 10_000))
def test_a_flow_has_the_wanted_marginals(n, m, seed):
    rng = np.random.default_rng(seed)
    a, b = (torch.from_numpy(w / w.sum()) for w in (rng.random(n) + 0.1, rng.random(m) + 0.1))
    flow = transport(torch.from_numpy(rng.random((n, m))), a, b, iterations=300)
    assert (flow >= 0).all()
    assert torch.allclose(flow.sum(0), b, atol=1e-8)
    assert torch.allclose(flow.sum(1), a, atol=1e-5)


def test_a_sharp_flow_is_the_best_assignment():
    from scipy.optimize import linear_sum_assignment

    cost = np.random.default_rng(3).random((6, 6))
    even = torch.full((6,), 1 / 6, dtype=torch.float64)
    flow = transport(torch.from_numpy(cost), even, even, sharpness=200.0, iterations=3000)
    rows, columns = linear_sum_assignment(cost)
    assert float((flow * torch.from_numpy(cost)).sum()) == pytest.approx(
        cost[rows, columns].mean(), abs=5e-3
    )


def test_the_flow_prefers_faces_that_look_alike():
    cost = torch.tensor([[0.0, 1.0], [1.0, 0.0]])
    half = torch.tensor([0.5, 0.5])
    assert transport(cost, half, half).diagonal().sum() > 0.9
    assert transport(-cost, half, half).diagonal().sum() < 0.1  # what a lost sign would do


def test_the_shift_grows_with_the_distance_of_two_people():
    reference = torch.tensor([[1.0, 0.0, 0.2], [0.9, 0.1, 0.0]])
    near, far = reference + 0.05, torch.tensor([[0.1, 1.0, 0.0], [0.0, 0.8, 0.3]])
    assert identity_shift(reference, reference).max() < 0.05
    assert identity_shift(reference, far).min() > identity_shift(reference, near).max() + 0.3


def test_the_shift_of_features_without_any_similarity_is_finite():
    shift = identity_shift(torch.zeros(2, 4), torch.zeros(3, 4))
    assert shift.shape == (3,)
    assert torch.isfinite(shift).all()


def test_rows_of_unit_rms():
    x = unit_rms(torch.randn(5, 8, generator=torch.Generator().manual_seed(0)))
    assert torch.allclose(x.square().mean(1), torch.ones(5), atol=1e-4)


# The method ---------------------------------------------------------------------------------


def test_the_matched_loss_by_hand(batch):
    method = build(people=2).eval()
    z = method.code(batch.images).detach()
    torch.manual_seed(4)
    [first, second] = method._drawn(batch)
    shift = identity_shift(z[first], z[second])
    both = torch.cat([z[first], unit_rms(z[second] - shift[:, None])])
    losses = torch.nn.functional.cross_entropy(
        method.head(both), batch.expression[torch.cat([first, second])], reduction="none"
    )
    expected = losses[: len(first)].mean() + losses[len(first) :].mean()
    torch.manual_seed(4)
    assert method.matched_loss(z, batch).item() == pytest.approx(expected.item(), rel=1e-5)


def test_people_are_drawn_once_each_and_at_most_n(batch):
    people = build(people=5)._drawn(batch)
    assert len(people) == 5
    assert len({int(batch.subject[rows].unique()) for rows in people}) == 5
    assert sum(len(rows) for rows in build(people=99)._drawn(batch)) == len(batch)


def test_one_person_in_a_batch_leaves_the_task_alone(batch):
    alone = replace(batch, subject=torch.zeros_like(batch.subject))
    losses = build().loss(alone)
    assert losses["matched"] == 0
    assert losses["total"] == losses["task"]


def test_the_matched_term_sets_in_slowly():
    method = build(warmup=0.5)
    ramp = []
    for progress in (0.0, 0.04, 0.25, 0.5, 0.9):
        method._warm_up(progress)
        ramp.append(method.ramp)
    assert ramp == [0.0, 0.0, 0.5, 1.0, 1.0]


def test_valence_arousal_is_matched_too():
    task = example_task(target="valence_arousal")
    losses = build(task=task).loss(example_batch(task))
    assert losses["matched"] > 0
    assert torch.isfinite(losses["total"])


def test_people_are_needed():
    with pytest.raises(MethodError, match="at least two"):
        build(task=replace(example_task(), n_train_subjects=1))


# The sign audit -----------------------------------------------------------------------------


class AddsTheMatchedError(ELIM):
    """Broken: the matched loss enters the total with the wrong sign."""

    def loss(self, batch):
        losses = super().loss(batch)
        return losses | {"total": losses["total"] - self.config.strength * 2 * losses["matched"]}


class MatchesAfterwards(ELIM):
    """Broken: matching happens on detached features, so that nothing is learned from it."""

    def matched_loss(self, z, batch):
        return super().matched_loss(z.detach(), batch).detach()


def audited(adapter, term="matched"):
    method = build(adapter)
    [stage] = method.stages()
    [claim] = [c for c in stage.claims if c.term == term]
    return audit_claim(method, stage, claim, example_batch())


def test_both_terms_do_what_they_claim():
    assert audited(ELIM, "task").passed
    assert audited(ELIM, "matched").passed


def test_raising_the_matched_error_is_caught():
    finding = audited(AddsTheMatchedError)
    assert not finding.passed
    assert "lowers its loss without the shift" in finding.message


def test_matching_that_teaches_nothing_is_caught():
    finding = audited(MatchesAfterwards)
    assert not finding.passed
    assert "does not enter the total" in finding.message


@pytest.mark.slow
def test_the_contract_holds():
    findings = check_method("elim")
    assert [str(f) for f in findings if not f.passed] == []
    assert sum(f.check == "sign" for f in findings) == 2


def test_it_learns_through_the_harness(small_faces):
    train = small_faces.subset(np.flatnonzero(small_faces.subject < 9))
    test = small_faces.subset(np.flatnonzero(small_faces.subject >= 9))
    model = fer_bench.Recognizer(
        "elim", parameters={"backbone": {"width": 8}, "dim": 16}, epochs=8, batch_size=32
    ).fit(train)
    part = model.arrays(test)
    assert (part.logits.argmax(1) == test.expression).mean() > 0.45  # chance 0.25
    assert part.identity is None
