"""Does a method adapter keep the contract, and do its losses move what they claim to move?

`check_method` runs an adapter on a few generated faces and says in words what is wrong. The
*sign audit* takes every `Claim` of every stage: it trains the other players first, lets the
claiming player take small steps on that term alone, and looks at a measure that must rise or
fall. Adversarial losses with a wrong sign train without any error message; this is where they
show.
"""

from fer_bench.conformance.checks import (
    PARTS,
    check_adapter,
    check_method,
    check_part,
    check_stage,
    checking,
)
from fer_bench.conformance.examples import EXAMPLE_SIZE, example_batch, example_task
from fer_bench.conformance.finding import Finding
from fer_bench.conformance.signs import audit_claim

__all__ = [
    "EXAMPLE_SIZE",
    "PARTS",
    "Finding",
    "audit_claim",
    "check_adapter",
    "check_method",
    "check_part",
    "check_stage",
    "checking",
    "example_batch",
    "example_task",
]
