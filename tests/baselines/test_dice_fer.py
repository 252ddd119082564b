"""DICE-FER: the swap, the frozen E, and what zeta can and cannot do."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from fer_bench import Recognizer
from fer_bench.baselines.common.bounds import label_ceiling
from fer_bench.baselines.dice_fer import adapter
from fer_bench.baselines.dice_fer.adapter import REPORTS, DiceFER
from fer_bench.conformance import example_batch, example_task
from fer_bench.errors import MethodError
from fer_bench.labels import label_entropy

SMALL = {"backbone": {"width": 8}, "dim": 8, "critic_hidden": 32, "discriminator_hidden": 32}
BUDGET = {"epochs": 6, "batch_size": 16, "lr": 0.003}


def build(seed=0, **config):
    torch.manual_seed(seed)
    task = example_task()
    return DiceFER(task, DiceFER.Config(**(SMALL | config))), example_batch(task)


def train(method, batch, steps=6):
    """All three stages, a few steps each, as the harness plays them."""
    for number, stage in enumerate(method.stages()):
        torch.manual_seed(number)
        method.train()
        for module in stage.frozen:
            module.eval()
        optimizers = [torch.optim.Adam(p.parameters(), p.lr or 1e-3) for p in stage.players]
        for _ in range(steps):
            for player, optimizer in zip(stage.players, optimizers, strict=True):
                player.loss(batch)["total"].backward(inputs=player.parameters())
                optimizer.step()
                optimizer.zero_grad()
    return method.eval()


@pytest.mark.parametrize("bound", ["dv", "jsd"])
@pytest.mark.parametrize("critic", ["separable", "concat"])
@pytest.mark.parametrize("class_aware", [False, True])
def test_every_setting_trains(bound, critic, class_aware):
    method, batch = build(bound=bound, critic=critic, class_aware=class_aware, negatives=2)
    losses = method.expression_loss(batch)
    assert set(losses) == {"total", f"global_{bound}", f"local_{bound}", "l1"}
    assert all(torch.isfinite(v) for v in losses.values())
    assert torch.isfinite(method.identity_loss(batch)["total"])


def test_the_reports_setting_is_a_name_and_what_is_given_stands():
    reports = DiceFER.Config(variant="reports")
    assert {name: getattr(reports, name) for name in REPORTS} == REPORTS
    own = DiceFER.Config(variant="reports", bound="jsd")
    assert own.bound == "jsd"
    assert own.critic == "concat"
    again = DiceFER.Config.model_validate(own.model_dump(mode="json"))
    assert again == own, "a run is read again as it was planned"


def test_other_classes_are_the_contrast_of_stage_1_alone(monkeypatch):
    """In stage 2 T = [E; I] is paired: E would tell other classes apart, and I learn nothing."""

    def refuse(labels, count):
        raise AssertionError("class-aware")

    monkeypatch.setattr(adapter, "class_aware_negatives", refuse)
    method, batch = build()
    assert method.config.class_aware
    method.identity_loss(batch)
    with pytest.raises(AssertionError, match="class-aware"):
        method.expression_loss(batch)


def test_bounds_stand_beside_their_ceilings():
    method, _ = build(class_aware=False)
    (expression, identity, _) = method.stages()
    jsd = 2 * label_ceiling("jsd", example_task().class_counts)
    assert expression.ceilings == {"global_jsd": jsd, "local_jsd": jsd}
    assert not identity.ceilings
    contrast, _ = build(bound="dv", class_aware=True)
    assert not contrast.stages()[0].ceilings, "against other classes it has no largest value"


def test_the_total_is_the_weighted_sum():
    method, batch = build(mu=0.3, nu=0.7, delta=0.2)
    losses = method.expression_loss(batch)
    expected = 0.2 * losses["l1"] - 0.3 * losses["global_jsd"] - 0.7 * losses["local_jsd"]
    assert losses["total"].item() == pytest.approx(expected.item(), abs=1e-6)


def test_a_face_is_scored_with_its_partners_code(monkeypatch):
    method, batch = build()
    seen = {}
    forward = method.expression_information.forward

    def spy(faces, codes, negatives):
        seen.update(own=faces.code, given=codes)
        return forward(faces, codes, negatives)

    monkeypatch.setattr(method.expression_information, "forward", spy)
    method.expression_loss(batch)
    m, n = seen["own"].chunk(2)
    assert torch.equal(seen["given"], torch.cat([n, m]))


def test_terms_without_weight_have_no_critic():
    method, batch = build(nu=0.0)
    assert list(method.expression_information.critics) == ["global"]
    assert "local_jsd" not in method.expression_loss(batch)


def test_zeta_cannot_move_expression_while_it_is_frozen():
    answers = []
    for zeta in (0.0, 0.05, 5.0):
        method, batch = build(zeta=zeta)
        train(method, batch)
        with torch.no_grad():
            answers.append((method.embed(batch.images), method.predict(batch.images).logits))
    for embeddings, logits in answers[1:]:
        assert torch.equal(embeddings.expression, answers[0][0].expression)
        assert torch.equal(logits, answers[0][1])
    # It does move what it is about.
    assert not torch.allclose(answers[0][0].identity, answers[2][0].identity)


@pytest.fixture(scope="module")
def halves(small_faces):
    """Faces of eight people to train on, and of four unseen ones."""
    unseen = small_faces.subject >= 8
    return small_faces.subset(np.flatnonzero(~unseen)), small_faces.subset(np.flatnonzero(unseen))


def test_a_zeta_ablation_through_the_harness_is_flat(halves):
    by_name = {}
    for zeta in (0.0, 5.0):
        model = Recognizer("dice-fer", parameters=SMALL | {"zeta": zeta}, **BUDGET)
        by_name[zeta] = model.fit(halves[0]).arrays(halves[1])
    accuracy = (by_name[0.0].logits.argmax(1) == by_name[0.0].y).mean()
    assert accuracy > 0.5, "flat because nothing is learned would prove nothing"  # chance .25
    assert by_name[5.0].logits.tobytes() == by_name[0.0].logits.tobytes()
    assert by_name[5.0].expression.tobytes() == by_name[0.0].expression.tobytes()
    assert np.abs(by_name[5.0].identity - by_name[0.0].identity).max() > 1e-3


@pytest.mark.slow
@pytest.mark.parametrize("bound", ["dv", "jsd"])
def test_what_pairs_share_stays_below_the_entropy_of_the_labels(halves, bound):
    """M - Y - N is a Markov chain: I(M; E_N) <= H(Y), whatever the bound of training says."""
    model = Recognizer("dice-fer", parameters=SMALL | {"bound": bound}, **BUDGET)
    scores = model.fit(halves[0]).mig(halves[1])
    ceiling = label_entropy(halves[1].expression)
    assert ceiling == pytest.approx(np.log(4))
    assert 0.3 < scores["shared"].value <= ceiling + 0.05


def test_identity_stage_sends_nothing_into_the_expression_encoder():
    method, batch = build()
    total = method.identity_loss(batch)["total"]
    gradients = torch.autograd.grad(total, list(method.expression.parameters()), allow_unused=True)
    assert all(g is None for g in gradients)


def test_a_new_batch_gets_a_new_expression_code():
    method, batch = build()
    method.eval()
    first = method.discriminator_loss(batch)["total"]
    torch.manual_seed(1)
    other = example_batch(example_task(), seed=5)
    images = torch.cat([other.images, other.partner.images])
    assert torch.equal(method._frozen_expression(other, images), method.expression(images))
    assert torch.isfinite(first)


def test_both_labellings_are_one_game():
    """Negating the discriminator's logits turns one labelling into the other."""
    fake, _ = build(joint_label="fake")
    real, _ = build(joint_label="real")
    real.load_state_dict(fake.state_dict())
    with torch.no_grad():
        real.discriminator[-1].weight.neg_()
        real.discriminator[-1].bias.neg_()
        e, i = torch.randn(10, 8), torch.randn(10, 8)
        values = []
        for method in (fake, real):
            torch.manual_seed(4)
            values.append(float(method.value(e, i)))
    assert values[0] == pytest.approx(values[1], abs=1e-5)


def test_value_of_an_ignorant_discriminator_is_minus_four_ln_two():
    method, _ = build()
    for parameter in method.discriminator.parameters():
        parameter.data.zero_()
    value = method.value(torch.randn(6, 8), torch.randn(6, 8))
    assert float(value) == pytest.approx(-4 * 0.693147, abs=1e-4)


def test_a_batch_without_partners_is_refused_in_words():
    method, batch = build()
    with pytest.raises(MethodError, match="no partner"):
        method.expression_loss(replace(batch, partner=None))


def test_weights_survive_saving(tmp_path):
    from safetensors.torch import load_file, save_file

    method, batch = build()
    train(method, batch, steps=2)
    save_file(method.state_dict(), tmp_path / "m.safetensors")
    other, _ = build(seed=9)
    other.load_state_dict(load_file(tmp_path / "m.safetensors"))
    with torch.no_grad():
        a, b = method.embed(batch.images), other.eval().embed(batch.images)
    assert torch.equal(a.expression, b.expression)
    assert torch.equal(a.identity, b.identity)
