"""D2AE's gradient routing, the collapse of f_non, and training through the harness."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

import fer_bench
from fer_bench.baselines.adversarial_branch.adapter import (
    AdversarialBranch,
    effective_rank,
    uniform_cross_entropy,
)
from fer_bench.conformance import (
    audit_claim,
    check_method,
    check_stage,
    example_batch,
    example_task,
)
from fer_bench.conformance.checks import check_part
from fer_bench.errors import MethodError
from fer_bench.experiment import TrainingSpec
from fer_bench.metrics.common import effective_rank as reference_rank
from fer_bench.training.session import Session

MODULES = ("trunk", "expression", "rest", "classifier", "adversary", "decoder")


def build(adapter=AdversarialBranch, *, task=None, **parameters):
    torch.manual_seed(0)
    config = adapter.Config(backbone={"width": 8}, dim=12, hidden=16, **parameters)
    return adapter(task or example_task(), config)


@pytest.fixture(scope="module")
def batch():
    return example_batch()


def reached(method, loss):
    """Names of the modules in which some parameter gets a gradient from `loss`."""
    reached_names = set()
    for name in MODULES:
        module = getattr(method, name)
        if module is None:
            continue
        gradients = torch.autograd.grad(
            loss, list(module.parameters()), retain_graph=True, allow_unused=True
        )
        if any(g is not None and g.any() for g in gradients):
            reached_names.add(name)
    return reached_names


def test_each_loss_of_the_encoder_reaches_what_the_table_says(batch):
    losses = build(beta1=0.5).encoder_loss
    method = losses.__self__
    terms = losses(batch)
    assert reached(method, terms["expression"]) == {"trunk", "expression", "classifier"}
    # W_P is in the graph, but the encoder does not own it, so it does not move.
    assert reached(method, terms["uniform"]) - {"adversary"} == {"trunk", "rest"}
    assert reached(method, terms["reconstruction"]) == {"trunk", "expression", "rest", "decoder"}


def test_the_adversary_learns_and_nobody_else_learns_from_it(batch):
    method = build()
    assert reached(method, method.adversary_loss(batch)["total"]) == {"adversary"}
    adversary, encoder = method.stages()[0].players
    assert {id(p) for p in adversary.parameters()} == {id(p) for p in method.adversary.parameters()}
    assert not {id(p) for p in adversary.parameters()} & {id(p) for p in encoder.parameters()}


def test_trunk_gradient_keeps_the_uniform_loss_out_of_the_trunk(batch):
    method = build(trunk_gradient=False)
    losses = method.encoder_loss(batch)
    assert reached(method, losses["uniform"]) - {"adversary"} == {"rest"}
    with_trunk = build(trunk_gradient=True).encoder_loss(batch)
    assert losses["uniform"].item() == pytest.approx(with_trunk["uniform"].item(), abs=1e-5)


def test_total_is_the_weighted_sum(batch):
    losses = build(beta1=0.3, adversarial=0.2).encoder_loss(batch)
    expected = losses["expression"] + 0.2 * losses["uniform"] + 0.3 * losses["reconstruction"]
    assert losses["total"].item() == pytest.approx(expected.item(), rel=1e-6)
    assert build(beta1=0).decoder is None


def test_a_decoder_that_came_later_changes_no_run_id():
    written = AdversarialBranch.Config().model_dump(mode="json")
    assert "decoder" not in written
    asked = AdversarialBranch.Config(decoder=True)
    assert AdversarialBranch.Config(**asked.model_dump()) == asked


def test_with_beta1_0_the_decoder_learns_afterwards_and_changes_nothing(small_faces):
    """The arrays are exactly those without a decoder; the test faces are drawn besides."""
    train = small_faces.subset(np.flatnonzero(small_faces.subject < 4))
    rows = np.arange(len(train))
    training = TrainingSpec(epochs=2, batch_size=32, device="cpu")
    parts = {}
    for decoder in (False, True):
        config = AdversarialBranch.Config(
            backbone={"width": 8}, dim=8, hidden=16, decoder_width=4, decoder=decoder
        )
        session = Session.build(AdversarialBranch, config, train, rows, training=training)
        session.train(rows, rows[:0])
        parts[decoder] = session.extract(rows[:20], name="test", draw=True)
        assert session.extract(rows[:4], name="train").drawn is None
    assert parts[False].drawn is None
    assert parts[True].drawn.shape == (20, 32, 32, 3)
    for name in ("expression", "identity", "logits"):
        assert np.array_equal(getattr(parts[False], name), getattr(parts[True], name)), name


def test_the_decoder_s_own_stage_holds_the_contract(batch):
    method = build(decoder=True)
    _, stage = method.stages()
    assert {id(p) for p in stage.players[0].parameters()} == {
        id(p) for p in method.decoder.parameters()
    }
    assert [str(f) for f in check_stage(method, stage, batch) if not f.passed] == []


def test_uniform_loss_is_least_when_nothing_can_be_told():
    scores = torch.randn(50, 7, generator=torch.Generator().manual_seed(0))
    assert uniform_cross_entropy(torch.zeros(5, 7)).item() == pytest.approx(math.log(7), rel=1e-6)
    assert uniform_cross_entropy(scores).item() > math.log(7) + 0.1
    # Against equal probabilities, by the definition of cross-entropy with soft targets.
    target = torch.full((50, 7), 1 / 7)
    expected = torch.nn.functional.cross_entropy(scores, target)
    assert uniform_cross_entropy(scores).item() == pytest.approx(expected.item(), rel=1e-6)


def test_effective_rank_is_that_of_the_metrics():
    code = torch.randn(200, 6, generator=torch.Generator().manual_seed(1)) * torch.arange(1, 7)
    assert effective_rank(code).item() == pytest.approx(reference_rank(code.numpy()), rel=1e-4)
    assert effective_rank(torch.ones(8, 3)).item() == pytest.approx(1.0)


def test_a_collapsed_branch_is_reported(batch):
    method = build()
    assert method.cautions() == []
    method.encoder_loss(batch)
    assert method.cautions() == []
    with torch.no_grad():
        method.rest[-1].weight.mul_(1e-4)
    losses = method.encoder_loss(batch)
    assert losses["non_variance"].item() < 1e-4
    [caution] = method.cautions()
    assert caution.code == "branch-collapsed-without-decoder"
    assert "beta1 = 0" in str(caution)


class Helpful(AdversarialBranch):
    """Broken: the encoder helps W_P to classify instead of confusing it."""

    def encoder_loss(self, batch):
        losses = super().encoder_loss(batch)
        sign = 2 * self.config.adversarial * losses["uniform"]
        return losses | {"total": losses["total"] - sign}


class Leaking(AdversarialBranch):
    """Broken: W_P is also owned by the encoder."""

    def stages(self):
        [stage] = super().stages()
        adversary, encoder = stage.players
        both = replace(encoder, modules=[*encoder.modules, self.adversary])
        return [replace(stage, players=[adversary, both])]


class Crooked(AdversarialBranch):
    """Broken: draws half of a face."""

    def decode(self, embeddings):
        return super().decode(embeddings)[:, :, ::2]


def test_a_decoder_that_draws_no_faces_is_caught():
    [finding] = [f for f in check_part(Crooked, "answers", beta1=0.1) if not f.passed]
    assert "decode() gives [56, 3, 16, 32]; expected [56, 3, 32, 32]" in finding.message
    assert all(f.passed for f in check_part(AdversarialBranch, "answers", beta1=0.1))


def audited(method, term, task=None):
    """The findings of one term's claim (all claims: test_the_contract_holds)."""
    [stage] = method.stages()
    [claim] = [c for c in stage.claims if c.term == term]
    return audit_claim(method, stage, claim, example_batch(task, count=21))


@pytest.mark.parametrize("trunk_gradient", [True, False])
def test_the_encoder_confuses_the_adversary(trunk_gradient):
    finding = audited(build(trunk_gradient=trunk_gradient), "uniform")
    assert finding.passed, finding


def test_an_encoder_that_helps_the_adversary_is_caught():
    finding = audited(build(Helpful), "uniform")
    assert not finding.passed
    assert "W_P's doubt" in finding.message


def test_an_encoder_that_owns_the_adversary_is_caught(batch):
    method = build(Leaking)
    findings = list(check_stage(method, method.stages()[0], batch))
    assert [f.check for f in findings if not f.passed] == ["shared-parameter"]


def test_valence_arousal_takes_the_place_of_the_classes_in_the_first_branch(batch):
    method = build(task=example_task(target="valence_arousal"))
    losses = method.encoder_loss(batch)
    assert reached(method, losses["expression"]) == {"trunk", "expression", "classifier"}
    assert method.predict(batch.images).valence_arousal.shape == (len(batch), 2)


def test_data_without_classes_are_refused():
    task = replace(example_task(target="valence_arousal"), classes=(), class_counts=())
    with pytest.raises(MethodError, match="these data have none"):
        build(task=task)


def test_it_learns_through_the_harness(small_faces):
    train = small_faces.subset(np.flatnonzero(small_faces.subject < 9))
    test = small_faces.subset(np.flatnonzero(small_faces.subject >= 9))
    model = fer_bench.Recognizer(
        "adversarial-branch",
        parameters={"backbone": {"width": 8}, "dim": 16, "hidden": 32, "beta1": 0.1},
        epochs=8,
        batch_size=32,
    ).fit(train)
    part = model.arrays(test)
    assert (part.logits.argmax(1) == test.expression).mean() > 0.7  # chance 0.25
    assert part.identity.shape == part.expression.shape == (len(test), 16)


@pytest.mark.slow
def test_the_contract_holds():
    findings = check_method("adversarial-branch")
    assert [str(f) for f in findings if not f.passed] == []
    assert sum(f.check == "sign" for f in findings) == 3
