"""The sign audit over all methods: a claim fails once its term changes sign.

That claims hold as they are is what the conformance test of every method sees.
"""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from fer_bench import registry
from fer_bench.conformance import audit_claim, example_batch, example_task

SMALL = {"backbone": {"name": "conv4", "width": 8}}
# (method, parameters): the players of these are audited one by one.
AUDITED = [
    ("adversarial-branch", {}),
    ("caf", {}),
    ("cdann", {}),
    ("coral", {}),
    ("dann", {}),
    ("dice-fer", {"critic_hidden": 64, "discriminator_hidden": 64}),
    ("eif", {"variant": "adversarial"}),
    ("elim", {}),
    ("erm", {}),
    ("frozen-attacker", {}),
    ("group-dro", {}),
    ("irm", {}),
    ("multitask", {}),
    ("supcon", {}),
]


def turned(loss, term):
    """The same losses, with one term entering the total with the other sign."""

    def changed(batch):
        losses = loss(batch)
        total = losses["total"]
        if term == "total":
            return losses | {"total": -total}
        [weight] = torch.autograd.grad(total, losses[term], retain_graph=True)
        return losses | {"total": total - 2 * weight * losses[term]}

    return changed


def broken(adapter, player, term):
    """A variant of an adapter in which one player's term has the wrong sign."""

    class Broken(adapter):
        def stages(self):
            return [
                replace(
                    stage,
                    players=[
                        replace(p, loss=turned(p.loss, term)) if p.name == player else p
                        for p in stage.players
                    ],
                )
                for stage in super().stages()
            ]

    return Broken


def built(adapter, parameters):
    torch.manual_seed(0)
    return adapter(example_task(), adapter.Config(**SMALL, **parameters))


def claims_of(method):
    return [(stage, claim) for stage in method.stages() for claim in stage.claims]


def audited(method, stage, player, term, batch):
    """Findings on the claims of a player, one by one, that about the term first."""
    same = next(s for s in method.stages() if s.name == stage.name)
    own = [claim for claim in same.claims if claim.player == player]
    for claim in sorted(own, key=lambda claim: claim.term != term):
        yield audit_claim(method, same, claim, batch)


def test_every_method_that_is_trained_makes_a_claim():
    audited = {name for name, _ in AUDITED}
    silent = []
    for name in registry.methods.names():
        adapter = registry.methods.get(name)
        if adapter.info.role == "method" and not adapter.__module__.startswith("tests"):
            assert name in audited, f"{name} is not in the sign audit"
            parameters = dict(AUDITED)[name]
            if not claims_of(built(adapter, parameters)):
                silent.append(name)
    assert not silent


@pytest.mark.slow
@pytest.mark.parametrize(("name", "parameters"), AUDITED, ids=[name for name, _ in AUDITED])
def test_a_turned_sign_is_caught_whatever_the_term(name, parameters):
    adapter = registry.methods.get(name)
    # A measure that knows nothing of the discriminator needs more faces to see the dependence.
    batch = example_batch(count=56 if name in ("cdann", "dann", "dice-fer") else 28)
    for stage, claim in claims_of(built(adapter, parameters)):
        where = f"{name}, stage {stage.name}, {claim.term} of {claim.player}"
        used = batch if stage.batch == "pairs" else replace(batch, partner=None)
        # Any claim of that player may be the one that notices.
        variant = built(broken(adapter, claim.player, claim.term), parameters)
        findings = audited(variant, stage, claim.player, claim.term, used)
        assert not all(f.passed for f in findings), f"{where} turned: nobody noticed"
