"""What a hyper-parameter search may change, declared beside the parameter itself.

A method marks the fields of its `Config` that are worth searching, and nothing else has to know::

    class Config(Method.Config):
        strength: Annotated[float, Between(0.01, 100, log=True)] = 1.0
        balanced: Annotated[bool, Among(False, True)] = False

The learning rate is marked in the same way in `TrainingSpec`, so it is searched for every method.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel


@dataclass(frozen=True)
class Between:
    """Any number from `low` to `high`; with `log`, every factor is equally likely.

    >>> print(Between(0.01, 100, log=True))
    0.01 to 100 (log)
    """

    low: float
    high: float
    log: bool = False

    def __str__(self) -> str:
        return f"{self.low:g} to {self.high:g}" + (" (log)" if self.log else "")


@dataclass(frozen=True, init=False)
class Among:
    """One of a few values.

    >>> print(Among(False, True))
    False, True
    """

    values: tuple[Any, ...]

    def __init__(self, *values: Any) -> None:
        object.__setattr__(self, "values", values)

    def __str__(self) -> str:
        return ", ".join(map(str, self.values))


Range = Between | Among


def declared(model: type[BaseModel]) -> dict[str, Range]:
    """The fields of a model that are marked, each with its range.

    >>> from fer_bench.experiment import TrainingSpec
    >>> declared(TrainingSpec)
    {'lr': Between(low=0.0001, high=0.01, log=True)}
    """
    return {
        name: mark
        for name, field in model.model_fields.items()
        for mark in field.metadata
        if isinstance(mark, Between | Among)
    }
