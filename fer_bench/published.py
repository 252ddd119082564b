"""A number printed in a paper: shown as such, never mixed with measured ones."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

Unit = Literal["percent", "fraction", "nats", ""]


@dataclass(frozen=True)
class Published:
    """One published number.

    Attributes:
        dataset, metric: such as "RAF-DB" and "accuracy" or "ccc.valence".
        value: in `unit`, as the source prints it.
        unit: "percent", "fraction", "nats", or "" for a bare number.
        source: where it is printed.
        note: a remark about this number alone.
        setting: the backbone, or what else tells two numbers of one source apart.
    """

    dataset: str
    metric: str
    value: float
    source: str
    note: str = ""
    unit: Unit = field(kw_only=True)
    setting: str = field(default="", kw_only=True)
