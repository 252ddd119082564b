"""Does a method adapter keep the contract, and do its losses move what they claim to move?

`check_method` runs an adapter on a few generated faces and says in words what is wrong. The
*sign audit* takes every `Claim` of every stage: it trains the other players until they know
their part, lets the claiming player take small steps on that term alone, and looks at a measure
that must rise or fall. Adversarial losses with a wrong sign train without any error message;
this is where they show.

`audit_bound`, `audit_gap` and `audit_pairs` do the same for an information bound, for a
disentanglement gap and for a pair sampler.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from torch import Tensor

from fer_bench.errors import FerBenchError
from fer_bench.method import (
    Batch,
    Claim,
    Embeddings,
    Method,
    Oracle,
    Player,
    Prediction,
    Stage,
    Task,
    infer,
)

EXAMPLE_SIZE = 32
_SUBJECTS = 8
_FACES = 112  # 8 people x 7 expressions x 2
_BATCH = 56
_WARM_STEPS = 120  # a discriminator must know its part before its opponent is judged
_CLAIM_STEPS = 10  # then the measure is looked at; where its draws still hide the change, again
_MOST_CLAIM_STEPS = 160
_DRAWS = 8  # of what is random in a measure
_CLAIM_LR = 1e-3


@dataclass(frozen=True)
class Finding:
    """One thing that was checked.

    Attributes:
        check: which check, such as "shape", "frozen" or "sign".
        passed: whether all is well.
        message: what was looked at, or what is wrong and what to do.
    """

    check: str
    passed: bool
    message: str

    def __str__(self) -> str:
        return f"{'ok  ' if self.passed else 'FAIL'}  {self.check}: {self.message}"


# Example data -------------------------------------------------------------------------------


@lru_cache(maxsize=4)
def _example_faces(size: int) -> tuple[Any, Any]:
    from fer_bench.data.synthetic.generated import generate

    images, table, _ = generate(
        subjects=_SUBJECTS, images_per_subject=_FACES // _SUBJECTS, size=size, seed=0
    )
    return np.array(images), table


def example_task(
    *, target: str = "expression", size: int = EXAMPLE_SIZE, subjects: int = _SUBJECTS
) -> Task:
    """The task of the example batch: seven expressions, eight people, 3 x 32 x 32 faces.

    >>> len(example_task().classes)
    7
    """
    from fer_bench.data.labels import EXPRESSIONS

    return Task(
        classes=tuple(EXPRESSIONS[:7]),
        subjects=tuple(f"G{i:03d}" for i in range(subjects)),
        n_train_subjects=subjects,
        shape=(3, size, size),
        attributes={
            "gender": ("man", "woman"),
            "age": ("middle-aged", "old", "young"),
            "skin": ("black", "white", "yellow"),
        },
        valence_arousal=True,
        class_counts=(_FACES // 7,) * 7,
        target="valence_arousal" if target == "valence_arousal" else "expression",
    )


def example_batch(task: Task | None = None, *, count: int = _BATCH, seed: int = 0) -> Batch:
    """Generated faces with all labels, and a partner for each: same expression, other subject.

    >>> batch = example_batch(count=14)
    >>> bool((batch.expression == batch.partner.expression).all())
    True
    >>> bool((batch.subject != batch.partner.subject).all())
    True
    """
    task = task or example_task()
    rng = np.random.default_rng(seed)
    rows = rng.permutation(_FACES)[:count]
    batch = _batch(task, rows)
    everyone = _batch(task, np.arange(_FACES))
    same = batch.expression[:, None] == everyone.expression[None]
    other = batch.subject[:, None] != everyone.subject[None]
    partners = [int(rng.choice(np.flatnonzero(row))) for row in (same & other).numpy()]
    return replace(batch, partner=_batch(task, np.array(partners)))


def _batch(task: Task, rows: Any) -> Batch:
    from fer_bench.data.augment import normalise

    images, table = _example_faces(task.shape[1])
    pixels = torch.from_numpy(images[rows]).permute(0, 3, 1, 2).contiguous()
    part = table.iloc[rows]

    def codes(values: Any, names: Sequence[str]) -> Tensor:
        known = {name: i for i, name in enumerate(names)}
        return torch.tensor([known.get(str(v), -1) for v in values])

    return Batch(
        images=normalise(pixels, "image"),
        pixels=pixels,
        expression=codes(part["expression"], task.classes),
        subject=codes(part["subject"], task.subjects),
        valence_arousal=torch.tensor(part[["valence", "arousal"]].to_numpy(np.float32)),
        attributes={name: codes(part[name], levels) for name, levels in task.attributes.items()},
        index=torch.as_tensor(rows),
    )


# The check ----------------------------------------------------------------------------------


def check_method(name: str, **parameters: Any) -> list[Finding]:
    """Check a registered adapter.

    Args:
        name: registered name.
        parameters: of its `Config`; a small encoder is chosen where nothing is said.

    Returns:
        One `Finding` per check, in the order of the contract; `passed` says how it went.

    Raises:
        UnknownNameError: there is no such method.
    """
    from fer_bench.registry import methods

    return check_adapter(methods.get(name), **parameters)


def check_adapter(adapter: type[Method], **parameters: Any) -> list[Finding]:
    """Check an adapter class; see `check_method`."""
    return list(_Check(adapter, parameters).run())


class _Check:
    """The checks of one adapter; each yields findings, a crash becomes a finding of its own."""

    def __init__(self, adapter: type[Method], parameters: dict[str, Any]) -> None:
        self.adapter = adapter
        self.parameters = parameters

    def run(self) -> Iterator[Finding]:
        with _single_seed():
            built = self._build()
            if isinstance(built, Finding):
                yield built
                return
            yield Finding("build", True, f"{type(built).__name__} builds from a task and a config")
            for check in (self._answers, self._repeats, self._stages):
                try:
                    yield from check()
                except Exception as error:
                    name = check.__name__.strip("_")
                    yield Finding(name, False, f"raises {type(error).__name__}: {error}")

    def _build(self) -> Method | Finding:
        try:
            return self.new()
        except FerBenchError as error:
            return Finding("build", False, f"needs parameters to be checked: {error}")
        except Exception as error:
            return Finding("build", False, f"raises {type(error).__name__}: {error}")

    def new(self) -> Method:
        """A fresh instance, the same every time."""
        torch.manual_seed(0)
        method = self.adapter(self.task, self._config())
        batch = example_batch(self.task)
        method.eval()
        with torch.no_grad():
            if not isinstance(method, Oracle):
                method.embed(batch.images)  # gives lazy modules their shapes
                method.predict(batch.images)
                method.fit_arrays(_batch(self.task, np.arange(_FACES)).images)
        return method

    @property
    def task(self) -> Task:
        """The example task."""
        return example_task()

    def _config(self) -> Any:
        fields = self.adapter.Config.model_fields
        default = fields["backbone"].default if "backbone" in fields else None
        takes_conv4 = getattr(default, "name", None) == "conv4"
        small: dict[str, Any] = {"backbone": {"name": "conv4", "width": 8}} if takes_conv4 else {}
        return self.adapter.Config(**(small | self.parameters))

    def _answers(self) -> Iterator[Finding]:
        """Shapes, dtypes, eval mode."""
        method = self.new().eval()
        batch = example_batch(self.task)
        embeddings, prediction = infer(method, batch)
        wrong = list(_wrong_shapes(method, embeddings, prediction, len(batch)))
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
                _play(method, stage, example_batch(self.task), steps=2)
            states.append(method.state_dict())
        changed = [k for k in states[0] if not torch.equal(states[0][k], states[1][k])]
        yield Finding(
            "determinism",
            not changed,
            "the same seed gives the same weights"
            if not changed
            else f"two runs with one seed differ in {_some(changed)}: draw random numbers from "
            "torch's generator only",
        )

    def _stages(self) -> Iterator[Finding]:
        method = self.new()
        count = len(method.stages())
        if not count:
            yield Finding("stages", True, "nothing is trained")
        for number in range(count):
            method = self.new()
            done = list(method.stages())
            for earlier in done[:number]:
                _play(method, earlier, example_batch(self.task), steps=3)
            yield from check_stage(method, done[number], example_batch(self.task))


def check_stage(method: Method, stage: Stage, batch: Batch) -> list[Finding]:
    """Ownership, freezing, gradients and claims of one stage."""
    batch = batch if stage.batch == "pairs" else replace(batch, partner=None)
    found = [*_ownership(method, stage)]
    if any(not f.passed for f in found):
        return found
    for check in (_gradients, _frozen_stays, _claims):
        try:
            found += check(method, stage, batch)
        except Exception as error:
            text = f"stage {stage.name!r} raises {type(error).__name__}: {error}"
            found.append(Finding(check.__name__.strip("_"), False, text))
    return found


def _wrong_shapes(
    method: Method, embeddings: Embeddings, prediction: Prediction, count: int
) -> Iterator[str]:
    found = {
        "embed().expression": embeddings.expression,
        "embed().identity": embeddings.identity,
        "predict().logits": prediction.logits,
        "predict().valence_arousal": prediction.valence_arousal,
    }
    width = {"predict().logits": len(method.task.classes), "predict().valence_arousal": 2}
    for name, value in found.items():
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


def _companions(
    method: Method, batch: Batch, embeddings: Embeddings, prediction: Prediction
) -> Iterator[Finding]:
    """What is said of a face must not change with the other faces of its batch."""
    alone, predicted = infer(method, _rows(batch, 0, 2))
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
        yield Finding("shared-parameter", False, f"{where}: owned by two players: {_some(shared)}")
    if foreign:
        yield Finding(
            "ownership", False, f"{where}: {_some(foreign)} own parameters outside the method"
        )
    if thawed:
        yield Finding("frozen", False, f"{where}: frozen and yet owned: {_some(thawed)}")
    if not (shared or foreign or thawed):
        yield Finding("ownership", True, f"{where}: {before} player(s), no parameter owned twice")


def _gradients(method: Method, stage: Stage, batch: Batch) -> Iterator[Finding]:
    """Every owned parameter gets a finite gradient from its own player's loss."""
    names = {id(p): name for name, p in method.named_parameters()}
    with _training(method, stage):
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
                yield Finding("gradient", False, f"{where}: none reaches {_some(missing)}")
            if bad:
                yield Finding("gradient", False, f"{where}: not finite in {_some(bad)}")
            if dead:
                yield Finding("gradient", False, f"{where}: all gradients are zero")
            if not (missing or bad or dead):
                text = f"{where}: finite and non-zero, {len(owned)} parameter tensors"
                yield Finding("gradient", True, text)


def _frozen_stays(method: Method, stage: Stage, batch: Batch) -> Iterator[Finding]:
    """What is frozen keeps its parameters and its buffers; so does what nobody owns."""
    method, stage = _copied(method, stage)  # later checks see the method as it was
    inside = {id(t) for m in stage.frozen for t in (*m.parameters(), *m.buffers())}
    owned = {id(p) for player in stage.players for p in player.parameters()}
    tensors = dict(method.named_parameters()) | dict(method.named_buffers())
    buffers = {name for name, _ in method.named_buffers()}
    before = {name: t.detach().clone() for name, t in tensors.items()}
    _play(method, stage, batch, steps=2)
    moved = [name for name, t in tensors.items() if not torch.equal(t, before[name])]
    thawed = [name for name in moved if id(tensors[name]) in inside]
    strays = [n for n in moved if n not in buffers and id(tensors[n]) not in owned | inside]
    where = f"stage {stage.name!r}"
    if thawed:
        yield Finding("frozen", False, f"{where}: frozen but changed: {_some(thawed)}")
    if strays:
        yield Finding("ownership", False, f"{where}: changed but owned by nobody: {_some(strays)}")
    if not (thawed or strays):
        text = (
            f"{where}: frozen modules keep weights and buffers"
            if inside
            else (f"{where}: only owned parameters move")
        )
        yield Finding("frozen", True, text)


# The sign audit -----------------------------------------------------------------------------


def _claims(method: Method, stage: Stage, batch: Batch) -> Iterator[Finding]:
    for player in dict.fromkeys(claim.player for claim in stage.claims):
        ready, same = _rehearsed(method, stage, player, batch)
        for old, new in zip(stage.claims, same.claims, strict=True):
            if old.player == player:
                yield audit_claim(ready, same, new, batch, rehearse=False)


def _rehearsed(method: Method, stage: Stage, player: str, batch: Batch) -> tuple[Method, Stage]:
    """A copy in which everybody but `player` knows their part."""
    copy, same = _copied(method, stage)
    others = [p for p in same.players if p.name != player]
    _play(copy, same, batch, steps=_WARM_STEPS if others else 0, players=others)
    return copy, same


def _copied(method: Method, stage: Stage) -> tuple[Method, Stage]:
    """A copy of the method, and the same stage of that copy."""
    copy = deepcopy(method)
    return copy, next(s for s in copy.stages() if s.name == stage.name)


def audit_claim(
    method: Method, stage: Stage, claim: Claim, batch: Batch, *, rehearse: bool = True
) -> Finding:
    """Does the term move its measure the way it claims? Works on a copy of the method.

    Args:
        method, stage, claim, batch: what is audited, and on which faces.
        rehearse: train the other players first.

    The weight of a term in the total is read off the total itself, as its derivative with
    respect to the term: a term that enters with the wrong sign, or not at all, is found even
    when it looks right in the history.
    """
    where = f"stage {stage.name!r}: {claim.term!r} of {claim.player!r}"
    what = claim.what or "its measure"
    try:
        position = list(stage.claims).index(claim)
    except ValueError:
        return Finding("sign", False, f"{where}: the claim belongs to another stage")
    # The audit trains; on a copy, so that one claim does not see the steps of another.
    if rehearse:
        method, stage = _rehearsed(method, stage, claim.player, batch)
    else:
        method, stage = _copied(method, stage)
    claim = stage.claims[position]
    player = next((p for p in stage.players if p.name == claim.player), None)
    if player is None:
        return Finding("sign", False, f"{where}: there is no such player in this stage")
    with _training(method, stage):
        losses = player.loss(batch)
        if claim.term not in losses:
            return Finding("sign", False, f"{where}: its loss has only {sorted(losses)}")
        weight = _weight(losses, claim.term)
        if weight is None:
            text = f"{where} does not enter the total: nothing follows from it"
            return Finding("sign", False, text)
        if weight == 0:
            return Finding("sign", True, f"{where} has weight 0: nothing to audit")
        before = _measure(claim, batch)
        owned = player.parameters()
        optimizer = torch.optim.Adam(owned, lr=_CLAIM_LR)
        for step in range(1, _MOST_CLAIM_STEPS + 1):
            term = math.copysign(1.0, weight) * player.loss(batch)[claim.term]
            gradients = torch.autograd.grad(term, owned, allow_unused=True)
            for parameter, gradient in zip(owned, gradients, strict=True):
                parameter.grad = gradient
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
            # A player that starts from nothing moves less at first than the draws of its measure.
            if step % _CLAIM_STEPS == 0 and _is_clear((after := _measure(claim, batch)) - before):
                break
    change = float((after - before).mean())
    passed = change > 0 if claim.effect == "raises" else change < 0
    moved = f"{before.mean():.4g} -> {after.mean():.4g}"
    if passed:
        return Finding("sign", True, f"{where} {claim.effect} {what} ({moved})")
    return Finding(
        "sign",
        False,
        f"{where} claims that it {claim.effect} {what}, but a step on it moves that {moved}: "
        "its sign is wrong, or it acts on the wrong parameters",
    )


def _weight(losses: dict[str, Tensor], term: str) -> float | None:
    """d total / d term; None where the total was not computed from it."""
    value, total = losses[term], losses["total"]
    if term == "total":
        return 1.0
    if not value.requires_grad:
        return None
    gradient = torch.autograd.grad(total, value, allow_unused=True, retain_graph=True)[0]
    return None if gradient is None else float(gradient)


def _measure(claim: Claim, batch: Batch) -> Tensor:
    """The claim's measure, once for each of a few random draws; the same before and after."""
    state = torch.get_rng_state()
    found = []
    try:
        with torch.no_grad():
            for draw in range(_DRAWS):
                torch.manual_seed(draw)
                found.append(float(claim.measure(batch)))
    finally:
        torch.set_rng_state(state)
    return torch.tensor(found, dtype=torch.float64)


def _is_clear(change: Tensor) -> bool:
    """Is the mean change beyond three standard errors? Without random draws any change is."""
    return bool(change.mean().abs() > 3 * change.std() / math.sqrt(len(change)))


# Audits of what is not a method -------------------------------------------------------------

BoundFunction = Callable[[Tensor, Tensor], Tensor]
"""Joint scores [B, P] and marginal scores [K, B, P] -> scalar lower bound."""


def audit_bound(bound: BoundFunction, *, name: str = "bound") -> list[Finding]:
    """Does a bound on critic scores behave as one?

    It must be 0 for scores that tell nothing, rise with what the scores tell, keep its value
    when the positions of a map are repeated (else it sums positions before the exponential),
    and keep a gradient at scores far from 0 (else its critic is clamped).

    >>> from fer_bench.baselines.common.bounds import Bound
    >>> all(finding.passed for finding in audit_bound(Bound("dv").eval()))
    True
    """
    torch.manual_seed(0)
    flat, noise = torch.zeros(64, 1), torch.zeros(8, 64, 1)
    at_zero = float(bound(flat, noise))
    joint = 1 + 0.3 * torch.randn(64, 1)
    marginal = -1 + 0.3 * torch.randn(8, 64, 1)
    told, swapped = float(bound(joint, marginal)), float(bound(marginal[0], joint[None]))
    repeated = float(bound(joint.expand(-1, 16), marginal.expand(-1, -1, 16)))
    far = (8 * joint).requires_grad_()
    reached = torch.autograd.grad(bound(far, 8 * marginal), far)[0].abs().sum()
    shifted = float(bound(8 * joint, 8 * marginal))
    return [
        _finding("bound-zero", abs(at_zero) < 1e-5, f"{name} of scores that tell nothing is "
                 f"{at_zero:.4g}", "it must be 0 where nothing is known"),
        _finding("bound-sign", told > 0 > swapped, f"{name} is {told:.3g} for a good critic and "
                 f"{swapped:.3g} for a bad one", "joint and marginal scores are mixed up"),
        _finding("bound-positions", abs(repeated - told) < 1e-4, f"{name} is {told:.3g} with one "
                 f"position and {repeated:.3g} with 16 equal ones",
                 "positions must be averaged, not summed before the exponential"),
        _finding("bound-clamped", float(reached) > 0 and shifted > told, f"{name} goes on from "
                 f"{told:.3g} to {shifted:.3g} with a sharper critic", "its scores are clamped"),
    ]  # fmt: skip


def audit_gap(gap: Callable[..., float], *, name: str = "MIG") -> list[Finding]:
    """Is a disentanglement gap one of information?

    Args:
        gap: called as gap(e_m=, e_n=, i_m=, labels=) with arrays [N, d], [N, d], [N, d], [N];
            what I(E_M; E_N) - I(E_M; I_M) estimates.
    """
    rng = np.random.default_rng(0)
    n = 600
    labels = np.repeat(np.arange(4), n // 4)
    centre = rng.normal(size=(4, 3)) * 2

    def faces(informed: bool) -> np.ndarray:
        place = centre[labels] if informed else 0
        return place + rng.normal(size=(n, 3))

    def value(e_m: np.ndarray, e_n: np.ndarray, i_m: np.ndarray) -> float:
        return float(gap(e_m=e_m, e_n=e_n, i_m=i_m, labels=labels))

    e_m, e_n, apart = faces(True), faces(True), faces(False)
    good = value(e_m, e_n, apart)
    none = value(faces(False), faces(False), apart)
    leaking = value(e_m, e_n, e_m + 0.1 * rng.normal(size=(n, 3)))
    scaled = value(10 * e_m, 10 * e_n, apart)
    return [
        _finding("gap-features", good > none + 0.2, f"{name} is {good:.3g} for informative and "
                 f"{none:.3g} for random features",
                 "it is computed from labels, not from features"),
        _finding("gap-leak", leaking < good - 0.2, f"{name} is {leaking:.3g} where I repeats E",
                 "it does not see what I knows of E"),
        _finding("gap-scale", abs(scaled - good) < 0.2 + 0.1 * abs(good), f"{name} moves from "
                 f"{good:.3g} to {scaled:.3g} when E is multiplied by 10",
                 "it measures spread, not information"),
    ]  # fmt: skip


def audit_pairs(
    anchors: Any, partners: Any, *, expression: Any, subject: Any | None = None
) -> list[Finding]:
    """Are drawn pairs pairs: another image, the same expression, another subject?

    Args:
        anchors, partners: rows, one pair each.
        expression, subject: codes of all rows; subject None where unknown.
    """
    a, b = np.asarray(anchors), np.asarray(partners)
    y = np.asarray(expression)
    found = [
        _finding("pair-distinct", not (a == b).any(), f"{(a == b).sum()} of {len(a)} pairs are "
                 "one image twice", "a face shares everything with itself"),
        _finding("pair-expression", bool((y[a] == y[b]).all()), f"{(y[a] != y[b]).sum()} of "
                 f"{len(a)} pairs differ in expression", "pairs must share the expression"),
    ]  # fmt: skip
    if subject is not None:
        s = np.asarray(subject)
        same = (s[a] == s[b]) & (s[a] >= 0)
        found.append(
            _finding("pair-subject", not same.any(), f"{same.sum()} of {len(a)} pairs show one "
                     "subject twice", "what pairs share would include the person")
        )  # fmt: skip
    return found


def audit_rows(
    fitted: Any, scored: Any, *, test: Any | None = None, subject: Any | None = None
) -> list[Finding]:
    """Was anything scored on rows, or subjects, that it was fitted on, or on a part of the test?

    Args:
        fitted, scored: rows.
        test: all rows that should have been scored.
        subject: codes of all rows, -1 where unknown.
    """
    fitted, scored = np.asarray(fitted), np.asarray(scored)
    both = np.intersect1d(fitted, scored)
    found = [
        _finding("rows-disjoint", len(both) == 0, f"{len(both)} rows are both fitted and scored",
                 "a score on training rows says nothing")
    ]  # fmt: skip
    if subject is not None:
        s = np.asarray(subject)
        shared = np.intersect1d(s[fitted], s[scored])
        found.append(
            _finding("subjects-disjoint", len(shared[shared >= 0]) == 0, f"{len(shared)} subjects "
                     "are on both sides", "split by subject")
        )  # fmt: skip
    if test is not None:
        left = np.setdiff1d(test, scored)
        found.append(
            _finding("rows-complete", len(left) == 0, f"{len(left)} of {len(np.unique(test))} test "
                     "rows are not scored", "score the whole test part, not a chosen share of it")
        )  # fmt: skip
    return found


def _finding(check: str, passed: Any, seen: str, fix: str) -> Finding:
    return Finding(check, bool(passed), seen if passed else f"{seen}: {fix}")


# A measure of dependence for claims -------------------------------------------------------


@torch.no_grad()
def distance_correlation(a: Tensor, b: Tensor) -> Tensor:
    """Bias-corrected squared distance correlation of two samples [B, d], [B, e].

    About 0 for independent samples whatever their dimension, 1 for equal ones; may be slightly
    negative (Szekely and Rizzo 2013).

    >>> x = torch.arange(8.0)[:, None]
    >>> distance_correlation(x, -2 * x)
    tensor(1.)
    """

    def centred(x: Tensor) -> Tensor:
        n = len(x)
        distances = torch.cdist(x.double(), x.double())
        rows = distances.sum(1, keepdim=True) / (n - 2)
        middle = distances.sum() / ((n - 1) * (n - 2))
        return (distances - rows - rows.T + middle).fill_diagonal_(0.0)

    x, y = centred(a), centred(b)
    scale = torch.sqrt((x * x).sum() * (y * y).sum())
    return ((x * y).sum() / scale.clamp(min=1e-300)).float()


# Playing a stage without the harness --------------------------------------------------------


def _play(
    method: Method,
    stage: Stage,
    batch: Batch,
    *,
    steps: int,
    players: Sequence[Player] | None = None,
) -> None:
    """A few rounds of a stage on one batch, each player on its own parameters."""
    players = stage.players if players is None else players
    batch = batch if stage.batch == "pairs" else replace(batch, partner=None)
    optimizers = [torch.optim.Adam(p.parameters(), lr=1e-3) for p in players]
    if stage.on_start is not None:
        stage.on_start(steps)
    with _training(method, stage):
        for step in range(steps):
            if stage.on_step is not None:
                stage.on_step(step / steps)
            for player, optimizer in zip(players, optimizers, strict=True):
                player.loss(batch)["total"].backward(inputs=player.parameters())
                optimizer.step()
                optimizer.zero_grad(set_to_none=True)


@contextmanager
def _training(method: Method, stage: Stage) -> Iterator[None]:
    """Training mode with the stage's modules frozen, as the harness does it."""
    parameters = [p for module in stage.frozen for p in module.parameters()]
    flags = [p.requires_grad for p in parameters]
    method.train()
    for module in stage.frozen:
        module.eval()
    for parameter in parameters:
        parameter.requires_grad_(False)
    try:
        yield
    finally:
        for parameter, flag in zip(parameters, flags, strict=True):
            parameter.requires_grad_(flag)
        method.eval()


@contextmanager
def _single_seed() -> Iterator[None]:
    """Leave the caller's random numbers as they were."""
    state = torch.get_rng_state()
    try:
        yield
    finally:
        torch.set_rng_state(state)


def _rows(batch: Batch, start: int, stop: int) -> Batch:
    part = slice(start, stop)
    return Batch(
        images=batch.images[part],
        pixels=batch.pixels[part],
        expression=batch.expression[part],
        subject=batch.subject[part],
        valence_arousal=batch.valence_arousal[part],
        attributes={name: column[part] for name, column in batch.attributes.items()},
        index=batch.index[part],
    )


def _some(names: Sequence[str]) -> str:
    shown = ", ".join(names[:4])
    return shown if len(names) <= 4 else f"{shown} and {len(names) - 4} more"
