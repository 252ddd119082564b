"""The checks of the contract: shapes, repeatability, ownership, gradients, freezing."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, get_args

import numpy as np
import torch
from pydantic import BaseModel

from fer_bench.conformance.examples import (
    FACES,
    batch_of,
    example_batch,
    example_task,
    few_faces,
    first_rows,
)
from fer_bench.conformance.finding import Finding
from fer_bench.conformance.rehearsal import copied, estimate_statistics, play, training_mode
from fer_bench.conformance.signs import INITIALISATIONS, audit_claims, settled
from fer_bench.errors import FerBenchError
from fer_bench.method import Batch, Embeddings, Method, Oracle, Prediction, Stage, Task, infer
from fer_bench.registry import methods
from fer_bench.training.loop import materialise
from fer_bench.training.session import build_method
from fer_bench.training.shared import parameters_from


def check_method(name: str, **parameters: Any) -> list[Finding]:
    """Check a registered adapter.

    Args:
        name: registered name.
        parameters: of its `Config`; a small encoder is used unless one is given.

    Returns:
        One `Finding` for each check, in the order of the contract.

    Raises:
        UnknownNameError: there is no such method.

    >>> all(finding.passed for finding in check_method("erm"))  # doctest: +SKIP
    True
    """
    return check_adapter(methods.get(name), **parameters)


def check_adapter(adapter: type[Method], **parameters: Any) -> list[Finding]:
    """Check an adapter class; see `check_method`."""
    return list(checking(adapter, **parameters))


def check_part(adapter: type[Method], part: str, **parameters: Any) -> list[Finding]:
    """The findings of one of `PARTS` of `check_adapter`."""
    return list(_Check(adapter, parameters).part(part))


def checking(adapter: type[Method], **parameters: Any) -> Iterator[Finding]:
    """Check an adapter class, yielding each finding as soon as its check is done.

    Args:
        adapter: the class.
        parameters: as for `check_method`.
    """
    return _Check(adapter, parameters).run()


PARTS = ("build", "answers", "repeats", "shares", "stages", "fits")
"""The checks of an adapter that can be run apart; see `check_part`."""

_FIT_STEPS = 150


class _Check:
    """The checks of one adapter; each yields findings, a crash becomes a finding of its own."""

    def __init__(self, adapter: type[Method], parameters: dict[str, Any]) -> None:
        self.adapter = adapter
        self.parameters = parameters

    def run(self) -> Iterator[Finding]:
        first, *others = PARTS
        for finding in self.part(first):
            yield finding
            if not finding.passed:
                return
        for name in others:
            yield from self.part(name)

    def part(self, name: str) -> Iterator[Finding]:
        """The findings of one of `PARTS`."""
        with torch.random.fork_rng(devices=[]):
            try:
                yield from getattr(self, f"_{name}")()
            except Exception as error:
                yield Finding(name, False, f"raises {type(error).__name__}: {error}")

    def _build(self) -> Iterator[Finding]:
        try:
            built = self.new()
        except FerBenchError as error:
            yield Finding("build", False, f"needs parameters to be checked: {error}")
        else:
            yield Finding("build", True, f"{type(built).__name__} builds from a task and a config")

    def new(self, seed: int = 0, **changed: Any) -> Method:
        """A fresh instance, the same every time for a seed; some parameters may be changed."""
        method = build_method(self.adapter, self._config(**changed), self.task, seed=seed)
        materialise(method, example_batch(self.task))
        if not isinstance(method, Oracle):
            with torch.no_grad():
                method.fit_arrays(batch_of(self.task, np.arange(FACES)).images)
        return method

    @property
    def task(self) -> Task:
        """The example task."""
        return example_task()

    def _config(self, **changed: Any) -> Any:
        fields = self.adapter.Config.model_fields
        default = fields["backbone"].default if "backbone" in fields else None
        takes_conv4 = getattr(default, "name", None) == "conv4"
        small: dict[str, Any] = {"backbone": {"name": "conv4", "width": 8}} if takes_conv4 else {}
        return self.adapter.Config(**(small | self.parameters | changed))

    def _answers(self) -> Iterator[Finding]:
        """Shapes, dtypes, eval mode."""
        method = self.new().eval()
        batch = example_batch(self.task)
        embeddings, prediction = infer(method, batch)
        wrong = list(_wrong_shapes(method, embeddings, prediction, len(batch)))
        wrong += _wrong_drawings(method, embeddings, batch)
        yield from (Finding("shape", False, text) for text in wrong)
        if not wrong:
            yield Finding("shape", True, "embeddings and predictions are [B, d], float, finite")
        yield from _companions(method, batch, embeddings, prediction)
        if method.info.produces_identity and embeddings.identity is None:
            yield Finding("shape", False, "info says produces_identity, embed gives none")

    def _repeats(self) -> Iterator[Finding]:
        """The same seed gives the same training."""
        states = []
        for _ in range(2):
            method = self.new()
            for stage in method.stages():
                play(method, stage, example_batch(self.task), steps=2)
            states.append(method.state_dict())
        changed = [k for k in states[0] if not torch.equal(states[0][k], states[1][k])]
        yield Finding(
            "determinism",
            not changed,
            "the same seed gives the same weights"
            if not changed
            else f"two runs with one seed differ in {_listed(changed)}: draw random numbers from "
            "torch's generator only",
        )

    def _shares(self) -> Iterator[Finding]:
        """A stage does not depend on the parameters that are said to matter only after it."""
        names = [stage.name for stage in self.new().stages()]
        for first in self.adapter.stage_parameters:
            if first not in names:
                text = f"stage_parameters names the stage {first!r}, and there is only {names}"
                yield Finding("shared-stages", False, text)
                continue
            done = names.index(first)
            for name in sorted(parameters_from(self.adapter, names[done:])):
                if not self._same_without(name, done):
                    text = f"{name} changes what is trained before the stage {first!r}: "
                    text += "name it for an earlier stage of stage_parameters, or for none"
                    yield Finding("shared-stages", False, text)
                    break
            else:
                text = f"what is trained before the stage {first!r} can be shared"
                yield Finding("shared-stages", True, text)

    def _same_without(self, name: str, done: int) -> bool:
        """Whether the first stages change the same weights alike for another value of one."""
        config, states = self._config(), []
        for value in (getattr(config, name), _other(type(config), name, getattr(config, name))):
            method = self.new(**{name: value})
            before = {key: tensor.clone() for key, tensor in method.state_dict().items()}
            torch.manual_seed(0)  # as the loop does: building draws more for a wider layer
            for stage in list(method.stages())[:done]:
                play(method, stage, example_batch(self.task), steps=1)
            after = method.state_dict()
            states.append({k: v for k, v in after.items() if not torch.equal(v, before[k])})
        one, other = states
        return one.keys() == other.keys() and all(torch.equal(v, other[k]) for k, v in one.items())

    def _stages(self) -> Iterator[Finding]:
        method = self.new()
        count = len(method.stages())
        if not count:
            yield Finding("stages", True, "nothing is trained")
        for number in range(count):
            first, *others = (partial(self._stage, number, seed) for seed in INITIALISATIONS)
            yield from settled(first(), others)

    def _fits(self) -> Iterator[Finding]:
        """Eight faces can be learned by heart, by what claims to learn."""
        method, faces = self.new(), few_faces(self.task)
        stages = list(method.stages()) if method.info.role == "method" else []
        for stage in stages:
            play(method, stage, faces, steps=_FIT_STEPS)
            estimate_statistics(method, stage, faces)
        _, prediction = infer(method.eval(), faces)
        if not stages or prediction.logits is None:
            return
        right = int((prediction.logits.argmax(1) == faces.expression).sum())
        text = f"{right} of {len(faces)} training faces are right after {_FIT_STEPS} steps a stage"
        if right < len(faces):
            text += ": what cannot fit eight faces cannot learn from more"
        yield Finding("fit", right == len(faces), text)

    def _stage(self, number: int, seed: int) -> Iterator[Finding]:
        """One stage of a method with the initial weights of a seed, after those before it."""
        method = self.new(seed)
        done = list(method.stages())
        for earlier in done[:number]:
            play(method, earlier, example_batch(self.task), steps=3)
        yield from check_stage(method, done[number], example_batch(self.task))


def _other(config: type[BaseModel], name: str, value: Any) -> Any:
    """Another value of a parameter, where its type says which there are."""
    choices = get_args(config.model_fields[name].annotation)
    if isinstance(value, bool):
        return not value
    if isinstance(value, int):
        return value + 1
    if isinstance(value, float):
        return value / 2 if value else 0.5
    return next((choice for choice in choices if choice != value), value)


def check_stage(method: Method, stage: Stage, batch: Batch) -> Iterator[Finding]:
    """Yield the findings on one stage: ownership, freezing, gradients and claims."""
    batch = batch if stage.batch == "pairs" else replace(batch, partner=None)
    owned = list(_ownership(method, stage))
    yield from owned
    if any(not finding.passed for finding in owned):
        return
    for check in (_gradients, _frozen_stays, audit_claims):
        try:
            yield from check(method, stage, batch)
        except Exception as error:
            text = f"stage {stage.name!r} raises {type(error).__name__}: {error}"
            yield Finding(check.__name__.strip("_"), False, text)


def _wrong_shapes(
    method: Method, embeddings: Embeddings, prediction: Prediction, count: int
) -> Iterator[str]:
    outputs = {
        "embed().expression": embeddings.expression,
        "embed().identity": embeddings.identity,
        **{f"embed().further[{name!r}]": x for name, x in embeddings.further.items()},
        "predict().logits": prediction.logits,
        "predict().valence_arousal": prediction.valence_arousal,
    }
    width = {"predict().logits": len(method.task.classes), "predict().valence_arousal": 2}
    for name, value in outputs.items():
        if value is None:
            continue
        if (
            value.ndim != 2
            or len(value) != count
            or value.shape[1] != width.get(name, value.shape[-1])
        ):
            expected = f"[{count}, {width.get(name, 'd')}]"
            yield f"{name} is {list(value.shape)}; expected {expected}"
        elif not value.is_floating_point():
            yield f"{name} is {value.dtype}; expected a float type"
        elif not torch.isfinite(value).all():
            yield f"{name} holds values that are not finite"


def _wrong_drawings(method: Method, embeddings: Embeddings, batch: Batch) -> Iterator[str]:
    drawn = method.decode(embeddings)
    if drawn is None:
        return
    if drawn.shape != batch.images.shape:
        yield f"decode() gives {list(drawn.shape)}; expected {list(batch.images.shape)}"
    elif not torch.isfinite(drawn).all():
        yield "decode() holds values that are not finite"


def _companions(
    method: Method, batch: Batch, embeddings: Embeddings, prediction: Prediction
) -> Iterator[Finding]:
    """What is said of a face must not change with the other faces of its batch."""
    alone, predicted = infer(method, first_rows(batch, 2))
    pairs = {
        "an embedding": ("embed", alone.expression, embeddings.expression),
        "class scores": ("predict", predicted.logits, prediction.logits),
        "valence-arousal": ("predict", predicted.valence_arousal, prediction.valence_arousal),
    }
    moved = [
        (what, verb)
        for what, (verb, few, many) in pairs.items()
        if few is not None
        and many is not None
        and not torch.allclose(few, many[: len(few)], atol=1e-4, rtol=1e-3)
    ]
    for what, verb in moved:
        text = (
            f"in eval mode {what} of a face changes with the other faces of its batch: batch "
            f"statistics or labels of other faces enter `{verb}`"
        )
        yield Finding("companions", False, text)
    if not moved:
        text = "what is said of a face does not depend on the other faces of its batch"
        yield Finding("companions", True, text)


def _ownership(method: Method, stage: Stage) -> Iterator[Finding]:
    owner: dict[int, str] = {}
    names = {id(p): name for name, p in method.named_parameters()}
    before = len(stage.players)
    shared, foreign, thawed = [], [], []
    frozen = {id(p) for module in stage.frozen for p in module.parameters()}
    for player in stage.players:
        for parameter in player.parameters():
            other = owner.setdefault(id(parameter), player.name)
            if other != player.name:
                shared.append(f"{names.get(id(parameter), '?')} ({other!r} and {player.name!r})")
            if id(parameter) not in names:
                foreign.append(player.name)
            if id(parameter) in frozen:
                thawed.append(f"{names.get(id(parameter), '?')} (by {player.name!r})")
    where = f"stage {stage.name!r}"
    if shared:
        yield Finding(
            "shared-parameter", False, f"{where}: owned by two players: {_listed(shared)}"
        )
    if foreign:
        yield Finding(
            "ownership", False, f"{where}: {_listed(foreign)} own parameters outside the method"
        )
    if thawed:
        yield Finding("frozen", False, f"{where}: frozen and yet owned: {_listed(thawed)}")
    if not (shared or foreign or thawed):
        yield Finding("ownership", True, f"{where}: {before} player(s), no parameter owned twice")


def _gradients(method: Method, stage: Stage, batch: Batch) -> Iterator[Finding]:
    """Every owned parameter gets a finite gradient from its own player's loss."""
    names = {id(p): name for name, p in method.named_parameters()}
    with training_mode(method, stage):
        for player in stage.players:
            where = f"stage {stage.name!r}, player {player.name!r}"
            owned = player.parameters()
            if not owned:
                yield Finding("gradient", False, f"{where}: owns no parameters")
                continue
            losses = player.loss(batch)
            total = losses.get("total")
            if total is None or total.ndim != 0 or not torch.isfinite(total):
                yield Finding("loss", False, f"{where}: no finite scalar 'total' in {list(losses)}")
                continue
            gradients = torch.autograd.grad(total, owned, allow_unused=True)
            missing = [names[id(p)] for p, g in zip(owned, gradients, strict=True) if g is None]
            bad = [
                names[id(p)]
                for p, g in zip(owned, gradients, strict=True)
                if g is not None and not torch.isfinite(g).all()
            ]
            dead = all(g is None or not g.any() for g in gradients)
            if missing:
                yield Finding("gradient", False, f"{where}: none reaches {_listed(missing)}")
            if bad:
                yield Finding("gradient", False, f"{where}: not finite in {_listed(bad)}")
            if dead:
                yield Finding("gradient", False, f"{where}: all gradients are zero")
            if not (missing or bad or dead):
                text = f"{where}: finite and non-zero, {len(owned)} parameter tensors"
                yield Finding("gradient", True, text)


def _frozen_stays(method: Method, stage: Stage, batch: Batch) -> Iterator[Finding]:
    """What is frozen keeps its parameters and its buffers; so does what nobody owns."""
    method, stage = copied(method, stage)  # later checks see the method as it was
    inside = {id(t) for m in stage.frozen for t in (*m.parameters(), *m.buffers())}
    owned = {id(p) for player in stage.players for p in player.parameters()}
    tensors = dict(method.named_parameters()) | dict(method.named_buffers())
    buffers = {name for name, _ in method.named_buffers()}
    before = {name: t.detach().clone() for name, t in tensors.items()}
    play(method, stage, batch, steps=2)
    moved = [name for name, t in tensors.items() if not torch.equal(t, before[name])]
    thawed = [name for name in moved if id(tensors[name]) in inside]
    strays = [n for n in moved if n not in buffers and id(tensors[n]) not in owned | inside]
    where = f"stage {stage.name!r}"
    if thawed:
        yield Finding("frozen", False, f"{where}: frozen but changed: {_listed(thawed)}")
    if strays:
        yield Finding(
            "ownership", False, f"{where}: changed but owned by nobody: {_listed(strays)}"
        )
    if not (thawed or strays):
        text = (
            f"{where}: frozen modules keep weights and buffers"
            if inside
            else (f"{where}: only owned parameters move")
        )
        yield Finding("frozen", True, text)


def _listed(names: Sequence[str]) -> str:
    shown = ", ".join(names[:4])
    return shown if len(names) <= 4 else f"{shown} and {len(names) - 4} more"
