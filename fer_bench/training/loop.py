"""The loop: stages, players, validation, selection, checkpoints. Lightning Fabric underneath."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypedDict, Unpack

import numpy as np
import torch
from torch import Tensor, nn

from fer_bench.backbones import Backbone
from fer_bench.cautions import Caution
from fer_bench.errors import MethodError
from fer_bench.experiment import TrainingSpec
from fer_bench.method import Batch, Method, Oracle, Player, Stage, infer
from fer_bench.normalisers import estimating_statistics
from fer_bench.training.batches import Batcher, EpochPlan, Rows, batches_in
from fer_bench.training.checkpoint import (
    Position,
    Resume,
    Standing,
    State,
    copy_state,
    load_resume,
    restore_optimizer,
    save_resume,
)
from fer_bench.training.concordance import concordance
from fer_bench.training.devices import (
    average_gradients,
    make_fabric,
    share_buffers,
    spread_over_ranks,
)
from fer_bench.training.outcome import bounds_at, training_cautions
from fer_bench.training.shared import CommonState, SharedStages

if TYPE_CHECKING:
    from lightning_fabric import Fabric

OnEpoch = Callable[[int, int, str], None]
OnHistory = Callable[[Sequence[Sequence[Any]]], None]

_VALIDATION_SEED = 7_919  # pairs and shuffles of a validation pass are the same in every epoch
_STATISTICS_SEED = 104_729  # likewise of the faces that running statistics are estimated from
_STATISTICS_FACES = 1_024
_SAVE_EVERY_S = 20.0
_ARRAY_ROWS = 2_000


@dataclass(frozen=True)
class Budget:
    """What a stage may take: steps, in epochs of `per_epoch`; the last one may be cut short."""

    steps: int
    per_epoch: int

    @property
    def epochs(self) -> int:
        """Passes over the faces, a shortened last one included."""
        return math.ceil(self.steps / self.per_epoch)

    def of_epoch(self, epoch: int) -> int:
        """Steps of one epoch, which is counted from 0."""
        return min(self.per_epoch, self.steps - epoch * self.per_epoch)


class _Game(nn.Module):
    """Lets Fabric see one module whose forward is whatever loss is asked for."""

    def __init__(self, method: Method) -> None:
        super().__init__()
        self.method = method

    def forward(self, compute: Callable[[], Any]) -> Any:
        return compute()


@dataclass
class _StageRun:
    """A stage that is being trained.

    Attributes:
        stage, index: which, and its number.
        plan: of its batches.
        budget: of its steps.
        rule: how the epoch that is kept is chosen.
        optimizers: of its players.
        best: the state to keep, so far.
    """

    stage: Stage
    index: int
    plan: EpochPlan
    budget: Budget
    rule: str
    optimizers: dict[str, Any]
    best: State | None = None


class Course(TypedDict, total=False):
    """What else a training may be given; nothing of it changes what is learned.

    Attributes:
        resume: file to keep the state in while training goes on, and to go on from.
        shared: stages that other runs have in common with this one; without it all are trained.
        on_epoch: called with (epochs done, epochs in all, text).
        on_history: called after each epoch with its rows of the history.
        fabric: of this process, if it is one of several that train the run.
    """

    resume: Path | None
    shared: SharedStages | None
    on_epoch: OnEpoch | None
    on_history: OnHistory | None
    fabric: Fabric | None


class Trainer:
    """Trains one method on one fold.

    Args:
        method: built for the task of the batches.
        batcher: batches of the faces, with the budget and the settings of the loop.
        train, validation: rows that are trained on and that select; the latter may be empty.
        seed: of the run; every epoch draws from (seed, stage, epoch) alone.
        course: how the state is kept and told; see `Course`.
    """

    def __init__(
        self,
        method: Method,
        *,
        batcher: Batcher,
        train: Rows,
        validation: Rows,
        seed: int,
        **course: Unpack[Course],
    ) -> None:
        self.method = method
        self.batcher = batcher
        self.train_rows = train
        self.validation_rows = validation
        self.training = batcher.training
        self.seed = seed
        self.fabric = course.get("fabric") or make_fabric(self.training)
        self.resume = course.get("resume")
        self.shared = course.get("shared")
        self.on_epoch = course.get("on_epoch") or (lambda done, total, text: None)
        self.on_history = course.get("on_history") or (lambda rows: None)
        self.position = Position()
        self._game: nn.Module = _Game(method)
        self._epochs: list[int] = []  # of every stage
        self._saved_at = time.monotonic()
        self._started = time.monotonic()

    def run(self) -> Position:
        """Train all stages; the method ends with the kept weights, in eval mode.

        Raises:
            MethodError: a loss is not finite, or the adapter breaks the contract.
        """
        if not isinstance(self.method, Oracle):
            seed_everything(self.seed)
            materialise(self.method, self.batcher.batch(self.train_rows[:4]))
        self._prepare_speed()
        stages = list(self.method.stages())
        self._choose_cache(stages)
        self._game = self.fabric.setup_module(self._game)
        saved = load_resume(self.resume) if self.resume is not None else None
        initial = copy_state(self.method) if self.shared is not None else {}
        if saved is not None:
            self.position = saved.position
            self.method.load_state_dict(saved.model)
        elif not isinstance(self.method, Oracle):
            self._show_arrays()
        self._epochs = [self._budget(stage).epochs for stage in stages]
        first = self.position.stage
        if first < len(stages) and self.fabric.world_size != self.training.devices:
            raise MethodError(
                f"training.devices is {self.training.devices}, and this process trains on "
                f"{self.fabric.world_size}: set it to 1, or use `fer_bench.run`."
            )
        with self.fabric.no_backward_sync(self._game):  # see `average_gradients`
            for index in range(first, len(stages)):
                with self._common(stages, index + 1, initial) as common:
                    if common is not None and self._take_over(common):
                        continue
                    self._train_stage(
                        self._begun(stages[index], index, saved if index == first else None)
                    )
                    if common is not None:
                        common.save(self.position, copy_state(self.method))
        self._count_seconds()
        self.method.requires_grad_(True).eval()
        self.position.note(self.method.cautions())
        self.position.note(training_cautions(self.position.stages))
        reports = [backbone.weights_report for backbone in backbones_of(self.method)]
        self.position.note(Caution("backbone-weights", report=r) for r in reports if r)
        return self.position

    def _common(
        self, stages: Sequence[Stage], done: int, initial: State
    ) -> AbstractContextManager[CommonState | None]:
        if self.shared is None:
            return nullcontext()
        names = [stage.name for stage in stages]
        return self.shared.before(names, done, initial, self.batcher.device)

    def _take_over(self, common: CommonState) -> bool:
        """Go on from where another run has come to, if one has."""
        known = common.load()
        if known is None:
            return False
        self.position, changed = known
        self.method.load_state_dict(changed, strict=False)
        self._started = time.monotonic()
        self.on_history(self.position.history)
        return True

    def _count_seconds(self) -> None:
        now = time.monotonic()
        self.position.seconds += now - self._started
        self._started = now

    def _budget(self, stage: Stage) -> Budget:
        size = stage.batch_size or self.training.batch_size
        return stage_budget(stage.share, self.training, batches_in(len(self.train_rows), size))

    def _prepare_speed(self) -> None:
        """Channels-last weights and compiled backbones, where the run asks for them."""
        if self.training.channels_last:
            self.method.to(memory_format=torch.channels_last)
        if not self.training.compile or isinstance(self.method, Oracle):
            return
        backbones = backbones_of(self.method)
        if not backbones:
            self.position.note([Caution("compile-without-backbone")])
            return
        for backbone in backbones:
            backbone.body.compile()
        try:
            with torch.no_grad():
                backbones[0].features(self.batcher.batch(self.train_rows[:2]).images)
        except Exception as error:
            raise MethodError(
                f"torch cannot compile the backbone here ({type(error).__name__}; on a CPU it "
                "needs a C++ compiler): set training.compile = false."
            ) from error

    def _choose_cache(self, stages: Sequence[Stage]) -> None:
        """Plain and mirrored faces come again; under other augmentation no face does."""
        plain = self.training.augment in ("none", "flip") or not any(s.augment for s in stages)
        for backbone in backbones_of(self.method):
            backbone.cached = plain
            if backbone.frozen and not plain:
                augment = self.training.augment
                self.position.note([Caution("frozen-features-augmented", augment=augment)])
            elif backbone.frozen and not backbone.caches:
                self.position.note([Caution("frozen-features-inside")])

    def _show_arrays(self) -> None:
        rng = np.random.default_rng([self.seed, _VALIDATION_SEED])
        size = min(_ARRAY_ROWS, len(self.train_rows))
        rows = np.sort(rng.choice(self.train_rows, size=size, replace=False))
        with torch.no_grad():
            self.method.fit_arrays(self.batcher.batch(rows).images)

    def _begun(self, stage: Stage, index: int, resumed: Resume | None) -> _StageRun:
        """A stage at its beginning, or where training stopped in it."""
        validate_stage(stage)
        plan = self._plan(stage, self.train_rows, index, balanced=self.training.balanced)
        self.position.note(plan.cautions)
        fused = self.training.precision != "16-mixed"
        optimizers: dict[str, Any] = {
            player.name: self.fabric.setup_optimizers(
                make_optimizer(player, self.training.lr, fused=fused)
            )
            for player in stage.players
        }
        run = _StageRun(stage, index, plan, self._budget(stage), self._rule(stage), optimizers)
        if resumed is not None:
            run.best = resumed.best
            for name, state in resumed.optimizers.items():
                restore_optimizer(optimizers[name], state)
        if stage.on_start is not None:
            stage.on_start(run.budget.steps)
        return run

    def _plan(self, stage: Stage, rows: Rows, *seed: int, balanced: bool = False) -> EpochPlan:
        return EpochPlan(
            self.batcher.data,
            rows,
            batch_size=stage.batch_size or self.training.batch_size,
            pairs=stage.batch == "pairs",
            balanced=balanced,
            seed=(self.seed, *seed),
        )

    def _train_stage(self, run: _StageRun) -> None:
        position, stage, budget = self.position, run.stage, run.budget
        with frozen(self.method, stage):
            while position.epoch < budget.epochs and not self._waited_enough(run):
                self._train_epoch(run)
                if time.monotonic() - self._saved_at > _SAVE_EVERY_S:
                    self._save(run.optimizers, run.best)
        if run.best is not None:
            self.method.load_state_dict(run.best)
        kept = position.best_epoch or position.epoch
        position.stages.append(
            {
                "name": stage.name,
                "epochs": budget.epochs,
                "epochs_run": position.epoch,
                "steps": min(budget.steps, position.epoch * budget.per_epoch),
                "best_epoch": kept,
                "select": run.rule,
                "value": position.best[0] if position.best else None,
                "bounds": bounds_at(position.history, stage.name, kept, stage.ceilings),
            }
        )
        position.stage, position.epoch = run.index + 1, 0
        position.best, position.best_epoch = None, 0
        self._count_seconds()
        self._save({}, None)

    def _waited_enough(self, run: _StageRun) -> bool:
        waited = self.position.epoch - self.position.best_epoch
        return run.rule != "last" and 0 < self.training.patience <= waited

    def _train_epoch(self, run: _StageRun) -> None:
        """Train for an epoch, validate, and keep the state if no earlier one was better."""
        position, epoch = self.position, self.position.epoch
        known = len(position.history)
        with spread_over_ranks(self.fabric, backbones_of(self.method), self.seed, run.index, epoch):
            self._take_steps(run, epoch)
        if len(self.validation_rows) or epoch + 1 == run.budget.epochs:
            self._estimate_statistics(run)
        share_buffers(self.fabric, self.method)
        standing, text = self.fabric.broadcast(self._validate(run, epoch))
        position.epoch = epoch + 1
        if standing is not None and position.is_best(standing):
            position.best, position.best_epoch = standing, epoch + 1
            run.best = copy_state(self.method)
        self.on_history(position.history[known:])
        done = sum(self._epochs[: run.index]) + epoch + 1
        self.on_epoch(done, sum(self._epochs), f"{run.stage.name}: {text}")

    def _take_steps(self, run: _StageRun, epoch: int) -> None:
        stage, budget = run.stage, run.budget
        generator = seed_everything(self.seed, run.index, epoch, device=self.batcher.device)
        set_modes(self.method, stage)
        totals = _Means()
        watch = _FiniteWatch(every=1 if self.batcher.device.type == "cpu" else 50)
        batches = islice(run.plan.epoch(epoch), budget.of_epoch(epoch))
        for number, (rows, partners) in enumerate(batches):
            done = epoch * budget.per_epoch + number
            if stage.on_step is not None:
                stage.on_step(done / budget.steps)
            batch = self.batcher.batch(
                rows, generator=generator if stage.augment else None, partners=partners
            )
            factor = lr_factor(self.training, done, budget)
            for player in stage.players:
                for _ in range(player.steps):
                    losses = self._step(player, run.optimizers[player.name], batch, factor)
                watch.see(losses["total"], f"player {player.name!r}", stage.name, epoch, number)
                totals.add(player.name, losses)
            self.position.images_seen += len(batch) * (2 if partners is not None else 1)
        watch.flush()
        self._record(stage, epoch, "train", totals)

    def _losses(self, player: Player, batch: Batch) -> dict[str, Tensor]:
        return self._game(lambda: player.loss(batch))

    def _step(
        self, player: Player, optimizer: Any, batch: Batch, factor: float
    ) -> dict[str, Tensor]:
        """One player's move: its own loss, its own parameters, nobody else's gradient."""
        for group in optimizer.param_groups:
            group["lr"] = group["base_lr"] * factor
        losses = self._losses(player, batch)
        owned = [p for group in optimizer.param_groups for p in group["params"]]
        optimizer.zero_grad()  # here, and not after the step, so that backward reuses the memory
        try:
            self.fabric.backward(losses["total"], inputs=owned)
        except KeyError:
            raise MethodError(
                f"player {player.name!r}: its loss returns {sorted(losses)} and no 'total'."
            ) from None
        average_gradients(self.fabric, owned)
        if self.training.clip > 0:
            self.fabric.clip_gradients(
                self._game, optimizer, max_norm=self.training.clip, error_if_nonfinite=False
            )
        optimizer.step()
        return losses

    @torch.no_grad()
    def _estimate_statistics(self, run: _StageRun) -> None:
        """Running statistics from training faces as evaluation sees them: not augmented."""
        seed_everything(self.seed, run.index, _STATISTICS_SEED)
        set_modes(self.method, run.stage)
        with estimating_statistics(self.method) as layers:
            most = max(1, _STATISTICS_FACES // run.plan.batch_size) if layers else 0
            for rows, partners in islice(run.plan.epoch(_STATISTICS_SEED), most):
                batch = self.batcher.batch(rows, partners=partners)
                for player in run.stage.players:
                    self._losses(player, batch)

    def _rule(self, stage: Stage) -> str:
        if self.training.selection == "last" or len(self.validation_rows) == 0:
            return "last"
        return stage.select

    @torch.no_grad()
    def _validate(self, run: _StageRun, epoch: int) -> tuple[Standing | None, str]:
        """Measure the validation part; returns how the epoch stands by the rule."""
        if len(self.validation_rows) == 0:
            return None, "no validation part"
        self.method.eval()
        if run.stage.select == "prediction":
            standing, text = self._validate_prediction(run.stage, epoch)
        else:
            standing, text = self._validate_loss(run.stage, run.index, epoch)
        return (None if run.rule == "last" else standing), text

    def _validate_prediction(self, stage: Stage, epoch: int) -> tuple[Standing | None, str]:
        rows = self.validation_rows
        scores = prediction_scores(self.method, self.batcher, rows, self.training.batch_size)
        for name, value in scores.items():
            self.position.history.append(
                [stage.name, epoch + 1, "validation", "prediction", name, value]
            )
        if self.training.target == "valence_arousal":
            name, title, none = "ccc", "CCC", "no valence-arousal"
        else:
            name, title, none = "balanced_accuracy", "balanced accuracy", "no prediction"
        if name not in scores:
            return None, none
        standing = (scores[name], -scores.get("cross_entropy", 0.0))
        return standing, f"validation {title} {scores[name]:.3f}"

    def _validate_loss(self, stage: Stage, index: int, epoch: int) -> tuple[Standing | None, str]:
        plan = self._plan(stage, self.validation_rows, index, _VALIDATION_SEED)
        seed_everything(self.seed, index, _VALIDATION_SEED)
        totals = _Means()
        for rows, partners in plan.epoch(0):
            batch = self.batcher.batch(rows, partners=partners)
            for player in stage.players:
                totals.add(player.name, self._losses(player, batch))
        self._record(stage, epoch, "validation", totals)
        if stage.select == "last":  # a game: no sum of its losses says which epoch is best
            return None, "trained"
        players = stage.select_players or (stage.players[0].name,)
        value = -sum(totals.mean(name, "total") for name in players)
        standing = (value, value) if math.isfinite(value) else None
        return standing, f"validation loss {-value:.3f}"

    def _record(self, stage: Stage, epoch: int, split: str, totals: _Means) -> None:
        for player, term, value in totals.rows():
            self.position.history.append([stage.name, epoch + 1, split, player, term, value])

    def _save(self, optimizers: dict[str, Any], best: State | None) -> None:
        if self.resume is None or not self.fabric.is_global_zero:
            return
        self._count_seconds()
        self._saved_at = time.monotonic()
        save_resume(self.resume, self.position, self.method, best, optimizers)


def backbones_of(method: Method) -> list[Backbone]:
    """The backbones of a method, in the order in which it owns them."""
    return [module for module in method.modules() if isinstance(module, Backbone)]


@torch.no_grad()
def materialise(method: Method, batch: Batch) -> None:
    """One forward pass in eval mode, so that lazy modules have their shapes."""
    method.eval()
    if not isinstance(method, Oracle):
        method.embed(batch.images)
        method.predict(batch.images)


def seed_everything(*seed: int, device: torch.device | None = None) -> torch.Generator:
    """Seed torch from a sequence of integers; returns a generator for augmentation."""
    value = int(np.random.SeedSequence(seed).generate_state(1, np.uint64)[0] >> 1)
    torch.manual_seed(value)
    generator = torch.Generator(device=device or torch.device("cpu"))
    generator.manual_seed(value ^ 0x5DEECE66D)
    return generator


def stage_budget(share: float, training: TrainingSpec, per_epoch: int) -> Budget:
    """The share that a stage has of the steps of a run, or of its epochs; at least one.

    >>> stage_budget(0.5, TrainingSpec(epochs=3), per_epoch=7)
    Budget(steps=14, per_epoch=7)
    >>> stage_budget(0.5, TrainingSpec(steps=30), per_epoch=7).epochs
    3
    """
    if training.steps is not None:
        return Budget(max(1, round(share * training.steps)), per_epoch)
    return Budget(max(1, round(share * training.epochs)) * per_epoch, per_epoch)


def lr_factor(training: TrainingSpec, step: int, budget: Budget) -> float:
    """Learning-rate factor at a step of a stage.

    "constant" is 1, "cosine" falls to zero after 5 % of warm-up, "step" falls as `DecaySpec` says.

    >>> halved = {"factor": 0.5, "first": 2, "every": 1, "unit": "epochs"}
    >>> training = TrainingSpec(schedule="step", decay=halved)
    >>> [lr_factor(training, step, Budget(steps=40, per_epoch=10)) for step in (0, 19, 20, 39)]
    [1.0, 1.0, 0.5, 0.25]
    """
    if training.schedule == "constant":
        return 1.0
    if training.schedule == "step":
        decay = training.decay
        past = (step if decay.unit == "iterations" else step // budget.per_epoch) - decay.first
        return decay.factor ** (0 if past < 0 else 1 + past // decay.every)
    warm = max(1, round(0.05 * budget.steps))
    if step < warm:
        return (step + 1) / warm
    return 0.5 * (1 + math.cos(math.pi * (step - warm) / max(1, budget.steps - warm)))


def make_optimizer(player: Player, lr: float, *, fused: bool = True) -> torch.optim.Optimizer:
    """Adam over what the player owns (AdamW if it has weight decay).

    The fused step is several times faster; with a gradient scaler it cannot be clipped.
    """
    parameters = player.parameters()
    if not parameters:
        raise MethodError(f"player {player.name!r} owns no parameters.")
    base = player.lr if player.lr is not None else lr
    kind = torch.optim.AdamW if player.weight_decay > 0 else torch.optim.Adam
    optimizer = kind(
        parameters, lr=base, betas=player.betas, weight_decay=player.weight_decay, fused=fused
    )
    for group in optimizer.param_groups:
        group["base_lr"] = base
    return optimizer


def validate_stage(stage: Stage) -> None:
    """Refuse a stage in which two players share a parameter, or a frozen one is owned."""
    owner: dict[int, str] = {}
    for player in stage.players:
        for parameter in player.parameters():
            other = owner.setdefault(id(parameter), player.name)
            if other != player.name:
                raise MethodError(
                    f"stage {stage.name!r}: players {other!r} and {player.name!r} own the same "
                    "parameter; each parameter has one owner."
                )
    for module in stage.frozen:
        for parameter in module.parameters():
            if id(parameter) in owner:
                raise MethodError(
                    f"stage {stage.name!r}: player {owner[id(parameter)]!r} owns a parameter of "
                    "a frozen module."
                )


@contextmanager
def frozen(method: Method, stage: Stage) -> Iterator[None]:
    """Switch off gradients of what a stage freezes, and switch them on again after it."""
    parameters = [p for module in stage.frozen for p in module.parameters()]
    before = [p.requires_grad for p in parameters]
    for parameter in parameters:
        parameter.requires_grad_(False)
    try:
        yield
    finally:
        for parameter, flag in zip(parameters, before, strict=True):
            parameter.requires_grad_(flag)


def set_modes(method: Method, stage: Stage) -> None:
    """Training mode for all but the frozen modules, whose statistics must not move either."""
    method.train()
    for module in stage.frozen:
        module.eval()


@torch.no_grad()
def prediction_scores(
    method: Method, batcher: Batcher, rows: Rows, batch_size: int
) -> dict[str, float]:
    """Validation scores of the predictions: balanced accuracy and cross-entropy, or mean CCC."""
    logits, truth, affect, target = [], [], [], []
    for batch in batcher.ordered(rows, batch_size):
        _, prediction = infer(method, batch)
        if prediction.logits is not None:
            logits.append(prediction.logits.float())
            truth.append(batch.expression)
        if prediction.valence_arousal is not None:
            affect.append(prediction.valence_arousal.float())
            target.append(batch.valence_arousal)
    scores: dict[str, float] = {}
    if logits:
        scores |= _class_scores(torch.cat(logits), torch.cat(truth))
    if affect:
        scores["ccc"] = _mean_ccc(torch.cat(affect), torch.cat(target))
    return {name: value for name, value in scores.items() if math.isfinite(value)}


def _class_scores(logits: Tensor, truth: Tensor) -> dict[str, float]:
    known = truth >= 0
    logits, truth = logits[known], truth[known]
    if len(truth) == 0:
        return {}
    hit = (logits.argmax(1) == truth).double()
    recalls = [hit[truth == c].mean().item() for c in truth.unique()]
    return {
        "accuracy": hit.mean().item(),
        "balanced_accuracy": float(np.mean(recalls)),
        "cross_entropy": nn.functional.cross_entropy(logits, truth).item(),
    }


def _mean_ccc(prediction: Tensor, target: Tensor) -> float:
    known = torch.isfinite(target).all(1)
    if known.sum() < 2:
        return math.nan
    return concordance(prediction[known].double(), target[known].double()).mean().item()


class _Means:
    """Running means of named scalars, summed on the device, read once an epoch."""

    def __init__(self) -> None:
        self._sums: dict[tuple[str, str], Tensor] = {}
        self._counts: dict[tuple[str, str], int] = {}

    def add(self, player: str, losses: dict[str, Tensor]) -> None:
        for term, value in losses.items():
            key = (player, term)
            value = torch.as_tensor(value).detach().float()
            self._sums[key] = self._sums[key] + value if key in self._sums else value.clone()
            self._counts[key] = self._counts.get(key, 0) + 1

    def mean(self, player: str, term: str) -> float:
        return float(self._sums[player, term]) / self._counts[player, term]

    def rows(self) -> Iterator[tuple[str, str, float]]:
        for player, term in self._sums:
            yield player, term, self.mean(player, term)


class _FiniteWatch:
    """Stops a run whose loss is not finite, naming player and batch.

    On an accelerator a look at every loss would wait for the device, so it looks every 50 steps.
    """

    def __init__(self, *, every: int) -> None:
        self.every = every
        self._pending: list[tuple[Tensor, str]] = []

    def see(self, loss: Tensor, who: str, stage: str, epoch: int, batch: int) -> None:
        where = f"{who} in stage {stage!r}, epoch {epoch + 1}, batch {batch + 1}"
        self._pending.append((loss.detach(), where))
        if len(self._pending) >= self.every:
            self.flush()

    def flush(self) -> None:
        if not self._pending:
            return
        values = torch.stack([loss for loss, _ in self._pending])
        bad = (~torch.isfinite(values)).nonzero()
        if len(bad):
            value, where = values[bad[0, 0]].item(), self._pending[int(bad[0, 0])][1]
            raise MethodError(
                f"the loss of {where} is {value}: lower the learning rate or switch on clipping."
            )
        self._pending.clear()
