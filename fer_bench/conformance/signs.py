"""The sign audit: does a loss term change its measure in the direction it claims?"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace

import torch
from torch import Tensor

from fer_bench.conformance.finding import Finding
from fer_bench.conformance.rehearsal import copied, play, training_mode
from fer_bench.method import Batch, Claim, Method, Stage

_WARM_STEPS = 120  # a discriminator must know its part before its opponent is judged
_CLAIM_STEPS = 10  # then the measure is looked at; where its draws still hide the change, again
_MOST_CLAIM_STEPS = 160
_DRAWS = 8  # of what is random in a measure
_CLAIM_LR = 1e-3
INITIALISATIONS = range(5)  # seeds of initial weights that decide together on a sign


def audit_claims(method: Method, stage: Stage, batch: Batch) -> Iterator[Finding]:
    """Audit every claim of a stage; yields one finding for each."""
    for player in dict.fromkeys(claim.player for claim in stage.claims):
        ready, same = _rehearsed(method, stage, player, batch)
        for old, new in zip(stage.claims, same.claims, strict=True):
            if old.player == player:
                yield audit_claim(ready, same, new, batch, rehearse=False)


def _rehearsed(method: Method, stage: Stage, player: str, batch: Batch) -> tuple[Method, Stage]:
    """A copy in which everybody but `player` knows their part."""
    copy, same = copied(method, stage)
    others = [p for p in same.players if p.name != player]
    play(copy, same, batch, steps=_WARM_STEPS if others else 0, players=others)
    return copy, same


def audit_claim(
    method: Method, stage: Stage, claim: Claim, batch: Batch, *, rehearse: bool = True
) -> Finding:
    """Test whether a term changes its measure in the claimed direction, on a copy of the method.

    The weight of the term is its derivative in the total loss, so that a term that enters with the
    wrong sign, or not at all, is detected even if its own history looks right.

    Args:
        method, stage, claim, batch: what is audited, and on which faces.
        rehearse: train the other players first.
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
        method, stage = copied(method, stage)
    claim = stage.claims[position]
    player = next((p for p in stage.players if p.name == claim.player), None)
    if player is None:
        return Finding("sign", False, f"{where}: there is no such player in this stage")
    with training_mode(method, stage):
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


def settled(
    findings: Iterable[Finding], others: Sequence[Callable[[], Iterable[Finding]]]
) -> Iterator[Finding]:
    """Repeat the sign audit with other initial weights where it fails, and decide by majority.

    With a single draw of initial weights the audit fails a sound adversarial player occasionally
    (DANN and CDANN in 5 of 48 draws). Once a sign has failed, all later signs of the stage are
    decided by majority as well, since several often fail together. Drawing ends once the draws
    left cannot change a verdict.

    Args:
        findings: of the stage, from the first draw of initial weights.
        others: each returns the findings of the stage from another draw; called only where a
            sign is undecided.

    Yields:
        The findings, in order.
    """
    signs: list[Finding] = []
    held: list[Finding] = []
    for finding in findings:
        if finding.check == "sign":
            signs.append(finding)
        if held or (finding.check == "sign" and not finding.passed):
            held.append(finding)
        else:
            yield finding
    if not held:
        return
    votes = [[f] for f in held if f.check == "sign"]
    for other in others:
        if all(_is_decided(cast, 1 + len(others)) for cast in votes):
            break
        drawn = [f for f in other() if f.check == "sign"]
        # A stage that breaks with other weights gives other findings: then the first ones stand.
        if len(drawn) != len(signs):
            yield from held
            return
        for cast, vote in zip(votes, drawn[-len(votes) :], strict=True):
            cast.append(vote)
    verdicts = map(_majority, votes)
    yield from (next(verdicts) if f.check == "sign" else f for f in held)


def _is_decided(votes: Sequence[Finding], voters: int) -> bool:
    passed = sum(vote.passed for vote in votes)
    return 2 * max(passed, len(votes) - passed) > voters


def _majority(votes: Sequence[Finding]) -> Finding:
    passed = sum(vote.passed for vote in votes)
    if passed == len(votes):
        return votes[0]
    verdict = 2 * passed > len(votes)
    shown = next(vote for vote in votes if vote.passed == verdict)
    counted = f"{passed if verdict else len(votes) - passed} of {len(votes)} initial weights"
    return replace(shown, message=f"{shown.message} (so from {counted})")


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
    values = []
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        for draw in range(_DRAWS):
            torch.manual_seed(draw)
            values.append(float(claim.measure(batch)))
    return torch.tensor(values, dtype=torch.float64)


def _is_clear(change: Tensor) -> bool:
    """Is the mean change beyond three standard errors? Without random draws any change is."""
    return bool(change.mean().abs() > 3 * change.std() / math.sqrt(len(change)))
