"""What a reader must know of these numbers, numbered as the leaderboard refers to it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fer_bench.cautions import has
from fer_bench.reports.aggregate import Estimate
from fer_bench.reports.columns import columns_of
from fer_bench.reports.failed import reasons_of, with_files
from fer_bench.reports.material import Material
from fer_bench.reports.remarks import Remark
from fer_bench.reports.sections.section import Section
from fer_bench.reports.standing import FAULTY, at_most, withheld
from fer_bench.reports.summary import Summary

GROUPS = ("This experiment", "Estimators", "References and oracles")
SHOWN = 6  # of a group before the fold
# What an oracle is made to be: constant, equal to the labels, beyond what estimators can read.
EXPECTED_OF_ORACLES = frozenset(
    {
        "above-entropy",
        "calibration-bias",
        "calibration-slope",
        "collapsed",
        "collapsed-side",
        "constant-columns",
        "constant-side",
        "duplicate-rows",
        "few-distinct",
        "near-ceiling",
        "same-direction",
        "same-side",
        "same-values",
        "too-high-to-check",
    }
)


def content(page: Material) -> Mapping[str, Any]:
    """Cautions in three groups, the runs that are not there, numbers that failed their check."""
    known = numbered(page.summary)
    groups: dict[str, list[tuple[int, Remark]]] = {title: [] for title in GROUPS}
    for number, remark in known.items():
        groups[_group(page.summary, remark)].append((number, remark))
    reasons = with_files(reasons_of(page.summary.failures), page.store)
    return {"groups": groups, "shown": SHOWN, "reasons": reasons, **_calibrated(page.summary)}


def _calibrated(summary: Summary) -> dict[str, Any]:
    """How many numbers failed their calibration, in which rows, and what is left of each MIG."""
    faulty = [
        remark
        for remark in summary.cautions
        if remark.kind and remark.kind[0] in FAULTY and not _expected(summary, remark)
    ]
    said = {label for remark in faulty for label in remark.rows}
    rows = [row for row in summary.rows if row.role != "oracle"]
    migs: dict[str, list[str]] = {"withheld": [], "bounded from above only": [], "passed": []}
    if separation := summary.about("separation"):
        for row in rows:
            value = row.scores.get(separation.key)
            # Of a constant embedding nothing was estimated, and nothing calibrated.
            if value is not None and not has(value.cautions, "constant-side"):
                migs[_state(value)].append(row.label)
    return {
        "numbers": sum(remark.runs for remark in faulty),
        "failed": [row.label for row in rows if row.label in said],
        "migs": {state: labels for state, labels in migs.items() if labels},
    }


def _state(value: Estimate) -> str:
    """What is left of a MIG after its calibration."""
    if withheld(value):
        return "withheld"
    return "bounded from above only" if at_most(value) else "passed"


def numbered(summary: Summary) -> dict[int, Remark]:
    """The remarks that the page shows by their numbers, group by group."""
    shown = [remark for remark in summary.cautions if not _expected(summary, remark)]
    shown.sort(key=lambda remark: GROUPS.index(_group(summary, remark)))
    return dict(enumerate(shown, 1))


def _expected(summary: Summary, remark: Remark) -> bool:
    """Whether a remark says of oracles alone what they were made for."""
    oracles = {row.label for row in summary.of_role("oracle")}
    about_oracles = bool(remark.rows) and set(remark.rows) <= oracles
    return about_oracles and bool(remark.kind) and remark.kind[0] in EXPECTED_OF_ORACLES


def _group(summary: Summary, remark: Remark) -> str:
    methods = {row.label for row in summary.of_role("method")}
    failed = {failure.label for failure in summary.failures}
    if remark.rows and not (methods | failed) & set(remark.rows):
        return GROUPS[2]
    information = {column.key.partition("/")[0] for column in columns_of("information")}
    return GROUPS[bool(remark.metrics) and set(remark.metrics) <= information]


SECTION = Section("limits", "Limits of these numbers", 130, content, "Limits", "onscreen")
