"""The contract a method adapter fulfils.

A method says *what* is trained (stages, players, losses) and *what it answers* (embeddings,
predictions). The harness in `fer_bench.training` does the rest: loops, devices, precision,
optimisers, schedules, selection on validation, checkpoints.

Ordinary training is a one-player game. Adversarial training is a two-player game, in which
every player minimises its own loss over its own parameters only: the harness asks for the
gradient of `Player.loss` with respect to `Player.modules` and nothing else, so an encoder never
learns from the critic's loss by accident, nor the other way round.

A complete adapter, found through the entry-point group `fer_bench.methods`::

    class Linear(Method):
        info = MethodInfo(name="linear", title="Linear on pixels")

        class Config(Method.Config):
            dim: int = 16

        def __init__(self, task: Task, config: Config) -> None:
            super().__init__(task, config)
            self.encoder = nn.Sequential(nn.Flatten(), nn.LazyLinear(config.dim))
            self.head = nn.Linear(config.dim, len(task.classes))

        def stages(self) -> list[Stage]:
            return [Stage("train", players=[Player("all", [self.encoder, self.head], self.loss)])]

        def loss(self, batch: Batch) -> dict[str, Tensor]:
            logits = self.head(self.encoder(batch.images))
            return {"total": functional.cross_entropy(logits, batch.expression)}

        def embed(self, images: Tensor) -> Embeddings:
            return Embeddings(expression=self.encoder(images))

        def predict(self, images: Tensor) -> Prediction:
            return Prediction(logits=self.head(self.encoder(images)))

A method with a decoder of its own has `decode` as well.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

import torch
from pydantic import BaseModel, ConfigDict, SerializerFunctionWrapHandler, model_serializer
from torch import Tensor, nn

from fer_bench.cautions import Caution
from fer_bench.errors import MethodError
from fer_bench.published import Published

DataRequirement = Literal["pairs", "subjects", "attributes", "valence_arousal"]
Role = Literal["method", "reference", "oracle"]


@dataclass(frozen=True)
class MethodInfo:
    """What a reader must know about a method before looking at its numbers.

    Attributes:
        name: the registered name, such as "dice-fer".
        title: the name in tables, such as "DICE-FER".
        paper, year: where it comes from.
        role: "method", "reference" (shown apart, no claim), or "oracle". An oracle is given the
            labels of what it embeds, to pin the scale of every metric; nothing else ever is.
        needs: what the training data must have.
        produces_identity: whether `embed` gives an identity embedding.
        data_parallel: whether several devices can train one run: they share the work of its
            `Backbone` modules, and each computes all that follows for the whole batch.
        published: numbers printed in papers.
        deviations: every deviation from the source, and why.
    """

    name: str
    title: str
    paper: str = ""
    year: int | None = None
    role: Role = "method"
    needs: frozenset[DataRequirement] = frozenset()
    produces_identity: bool = False
    data_parallel: bool = False
    published: tuple[Published, ...] = ()
    deviations: tuple[str, ...] = ()


@dataclass(frozen=True)
class Task:
    """What a method may know before training starts.

    Attributes:
        classes: expression names; a label code is an index into them.
        subjects: subject names; a subject code is an index into them. Those of the training
            part come first: `n_train_subjects` of them are all that a head can ever see.
        shape: (channels, height, width) of a face.
        attributes: levels of each categorical attribute column.
        valence_arousal: whether the data carry these targets.
        class_counts: training faces per class.
        target: what is predicted and selected on.
    """

    classes: tuple[str, ...]
    subjects: tuple[str, ...]
    n_train_subjects: int
    shape: tuple[int, int, int]
    attributes: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    valence_arousal: bool = False
    class_counts: tuple[int, ...] = ()
    target: Literal["expression", "valence_arousal"] = "expression"


@dataclass(frozen=True)
class Batch:
    """B faces on the device, with what is known about them.

    Attributes:
        images: [B, C, H, W] float32, augmented (in training) and normalised.
        pixels: [B, C, H, W] uint8 as stored, for what brings its own normalisation (CLIP).
        expression: [B] int64 codes, -1 where missing.
        subject: [B] int64 codes into `Task.subjects`, -1 where missing.
        valence_arousal: [B, 2] float32, NaN where missing.
        attributes: [B] int64 codes into the levels of each `Task.attributes`, -1 where missing.
        index: [B] int64 rows of the data set (stable keys for caches).
        partner: in a "pairs" stage, faces of the same expression and, where subjects are
            known, of another subject; row i belongs to row i.
    """

    images: Tensor
    pixels: Tensor
    expression: Tensor
    subject: Tensor
    valence_arousal: Tensor
    attributes: Mapping[str, Tensor]
    index: Tensor
    partner: Batch | None = None

    def __len__(self) -> int:
        return len(self.index)


@dataclass(frozen=True)
class Embeddings:
    """Expression embedding [B, d_e] and, where the method has one, identity embedding [B, d_i].

    `further` holds embeddings [B, d] that the method has beside these, by the names of its paper
    (letters, digits and underscores): they are stored, probed and mapped as well, and compared
    with no other method's.
    """

    expression: Tensor
    identity: Tensor | None = None
    further: Mapping[str, Tensor] = field(default_factory=dict)


@dataclass(frozen=True)
class Prediction:
    """Class scores [B, n_classes] before the softmax and / or valence-arousal [B, 2]."""

    logits: Tensor | None = None
    valence_arousal: Tensor | None = None


@dataclass(frozen=True)
class Claim:
    """What a loss term claims to do, for the sign audit.

    One small step of `player` on its total loss restricted to this term must move `measure`
    (a scalar of the method and a batch) in the claimed direction.
    """

    player: str
    term: str
    effect: Literal["raises", "lowers"]
    measure: Callable[[Batch], Tensor]
    what: str = ""


@dataclass(frozen=True)
class Player:
    """Owns parameters, an optimiser and a loss, and minimises that loss over them alone.

    Attributes:
        name: shown in histories and error messages.
        modules: the modules (or bare parameters) it owns; no two players of a stage share any.
        loss: batch -> named scalars with a "total", which is what is minimised.
        lr, weight_decay, betas: of Adam (AdamW when weight_decay > 0); lr None takes the run's.
        steps: optimiser steps per batch.
    """

    name: str
    modules: Sequence[nn.Module | nn.Parameter]
    loss: Callable[[Batch], dict[str, Tensor]]
    lr: float | None = None
    weight_decay: float = 0.0
    betas: tuple[float, float] = (0.9, 0.999)
    steps: int = 1

    def parameters(self) -> list[nn.Parameter]:
        """The owned parameters that can be trained, each once."""
        seen: dict[int, nn.Parameter] = {}
        for owned in self.modules:
            parameters = [owned] if isinstance(owned, nn.Parameter) else list(owned.parameters())
            seen.update((id(p), p) for p in parameters)
        return list(seen.values())


@dataclass(frozen=True)
class Stage:
    """One phase of training.

    Attributes:
        name: shown in histories.
        players: who plays; within a batch they move in this order.
        batch: "images", or "pairs" of the same expression and different subjects.
        share: epochs of this stage as a share of the run's budget of epochs.
        frozen: modules that are neither trained nor allowed to change a buffer (eval mode).
        select: what validation decides the kept epoch: "prediction" (balanced accuracy, or
            mean CCC for valence-arousal), "loss" (summed totals of `select_players`), or "last".
        select_players: whose totals "loss" sums; empty means the first player.
        augment: whether training faces are augmented.
        batch_size: overrides the run's, where a method depends on it.
        claims: what the losses claim, checked by the sign audit.
        ceilings: the largest value that a bound among the terms can take, by term; a run says so
            where a bound stays near 0, or holds on training faces alone.
        on_start: called once before the stage with the number of steps to come (schedules,
            warm starts).
        on_step: called before every batch with progress in [0, 1) (ramps).
    """

    name: str
    players: Sequence[Player]
    batch: Literal["images", "pairs"] = "images"
    share: float = 1.0
    frozen: Sequence[nn.Module] = ()
    select: Literal["prediction", "loss", "last"] = "prediction"
    select_players: tuple[str, ...] = ()
    augment: bool = True
    batch_size: int | None = None
    claims: Sequence[Claim] = ()
    ceilings: Mapping[str, float] = field(default_factory=dict)
    on_start: Callable[[int], None] | None = None
    on_step: Callable[[float], None] | None = None


class Method(nn.Module):
    """Base of all adapters: build from a task and a config, list stages, embed, predict.

    Class attributes:
        info: facts about the method.
        Config: its parameters (a pydantic model with a default for every field), so that a
            wrong key in an experiment file is named before anything runs.
        stage_parameters: parameters of `Config` that matter only from a stage on, by the name of
            that stage, in the order of the stages. Runs that differ in these alone train the
            stages before it once and share them; a parameter that is not named matters from the
            beginning.
    """

    info: ClassVar[MethodInfo]
    stage_parameters: ClassVar[Mapping[str, Sequence[str]]] = {}

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        if "warnings" in vars(cls):
            raise MethodError(
                f"{cls.__module__}.{cls.__qualname__}.warnings() is called by nobody: rename it to "
                "cautions(); it may return sentences as before."
            )
        named = {name for names in cls.stage_parameters.values() for name in names}
        unknown = sorted(named - cls.Config.model_fields.keys())
        if unknown:
            raise MethodError(
                f"{cls.__module__}.{cls.__qualname__}.stage_parameters names {unknown}, which its "
                "Config does not have."
            )

    class Config(BaseModel):
        """Parameters of a method; unknown keys are refused.

        Class attributes:
            later_keys: keys that came after runs had been made; they are written only where they
                are set, so that the ids of those runs stay.
        """

        model_config = ConfigDict(extra="forbid", frozen=True)

        later_keys: ClassVar[tuple[str, ...]] = ()

        @model_serializer(mode="wrap")
        def _written(self, plain: SerializerFunctionWrapHandler) -> dict[str, Any]:
            fields = type(self).model_fields
            unset = {k for k in self.later_keys if getattr(self, k) == fields[k].default}
            return {key: value for key, value in plain(self).items() if key not in unset}

    def __init__(self, task: Task, config: Any) -> None:
        super().__init__()
        self.task = task
        self.config = config

    def stages(self) -> Sequence[Stage]:
        """What is trained, in order; may be empty (reference rows)."""
        raise NotImplementedError

    def fit_arrays(self, images: Tensor) -> None:
        """Called once before the stages with up to 2,000 normalised training faces.

        For reference rows that are not trained by gradient descent (a PCA of pixels, say).
        """

    def cautions(self) -> Sequence[Caution | str]:
        """Called once after training: what a reader of the numbers must know."""
        return ()

    def embed(self, images: Tensor) -> Embeddings:
        """[B, C, H, W] normalised faces -> embeddings."""
        raise NotImplementedError

    def predict(self, images: Tensor) -> Prediction:
        """[B, C, H, W] normalised faces -> predictions; none by default."""
        return Prediction()

    def decode(self, embeddings: Embeddings) -> Tensor | None:
        """Embeddings -> [B, C, H, W] normalised faces, where the method has a decoder of its own.

        What it draws of test faces is kept with a run, and stands beside what the decoder probe
        draws of them.
        """
        return None


class Oracle(Method):
    """A method that is shown the answers, so that every metric has known end points."""

    def embed_labelled(self, batch: Batch) -> Embeddings:
        """Labelled batch -> embeddings."""
        raise NotImplementedError

    def predict_labelled(self, batch: Batch) -> Prediction:
        """Labelled batch -> predictions; none by default."""
        return Prediction()


@torch.no_grad()
def infer(method: Method, batch: Batch) -> tuple[Embeddings, Prediction]:
    """Embed and predict one batch; only an oracle sees its labels."""
    if isinstance(method, Oracle):
        return method.embed_labelled(batch), method.predict_labelled(batch)
    return method.embed(batch.images), method.predict(batch.images)
