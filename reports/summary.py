"""Numbers first: one plain summary of a result folder, of which every page is a rendering.

The summary knows no HTML and no LaTeX. It holds what was compared on what, one entry per row of
the leaderboard with its means and intervals, which differences are real, what failed, and what a
reader has to be warned of. It is saved beside the results as `summary.json`.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, fields, is_dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

import numpy as np
import pandas as pd

from fer_bench.cautions import Caution
from fer_bench.errors import RunError
from fer_bench.experiment import Experiment
from fer_bench.lifetime import garbage_kept
from fer_bench.reports.aggregate import (
    Difference,
    Estimate,
    Ranking,
    comparison,
    estimates,
    with_intervals,
)
from fer_bench.reports.columns import Column, columns_about, columns_of, leaderboard_columns
from fer_bench.reports.eraser_curve import AboveCurve, above_curve, curve_front
from fer_bench.reports.paired import Outlook, PairedScores, outlook
from fer_bench.reports.remarks import (
    Remark,
    remarks,
    said_by_scores,
    said_in_training,
    said_of_runs,
)
from fer_bench.reports.scores import latest_records, of_weakest_tie, read_scores
from fer_bench.reports.standing import SOURCE, is_evidence, sound
from fer_bench.reports.text import listed
from fer_bench.runs.store import RunRecord, RunStore, write_json
from fer_bench.score import Aspect, Outcome

ROLES = ("method", "reference", "oracle")
USES: tuple[Aspect, ...] = ("recognition", "affect")  # what methods are for
ATTACKED = ("claims", "ladder")  # tables of attackers, compared as the leaderboard is


@dataclass(frozen=True)
class Row:
    """One row of the leaderboard: a method with its parameters, over all its runs.

    Attributes:
        label: shown name, unique in a result folder.
        method, role, title, paper, year, needs, produces_identity: facts about the method.
        published: numbers printed in papers, never measured here.
        deviations: from the paper, stated by the adapter.
        runs: run id -> {"seed", "fold", "wall_s", "device", "kept", "steps"}; "kept" says in words
            which epoch of every stage was kept, and by which rule.
        representative: id of the run whose faces and maps are shown (first seed, first fold).
        parameters, training: as run.
        n_parameters: trained numbers, or None where unknown.
        scores: score key -> mean over the runs.
        per_class: expression -> {"precision", "recall", "f1", "support"}.
        confusion: "train" and "test" -> summed counts [true][predicted] of the first seed, so
            that every face counts once.
        skipped: metric -> why it has no value.
        failed: metric -> the error it raised.
    """

    label: str
    method: str
    role: str
    title: str
    paper: str
    year: int | None
    needs: tuple[str, ...]
    produces_identity: bool
    published: tuple[Mapping[str, Any], ...]
    deviations: tuple[str, ...]
    runs: dict[str, dict[str, Any]]
    representative: str
    parameters: dict[str, Any]
    training: dict[str, Any]
    n_parameters: int | None
    stages: tuple[Mapping[str, Any], ...]
    scores: dict[str, Estimate] = field(default_factory=dict)
    per_class: dict[str, dict[str, Estimate]] = field(default_factory=dict)
    confusion: dict[str, list[list[int]]] = field(default_factory=dict)
    skipped: dict[str, str] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)

    @property
    def repeats(self) -> int:
        """How often each fold was run (seeds)."""
        return max(1, len({run["seed"] for run in self.runs.values()}))


@dataclass(frozen=True)
class Verdict:
    """Which method is best on one column, and which ones cannot be told from it.

    Attributes:
        key, title, headline: of the column.
        best: label of the row with the best mean, of those that neither collapsed nor guess.
        value: its estimate.
        tied: labels that cannot be separated from it with the pairs at hand.
        against: label -> paired difference to the best row (best minus other).
        comparable: how many methods have a number that is evidence.
        ranking: average ranks, and the critical difference where it is allowed.
        missing: sources of variation that the intervals of the differences do not contain.
        outlook: what it would take to tell small differences, where that is known.
    """

    key: str
    title: str
    headline: str
    best: str
    value: Estimate
    tied: tuple[str, ...]
    against: dict[str, Difference]
    comparable: int
    ranking: Ranking
    missing: tuple[str, ...] = ()
    outlook: Outlook | None = None


@dataclass(frozen=True)
class Failure:
    """A planned run that is not there, or whose files cannot be used (kind "damaged")."""

    run: str
    label: str
    method: str
    seed: int
    fold: int
    kind: str
    reason: str


@dataclass(frozen=True)
class Summary:
    """Everything a report says in numbers.

    `tie` is of a confounding experiment: {"attribute", "rho", "strengths"}, the strength of the
    rows and all that were trained at. `planned` is the number of runs that the last command
    planned.
    """

    title: str
    notes: str
    created: str
    command: str
    data: dict[str, Any]
    tests: dict[str, dict[str, Any]]
    classes: tuple[str, ...]
    seeds: tuple[int, ...]
    folds: tuple[int, ...]
    fold_hash: str
    columns: tuple[str, ...]
    rows: tuple[Row, ...]
    verdicts: tuple[Verdict, ...]
    cautions: tuple[Remark, ...]
    failures: tuple[Failure, ...]
    environment: dict[str, Any]
    experiment: dict[str, Any]
    curve: tuple[str, ...] = ()
    above: tuple[AboveCurve, ...] = ()
    tie: Mapping[str, Any] = field(default_factory=dict)
    planned: int = 0

    def of_role(self, role: str) -> list[Row]:
        """Rows of one role, best first in the first column they have."""
        return [row for row in self.rows if row.role == role]

    def row(self, label: str) -> Row:
        """The row of a label."""
        return next(row for row in self.rows if row.label == label)

    def verdict(self, key: str) -> Verdict | None:
        """The verdict on a column, or None where no method has evidence of it."""
        return next((v for v in self.verdicts if v.key == key), None)

    def about(self, aspect: Aspect) -> Column | None:
        """The column that speaks for an aspect here: the first that any row has."""
        return next((c for c in columns_about(aspect) if c.key in self.columns), None)

    @property
    def use(self) -> Column | None:
        """What the methods are for: recognition, else valence and arousal."""
        return next(filter(None, map(self.about, USES)), None)

    def to_json(self) -> dict[str, Any]:
        """Plain JSON types; NaN becomes None."""
        return cast(dict[str, Any], _plain(self))


@garbage_kept()  # searching took a seventh of a table
def summarise(store: RunStore, *, without_rows: bool = False) -> Summary:
    """Summarise a result folder and save it there as `summary.json`, where it may be written.

    Args:
        store: the result folder.
        without_rows: where every run failed, give a summary that has failures and no rows.

    Raises:
        RunError: there is no finished run in the folder.
    """
    latest, superseded = latest_records(store)
    records = of_weakest_tie(latest)
    if not records:
        failures = (*_failures(store), *_damages(store, ()))
        if not (without_rows and failures):
            raise RunError(_why_none(store))
        return _saved(store, _all_failed(store, failures))
    frame, without = read_scores(records)
    grouped: dict[str, list[RunRecord]] = defaultdict(list)
    for record in records:
        grouped[record.spec.label].append(record)
    order = _experiment_order(store, grouped)
    experiment = store.experiment()
    scores = estimates(frame) if len(frame) else {}
    rows = tuple(_row(label, grouped[label], scores.get(label, {}), without) for label in order)
    columns = tuple(
        c.key for c in leaderboard_columns().values() if any(c.key in row.scores for row in rows)
    )
    paired = PairedScores(records, frame)
    rows = _sorted(_with_intervals(rows, columns, paired), columns)
    known = {*frame["run"], *(run for run, left_out in without.items() if left_out)}
    unscored = [record for record in records if record.folder.name not in known]
    failures = (*_failures(store), *_damages(store, unscored))
    first = records[0]
    summary = Summary(
        title=_title(experiment, first.spec.data.name),
        **_of_experiment(store, experiment),
        data=store.data_card(first.spec.fingerprint),
        tests={
            name: store.data_card(fingerprint)
            for name, fingerprint in first.spec.test_fingerprints.items()
        },
        classes=tuple(first.environment["classes"]),
        seeds=tuple(sorted({r.spec.seed for r in records})),
        folds=tuple(sorted({r.spec.fold for r in records})),
        fold_hash=first.spec.fold_hash,
        columns=columns,
        rows=rows,
        verdicts=tuple(_verdicts(rows, columns, frame, paired)),
        cautions=_remarks(rows, records, frame, failures, superseded),
        failures=failures,
        environment=_environment(first),
        tie=_tie(first, latest),
    )
    return _saved(store, _with_curve(summary, paired))


def _all_failed(store: RunStore, failures: tuple[Failure, ...]) -> Summary:
    """The summary of a folder in which no run finished."""
    experiment = store.experiment()
    known = store.failures().values()
    fingerprint, fold_hash = (
        next((facts[name] for facts in known if facts[name]), "")
        for name in ("fingerprint", "fold_hash")
    )
    data = store.data_card(fingerprint)
    return Summary(
        title=_title(experiment, data["name"]),
        **_of_experiment(store, experiment),
        data=data,
        tests={},
        classes=tuple(data["classes"]),
        seeds=tuple(sorted({failure.seed for failure in failures})),
        folds=tuple(sorted({failure.fold for failure in failures})),
        fold_hash=fold_hash,
        columns=(),
        rows=(),
        verdicts=(),
        cautions=(),
        failures=failures,
        environment={},
    )


def _of_experiment(store: RunStore, experiment: Experiment | None) -> dict[str, Any]:
    """What a summary says of the experiment, and when it was written."""
    return {
        "notes": experiment.notes if experiment else "",
        "created": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "command": "fer-bench run experiment.json --out a-new-folder" if experiment else "",
        "experiment": experiment.model_dump(mode="json") if experiment else {},
        "planned": len(store.planned()),
    }


def _saved(store: RunStore, summary: Summary) -> Summary:
    with suppress(OSError):  # results that cannot be written to can be read
        write_json(store.root / "summary.json", summary.to_json(), indent=None)
    return summary


def _environment(record: RunRecord) -> dict[str, Any]:
    """What a run was made with."""
    keys = ("python", "torch", "numpy", "device")
    known = {key: record.environment[key] for key in keys if key in record.environment}
    return known | {"code": dict(record.spec.code)}


def _with_curve(summary: Summary, paired: PairedScores) -> Summary:
    """With what ERM and an eraser give, and the rows against that."""
    use, leak = summary.use, summary.about("leak")
    source = {row.label for row in summary.rows if row.method == SOURCE}
    erased = {label for label, of in paired.derived.items() if of in source}
    if use is None or leak is None or not erased:
        return summary
    means = {
        row.label: (row.scores[use.key].mean, row.scores[leak.key].mean)
        for row in summary.rows
        if row.role != "oracle" and use.key in row.scores and leak.key in row.scores
    }
    curve = source | erased
    return replace(
        summary,
        curve=curve_front(means, curve, leak),
        above=above_curve(means, curve, paired, use, leak, own_spread=_apart(summary.rows, use)),
    )


def _tie(first: RunRecord, records: Iterable[RunRecord]) -> dict[str, Any]:
    """Which shortcut the rows were trained with, where there are several strengths of one."""
    if first.spec.tie is None:
        return {}
    strengths = sorted({record.spec.tie.rho for record in records if record.spec.tie})
    return {
        "attribute": first.spec.tie.attribute,
        "rho": first.spec.tie.rho,
        "strengths": tuple(strengths),
    }


def _why_none(store: RunStore) -> str:
    """Why a folder has no finished run."""
    failures = list(_failures(store))
    if not failures:
        return (
            f"there is no finished run in {str(store.root)!r}: is it the folder given to "
            "`fer-bench run --out`?"
        )
    first = {failure.label: failure.reason for failure in reversed(failures)}
    labels: dict[str, list[str]] = defaultdict(list)  # reason -> the methods it stopped
    for label, reason in reversed(first.items()):
        labels[reason].append(label)
    told = "; ".join(
        f"{listed(names, most=4)} failed because {reason.rstrip('.')}"
        for reason, names in labels.items()
    )
    return (
        f"there is no finished run in {str(store.root)!r} ({len(failures)} tried): {told}. "
        "Mend that and give `fer-bench run` again."
    )


def _row(
    label: str,
    records: Sequence[RunRecord],
    scores: dict[str, Estimate],
    without: Mapping[str, Mapping[str, Outcome]],
) -> Row:
    first = min(records, key=lambda r: (r.spec.seed, r.spec.fold))
    facts = first.environment["method"]
    skipped: dict[str, str] = {}
    failed: dict[str, str] = {}
    for record in records:
        for metric, outcome in without[record.folder.name].items():
            if outcome.skipped:
                skipped[metric] = outcome.skipped
            if outcome.failed:
                failed[metric] = outcome.failed
    return Row(
        label=label,
        method=first.spec.method,
        role=facts["role"],
        title=facts["title"],
        paper=facts.get("paper", ""),
        year=facts.get("year"),
        needs=tuple(sorted(facts.get("needs", ()))),
        produces_identity=bool(facts.get("produces_identity")),
        published=tuple(facts.get("published", ())),
        deviations=tuple(facts.get("deviations", ())),
        runs={
            r.folder.name: {
                "seed": r.spec.seed,
                "fold": r.spec.fold,
                "wall_s": r.environment.get("wall_s"),
                "device": r.environment.get("device"),
                "kept": _kept(r),
                "steps": r.environment.get("steps"),
            }
            for r in sorted(records, key=lambda r: (r.spec.seed, r.spec.fold))
        },
        representative=first.folder.name,
        parameters=dict(first.spec.parameters),
        training=first.spec.training.model_dump(mode="json"),
        n_parameters=first.environment.get("n_parameters"),
        stages=tuple(first.environment.get("stages", ())),
        scores=scores,
        per_class=_per_class(scores, first.environment["classes"]),
        confusion=_confusions(records),
        skipped=skipped,
        failed=failed,
    )


_RULES = {"prediction": "best {part} prediction", "loss": "lowest {part} loss", "last": "the last"}


def _kept(record: RunRecord) -> str:
    """Which epochs a run reports and by which rule, a stage after the other."""
    part = "test" if record.spec.training.selection == "oracle" else "validation"
    return "; ".join(
        f"{stage['name']}: {stage['best_epoch']} of {stage['epochs_run']}, "
        f"{_RULES.get(stage['select'], stage['select']).format(part=part)}"
        for stage in record.environment.get("stages", ())
    )


def _per_class(
    scores: Mapping[str, Estimate], classes: Sequence[str]
) -> dict[str, dict[str, Estimate]]:
    """Expression -> title of the measure in lower case -> its mean, where there are any."""
    out: dict[str, dict[str, Estimate]] = {}
    for name in classes:
        for column in columns_of("per-class"):
            key = column.key.replace("<class>", name)
            if key in scores:
                out.setdefault(name, {})[column.title.lower()] = scores[key]
    return out


def _confusions(records: Sequence[RunRecord]) -> dict[str, list[list[int]]]:
    """Summed over the folds of the first seed: every test face once."""
    seed = min(record.spec.seed for record in records)
    out: dict[str, np.ndarray] = {}
    for record in records:
        outcome = record.outcomes().get("classification") if record.spec.seed == seed else None
        if outcome is None:
            continue
        for part in ("train", "test"):
            score = outcome.scores.get(f"{part}.confusion")
            if score is not None and score.details.get("matrix"):
                matrix = np.asarray(score.details["matrix"], dtype=np.int64)
                out[part] = out.get(part, 0) + matrix
    return {part: matrix.tolist() for part, matrix in out.items()}


def _sorted(rows: tuple[Row, ...], columns: Sequence[str]) -> tuple[Row, ...]:
    """Methods first, best first in the leading column; then references; then oracles."""
    lead = leaderboard_columns()[columns[0]] if columns else None

    def order(row: Row) -> tuple[int, float]:
        score = row.scores.get(lead.key) if lead else None
        if score is None or lead is None or not is_evidence(score):
            return ROLES.index(row.role), math.inf
        return ROLES.index(row.role), -score.mean if lead.better == "high" else score.mean

    return tuple(sorted(rows, key=order))


def _verdicts(
    rows: Sequence[Row], columns: Sequence[str], frame: pd.DataFrame, paired: PairedScores
) -> Iterable[Verdict]:
    """The best method of every column, and what the comparison says of the others.

    A method that has collapsed or guesses is best only where all do. Methods whose number is no
    evidence are not compared by it.
    """
    methods = [row for row in rows if row.role == "method"]
    use = next((c for a in USES for c in columns_about(a) if c.key in columns), None)
    for key in columns:
        column = leaderboard_columns()[key]
        able = [row for row in methods if key in row.scores and is_evidence(row.scores[key])]
        if not able or not column.better:
            continue
        sign = 1 if column.better == "high" else -1
        eligible = [row for row in able if sound(row.scores, use)] or able
        best = max(eligible, key=lambda row: sign * row.scores[key].mean)
        labels = [row.label for row in able]
        crossed = paired.compare(key, labels, own_spread=_apart(able, use))
        against, ranking = comparison(
            frame,
            key,
            labels,
            best=best.label,
            higher_is_better=sign > 0,
            crossed=crossed,
        )
        yield Verdict(
            key=key,
            title=column.title,
            headline=column.headline,
            best=best.label,
            value=best.scores[key],
            tied=tuple(label for label, d in against.items() if not d.separated),
            against=against,
            comparable=len(able),
            ranking=ranking,
            missing=() if crossed is None else crossed.missing,
            outlook=None if crossed is None else outlook(crossed, best.label),
        )


def _apart(rows: Sequence[Row], use: Column | None) -> set[str]:
    """Rows whose spread over seeds says nothing about that of sound methods."""
    return {row.label for row in rows if row.role != "method" or not sound(row.scores, use)}


def _with_intervals(
    rows: Sequence[Row], columns: Sequence[str], paired: PairedScores
) -> tuple[Row, ...]:
    """The rows with the intervals of the crossed model, in leaderboard and tables of attackers."""
    use = next((c for a in USES for c in columns_about(a) if c.key in columns), None)
    labels = [row.label for row in rows]
    apart = _apart(_judged(rows, use, paired), use)
    attacked = (column.key for table in ATTACKED for column in columns_of(table))
    keys = dict.fromkeys((*columns, *attacked))
    compared = {key: paired.compare(key, labels, own_spread=apart) for key in keys}
    crossed = {key: interval for key, interval in compared.items() if interval is not None}
    return tuple(
        replace(row, scores=with_intervals(row.scores, crossed, row.label)) for row in rows
    )


def _judged(rows: Sequence[Row], use: Column | None, paired: PairedScores) -> Sequence[Row]:
    """The rows with the intervals over people that tell who guesses."""
    if use is None:
        return rows
    compared = paired.compare(use.key, [row.label for row in rows])
    crossed = {} if compared is None else {use.key: compared}
    return [replace(row, scores=with_intervals(row.scores, crossed, row.label)) for row in rows]


def _remarks(
    rows: Sequence[Row],
    records: Sequence[RunRecord],
    frame: pd.DataFrame,
    failures: Sequence[Failure],
    superseded: Mapping[str, int],
) -> tuple[Remark, ...]:
    """Everything a reader must be told."""
    runs = {row.label: len(row.runs) for row in rows if row.role == "method"}
    failed = [(row.label, name, error) for row in rows for name, error in row.failed.items()]
    said = [
        *said_of_runs(runs, failures, failed, superseded),
        *said_by_scores(frame),
        *said_in_training(records),
    ]
    return remarks(said, methods=runs)


def _failures(store: RunStore) -> Iterable[Failure]:
    for run, facts in store.failures().items():
        yield Failure(
            run=run,
            label=str(facts.get("label", run)),
            method=str(facts.get("method", "")),
            seed=int(facts.get("seed", 0)),
            fold=int(facts.get("fold", 0)),
            kind=str(facts.get("kind", "failed")),
            reason=str(facts.get("reason", "")),
        )


def _damages(store: RunStore, unscored: Iterable[RunRecord]) -> Iterator[Failure]:
    """Finished runs that the numbers leave out."""
    for run, reason in store.damaged().items():
        yield _damage(store.record(run), reason)
    for record in unscored:
        again = "its scores are missing or damaged: `fer-bench score` computes them."
        yield _damage(record, again)


def _damage(record: RunRecord, reason: str) -> Failure:
    run = record.folder.name
    try:
        spec = record.spec
    except RunError:  # its name is all that can be told
        return Failure(run, run, "", 0, 0, "damaged", reason)
    return Failure(run, spec.label, spec.method, spec.seed, spec.fold, "damaged", reason)


def _experiment_order(store: RunStore, grouped: Mapping[str, list[RunRecord]]) -> list[str]:
    experiment = store.experiment()
    if experiment is None:
        return list(grouped)
    names = [method.name for method in experiment.methods]

    def place(label: str) -> int:
        method = grouped[label][0].spec.method
        return names.index(method) if method in names else len(names)

    return sorted(grouped, key=place)


def _title(experiment: Experiment | None, data: str) -> str:
    if experiment is None:
        return data
    return experiment.report.title or experiment.name


def _plain(value: Any) -> Any:
    if isinstance(value, Caution):
        return value.to_json()
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else None
    if value is None or isinstance(value, (str, int)):
        return value
    if is_dataclass(value):
        return {field.name: _plain(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, Mapping):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [_plain(v) for v in value]
    if isinstance(value, Path):
        return str(value)
    return _plain(value.item()) if hasattr(value, "item") else value
