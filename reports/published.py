"""Numbers printed in papers: a row per method, setting and data set, each number with its unit."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from fer_bench.baselines.published import all_published
from fer_bench.reports.summary import Summary
from fer_bench.reports.text import UNITS
from fer_bench.score import Style

_STYLES: dict[str, Style] = {"fraction": "percent", "nats": "nats", "": "ratio"}
_WORDS = {
    "accuracy": "accuracy",
    "class_accuracy": "accuracy of the class",
    "correct": "correct faces",
    "f1": "F1",
    "loss": "loss",
    "mi": "MI",
    "mig": "MIG",
    "precision": "precision",
    "rated_real": "rated 3 or 4",
    "rating": "times rated",
    "recall": "recall",
    "support": "faces",
    "validation_accuracy": "validation accuracy",
}


@dataclass(frozen=True)
class PublishedNumber:
    """One number of a source.

    Attributes:
        value: in `unit`.
        unit: "fraction", "nats" or "" for a bare number; what a source prints in percent is
            kept as a fraction, like measured scores.
        note: a remark of ours about this number.
    """

    value: float
    unit: str
    note: str = ""

    @property
    def style(self) -> Style:
        """How it is printed: fractions in percent."""
        return _STYLES[self.unit]

    def __str__(self) -> str:
        value = 100 * self.value if self.style == "percent" else self.value
        return f"{value:.10g} {UNITS[self.style]}".strip()


@dataclass(frozen=True)
class PublishedRow:
    """What sources print about one method in one setting on one data set.

    Attributes:
        method, setting, dataset: the setting is a backbone, or what else tells rows apart.
        here: whether the method is one of those compared.
        numbers: measure, such as "accuracy" or "ccc.valence" -> number.
        sources: where they are printed.
    """

    method: str
    setting: str
    dataset: str
    here: bool
    numbers: dict[str, PublishedNumber] = field(default_factory=dict)
    sources: list[str] = field(default_factory=list)

    @property
    def name(self) -> str:
        """The method with its setting."""
        return f"{self.method} ({self.setting})" if self.setting else self.method

    @property
    def text(self) -> str:
        """All numbers in words."""
        return ", ".join(f"{measure_title(m)} {number}" for m, number in self.numbers.items())

    @property
    def source(self) -> str:
        """The sources in words."""
        return "; ".join(self.sources)

    @property
    def note(self) -> str:
        """Remarks, each with the measures it is about; about all of them, without."""
        notes: dict[str, list[str]] = {}
        for measure, number in self.numbers.items():
            if number.note:
                notes.setdefault(number.note, []).append(measure_title(measure))
        return "; ".join(
            note if len(titles) == len(self.numbers) else f"{', '.join(titles)}: {note}"
            for note, titles in notes.items()
        )


def measure_title(measure: str) -> str:
    """A measure as a table names it.

    >>> measure_title("ccc.valence"), measure_title("mig")
    ('CCC of valence', 'MIG')
    """
    name, _, side = measure.partition(".")
    title = _WORDS.get(name, name.upper())
    if not side:
        return title
    return f"{title} {side}" if side.isdecimal() else f"{title} of {side}"


def published_rows(summary: Summary) -> list[PublishedRow]:
    """What papers print: of the methods compared here first, then of other systems.

    A number that a result folder carries and the cards carry too is the card's, with its setting.
    """
    cards = [{**asdict(number), "method": method} for method, number in all_published()]
    carried = {_fact(entry) for entry in cards}
    own = [
        {**number, "method": row.title, "dataset": _one_name(number["dataset"])}
        for row in {row.method: row for row in summary.rows}.values()
        for number in row.published
    ]
    own = [entry for entry in _with_settings(own) if _fact(entry) not in carried]
    titles = {row.title for row in summary.rows}
    rows: dict[tuple[str, str, str, int], PublishedRow] = {}
    for entry in [*own, *cards]:
        _add(rows, entry, here=entry["method"] in titles)
    return sorted(rows.values(), key=lambda row: not row.here)


def _fact(entry: Mapping[str, Any]) -> tuple[str, str, str, float]:
    return entry["method"], entry["dataset"], entry["metric"], _number(entry).value


def _one_name(dataset: str) -> str:
    """A data set as the cards name it: the number of classes is part of the setting there."""
    return "AffectNet" if dataset in ("AffectNet-7", "AffectNet-8") else dataset


def _with_settings(entries: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Entries with a setting: a source that prints one measure twice tells them apart by notes."""
    known = [dict(entry) for entry in entries]
    times = Counter((e["method"], e["source"], e["dataset"], e["metric"]) for e in known)
    several = {key[:2] for key, n in times.items() if n > 1}
    for entry in known:
        if not entry.get("setting") and (entry["method"], entry["source"]) in several:
            entry["setting"], entry["note"] = entry.get("note", ""), ""
    return known


def _add(
    rows: dict[tuple[str, str, str, int], PublishedRow], entry: Mapping[str, Any], *, here: bool
) -> None:
    """Put a number into the row of its method, setting and data set.

    A second source that prints the same number adds nothing; another number starts a row.
    """
    method, setting, dataset = entry["method"], entry.get("setting", ""), entry["dataset"]
    number, measure = _number(entry), entry["metric"]
    for copy in range(len(rows) + 1):
        row = rows.setdefault(
            (method, setting, dataset, copy), PublishedRow(method, setting, dataset, here)
        )
        known = row.numbers.get(measure)
        if known is not None and known.value != number.value:
            continue
        if known is None:
            row.numbers[measure] = number
            if entry["source"] not in row.sources:
                row.sources.append(entry["source"])
        return


def _number(entry: Mapping[str, Any]) -> PublishedNumber:
    value, unit = float(entry["value"]), entry.get("unit") or _unit_before_units(entry)
    if unit == "percent":
        value, unit = value / 100, "fraction"
    # Ten digits, so that 85.5 % and 0.855 are the same number.
    value = round(value, 10)
    return PublishedNumber(value, unit, entry.get("note", ""))


def _unit_before_units(entry: Mapping[str, Any]) -> str:
    """The unit of a number in a result folder that was written before numbers had one."""
    if entry["metric"] == "accuracy":
        return "fraction" if entry["value"] <= 1 else "percent"
    return "nats" if entry["metric"] == "mig" else ""
