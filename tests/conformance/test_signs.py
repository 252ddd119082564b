"""The sign audit finds the wrong signs of public re-implementations, each by name."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional

from fer_bench.baselines.dice_fer.adapter import DiceFER
from fer_bench.baselines.erm.adapter import ERM
from fer_bench.baselines.invariance.adapter import DANN
from fer_bench.conformance import (
    audit_claim,
    check_part,
    check_stage,
    example_batch,
    example_task,
)
from fer_bench.conformance.finding import Finding
from fer_bench.conformance.signs import settled
from fer_bench.method import Claim, Player, Stage


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


def signs(*passed):
    return [Finding("sign", p, f"claim {i}") for i, p in enumerate(passed)]


def test_a_sign_that_looks_wrong_once_is_judged_from_other_weights():
    alone = list(settled(signs(False), [lambda: signs(True)] * 4))
    assert [f.passed for f in alone] == [True]
    assert "3 of 4 initial weights" in alone[0].message
    mostly = list(settled(signs(False), [lambda: signs(False), lambda: signs(True)] * 2))
    assert [f.passed for f in mostly] == [False]


@given(st.lists(st.tuples(st.booleans(), st.booleans()), min_size=5, max_size=5))
def test_the_verdict_is_that_of_all_draws_from_as_few_as_decide_it(draws):
    asked = []

    def other(passed):
        return lambda: asked.append(passed) or signs(*passed)

    judged = [f.passed for f in settled(signs(*draws[0]), [other(d) for d in draws[1:]])]
    first = draws[0].index(False) if False in draws[0] else 2
    majority = [sum(votes) >= 3 for votes in zip(*draws, strict=True)]
    assert judged == [*draws[0][:first], *majority[first:]]
    undecided = [
        max(votes.count(True), votes.count(False)) < 3
        for votes in list(zip(*draws[: len(asked)], strict=True))[first:]
    ]
    assert any(undecided) or not asked  # before the last draw


def test_each_claim_has_its_own_majority_and_other_findings_stay():
    shape = Finding("shape", False, "wrong")
    judged = list(settled([shape, *signs(True, False)], [lambda: signs(True, False)] * 4))
    assert [f.passed for f in judged] == [False, True, False]


def test_signs_that_are_right_are_not_judged_again():
    def never():
        raise AssertionError

    assert list(settled(signs(True), [never])) == signs(True)


@pytest.mark.slow
def test_a_reversed_adversary_fails_whatever_the_weights():
    """The encoder of DANN helps the discriminator; nothing else differs from the method."""

    class Reversed(DANN):
        def stages(self):
            return [
                replace(stage, players=[helping(player) for player in stage.players])
                for stage in super().stages()
            ]

    def helping(player):
        def loss(batch):
            losses = player.loss(batch)
            if "person" not in losses or not losses["person"].requires_grad:
                return losses
            weight = torch.autograd.grad(
                losses["total"], losses["person"], retain_graph=True, allow_unused=True
            )[0]
            total = losses["total"] - 2 * float(weight or 0) * losses["person"]
            return losses | {"total": total}

        return replace(player, loss=loss) if player.name == "model" else player

    assert any(f.check == "sign" and not f.passed for f in check_part(Reversed, "stages"))


def test_findings_come_while_the_checks_run():
    """The first finding is there before the second is made, or a long check is silent."""

    def endless():
        yield Finding("shape", True, "fine")
        yield from signs(True)
        raise AssertionError("asked for more than was wanted")

    findings = settled(endless(), [])
    assert [next(findings).check, next(findings).check] == ["shape", "sign"]
