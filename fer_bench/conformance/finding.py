"""The result of one check."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Finding:
    """The result of one check.

    Attributes:
        check: its name, such as "shape", "frozen" or "sign".
        passed: whether the adapter passes it.
        message: what was checked, or what is wrong and how to fix it.
    """

    check: str
    passed: bool
    message: str

    def __str__(self) -> str:
        return f"{'ok  ' if self.passed else 'FAIL'}  {self.check}: {self.message}"
