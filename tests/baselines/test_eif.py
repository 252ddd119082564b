"""EIF's losses, their routing (Algorithm 1), the three variants, and training."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.distributions import Normal, kl_divergence

import fer_bench
from fer_bench.baselines.eif.adapter import EIF, cross_covariance, kl_to_normal
from fer_bench.cautions import has
from fer_bench.conformance import audit_claim, check_method, example_batch, example_task
from fer_bench.errors import MethodError
from fer_bench.training.concordance import concordance

MODULES = ("encoder", "head", "aggregator", "residual", "identity_head", "attributes")


def build(adapter=EIF, *, target="expression", task=None, **parameters):
    torch.manual_seed(0)
    config = adapter.Config(backbone={"width": 8}, dim=12, **parameters)
    return adapter(task or example_task(target=target), config)


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


def train_losses(method, batch):
    """Losses as in the stage, with what it freezes frozen."""
    method.attributes.requires_grad_(False)
    terms = method.loss(batch)
    method.attributes.requires_grad_(True)
    return terms


def test_each_loss_reaches_what_algorithm_1_says(batch):
    method = build(target="valence_arousal")
    terms = train_losses(method, batch)
    assert reached(method, terms["expression"]) == {"encoder", "head"}
    assert reached(method, terms["correlation"]) == {"encoder", "head"}
    assert reached(method, terms["kl"]) == {"encoder"}
    assert reached(method, terms["covariance"]) == {"encoder", "aggregator", "residual"}
    assert reached(method, terms["residual"]) == {"encoder", "head", "aggregator", "residual"}
    # z_id does not depend on phi: the identity part sends the backbone nothing.
    assert reached(method, terms["identity"]) == {"aggregator", "residual", "identity_head"}
    assert reached(method, method.identity_head_loss(batch)["total"]) == {"identity_head"}


def test_the_adversarial_variant_does_reach_the_backbone(batch):
    terms = train_losses(method := build(variant="adversarial"), batch)
    assert "encoder" in reached(method, terms["identity"])


@pytest.mark.parametrize(
    ("variant", "sign", "owner"),
    [
        ("literal", -1, "identity head"),
        ("cooperative", 1, "model"),
        ("adversarial", -1, "identity head"),
    ],
)
def test_total_is_equation_13(variant, sign, owner, batch):
    method = build(
        target="valence_arousal", variant=variant, beta=0.3, alpha=0.02, kl=0.01, gamma=0.4
    )
    terms = train_losses(method, batch)
    expected = (
        terms["expression"]
        + 0.01 * terms["kl"]
        + 0.02 * terms["covariance"]
        + 0.3 * (terms["residual"] + sign * terms["identity"])
        + 0.4 * terms["correlation"]
    )
    assert terms["total"].item() == pytest.approx(expected.item(), rel=1e-5)
    players = {p.name: p for p in method.stages()[-1].players}
    holder = players[owner or "identity head"]
    assert {id(p) for p in method.identity_head.parameters()} <= {
        id(p) for p in holder.parameters()
    }


def test_with_classes_the_identity_term_is_dropped_unless_asked_for(batch):
    assert set(train_losses(build(), batch)) == {"total", "expression", "kl", "covariance"}
    kept = build(identity_term=True)
    assert {"residual", "identity"} <= set(train_losses(kept, batch))
    assert kept.beta == 1e-5
    assert build(variant="cooperative").identity_head is not None
    assert build(target="valence_arousal", identity_term=False).identity_head is None


def test_kl_is_that_of_torch():
    mu, sigma = torch.randn(5, 3), torch.rand(5, 3) + 0.1
    expected = kl_divergence(Normal(mu, sigma), Normal(0.0, 1.0)).sum(1).mean()
    assert kl_to_normal(mu, sigma).item() == pytest.approx(expected.item(), rel=1e-5)
    assert kl_to_normal(torch.zeros(2, 4), torch.ones(2, 4)).item() == 0


def test_cross_covariance_is_that_of_numpy():
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(40, 3)), rng.normal(size=(40, 5))
    expected = (np.cov(a.T, b.T)[:3, 3:] ** 2).sum()
    covariance = cross_covariance(torch.tensor(a), torch.tensor(b)).item()
    assert covariance == pytest.approx(expected, rel=1e-5)
    assert cross_covariance(torch.tensor(a), torch.ones(40, 5)).item() == 0


def test_the_identity_head_has_one_logit_a_subject_and_ignores_others(batch):
    method = build(variant="cooperative")
    assert method.identity_head.out_features == method.task.n_train_subjects
    assert train_losses(method, batch)["identity"].item() > 0.5  # the paper's single output: 0
    strangers = replace(batch, subject=batch.subject + method.task.n_train_subjects)
    assert train_losses(method, strangers)["identity"].item() == 0


def test_subjects_are_needed_only_for_the_identity_term():
    unnamed = replace(example_task(), subjects=(), n_train_subjects=0)
    assert build(task=unnamed).identity_head is None
    with pytest.raises(MethodError, match=r"identity_term = false"):
        build(task=unnamed, variant="cooperative")


def test_noise_is_for_training_alone(batch):
    method = build().eval()
    with torch.no_grad():
        first, second = method.embed(batch.images), method.embed(batch.images)
        mu, sigma = method.encoder(batch.images)
    assert torch.equal(first.expression, second.expression)
    assert torch.equal(first.expression, mu)
    assert (sigma > 0).all()


def test_z_att_splits_the_feature_as_in_equation_4(batch):
    method = build().eval()
    with torch.no_grad():
        z = torch.randn(len(batch), 12)
        described = method.attributes.of_batch(batch)
        z_exp, z_id = method.factorise(z, described)
        z_att = method.aggregator(described)
        assert torch.allclose(z_exp, method.residual(z - z_att))
        assert torch.allclose(z_id, method.residual(z_att))


def test_what_nothing_trains_is_not_owned_and_is_said(batch):
    method = build(alpha=0)
    owned = {id(p) for p in method.stages()[-1].players[0].parameters()}
    assert not owned & {id(p) for p in method.residual.parameters()}
    assert has(method.cautions(), "identity-untrained")
    assert build().cautions() == []


# The sign audit of the variants (the default's: test_the_contract_holds) ----------------------


def audited(method, term, player="model"):
    stage = method.stages()[-1]
    [claim] = [c for c in stage.claims if (c.term, c.player) == (term, player)]
    return audit_claim(method, stage, claim, example_batch(count=21))


@pytest.mark.parametrize("variant", ["literal", "cooperative", "adversarial"])
def test_the_identity_loss_goes_where_the_variant_says(variant):
    finding = audited(build(variant=variant, identity_term=True), "identity")
    assert finding.passed, finding
    assert ("raises" in finding.message) == (variant != "cooperative")


class Swapped(EIF):
    """Broken: the term of L_ii enters with the other sign."""

    def loss(self, batch):
        losses = super().loss(batch)
        return losses | {"total": losses["total"] + 2 * self.beta * losses["identity"]}


class Dependent(EIF):
    """Broken: the cross-covariance is raised."""

    def loss(self, batch):
        losses = super().loss(batch)
        return losses | {"total": losses["total"] - 2 * self.config.alpha * losses["covariance"]}


@pytest.mark.parametrize(
    ("broken", "term", "what"),
    [
        (build(Swapped, variant="adversarial"), "identity", "f_id on z_exp"),
        (build(Swapped, identity_term=True), "identity", "f_id on z_id"),
        (build(Dependent), "covariance", "Cov"),
    ],
    ids=["kept identity", "kept identity, literal", "raised covariance"],
)
def test_broken_variants_are_caught(broken, term, what):
    finding = audited(broken, term)
    assert not finding.passed
    assert what in finding.message


# Training -----------------------------------------------------------------------------------


def fitted(small_faces, epochs, **settings):
    train = small_faces.subset(np.flatnonzero(small_faces.subject < 9))
    test = small_faces.subset(np.flatnonzero(small_faces.subject >= 9))
    parameters = {"backbone": {"width": 8}, "dim": 16, "attribute_share": 0.25}
    model = fer_bench.Recognizer(
        "eif", parameters=parameters, epochs=epochs, batch_size=32, **settings
    )
    return model.fit(train), model.arrays(test), test


def test_it_learns_classes_through_the_harness(small_faces):
    _, part, test = fitted(small_faces, 12)
    assert (part.logits.argmax(1) == test.expression).mean() > 0.7  # chance 0.25
    assert part.identity.shape == part.expression.shape == (len(test), 16)


def test_it_learns_valence_arousal_through_the_harness(small_faces):
    def agreement(epochs):
        _, part, test = fitted(small_faces, epochs, target="valence_arousal")
        assert part.logits is None
        predicted, truth = torch.tensor(part.valence_arousal), torch.tensor(test.valence_arousal)
        return concordance(predicted, truth).mean().item()

    assert agreement(8) > max(0.5, agreement(1))


@pytest.mark.slow
def test_the_contract_holds():
    findings = check_method("eif")
    assert [str(f) for f in findings if not f.passed] == []
    assert sum(f.check == "sign" for f in findings) == 3


def test_the_papers_features_are_all_there():
    """E is z, I is z_id, z_exp is beside them: R(z - z_att), from the same z_att as z_id."""
    method = EIF(replace(example_task(), attributes={"gender": ("man", "woman")}), EIF.Config())
    batch = example_batch(method.task)
    with torch.no_grad():
        embeddings = method.eval().embed(batch.images)
        z_att = method.aggregator(method.attributes(batch.images))
        assert torch.equal(
            embeddings.further["z_exp"], method.residual(embeddings.expression - z_att)
        )
        assert torch.equal(embeddings.identity, method.residual(z_att))
