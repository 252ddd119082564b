"""Whom to cite for a result folder: the suite, its methods, data sets and estimators, as BibTeX.

The sources stand in `references.bib` beside the methods, the readers and the estimators; the
keywords of an entry are the registered names it is the source of. What is in none of these files
(a method of somebody else's package) is cited by what it says of itself.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any, NamedTuple

from fer_bench import __version__
from fer_bench.errors import RunError
from fer_bench.runs.store import RunRecord, RunStore

SUITE = (
    "@misc{ferbench,\n"
    "  author = {{The FER-Bench authors}},\n"
    "  title = {{FER-Bench}: disentanglement evaluation and benchmarking for facial expression "
    "recognition},\n"
    "  note = {Version %s},\n"
    "}"
)


class Source(NamedTuple):
    """One entry: its key, the registered names it belongs to, its BibTeX without them."""

    key: str
    names: frozenset[str]
    text: str


def bibliography(folder: str | Path) -> str:
    """The BibTeX file of a result folder; a comment over each entry says what it is cited for.

    Raises:
        RunError: the folder holds no finished run.
    """
    store = RunStore(folder)
    records = store.records()
    if not records:
        raise RunError(f"{folder} holds no finished run: there is no method to cite.")
    blocks = [f"% FER-Bench {__version__}\n{SUITE % __version__}"]
    unknown: list[str] = []
    for kind, room, named in _used(store, records):
        entries = _cited(named, _sources(room))
        blocks += [f"% {kind}: {', '.join(names)}\n{text}" for text, names in entries.items()]
        known = {name for names in entries.values() for name in names}
        unknown += [f"% {kind} {name}: no source is stated" for name in named if name not in known]
    return "\n\n".join([*blocks, *(["\n".join(unknown)] if unknown else [])]) + "\n"


def _used(
    store: RunStore, records: Iterable[RunRecord]
) -> Iterator[tuple[str, str, dict[str, tuple[str, int | None]]]]:
    """What was used: a kind, the room its sources are in, and names with what they say."""
    methods: dict[str, tuple[str, int | None]] = {}
    data: dict[str, tuple[str, int | None]] = {}
    estimators: dict[str, tuple[str, int | None]] = {}
    for record in records:
        about = record.environment["method"]
        methods[record.spec.method] = (about.get("paper", ""), about.get("year"))
        for spec, fingerprint in _data_sets(record):
            data[spec] = (store.data_card(fingerprint).get("citation", ""), None)
        estimators |= dict.fromkeys(_estimators(record), ("", None))
    yield "method", "baselines", dict(sorted(methods.items()))
    yield "data", "data/readers", dict(sorted(data.items()))
    yield "estimator", "information", dict(sorted(estimators.items()))


def _data_sets(record: RunRecord) -> Iterator[tuple[str, str]]:
    """Name and fingerprint of the faces of a run, and of its further test sets."""
    spec = record.spec
    yield spec.data.name, spec.fingerprint
    yield from ((test.name, spec.test_fingerprints[key]) for key, test in spec.tests.items())


def _estimators(record: RunRecord) -> Iterator[str]:
    """Names of the estimators that gave any score of a run."""
    for outcome in record.outcomes().values():
        for score in outcome.scores.values():
            for key in ("chosen", "estimator"):
                if key in score.details:
                    yield str(score.details[key]).split()[0]


def _cited(
    named: Mapping[str, tuple[str, int | None]], sources: tuple[Source, ...]
) -> dict[str, list[str]]:
    """Entries by their text, each with the names it is cited for."""
    entries: dict[str, list[str]] = {}
    for name, (said, year) in named.items():
        own = [source.text for source in sources if name in source.names]
        for text in own or ([_as_said(name, said, year)] if said else []):
            entries.setdefault(text, []).append(name)
    return entries


def _as_said(name: str, said: str, year: int | None) -> str:
    """An entry for what is in no file: the sentence in which it names its source."""
    lines = [f"@misc{{{re.sub(r'[^A-Za-z0-9-]', '-', name)},", f"  title = {{{_escaped(name)}}},"]
    lines.append(f"  note = {{{_escaped(said)}}},")
    if year is not None:
        lines.append(f"  year = {{{year}}},")
    return "\n".join([*lines, "}"])


def _escaped(text: str) -> str:
    return re.sub(
        r"[&%$#_{}\\]", lambda m: r"\textbackslash{}" if m[0] == "\\" else "\\" + m[0], text
    )


@cache
def _sources(room: str) -> tuple[Source, ...]:
    """The entries of `references.bib` in a room."""
    folder: Any = files("fer_bench")
    text = folder.joinpath(*room.split("/"), "references.bib").read_text(encoding="utf-8")
    return tuple(_parsed(entry) for entry in re.split(r"\n(?=@)", text)[1:])


def _parsed(entry: str) -> Source:
    key = re.match(r"@\w+\{([^,]+),", entry)
    names = re.search(r"^  keywords = \{(.*)\},\n", entry, re.M)
    assert key is not None, entry
    assert names is not None, entry
    text = entry.replace(names[0], "").strip()
    return Source(key[1], frozenset(name.strip() for name in names[1].split(",")), text)
