"""The check finds what public re-implementations get wrong, each by name."""

from __future__ import annotations

import re

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from fer_bench.baselines.common.bounds import Bound
from fer_bench.baselines.dice_fer.adapter import DiceFER
from fer_bench.baselines.erm.adapter import ERM
from fer_bench.conformance import (
    audit_bound,
    audit_claim,
    audit_gap,
    audit_pairs,
    audit_rows,
    check_adapter,
    check_method,
    check_stage,
    distance_correlation,
    example_batch,
    example_task,
)
from fer_bench.errors import UnknownNameError
from fer_bench.method import Claim, Embeddings, Player, Prediction, Stage


def failed(findings):
    return {finding.check for finding in findings if not finding.passed}


# The good ones ------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["erm", "dann", "random-encoder", "oracle-label"])
def test_our_methods_pass(name):
    findings = check_method(name)
    assert not failed(findings), [str(f) for f in findings if not f.passed]


@pytest.mark.slow
@pytest.mark.parametrize(
    "name",
    ["dice-fer", "supcon", "cdann", "coral", "irm", "group-dro", "multitask", "pixels"],
)
def test_the_other_methods_pass(name):
    findings = check_method(name)
    assert not failed(findings), [str(f) for f in findings if not f.passed]


def test_an_unknown_name_says_so():
    with pytest.raises(UnknownNameError, match="dice-fer"):
        check_method("dise-fer")


def test_needed_parameters_are_a_finding_not_a_crash():
    findings = check_method("frozen-backbone")
    assert failed(findings) == {"build"}
    assert "weights" in findings[0].message


def test_the_check_leaves_random_numbers_alone():
    torch.manual_seed(3)
    expected = torch.rand(3)
    torch.manual_seed(3)
    check_method("oracle-label")
    assert torch.equal(torch.rand(3), expected)


# Broken contracts ---------------------------------------------------------------------------


class WrongShape(ERM):
    def embed(self, images):
        return Embeddings(self.encoder(images)[:, :, None])


class WrongType(ERM):
    def embed(self, images):
        return Embeddings(self.encoder(images).long())


class NotFinite(ERM):
    def embed(self, images):
        return Embeddings(self.encoder(images) / 0)


class TooFewClasses(ERM):
    def predict(self, images):
        return Prediction(logits=self.head(self.encoder(images))[:, :3])


class UsesTheBatch(ERM):
    def embed(self, images):
        code = self.encoder(images)
        return Embeddings(code - code.mean(0))


class ReRanksByTheBatch(ERM):
    """Moves class scores towards the classes' mean codes in the batch, as a re-ranking does."""

    def predict(self, images):
        code = self.encoder(images)
        scores = self.head(code)
        means = scores.softmax(0).T @ code
        return Prediction(logits=scores - torch.cdist(code, means))


class OwnGenerator(ERM):
    generator = np.random.default_rng()

    def loss(self, batch):
        total = super().loss(batch)["total"]
        return {"total": total * float(self.generator.uniform(0.5, 1.5))}


class TwoOwners(ERM):
    def stages(self):
        players = [
            Player("a", [self.encoder, self.head], self.loss),
            Player("b", [self.head], self.loss),
        ]
        return [Stage("train", players=players)]


class FrozenAndOwned(ERM):
    def stages(self):
        player = Player("a", [self.encoder, self.head], self.loss)
        return [Stage("train", players=[player], frozen=[self.encoder.backbone])]


class ThawsStatistics(ERM):
    """Forgets that batch normalisation moves in training mode."""

    def stages(self):
        player = Player("head", [self.head], self.loss)
        return [Stage("train", players=[player], frozen=[self.encoder])]

    def loss(self, batch):
        self.encoder.train()
        return super().loss(batch)


class Detached(ERM):
    def loss(self, batch):
        code = self.encoder(batch.images).detach()
        return {"total": self.head.loss(self.head(code), batch)}


class NoTotal(ERM):
    def loss(self, batch):
        return {"loss": super().loss(batch)["total"]}


class NanLoss(ERM):
    def loss(self, batch):
        return {"total": super().loss(batch)["total"] * float("nan")}


class Crashes(ERM):
    def embed(self, images):
        raise ZeroDivisionError("oh")


@pytest.mark.parametrize(
    ("adapter", "check"),
    [
        (WrongShape, "shape"),
        (WrongType, "shape"),
        (NotFinite, "shape"),
        (TooFewClasses, "shape"),
        (UsesTheBatch, "companions"),
        (ReRanksByTheBatch, "companions"),
        (OwnGenerator, "determinism"),
        (TwoOwners, "shared-parameter"),
        (FrozenAndOwned, "frozen"),
        (ThawsStatistics, "frozen"),
        (Detached, "gradient"),
        (NoTotal, "loss"),
        (NanLoss, "loss"),
        (Crashes, "build"),
    ],
    ids=lambda value: getattr(value, "__name__", value),
)
def test_a_broken_contract_is_named(adapter, check):
    assert check in failed(check_adapter(adapter))


# The sign audit -----------------------------------------------------------------------------


def check_claim(adapter):
    """The audit of the only claim of an adapter."""
    task = example_task()
    method = adapter(task, adapter.Config(backbone={"width": 8}))
    (stage,) = method.stages()
    return audit_claim(method, stage, stage.claims[0], example_batch(task))


def identity_audit(adapter, term="adversarial", **config):
    torch.manual_seed(0)
    task = example_task()
    method = adapter(task, adapter.Config(backbone={"width": 8}, **config))
    stage = next(s for s in method.stages() if any(c.term == term for c in s.claims))
    claim = next(c for c in stage.claims if c.term == term)
    return audit_claim(method, stage, claim, example_batch(task))


@pytest.mark.parametrize("label", ["fake", "real"])
def test_dice_fer_lowers_the_dependence_with_either_labelling(label):
    assert identity_audit(DiceFER, joint_label=label).passed


class EncoderCallsItJoint(DiceFER):
    """BCE(D(E, I), 1) for the encoder although D labels joint pairs as 1."""

    def identity_loss(self, batch):
        losses = super().identity_loss(batch)
        images = torch.cat([batch.images, batch.partner.images])
        pair = torch.cat([self.expression(images), self.identity(images)], 1)
        # With joint_label "real", D(E, I) -> 1 on joint pairs.
        adversarial = -functional.logsigmoid(self.discriminator(pair)).mean()
        total = losses["total"] - self.config.zeta * losses["adversarial"]
        return losses | {"adversarial": adversarial, "total": total + adversarial}


class CriticLowersItsOwnBound(DiceFER):
    """One optimiser over discriminator and encoder, both minimising the estimate."""

    def _identity_stage(self):
        stage = super()._identity_stage()
        modules = [self.identity, self.identity_information.critics, self.discriminator]
        name = "encoder and critics"
        claims = [
            c if c.player == name else Claim(name, "adversarial", "raises", c.measure, c.what)
            for c in stage.claims
        ]
        return Stage(
            "identity",
            players=[Player(name, modules, self.identity_loss)],
            batch="pairs",
            frozen=[self.expression],
            claims=claims,
        )


class MaximisesTwice(DiceFER):
    """Minimises -I(E; I) and the discriminator's loss together."""

    def identity_loss(self, batch):
        losses = super().identity_loss(batch)
        adversarial = -losses["adversarial"]
        total = losses["total"] + (1 - self.config.zeta) * losses["adversarial"] * 0
        return losses | {"adversarial": adversarial, "total": total + adversarial}


class BoundWithTheWrongSign(DiceFER):
    def expression_loss(self, batch):
        losses = super().expression_loss(batch)
        bounds = self.expression_information.weighted(
            {k: v for k, v in losses.items() if k not in ("total", "l1")}
        )
        return losses | {"total": losses["total"] + 2 * bounds}


class TermOnlyInTheHistory(DiceFER):
    def identity_loss(self, batch):
        losses = super().identity_loss(batch)
        return losses | {"adversarial": losses["adversarial"].detach()}


def test_encoder_that_calls_its_pairs_joint_is_caught():
    finding = identity_audit(EncoderCallsItJoint, joint_label="real")
    assert not finding.passed
    assert "dependence of E and I" in finding.message


def test_maximising_the_dependence_twice_is_caught():
    finding = identity_audit(MaximisesTwice)
    assert not finding.passed
    assert "dependence of E and I" in finding.message


def test_a_critic_that_lowers_its_own_bound_is_caught():
    torch.manual_seed(0)
    task = example_task()
    method = CriticLowersItsOwnBound(
        task, CriticLowersItsOwnBound.Config(backbone={"width": 8}, zeta=1.0)
    )
    stage = method.stages()[1]
    claim = stage.claims[-1]
    finding = audit_claim(method, stage, claim, example_batch(task))
    assert not finding.passed
    assert "telling E, I pairs apart" in finding.message


def test_a_bound_with_the_wrong_sign_is_caught():
    finding = identity_audit(BoundWithTheWrongSign, term="global_jsd")
    assert not finding.passed
    assert "raises the bound" in finding.message


def test_a_term_that_is_only_shown_is_caught():
    finding = identity_audit(TermOnlyInTheHistory)
    assert not finding.passed
    assert "does not enter the total" in finding.message


def test_a_term_without_weight_is_not_audited():
    finding = identity_audit(DiceFER, zeta=0.0)
    assert finding.passed
    assert "weight 0" in finding.message


class StartsFromNothing(ERM):
    """Learns steadily; for a dozen steps the random draws of its measure say more than it does."""

    def __init__(self, task, config):
        super().__init__(task, config)
        self.skill = nn.Linear(1, 1, bias=False)
        nn.init.zeros_(self.skill.weight)

    def stages(self):
        def measure(batch):
            skill = self.skill.weight.squeeze()
            return skill * (20 * skill - 1 + torch.randn(()))

        player = Player("model", [self.skill], lambda b: {"total": -self.skill.weight.sum()})
        return [Stage("train", [player], claims=[Claim("model", "total", "raises", measure)])]


def test_a_change_is_judged_once_it_stands_out_from_the_draws():
    finding = check_claim(StartsFromNothing)
    assert finding.passed
    claim = re.search(r"\((\S+) -> (\S+)\)", finding.message)
    assert float(claim[1]) == 0
    assert float(claim[2]) > 0.05


def test_claims_about_nobody_and_nothing_are_findings():
    task = example_task()
    method = ERM(task, ERM.Config(backbone={"width": 8}))
    for claim, words in (
        (Claim("nobody", "total", "lowers", lambda b: torch.zeros(())), "no such player"),
        (Claim("model", "nothing", "lowers", lambda b: torch.zeros(())), "has only"),
    ):
        base = method.stages()[0]
        stage = Stage("train", players=base.players, claims=[claim])
        method.stages = lambda stage=stage: [stage]
        assert any(words in f.message for f in check_stage(method, stage, example_batch(task)))


# Bounds, gaps, pairs, rows ------------------------------------------------------------------


@pytest.mark.parametrize("name", ["dv", "jsd"])
def test_our_bounds_pass(name):
    assert not failed(audit_bound(Bound(name).eval()))


def dv(joint, marginal):
    marginal = marginal.flatten(0, 1)
    return (joint.mean(0) - torch.logsumexp(marginal, 0) + np.log(len(marginal))).mean()


@pytest.mark.parametrize(
    ("bound", "check"),
    [
        (lambda j, m: dv(j.clamp(-1, 1), m.clamp(-1, 1)), "bound-clamped"),
        (lambda j, m: dv(j.sum(1, keepdim=True), m.sum(2, keepdim=True)), "bound-positions"),
        (lambda j, m: dv(m[0], j[None]), "bound-sign"),
        (lambda j, m: dv(j, m) + 1, "bound-zero"),
    ],
    ids=["clamped critic", "positions summed", "joint and marginal swapped", "offset"],
)
def test_a_broken_bound_is_named(bound, check):
    assert not failed(audit_bound(dv))
    assert check in failed(audit_bound(bound))


def gaussian_mi(a, b):
    a, b = (x - x.mean(0) for x in (a, b))
    joint = np.linalg.slogdet(np.cov(np.hstack([a, b]).T))[1]
    return 0.5 * (np.linalg.slogdet(np.cov(a.T))[1] + np.linalg.slogdet(np.cov(b.T))[1] - joint)


def entropy(labels):
    share = np.bincount(labels) / len(labels)
    return -(share * np.log(share)).sum()


def test_a_gap_of_information_passes():
    def gap(e_m, e_n, i_m, labels):
        return gaussian_mi(e_m, e_n) - gaussian_mi(e_m, i_m)

    assert not failed(audit_gap(gap))


def test_a_gap_of_standard_deviations_is_caught():
    found = audit_gap(lambda e_m, e_n, i_m, labels: e_m.std() - i_m.std())
    assert "gap-scale" in failed(found)


def test_a_gap_computed_from_labels_is_caught():
    found = audit_gap(lambda e_m, e_n, i_m, labels: entropy(labels) - 0.0)
    assert {"gap-features", "gap-leak"} <= failed(found)


def test_pairs_of_one_image_are_caught():
    y, s = np.array([0, 0, 0, 1]), np.array([0, 1, 1, 2])
    assert not failed(audit_pairs([0, 1], [1, 0], expression=y, subject=s))
    assert "pair-distinct" in failed(audit_pairs([0, 1], [0, 0], expression=y, subject=s))
    assert "pair-expression" in failed(audit_pairs([0], [3], expression=y, subject=s))
    assert "pair-subject" in failed(audit_pairs([1], [2], expression=y, subject=s))


def test_scoring_on_fitted_rows_or_people_is_caught():
    s = np.array([0, 0, 1, 1])
    assert not failed(audit_rows([0, 1], [2, 3], subject=s))
    assert "rows-disjoint" in failed(audit_rows([0, 1], [1, 2], subject=s))
    assert "subjects-disjoint" in failed(audit_rows([0, 2], [1, 3], subject=s))


def test_scoring_on_half_of_the_test_part_is_caught():
    assert not failed(audit_rows([0, 1], [2, 3], test=[2, 3]))
    assert failed(audit_rows([0, 1], [2], test=[2, 3])) == {"rows-complete"}


# The measure --------------------------------------------------------------------------------


def test_distance_correlation_is_near_zero_for_independent_samples_of_any_dimension():
    torch.manual_seed(0)
    values = [distance_correlation(torch.randn(60, d), torch.randn(60, d)) for d in (1, 8, 64)]
    assert max(abs(float(v)) for v in values) < 0.12


def test_distance_correlation_sees_dependence_without_correlation():
    x = torch.linspace(-1, 1, 80)[:, None]
    assert float(distance_correlation(x, x**2)) > 0.1
    assert float(distance_correlation(x, nn.functional.relu(x))) > 0.5
