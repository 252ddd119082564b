import dataclasses

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import save_file
from torch import nn

from fer_bench import registry
from fer_bench.backbones import build_backbone
from fer_bench.errors import MethodError
from fer_bench.experiment import TrainingSpec
from fer_bench.method import Player, Stage
from fer_bench.training import loop
from fer_bench.training.devices import make_fabric
from fer_bench.training.extract import extract


def state_of(method):
    return {key: value.clone() for key, value in method.state_dict().items()}


def same(a, b):
    return all(torch.equal(a[key], b[key]) for key in a)


def test_it_learns_and_records_a_history(make_trainer, two_players, parts, small_faces):
    method, trainer = make_trainer(two_players, epochs=6)
    position = trainer.run()
    part = extract(method, trainer.batcher, parts.validation, name="validation")
    assert (part.logits.argmax(1) == part.y).mean() > 0.8
    rows = {(stage, split, player) for stage, _, split, player, _, _ in position.history}
    assert ("game", "train", "rival") in rows
    assert ("game", "validation", "prediction") in rows
    assert ("pairs", "validation", "head") in rows
    assert [s["epochs_run"] for s in position.stages] == [6, 3]
    batches = len(parts.train) // 32
    assert position.images_seen == batches * 32 * 6 + batches * 32 * 2 * 3


def test_the_same_seed_gives_the_same_bytes(make_trainer, two_players, parts):
    embeddings = []
    for seed in (0, 0, 1):
        method, trainer = make_trainer(two_players, seed=seed, augment="affine")
        trainer.run()
        embeddings.append(extract(method, trainer.batcher, parts.validation, name="v").expression)
    assert embeddings[0].tobytes() == embeddings[1].tobytes()
    assert embeddings[0].tobytes() != embeddings[2].tobytes()


def test_frozen_modules_keep_weights_and_buffers(make_trainer, two_players):
    method, trainer = make_trainer(two_players, selection="last")
    seen = {}
    stages = list(method.stages())
    stages[1] = dataclasses.replace(stages[1], on_start=lambda steps: seen.update(state_of(method)))
    method.stages = lambda: stages
    trainer.run()
    after = state_of(method)
    for key in seen:
        moved = not torch.equal(seen[key], after[key])
        assert moved == key.startswith("head."), key


def test_a_player_moves_only_its_own_parameters(make_trainer, two_players):
    method, trainer = make_trainer(two_players, selection="last", clip=0)
    rival = Player("rival", [method.rival], method.rival_loss)
    method.stages = lambda: [Stage("rival", players=[rival], select="last")]
    before = state_of(method)
    trainer.run()
    moved = {
        key for key, value in method.state_dict().items() if not torch.equal(value, before[key])
    }
    assert moved == {"rival.weight", "rival.bias", *(k for k in moved if k.startswith("norm."))}
    assert not moved & {"norm.weight", "norm.bias"}


def test_validation_decides_the_kept_epoch(make_trainer, two_players, monkeypatch):
    values = iter([0.5, 0.9, 0.7, 0.8])
    kept = []

    def scores(method, feed, rows, batch_size):
        kept.append(state_of(method))
        return {"balanced_accuracy": next(values)}

    monkeypatch.setattr(loop, "prediction_scores", scores)
    method, trainer = make_trainer(two_players)
    method.stages = lambda: two_players.stages(method)[:1]
    position = trainer.run()
    assert position.stages[0]["best_epoch"] == 2
    assert same(state_of(method), kept[1])


@pytest.mark.parametrize(
    ("scores", "kept"),
    [
        ([(0.5, 2.0), (0.9, 2.0), (0.9, 1.0), (0.9, 1.5)], 3),  # the lowest loss of the ties
        ([(0.9, 2.0), (0.9, 2.0), (0.9, 2.0), (0.5, 1.0)], 3),  # then the later epoch
        ([(0.9, 2.0), (0.8, 1.0), (0.7, 1.0), (0.6, 1.0)], 1),  # the score comes first
    ],
)
def test_ties_are_broken_by_the_loss_and_then_by_the_later_epoch(
    make_trainer, two_players, monkeypatch, scores, kept
):
    values = iter(scores)

    def measure(*_):
        score, loss = next(values)
        return {"balanced_accuracy": score, "cross_entropy": loss}

    monkeypatch.setattr(loop, "prediction_scores", measure)
    method, trainer = make_trainer(two_players)
    method.stages = lambda: two_players.stages(method)[:1]
    assert trainer.run().stages[0]["best_epoch"] == kept


def test_patience_stops_a_stage(make_trainer, two_players, monkeypatch):
    values = iter([0.5, 0.4, 0.3, 0.9, 0.9])
    monkeypatch.setattr(loop, "prediction_scores", lambda *a: {"balanced_accuracy": next(values)})
    method, trainer = make_trainer(two_players, epochs=5, patience=2)
    method.stages = lambda: two_players.stages(method)[:1]
    assert trainer.run().stages[0]["epochs_run"] == 3


class _Killed(BaseException):
    pass


@pytest.mark.parametrize("stop_after", [1, 3, 5])
def test_a_killed_training_resumes_to_the_same_bytes(
    make_trainer, two_players, tmp_path, monkeypatch, stop_after
):
    monkeypatch.setattr(loop, "_SAVE_EVERY_S", -1.0)
    straight, trainer = make_trainer(two_players, augment="affine")
    expected = trainer.run()
    epochs = []

    def stop(done, total, text):
        epochs.append(done)
        if done == stop_after + 1:
            raise _Killed

    resume = tmp_path / "resume.safetensors"
    _, trainer = make_trainer(two_players, augment="affine", resume=resume, on_epoch=stop)
    with pytest.raises(_Killed):
        trainer.run()
    again = []
    method, trainer = make_trainer(
        two_players, augment="affine", resume=resume, on_epoch=lambda d, t, x: again.append(d)
    )
    position = trainer.run()
    assert again[0] == stop_after + 1, "finished epochs must not be done twice"
    assert position.history == expected.history
    assert same(state_of(method), state_of(straight))


def test_a_damaged_resume_file_only_costs_time(make_trainer, two_players, tmp_path):
    resume = tmp_path / "resume.safetensors"
    resume.write_bytes(b"\x00" * 100)
    _, trainer = make_trainer(two_players, resume=resume)
    assert [s["epochs_run"] for s in trainer.run().stages] == [4, 2]


def test_a_loss_that_is_not_finite_names_player_and_batch(make_trainer, two_players):
    method, trainer = make_trainer(two_players)

    def loss(batch):
        return {"total": method.head.weight.sum() * float("nan")}

    method.stages = lambda: [Stage("bad", players=[Player("poor", [method.head], loss)])]
    with pytest.raises(MethodError, match=r"player 'poor' in stage 'bad', epoch 1, batch 1 is nan"):
        trainer.run()


def test_contract_breaches_are_named(make_trainer, two_players):
    method, _ = make_trainer(two_players)
    twice = Stage("x", players=[Player(n, [method.head], method.loss) for n in "ab"])
    with pytest.raises(MethodError, match="players 'a' and 'b' own the same"):
        loop.validate_stage(twice)
    frozen = Stage("x", players=[Player("a", [method.head], method.loss)], frozen=[method])
    with pytest.raises(MethodError, match="owns a parameter of a frozen module"):
        loop.validate_stage(frozen)
    with pytest.raises(MethodError, match="'idle' owns no parameters"):
        loop.make_optimizer(Player("idle", [nn.ReLU()], method.loss), 1e-3)


def test_no_total_is_named(make_trainer, two_players):
    method, trainer = make_trainer(two_players)
    bare = Player("bare", [method.head], lambda batch: {"loss": method.loss(batch)["total"]})
    method.stages = lambda: [Stage("s", players=[bare])]
    with pytest.raises(MethodError, match=r"returns \['loss'\] and no 'total'"):
        trainer.run()


def test_cosine_warms_up_and_ends_near_zero():
    budget = loop.Budget(steps=200, per_epoch=20)
    factors = [loop.lr_factor(TrainingSpec(), step, budget) for step in range(200)]
    assert factors[0] == pytest.approx(0.1)
    assert max(factors) == 1.0
    assert factors[-1] < 0.001
    assert np.argmax(factors) <= 10


def test_steps_are_those_of_torch():
    """EIF's schedule: times 0.8 at 5,000 and then every 20,000 iterations."""
    budget = loop.Budget(steps=70_000, per_epoch=1_000)
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0)
    falls = [5_000, 25_000, 45_000, 65_000]
    reference = torch.optim.lr_scheduler.MultiStepLR(optimizer, falls, 0.8)
    optimizer.step()
    in_epochs = {"factor": 0.8, "first": 5, "every": 20, "unit": "epochs"}
    for step in range(70_000):
        if step % 1_000 in (0, 999):
            expected = optimizer.param_groups[0]["lr"]
            for decay in ({}, in_epochs):
                training = TrainingSpec(schedule="step", decay=decay)
                assert loop.lr_factor(training, step, budget) == pytest.approx(expected)
        reference.step()


@given(
    steps=st.integers(1, 500), per_epoch=st.integers(1, 60), share=st.sampled_from([0.25, 0.5, 1])
)
def test_a_budget_of_steps_is_spent_to_the_last_step(steps, per_epoch, share):
    budget = loop.stage_budget(share, TrainingSpec(steps=steps), per_epoch)
    assert budget.steps == max(1, round(share * steps))
    assert sum(budget.of_epoch(epoch) for epoch in range(budget.epochs)) == budget.steps
    assert all(1 <= budget.of_epoch(epoch) <= per_epoch for epoch in range(budget.epochs))


def test_steps_are_taken_and_recorded(make_trainer, two_players, parts):
    _, trainer = make_trainer(two_players, steps=7)
    position = trainer.run()
    batches = len(parts.train) // 32
    assert [s["steps"] for s in position.stages] == [7, 4]
    assert [s["epochs_run"] for s in position.stages] == [-(-7 // batches), -(-4 // batches)]
    assert position.images_seen == 7 * 32 + 4 * 32 * 2


def erm(**backbone):
    adapter = registry.methods.get("erm")

    class Small(adapter):
        def __init__(self, task, config):
            super().__init__(task, adapter.Config(backbone={"width": 4} | backbone, dim=8))

    return Small


def test_where_the_weights_came_from_is_said(make_trainer, tmp_path):
    source = build_backbone("conv4", size=32, width=4)
    state = {f"module.{key}": value for key, value in source.body.state_dict().items()}
    save_file(state | {"module.fc.weight": torch.zeros(7, 32)}, tmp_path / "w.safetensors")
    _, trainer = make_trainer(erm(weights=str(tmp_path / "w.safetensors")), epochs=1)
    _few, said = trainer.run().cautions
    assert str(said).startswith("backbone weights: ")
    assert "'module.' taken off" in str(said)
    assert "not used: fc.weight" in str(said)
    _, trainer = make_trainer(erm(), epochs=1)
    assert [caution.code for caution in trainer.run().cautions] == ["few-steps"]


def test_a_game_has_losses_on_validation_people_but_keeps_its_last_epoch(make_trainer, two_players):
    method, trainer = make_trainer(two_players, epochs=3)
    (game, _) = two_players.stages(method)
    method.stages = lambda: [dataclasses.replace(game, select="last")]
    position = trainer.run()
    said = {
        (epoch, player) for _, epoch, split, player, _, _ in position.history if split != "train"
    }
    assert said == {(e, p) for e in (1, 2, 3) for p in ("encoder", "rival")}
    assert position.best is None
    assert position.stages[0]["best_epoch"] == 3


def test_channels_last_reaches_the_weights(make_trainer):
    method, trainer = make_trainer(erm(), epochs=1, channels_last=True)
    trainer.run()
    weight = method.encoder.backbone.body[3].weight
    assert weight.is_contiguous(memory_format=torch.channels_last)
    assert not weight.is_contiguous()


def test_a_compiled_backbone_trains_the_same(make_trainer, parts, monkeypatch):
    """Captured, but not translated to C++, which takes half a minute: see the benchmark."""
    honest = nn.Module.compile
    monkeypatch.setattr(nn.Module, "compile", lambda self: honest(self, backend="aot_eager"))
    values = []
    for switch in (False, True):
        method, trainer = make_trainer(erm(), epochs=2, compile=switch, augment="none")
        trainer.run()
        assert (method.encoder.backbone.body._compiled_call_impl is not None) == switch
        values.append(extract(method, trainer.batcher, parts.validation, name="v").expression)
    np.testing.assert_allclose(*values, atol=0.02)


def test_compiling_without_a_backbone_or_a_compiler_is_said(make_trainer, two_players, monkeypatch):
    _, trainer = make_trainer(two_players, epochs=1, compile=True)
    assert any("no backbone to compile" in str(said) for said in trainer.run().cautions)

    def broken(*args, **options):
        raise RuntimeError("no compiler")

    monkeypatch.setattr(nn.Module, "compile", lambda self: setattr(self, "forward", broken))
    _, trainer = make_trainer(erm(), epochs=1, compile=True)
    with pytest.raises(MethodError, match=r"set training.compile = false"):
        trainer.run()


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize("precision", ["32", "bf16-mixed", "16-mixed"])
def test_it_trains_on_a_gpu(make_trainer, two_players, precision):
    _, trainer = make_trainer(two_players, device="cuda", precision=precision)
    assert trainer.run().stages[0]["value"] > 0.5


def test_cuda_is_refused_where_there_is_none(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(MethodError, match="no CUDA device"):
        make_fabric(TrainingSpec(device="cuda"))


@pytest.mark.parametrize("switch", [{"precision": "bf16-mixed"}, {"channels_last": True}])
def test_speed_switches_learn_the_same(make_trainer, two_players, switch):
    _, trainer = make_trainer(two_players, epochs=6, **switch)
    assert trainer.run().stages[0]["value"] > 0.8


def test_a_hook_under_its_old_name_is_refused_at_once(two_players):
    with pytest.raises(MethodError, match=r"Old.warnings\(\) is called by nobody: rename it"):

        class Old(two_players):
            def warnings(self):
                return ["read with care"]
