"""Checks that a method adapter keeps the contract, and that its losses move what they claim to.

`check_method` runs an adapter on a few generated faces and reports in words what is wrong. The
*sign audit* tests every `Claim` of every stage: the other players are trained first, then the
claiming player takes small steps on that term alone, and a measure must rise or fall. Adversarial
losses with the wrong sign train without any error message, and are detected here.
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
