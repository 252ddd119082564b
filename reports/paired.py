"""The methods of a sweep compared on one score, paired by person (`compare_crossed`)."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import astuple, dataclass, replace
from functools import cache
from typing import Any

import numpy as np
import pandas as pd

from fer_bench.reports.scores import (
    NORMALISED_LEAK,
    STRONGEST,
    is_ceiling,
    latest_records,
    of_weakest_tie,
    scores_frame,
)
from fer_bench.runs.store import RunRecord, RunStore
from fer_bench.score import Effects
from fer_bench.statistics import CrossedComparison, RunScore, compare_crossed
from fer_bench.statistics.crossed import SMALL_MARGIN, Pair, weighted_sum
from fer_bench.statistics.power import Spread, people_needed, power


class PairedScores:
    """The scores of a sweep with what each test person changes in them.

    Args:
        records: the runs that are compared.
        frame: their scores (`scores_frame`).
    """

    @classmethod
    def of(cls, store: RunStore) -> PairedScores:
        """Those of a result folder."""
        records = of_weakest_tie(latest_records(store)[0])
        return cls(records, scores_frame(records))

    def __init__(self, records: Sequence[RunRecord], frame: pd.DataFrame) -> None:
        by_name = {record.folder.name: record for record in records}
        self._frame = frame
        self._lines = frame.groupby("key", sort=False).indices
        self.derived = {
            record.spec.label: by_name[record.spec.of].spec.label
            for record in records
            if record.spec.of in by_name
        }
        seeds = frame.groupby("label")["seed"].nunique()
        self.deterministic = {
            record.spec.label
            for record in records
            if (role := record.environment["method"]["role"]) == "oracle"
            # Their head alone is trained: next to nothing, and measured where it is repeated.
            or (is_ceiling(record.spec.method, role) and seeds.get(record.spec.label) == 1)
        }
        strongest = self._of_key("/".join(STRONGEST))
        self._widths = dict(
            zip(strongest["run"], strongest["high"] - strongest["low"], strict=True)
        )
        self._arrays = cache(lambda run, metric: by_name[run].metric_arrays(metric))
        self._runs = cache(self._all_runs)

    def compare(
        self, key: str, labels: Collection[str], *, own_spread: Collection[str] = ()
    ) -> CrossedComparison | None:
        """Means and differences of rows on one score; None where runs say nothing of people.

        Args:
            key: "<metric>/<score>".
            labels: of the rows.
            own_spread: rows whose spread over seeds says nothing about the others'.
        """
        runs = self.runs(key, labels)
        if not told_of_people(runs):
            return None
        shown = {run.method for run in runs}
        return compare_crossed(
            runs,
            deterministic=self.deterministic & shown,
            own_spread=set(own_spread) & shown,
            derived=self.derived_within(shown),
        )

    def derived_within(self, labels: Collection[str]) -> dict[str, str]:
        """Row -> the row whose trained runs it starts from, where both are among some rows."""
        return {a: b for a, b in self.derived.items() if a in labels and b in labels}

    def combined(self, weights: Mapping[str, float], labels: Collection[str]) -> list[RunScore]:
        """The runs of some rows, scored by a weighted sum of scores.

        Args:
            weights: "<metric>/<score>" -> its weight.
            labels: of the rows.
        """
        sides = [
            {(run.method, run.seed, run.fold): run for run in self.runs(key, labels)}
            for key in weights
        ]
        return [
            weighted_sum([side[place] for side in sides], list(weights.values()))
            for place in sides[0]
            if all(place in side for side in sides)
        ]

    def runs(self, key: str, labels: Collection[str]) -> list[RunScore]:
        """The runs of some rows that have a score, as `compare_crossed` takes them."""
        return [run for run in self._runs(key) if run.method in labels]

    def _of_key(self, key: str) -> pd.DataFrame:
        return self._frame.iloc[self._lines.get(key, [])]

    def _all_runs(self, key: str) -> list[RunScore]:
        lines = self._of_key(key).drop(columns="cautions", errors="ignore")
        return [self._run(line) for line in lines[lines["value"].notna()].itertuples()]

    def _run(self, line: Any) -> RunScore:
        effects = self._effects(line)
        if effects is None:
            return RunScore.of_interval(
                line.label, line.seed, line.fold, line.value, line.low, line.high
            )
        return RunScore.of_effects(line.label, line.seed, line.fold, line.value, effects)

    def _effects(self, line: Any) -> Effects | None:
        metric, _, short = line.key.partition("/")
        if line.key != NORMALISED_LEAK:
            return Effects.from_arrays(self._arrays(line.run, metric), short)
        # A multiple of the accuracy it is made of, so that its effects are the same multiple.
        source = Effects.from_arrays(self._arrays(line.run, STRONGEST[0]), STRONGEST[1])
        width = self._widths.get(line.run, 0.0)
        if source is None or not width > 0:
            return None
        return source.scaled((line.high - line.low) / width)


def told_of_people(runs: Sequence[RunScore]) -> bool:
    """Whether every run says how much its score varies over people, and there are any."""
    return bool(runs) and all(run.people.size or np.isfinite(run.error) for run in runs)


def change_of(before: PairedScores, after: PairedScores, key: str, label: str) -> Pair | None:
    """After less before of one row: the same people and the same seeds on both sides.

    None where no seed and fold is on both sides, or runs say nothing of people.
    """
    sides = {
        name: {(run.seed, run.fold): replace(run, method=name) for run in side.runs(key, [label])}
        for name, side in (("before", before), ("after", after))
    }
    both = sides["before"].keys() & sides["after"].keys()
    runs = [side[place] for side in sides.values() for place in sorted(both)]
    if not told_of_people(runs):
        return None
    return compare_crossed(runs, derived={"after": "before"}).pair("after", "before")


@dataclass(frozen=True)
class Outlook:
    """What it would take to tell a small difference from the best row.

    Attributes:
        difference: that is meant, in the unit of the score.
        seeds, people: of this sweep.
        chance: that this sweep finds such a difference.
        needed: test people that find it four times in five with these seeds; None where no
            number is enough.
    """

    difference: float
    seeds: int
    people: int
    chance: float
    needed: int | None


def outlook(comparison: CrossedComparison, best: str) -> Outlook | None:
    """The outlook of a sweep, from the median spread of its differences to the best row."""
    pairs = [pair for pair in comparison.pairs if best in (pair.first, pair.second)]
    size = comparison.size
    if not pairs or size.seeds < 2 or size.people < 2:
        return None
    spreads = [Spread.of(comparison, pair, size.people) for pair in pairs]
    spread = Spread(*(float(np.median(x)) for x in zip(*map(astuple, spreads), strict=True)))
    return Outlook(
        SMALL_MARGIN,
        size.seeds,
        size.people,
        power(spread, size, SMALL_MARGIN),
        people_needed(
            spread, SMALL_MARGIN, seeds=size.seeds, folds=size.folds, methods=size.methods
        ),
    )
