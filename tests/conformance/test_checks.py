"""The check finds what public re-implementations get wrong, each by name."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from fer_bench import registry
from fer_bench.baselines.erm.adapter import ERM
from fer_bench.conformance import check_method, check_part, checking
from fer_bench.errors import UnknownNameError
from fer_bench.method import Embeddings, Player, Prediction, Stage


def failed(findings):
    return {finding.check for finding in findings if not finding.passed}


# The good ones ------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize(
    "name",
    [
        "cdann", "coral", "dann", "dice-fer", "erm", "group-dro", "irm", "multitask",
        "oracle-label", "pixels", "random-encoder", "supcon",
    ],
)  # fmt: skip
def test_our_methods_pass(name):
    findings = check_method(name)
    assert not failed(findings), [str(f) for f in findings if not f.passed]
    shared = [f for f in findings if f.check == "shared-stages"]
    assert bool(shared) == bool(registry.methods.get(name).stage_parameters)


def test_what_a_frozen_attacker_shares_can_be_shared():
    findings = check_part(registry.methods.get("frozen-attacker"), "shares")
    assert findings
    assert not failed(findings), [str(f) for f in findings if not f.passed]


class TwoStages(ERM):
    """Learns twice, and says wrongly that `factor` is of the second stage."""

    stage_parameters = {"again": ("factor", "later")}

    class Config(ERM.Config):
        factor: float = 1.0
        later: float = 1.0

    def stages(self):
        modules = [self.encoder, self.head]
        again = Player("again", modules, lambda batch: self.scaled(batch, self.config.later))
        first = Player("first", modules, lambda batch: self.scaled(batch, self.config.factor))
        return [Stage("first", players=[first]), Stage("again", players=[again])]

    def scaled(self, batch, factor):
        return {"total": self.loss(batch)["total"] + factor * self.encoder(batch.images).sum()}


def test_a_parameter_that_changes_an_earlier_stage_is_named():
    (finding,) = check_part(TwoStages, "shares")
    assert not finding.passed
    assert "factor changes what is trained before the stage 'again'" in finding.message

    class Honest(TwoStages):
        stage_parameters = {"again": ("later",)}

    assert not failed(check_part(Honest, "shares"))

    class Misnamed(TwoStages):
        stage_parameters = {"agian": ("later",)}

    (finding,) = check_part(Misnamed, "shares")
    assert "'agian'" in finding.message
    assert "'again'" in finding.message


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


class LearnsSomethingElse(ERM):
    """Every other check passes: losses fall, gradients are finite, nothing frozen moves."""

    def loss(self, batch):
        return super().loss(replace(batch, expression=(batch.expression + 1) % 7))


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
        (LearnsSomethingElse, "fit"),
        (Crashes, "build"),
    ],
    ids=lambda value: getattr(value, "__name__", value),
)
def test_a_broken_contract_is_named(adapter, check):
    findings = checking(adapter)  # no further than to what is wrong
    assert any(finding.check == check and not finding.passed for finding in findings)
