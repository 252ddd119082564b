"""ERM, the rivals and the reference rows: closed forms and missing labels."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from fer_bench.baselines.common.affect import pearson
from fer_bench.baselines.common.heads import cross_entropy, inverse_frequency, train_subjects
from fer_bench.baselines.erm.adapter import ERM
from fer_bench.baselines.invariance.adapter import CDANN, CORAL, DANN, IRM, GroupDRO
from fer_bench.baselines.multitask.adapter import Multitask
from fer_bench.baselines.references.adapter import (
    Collapsed,
    FrozenBackbone,
    OracleBoth,
    OracleLabel,
    OracleSubject,
    Pixels,
    RandomEncoder,
    TrueFactors,
)
from fer_bench.baselines.supcon.adapter import supervised_contrast
from fer_bench.conformance import example_batch, example_task
from fer_bench.errors import MethodError
from fer_bench.method import infer

SMALL = {"backbone": {"width": 8}, "dim": 8}


def build(kind, task=None, **config):
    torch.manual_seed(0)
    task = task or example_task()
    fields = kind.Config.model_fields
    return kind(task, kind.Config(**({k: v for k, v in SMALL.items() if k in fields} | config)))


@pytest.fixture(scope="module")
def batch():
    return example_batch()


# Heads --------------------------------------------------------------------------------------


@pytest.mark.parametrize("target", ["expression", "valence_arousal"])
def test_rows_without_labels_count_nothing(batch, target):
    method = build(ERM, example_task(target=target))
    method.eval()
    missing = torch.arange(len(batch)) >= 20
    blind = replace(
        batch,
        expression=batch.expression.masked_fill(missing, -1),
        valence_arousal=batch.valence_arousal.masked_fill(missing[:, None], float("nan")),
    )
    known = replace(
        batch,
        images=batch.images[:20],
        expression=batch.expression[:20],
        valence_arousal=batch.valence_arousal[:20],
    )
    assert torch.allclose(method.loss(blind)["total"], method.loss(known)["total"], atol=1e-5)
    nobody = replace(
        batch,
        expression=torch.full_like(batch.expression, -1),
        valence_arousal=torch.full_like(batch.valence_arousal, float("nan")),
    )
    assert method.loss(nobody)["total"] == 0


def test_inverse_frequency_weights_average_to_one_over_faces():
    weight = inverse_frequency((1, 3, 0))
    assert weight.tolist() == pytest.approx([4 / 3, 4 / 9, 0])


def test_balanced_erm_weighs_classes():
    task = replace(example_task(), class_counts=(10, 1, 1, 1, 1, 1, 1))
    scores, labels = torch.randn(4, 7), torch.tensor([0, 0, 0, 1])
    weight = build(ERM, task, balanced=True).head.class_weight
    assert cross_entropy(scores, labels, weight) != cross_entropy(scores, labels)


def test_correlations_against_numpy():
    torch.manual_seed(0)
    x, y = torch.randn(50, 2), torch.randn(50, 2) + 0.3
    expected = [np.corrcoef(x[:, k], y[:, k])[0, 1] for k in range(2)]
    assert pearson(x, y).tolist() == pytest.approx(expected, abs=1e-4)


def test_held_out_people_have_no_identity_label(batch):
    task = replace(example_task(), n_train_subjects=3)
    codes = train_subjects(batch, task)
    assert set(codes.tolist()) <= {-1, 0, 1, 2}
    assert torch.isfinite(build(Multitask, task).loss(batch)["total"])


# Rivals -------------------------------------------------------------------------------------


def test_supervised_contrast_by_hand():
    codes = torch.nn.functional.normalize(torch.tensor([[1.0, 0], [1, 1], [0, 1], [1, -1]]), dim=1)
    labels = torch.tensor([0, 0, 1, 2])
    similarity = (codes @ codes.T / 0.5).exp()
    rows = [
        -torch.log(similarity[i, 1 - i] / (similarity[i].sum() - similarity[i, i])) for i in (0, 1)
    ]
    expected = torch.stack(rows).mean()
    assert torch.allclose(supervised_contrast(codes, labels, 0.5), expected, atol=1e-6)


def test_supervised_contrast_without_any_pair_is_zero():
    codes = torch.eye(3, requires_grad=True)
    loss = supervised_contrast(codes, torch.tensor([0, 1, 2]), 0.1)
    assert loss == 0
    assert torch.isfinite(torch.autograd.grad(loss, codes)[0]).all()


def test_dann_ramp_goes_from_nothing_to_lambda():
    method = build(DANN, strength=0.5)
    method._ramp(0.0)
    assert method.strength == 0
    method._ramp(1.0)
    assert method.strength == pytest.approx(0.5, abs=1e-3)


def test_cdann_weighs_every_expression_the_same(batch):
    method = build(CDANN)
    method.eval()
    code = torch.randn(len(batch), 8)
    y = batch.expression
    per_class = [
        torch.nn.functional.cross_entropy(
            method.discriminator(code[y == c] + method.condition(y[y == c])), batch.subject[y == c]
        )
        for c in y.unique()
    ]
    expected = torch.stack(per_class).mean()
    assert torch.allclose(method.person_loss(code, batch), expected, atol=1e-5)


def test_cdann_refuses_valence_arousal():
    with pytest.raises(MethodError, match="cdann"):
        build(CDANN, example_task(target="valence_arousal"))


def test_people_are_needed():
    with pytest.raises(MethodError, match="two people"):
        build(DANN, replace(example_task(), n_train_subjects=0))


def test_coral_penalty_by_hand(batch):
    method = build(CORAL, environments=2)
    code = torch.randn(len(batch), 3)
    a, b = (code[batch.subject % 2 == g].numpy() for g in (0, 1))
    expected = ((a.mean(0) - b.mean(0)) ** 2).mean() + ((np.cov(a.T) - np.cov(b.T)) ** 2).mean()
    assert float(method.penalty(code, batch)) == pytest.approx(float(expected), rel=1e-4)


def test_irm_penalty_is_zero_where_the_scale_is_at_its_optimum(batch):
    method = build(IRM, environments=1)
    for parameter in method.head.parameters():
        parameter.data.zero_()  # all scores 0: no scale helps
    assert method.loss(batch)["penalty"].item() == pytest.approx(0.0, abs=1e-8)


def test_irm_penalty_by_hand_is_never_negative(batch):
    """IRMv1: the squared gradient of an environment's risk with respect to a scale of the head."""
    method = build(IRM, environments=1).eval()
    output = method.head(method.encoder(batch.images)).detach()
    step = 1e-3
    up, down = (method.head.loss(output * (1 + s), batch) for s in (step, -step))
    gradient = float(up - down) / (2 * step)
    assert float(method.loss(batch)["penalty"]) == pytest.approx(gradient**2, rel=1e-2)


def test_group_dro_raises_the_share_of_the_worst(batch):
    method = build(GroupDRO, environments=4, eta=1.0)
    method.train()
    losses = method.loss(batch)
    assert method.share.sum() == pytest.approx(1.0, abs=1e-5)
    assert losses["total"] <= losses["worst"] + 1e-6
    before = method.share.clone()
    method.eval()
    method.loss(batch)
    assert torch.equal(before, method.share)


# References ---------------------------------------------------------------------------------


def test_label_oracle_is_right_and_knows_both(batch):
    embeddings, prediction = infer(build(OracleLabel), batch)
    assert torch.equal(prediction.logits.argmax(1), batch.expression)
    assert torch.equal(embeddings.expression.argmax(1), batch.expression)
    assert torch.equal(embeddings.identity.argmax(1), batch.subject)


def test_subject_oracle_knows_only_the_person(batch):
    task = replace(example_task(), class_counts=(1, 9, 1, 1, 1, 1, 1))
    embeddings, prediction = infer(build(OracleSubject, task), batch)
    assert torch.equal(embeddings.expression.argmax(1), batch.subject)
    assert (prediction.logits.argmax(1) == 1).all()


def test_both_and_collapsed(batch):
    both, _ = infer(build(OracleBoth), batch)
    assert (both.expression.sum(1) == 2).all()
    collapsed, _ = infer(build(Collapsed), batch)
    assert len(collapsed.expression.unique(dim=0)) == 1


def test_oracles_never_invent_a_missing_label(batch):
    blind = replace(batch, expression=torch.full_like(batch.expression, -1))
    embeddings, _ = infer(build(OracleLabel), blind)
    assert not embeddings.expression.any()


def test_pixels_are_the_principal_components():
    from sklearn.decomposition import PCA

    images = example_batch().images
    method = build(Pixels, components=5)
    method.fit_arrays(images)
    flat = images.flatten(1).numpy()
    expected = PCA(5, svd_solver="full").fit_transform(flat)
    features = method.features(images).numpy()
    signs = np.sign((features * expected).sum(0))
    assert np.allclose(features * signs, expected, atol=1e-2)


def test_pixels_take_fewer_faces_than_components():
    method = build(Pixels, components=40)
    method.fit_arrays(example_batch().images[:6])
    assert torch.isfinite(method.features(example_batch().images)).all()
    assert not method.axes[5:].any()


def test_true_factors_hold_what_their_loss_asks_for(batch):
    task = example_task()
    method = build(TrueFactors)
    optimiser = torch.optim.Adam(method.parameters(), lr=3e-3)
    for _ in range(60):
        optimiser.zero_grad()
        method.loss(batch)["total"].backward()
        optimiser.step()
    embeddings = method.embed(batch.images)
    levels = [len(names) for names in task.attributes.values()]
    assert embeddings.expression.shape[1] == len(task.classes)
    assert embeddings.identity.shape[1] == sum(levels)
    assert torch.allclose(embeddings.expression.sum(1), torch.ones(len(batch)))
    assert (embeddings.expression.argmax(1) == batch.expression).float().mean() > 0.9
    for name, part in zip(task.attributes, embeddings.identity.split(levels, 1), strict=True):
        known = batch.attributes[name] >= 0
        assert (part.argmax(1) == batch.attributes[name])[known].float().mean() > 0.9
    with pytest.raises(MethodError, match="attributes of the person"):
        build(TrueFactors, replace(task, attributes={}))


def test_random_encoder_has_no_weights_and_frozen_backbone_needs_them():
    with pytest.raises(MethodError, match="frozen-backbone"):
        build(RandomEncoder, backbone={"weights": "x.safetensors"})
    with pytest.raises(MethodError, match="needs trained weights"):
        build(FrozenBackbone)


def test_frozen_backbone_reads_a_local_file(tmp_path, batch):
    from safetensors.torch import save_file

    from fer_bench.backbones import build_backbone

    torch.manual_seed(5)
    source = build_backbone("conv4", size=32, width=8)
    save_file(source.body.state_dict(), tmp_path / "w.safetensors")
    config = {"name": "conv4", "width": 8, "weights": str(tmp_path / "w.safetensors")}
    method = build(FrozenBackbone, backbone=config).eval()
    embeddings, _ = infer(method, batch)
    assert torch.allclose(embeddings.expression, source.eval()(batch.images), atol=1e-5)
