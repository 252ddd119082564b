"""The split into strong and weak faces, the discriminator's margin, and the game."""

from dataclasses import replace

import numpy as np
import pytest
import torch

import fer_bench
from fer_bench.baselines.caf.adapter import (
    CAF,
    adaptive_neighbours,
    channel_information,
    strong_and_weak,
)
from fer_bench.conformance import audit_claim, check_method, example_batch, example_task


def build(adapter=CAF, *, task=None, **parameters):
    torch.manual_seed(0)
    config = adapter.Config(backbone={"width": 8}, dim=12, **parameters)
    return adapter(task or example_task(), config)


@pytest.fixture(scope="module")
def batch():
    return example_batch()


# The pieces ---------------------------------------------------------------------------------


def test_strong_faces_are_farther_from_neutral_than_weak_ones(batch):
    strong, weak = strong_and_weak(batch)
    intensity = batch.valence_arousal.square().sum(1)
    assert len(strong) == len(weak) == len(batch) // 2
    assert intensity[strong].min() >= intensity[weak].max()


def test_the_split_does_not_depend_on_the_order(batch):
    order = torch.randperm(len(batch), generator=torch.Generator().manual_seed(1))
    shuffled = replace(batch, valence_arousal=batch.valence_arousal[order])
    strong, _ = strong_and_weak(batch)
    assert set(order[strong_and_weak(shuffled)[0]].tolist()) == set(strong.tolist())


def test_faces_without_valence_and_arousal_are_neither(batch):
    missing = batch.valence_arousal.clone()
    missing[10:] = float("nan")
    strong, weak = strong_and_weak(replace(batch, valence_arousal=missing))
    assert torch.cat([strong, weak]).max() < 10
    missing[1:] = float("nan")
    nobody = replace(batch, valence_arousal=missing)
    assert not len(strong_and_weak(nobody)[0])
    method = build()
    assert method.discriminator_loss(nobody)["total"] == 0
    losses = method.model_loss(nobody)
    assert losses["total"] == losses["task"]


def test_information_of_the_channel_against_a_direct_sum():
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(4, 3)), rng.normal(size=(4, 3))

    def density(at, mean):
        return np.exp(-((at - mean) ** 2) / 0.4)

    expected = np.log(density(y, x) / (0.5 * density(y, -1) + 0.5 * density(y, 1))).mean(1)
    nats = channel_information(torch.from_numpy(x), torch.from_numpy(y)).numpy()
    assert nats == pytest.approx(expected, rel=1e-9)


def test_information_of_far_outputs_is_finite():
    nats = channel_information(torch.full((1, 2), 200.0), torch.full((1, 2), -200.0))
    assert torch.isfinite(nats).all()


def test_adaptive_neighbours_against_the_rule():
    rng = np.random.default_rng(5)
    outputs, label = rng.normal(size=(30, 4)), rng.random(30) < 0.5
    outputs[label] += 1.0
    expected = []
    for i, row in enumerate(outputs):
        near = [j for j in np.argsort(((outputs - row) ** 2).sum(1)) if j != i][:10]
        share = [label[near[:k]].mean() for k in range(1, 11)]
        biased = [k for k, p in enumerate(share, 1) if abs(p - 0.5) > 0.7 / np.sqrt(k)]
        expected.append(biased[0] if biased else 10)
    neighbours = adaptive_neighbours(torch.from_numpy(outputs), torch.from_numpy(label))
    assert neighbours.tolist() == expected


def test_the_discriminator_pays_for_weak_faces_within_the_margin():
    method = build()
    strong = torch.zeros(6, 16)
    assert (method.margin(strong, strong) >= 2.5).all()  # nothing told: the largest information
    far = torch.full((6, 16), 3.0)
    assert (method.margin(strong, far) < 1).all()


def test_the_encoder_moves_weak_faces_not_strong_ones(batch):
    method = build().eval()
    strong, weak = strong_and_weak(batch)
    code = method.encoder(batch.images).detach().requires_grad_()
    del method.encoder
    method.encoder = lambda images: code
    [gradient] = torch.autograd.grad(method.model_loss(batch)["weak"], code)
    assert gradient[weak].abs().sum() > 0
    assert gradient[strong].abs().sum() == 0


# The sign audit -----------------------------------------------------------------------------


class PublicTerm(CAF):
    """The public code: raise the mean output on weak faces, and call that playing against D."""

    def model_loss(self, batch):
        losses = super().model_loss(batch)
        _, weak = self._outputs(self.encoder(batch.images), batch)
        played = -weak.mean()
        return losses | {
            "weak": played,
            "total": losses["task"] + self.config.strength * played,
        }


class HelpsTheDiscriminator(CAF):
    """Broken: the encoder sets weak faces apart, as the discriminator does."""

    def model_loss(self, batch):
        losses = super().model_loss(batch)
        return losses | {"total": losses["total"] - 2 * self.config.strength * losses["weak"]}


class DiscriminatorPullsWeakFaces(CAF):
    """Broken: strong and weak are mixed up in the discriminator's loss."""

    def discriminator_loss(self, batch):
        strong, weak = self._outputs(self.encoder(batch.images).detach(), batch)
        pull = (strong - weak).square().sum(1).mean()
        apart = (strong - strong.roll(-1, 0)).square().sum(1)
        return {"total": pull + torch.relu(self.margin(strong, weak) - apart).mean()}


def audited(adapter, term="weak", **parameters):
    method = build(adapter, **parameters)
    [stage] = method.stages()
    [claim] = [c for c in stage.claims if c.term == term]
    return audit_claim(method, stage, claim, example_batch())


@pytest.mark.parametrize("term", ["gap", "literal"])
def test_either_term_of_the_encoder_does_what_it_claims(term):
    assert audited(CAF, encoder_term=term).passed


@pytest.mark.parametrize("adapter", [PublicTerm, HelpsTheDiscriminator])
def test_an_encoder_that_sets_weak_faces_apart_is_caught(adapter):
    finding = audited(adapter)
    assert not finding.passed
    assert "lowers distance of weak to strong faces" in finding.message


def test_a_discriminator_that_mixes_up_weak_and_strong_is_caught():
    finding = audited(DiscriminatorPullsWeakFaces, "total")
    assert not finding.passed
    assert "telling weak from strong" in finding.message


@pytest.mark.slow
def test_the_contract_holds():
    findings = check_method("caf")
    assert [str(f) for f in findings if not f.passed] == []
    assert sum(f.check == "sign" for f in findings) == 4


@pytest.mark.parametrize("target", ["expression", "valence_arousal"])
def test_it_learns_through_the_harness(target):
    data = fer_bench.load_dataset("generated", subjects=12, images_per_subject=14, size=32)
    train = data.subset(np.flatnonzero(data.subject < 9))
    model = fer_bench.Recognizer(
        "caf",
        parameters={"backbone": {"width": 8}, "dim": 16},
        epochs=12,
        selection="last",
        batch_size=32,
        target=target,
    ).fit(train)
    part = model.arrays(train)  # it fits what it is trained on; whether it generalises is not ours
    if target == "expression":
        assert (part.logits.argmax(1) == train.expression).mean() > 0.3  # chance 0.14
    else:
        correlation = np.corrcoef(part.valence_arousal[:, 0], part.target[:, 0])[0, 1]
        assert correlation > 0.5
