"""Protocols: named cards of what is compared on what, and the hash of what a folder compared."""

from __future__ import annotations

import hashlib
import tomllib
from collections.abc import Mapping, Sequence
from functools import cache
from importlib.resources import files
from typing import Any

from pydantic import BaseModel, ConfigDict

from fer_bench import registry
from fer_bench.errors import FerBenchError, RunError, UnknownNameError, did_you_mean
from fer_bench.experiment import DataSpec, SplitSpec, canonical_json
from fer_bench.runs.store import RunRecord


class Card(BaseModel):
    """A protocol that people refer to by name and version.

    Attributes:
        name, version, title, why: what it is called and for what it is there.
        data, split: sections of an experiment file.
        seeds: of the runs.
        metrics: names; their versions enter the hash.
        attackers, nulls: who asks for the person, and what numbers are without any effect.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    version: int
    title: str
    why: str
    data: DataSpec
    split: SplitSpec
    seeds: tuple[int, ...]
    metrics: tuple[str, ...]
    attackers: str
    nulls: str

    @property
    def hash(self) -> str:
        """Of what the numbers depend on, with the versions of the metrics as installed."""
        content = {
            "name": self.name,
            "version": self.version,
            "data": self.data.model_dump(mode="json", exclude={"root"}),
            "split": self.split.model_dump(mode="json"),
            "metrics": {name: _version(name) for name in self.metrics},
        }
        return short_hash(content)

    def describes(self, data: DataSpec, split: SplitSpec) -> bool:
        """Whether runs on these data and folds are runs of this protocol."""
        same = data.model_dump(exclude={"root"}) == self.data.model_dump(exclude={"root"})
        return same and split == self.split


@cache
def cards() -> tuple[Card, ...]:
    """All protocols, by name.

    >>> [card.name for card in cards()]
    ['cmu-faces', 'generated', 'london', 'raf-db']
    """
    text = files("fer_bench.sharing").joinpath("protocols.toml").read_text(encoding="utf-8")
    return tuple(Card(name=name, **about) for name, about in sorted(tomllib.loads(text).items()))


def card(name: str) -> Card:
    """One protocol.

    Raises:
        UnknownNameError: there is none of that name.
    """
    by_name = {one.name: one for one in cards()}
    if name not in by_name:
        raise UnknownNameError(f"there is no protocol {name!r}: {did_you_mean(name, by_name)}")
    return by_name[name]


def protocol_of(records: Sequence[RunRecord]) -> dict[str, Any]:
    """What the runs of a result folder were compared on: facts, and the hash of them.

    Two result folders with one hash have the same faces, labels, folds, tested parts, and
    versions of their metrics; what was trained, and for how long, is not part of it.

    Returns:
        {"name", "version" (of the card that describes it, or None), "data", "fingerprint",
        "folds", "used", "tests", "target", "metrics": name -> version, "hash"}.

    Raises:
        RunError: there is no run, or runs are of different data or folds.
    """
    if not records:
        raise RunError("there is no finished run: nothing was compared.")
    specs = [record.spec for record in records]
    first = specs[0]
    if len({(spec.fingerprint, spec.fold_hash, spec.training.target) for spec in specs}) > 1:
        raise RunError("the runs are of different data, folds or targets: no protocol holds all.")
    versions: dict[str, int] = {}
    for record in records:
        versions |= {n: o.version for n, o in record.outcomes().items() if o.failed is None}
    about = {
        "fingerprint": first.fingerprint,
        "folds": first.fold_hash,
        "used": sorted({spec.fold for spec in specs}),
        "tests": dict(sorted(first.test_fingerprints.items())),
        "ties": sorted({canonical_json(s.tie.model_dump()) for s in specs if s.tie is not None}),
        "target": first.training.target,
        "metrics": dict(sorted(versions.items())),
    }
    named = next((c for c in cards() if c.describes(first.data, first.split)), None)
    return {
        "name": named.name if named else None,
        "version": named.version if named else None,
        "data": first.data.name,
        **about,
        "hash": protocol_hash(about),
    }


def protocol_hash(about: Mapping[str, Any]) -> str:
    """The hash of the facts of `protocol_of`; names are not part of it."""
    facts = ("fingerprint", "folds", "used", "tests", "ties", "target", "metrics")
    return short_hash({name: about[name] for name in facts})


def short_hash(content: Any) -> str:
    """Sixteen hexadecimal digits of the SHA-256 of canonical JSON."""
    return hashlib.sha256(canonical_json(content).encode()).hexdigest()[:16]


def _version(metric: str) -> int | None:
    try:
        return int(registry.metrics.get(metric).version)
    except FerBenchError:
        return None
