"""Runs as the crossed model takes them: a score, and what each person changes in it."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from fer_bench.runs.store import RunRecord
from fer_bench.score import Effects
from fer_bench.statistics.crossed import RunScore


def run_scores(records: Iterable[RunRecord], key: str) -> list[RunScore]:
    """One entry per run that has a score, for `fer_bench.statistics.compare_crossed`.

    Runs are paired by person where the effects of people were saved; else the run's own interval
    tells how much people vary. A score without either says nothing of people and is left out.

    Args:
        records: finished, scored runs of one data set.
        key: "<metric>/<score>", such as "classification/test.accuracy".
    """
    metric, _, short = key.partition("/")
    out = []
    for record in records:
        outcome = record.outcomes().get(metric)
        score = outcome.scores.get(short) if outcome else None
        if score is None or not np.isfinite(score.value):
            continue
        spec = record.spec
        effects = Effects.from_arrays(record.metric_arrays(metric), short)
        if effects is not None:
            run = RunScore.of_effects(spec.label, spec.seed, spec.fold, score.value, effects)
        elif score.low is not None and score.high is not None:
            run = RunScore.of_interval(
                spec.label, spec.seed, spec.fold, score.value, score.low, score.high
            )
        else:
            continue
        out.append(run)
    return out
