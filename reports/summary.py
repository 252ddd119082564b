"""Numbers first: one plain summary of a result folder, of which every page is a rendering.

The summary knows no HTML and no LaTeX. It holds what was compared on what, one entry a row of
the leaderboard with its means and intervals, which differences are real, what failed, and what a
reader has to be warned of. It is saved beside the results as `summary.json`.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from fer_bench.cautions import Caution, merged
from fer_bench.errors import RunError
from fer_bench.metrics.attacks import normalised_leak
from fer_bench.metrics.classification import FITTED
from fer_bench.reports.aggregate import Difference, Estimate, Ranking, comparison, estimates
from fer_bench.reports.columns import Column, formatted, leaderboard_columns
from fer_bench.runs.store import RunRecord, RunStore, write_json
from fer_bench.score import Score

ROLES = ("method", "reference", "oracle")
CEILINGS = ("pixels", "frozen-backbone", "face-descriptor")
NORMALISED_LEAK = "leakage/E.identity.normalised"


@dataclass(frozen=True)
class Remark:
    """A sentence a reader must see, for all cautions of one kind.

    Attributes:
        text: the sentence.
        level: "error" (a number is missing or void), "warning", or "note".
        rows: labels of the rows it concerns; empty means all of them.
        metrics: the metrics that said it, where a metric did.
        runs: in how many runs it was said.
        kind: of the cautions; see `Caution.kind`.
    """

    text: str
    level: str
    rows: tuple[str, ...] = ()
    metrics: tuple[str, ...] = ()
    runs: int = 0
    kind: tuple[str, ...] = ()


@dataclass(frozen=True)
class Row:
    """One row of the leaderboard: a method with its parameters, over all its runs.

    Attributes:
        label: shown name, unique in a result folder.
        method, role, title, paper, year, needs, produces_identity: facts about the method.
        published: numbers printed in papers, never measured here.
        deviations: from the paper, stated by the adapter.
        runs: run id -> {"seed", "fold", "wall_s", "device", "kept"}; "kept" says in words which
            epoch of every stage was kept, and by which rule.
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


@dataclass(frozen=True)
class Verdict:
    """Which method is best on one column, and which ones cannot be told from it.

    Attributes:
        key, title, headline: of the column.
        best: label of the row with the best mean.
        value: its estimate.
        tied: labels that cannot be separated from it with the pairs at hand.
        against: label -> paired difference to the best row (best minus other).
        comparable: how many methods have the number.
        ranking: average ranks, and the critical difference where it is allowed.
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


@dataclass(frozen=True)
class Failure:
    """A planned run that is not there."""

    run: str
    label: str
    method: str
    seed: int
    fold: int
    kind: str
    reason: str


@dataclass(frozen=True)
class Summary:
    """Everything a report says in numbers."""

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

    def of_role(self, role: str) -> list[Row]:
        """Rows of one role, best first in the first column they have."""
        return [row for row in self.rows if row.role == role]

    def row(self, label: str) -> Row:
        """The row of a label."""
        return next(row for row in self.rows if row.label == label)

    def verdict(self, key: str) -> Verdict | None:
        """The verdict on a column, or None where no method has it."""
        return next((v for v in self.verdicts if v.key == key), None)

    def to_json(self) -> dict[str, Any]:
        """Plain JSON types; NaN becomes None."""
        return _plain(asdict(self))

    def to_markdown(self) -> str:
        """The short version: verdicts, leaderboard, warnings."""
        from fer_bench.reports.tables import Table, leaderboard_table

        lines = [f"# {_one_line(self.title)}", ""]
        for verdict in self.verdicts:
            if verdict.headline:
                lines.append(f"- **{_one_line(verdict.best)}** {verdict.headline}{_tie(verdict)}.")
        table: Table = leaderboard_table(self)
        lines += ["", table.to_markdown(), ""]
        lines += [f"- {c.level}: {_one_line(c.text)}" for c in self.cautions]
        return "\n".join(lines) + "\n"


def _tie(verdict: Verdict) -> str:
    if not verdict.tied:
        return ""
    return f", but cannot be separated from {', '.join(_one_line(t) for t in verdict.tied)}"


def _one_line(text: str) -> str:
    return " ".join(str(text).split())


def summarise(store: RunStore) -> Summary:
    """Summarise a result folder and save it there as `summary.json`, where it may be written.

    Raises:
        RunError: there is no finished run in the folder.
    """
    found, superseded = _latest(store.records())
    records = _of_one_strength(found)
    if not records:
        raise RunError(
            f"there is no finished run in {str(store.root)!r}: is it the folder given to "
            "`fer-bench run --out`?"
        )
    frame = scores_frame(records)
    grouped: dict[str, list[RunRecord]] = defaultdict(list)
    for record in records:
        grouped[record.spec.label].append(record)
    order = _experiment_order(store, grouped)
    experiment = store.experiment()
    scores = estimates(frame) if len(frame) else {}
    rows = tuple(_row(label, grouped[label], scores.get(label, {})) for label in order)
    columns = tuple(
        c.key for c in leaderboard_columns().values() if any(c.key in row.scores for row in rows)
    )
    rows = _sorted(rows, columns)
    failures = tuple(_failures(store))
    first = records[0]
    summary = Summary(
        title=_title(experiment, first),
        notes=experiment.notes if experiment else "",
        created=datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        command=_command(experiment),
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
        verdicts=tuple(_verdicts(rows, columns, frame)),
        cautions=tuple(_cautions(rows, records, frame, failures, superseded)),
        failures=failures,
        environment={
            key: first.environment[key]
            for key in ("python", "torch", "numpy", "device")
            if key in first.environment
        }
        | {"code": dict(first.spec.code)},
        experiment=experiment.model_dump(mode="json") if experiment else {},
    )
    with suppress(OSError):  # results that cannot be written to can be read
        write_json(store.root / "summary.json", summary.to_json())
    return summary


def latest_records(store: RunStore) -> list[RunRecord]:
    """The newest run of each row, seed, fold and strength of the tie."""
    return _latest(store.records())[0]


def _of_one_strength(records: list[RunRecord]) -> list[RunRecord]:
    """The runs whose rows are compared: of a confounding experiment, those of the weakest tie.

    Rows trained at different strengths are no rivals; `confounding` draws them as curves.
    """
    strengths = {-1.0 if r.spec.tie is None else r.spec.tie.rho for r in records}
    weakest = min(strengths, default=-1.0)
    return [r for r in records if (-1.0 if r.spec.tie is None else r.spec.tie.rho) == weakest]


def _latest(records: Sequence[RunRecord]) -> tuple[list[RunRecord], dict[str, int]]:
    """The newest run of each row, seed and fold; and how many older ones each label has.

    A folder that was used again after an upgrade, or with other parameters, holds both.
    """
    newest: dict[tuple[str, int, int, str], RunRecord] = {}
    older: Counter[str] = Counter()
    for record in sorted(records, key=lambda r: (r.folder / "done.json").stat().st_mtime):
        tie = record.spec.tie.model_dump_json() if record.spec.tie else ""
        place = (record.spec.label, record.spec.seed, record.spec.fold, tie)
        if place in newest:
            older[record.spec.label] += 1
        newest[place] = record
    return sorted(newest.values(), key=lambda r: r.folder.name), dict(older)


def scores_frame(records: Iterable[RunRecord]) -> pd.DataFrame:
    """All scores of all runs as one tidy table, one row a score.

    Columns: run, label, method, role, seed, fold, metric, key ("<metric>/<score>"), value, low,
    high, null, p, n, unit, cautions (a tuple of `Caution`). The normalised leak is added here: its
    ceiling is the best identity probe on the reference rows (pixels, face-recognition features,
    a frozen backbone) of the same fold, which a run cannot know by itself: of the same seed, or,
    where references were run with fewer seeds, the mean over those.
    """
    lines = []
    strongest: dict[tuple[int, int], list[tuple[dict[str, Any], Score]]] = defaultdict(list)
    for record in records:
        spec = record.spec
        head = {
            "run": record.folder.name,
            "label": spec.label,
            "method": spec.method,
            "role": record.environment["method"]["role"],
            "seed": spec.seed,
            "fold": spec.fold,
        }
        for metric, outcome in record.outcomes().items():
            lines += [_line(head, f"{metric}/{key}", s) for key, s in outcome.scores.items()]
            if metric == "leakage" and "E.identity.strongest" in outcome.scores:
                score = outcome.scores["E.identity.strongest"]
                strongest[spec.seed, spec.fold].append((head, score))
    ceilings = {
        place: max(values)
        for place, siblings in strongest.items()
        if (values := [s.value for head, s in siblings if head["method"] in CEILINGS])
    }
    for (seed, fold), siblings in strongest.items():
        own = ceilings.get((seed, fold))
        of_fold = [c for place, c in ceilings.items() if place[1] == fold]
        if not of_fold:
            continue
        ceiling = float(np.mean(of_fold)) if own is None else own
        for head, score in siblings:
            chance = score.details.get("chance", score.null)
            if chance is not None and score.value == score.value:
                leak = normalised_leak(score, ceiling, chance)
                lines.append(_line(head, NORMALISED_LEAK, leak))
    columns = ["run", "label", "method", "role", "seed", "fold", "metric", "key", "value"]
    columns += ["low", "high", "null", "p", "n", "unit", "cautions"]
    frame = pd.DataFrame(lines, columns=columns)
    numbers = ["value", "low", "high", "null", "p"]
    frame[numbers] = frame[numbers].astype(float)
    return frame


def _line(head: Mapping[str, Any], key: str, score: Score) -> dict[str, Any]:
    return {
        **head,
        "metric": key.partition("/")[0],
        "key": key,
        "value": score.value,
        "low": score.low,
        "high": score.high,
        "null": score.null,
        "p": score.p,
        "n": score.n,
        "unit": score.unit,
        "cautions": score.cautions,
    }


def _row(label: str, records: Sequence[RunRecord], scores: dict[str, Estimate]) -> Row:
    first = min(records, key=lambda r: (r.spec.seed, r.spec.fold))
    facts = first.environment["method"]
    skipped: dict[str, str] = {}
    failed: dict[str, str] = {}
    for record in records:
        for metric, outcome in record.outcomes().items():
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
    out = {}
    for name in classes:
        found = {
            what: scores[f"classification/test.{what}.{name}"]
            for what in ("precision", "recall", "f1", "support")
            if f"classification/test.{what}.{name}" in scores
        }
        if found:
            out[name] = found
    return out


def _confusions(records: Sequence[RunRecord]) -> dict[str, list[list[int]]]:
    """Summed over the folds of the first seed: every test face once."""
    seed = min(record.spec.seed for record in records)
    out: dict[str, np.ndarray] = {}
    for record in records:
        outcome = record.outcomes().get("classification")
        if record.spec.seed != seed or outcome is None:
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
        found = row.scores.get(lead.key) if lead else None
        if found is None or lead is None:
            return ROLES.index(row.role), math.inf
        return ROLES.index(row.role), -found.mean if lead.better == "high" else found.mean

    return tuple(sorted(rows, key=order))


def _verdicts(
    rows: Sequence[Row], columns: Sequence[str], frame: pd.DataFrame
) -> Iterable[Verdict]:
    methods = [row for row in rows if row.role == "method"]
    for key in columns:
        column = leaderboard_columns()[key]
        able = [row for row in methods if key in row.scores]
        if not able or not column.better:
            continue
        high = column.better == "high"
        best = max(able, key=lambda row: (1 if high else -1) * row.scores[key].mean)
        labels = [row.label for row in able]
        against, ranking = comparison(frame, key, labels, best=best.label, higher_is_better=high)
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
        )


def _cautions(
    rows: Sequence[Row],
    records: Sequence[RunRecord],
    frame: pd.DataFrame,
    failures: Sequence[Failure],
    superseded: Mapping[str, int],
) -> list[Remark]:
    """Everything a reader must be told, gravest first; equal sentences are said once."""
    out: list[Remark] = []
    for kind, word in (("failed", "failed"), ("skipped", "could not be done")):
        labels = [f.label for f in failures if f.kind == kind]
        if labels:
            runs = "run" if len(labels) == 1 else "runs"
            text = f"{len(labels)} planned {runs} {word}: the rows below rest on the others."
            level = "error" if kind == "failed" else "warning"
            out.append(Remark(text, level, _unique(labels), runs=len(labels)))
    if superseded:
        text = (
            f"{sum(superseded.values())} older runs of the same row, seed and fold (other "
            "parameters or another version) are left out."
        )
        out.append(Remark(text, "warning", tuple(superseded), runs=sum(superseded.values())))
    for row in rows:
        for metric, error in row.failed.items():
            out.append(Remark(f"The metric {metric!r} failed: {error}", "error", (row.label,)))
    said: dict[tuple[str, ...], list[tuple[Caution, str, str]]] = defaultdict(list)
    for line in frame.itertuples():
        for caution in line.cautions:
            if caution != FITTED:
                said[caution.kind].append((caution, str(line.label), str(line.metric)))
    for record in records:
        for caution in map(Caution.from_json, record.environment.get("warnings", ())):
            said[caution.kind].append((caution, record.spec.label, "training"))
    for same, places in said.items():
        labels = [label for _, label, _ in places]
        metrics = _unique(metric for _, _, metric in places)
        words = merged(caution for caution, _, _ in places)
        words = words[:1].upper() + words[1:]
        level = places[0][0].level
        out.append(Remark(words, level, _unique(labels), metrics, len(places), same))
    pairs = Counter(row.label for row in rows if row.role == "method" for _ in row.runs)
    few = [label for label, n in pairs.items() if n < 6]
    if few:
        text = (
            "Fewer than 6 runs: no paired rank test can reach 5 % with so few pairs, whatever "
            "the numbers are."
        )
        out.append(Remark(text, "note", _unique(few)))
    claims = {row.label for row in rows if row.role == "method"}
    levels = ("error", "warning", "note")

    def gravity(caution: Remark) -> tuple[int, bool, bool, int]:
        aside = bool(caution.rows) and not claims & set(caution.rows)
        minor = bool(caution.metrics) and not _HEADLINES & set(caution.metrics)
        return levels.index(caution.level), aside, minor, -caution.runs

    return sorted(out, key=gravity)


_HEADLINES = {"training", "classification", "affect", "leakage", "mi", "mig"}


def _unique(items: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(items))


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


def _experiment_order(store: RunStore, grouped: Mapping[str, list[RunRecord]]) -> list[str]:
    experiment = store.experiment()
    if experiment is None:
        return list(grouped)
    names = [method.name for method in experiment.methods]

    def place(label: str) -> int:
        method = grouped[label][0].spec.method
        return names.index(method) if method in names else len(names)

    return sorted(grouped, key=place)


def _title(experiment: Any, first: RunRecord) -> str:
    if experiment is None:
        return first.spec.data.name
    return experiment.report.title or experiment.name


def _command(experiment: Any) -> str:
    return "fer-bench run experiment.json --out a-new-folder" if experiment is not None else ""


def _plain(value: Any) -> Any:
    if isinstance(value, Caution):
        return value.to_json()
    if isinstance(value, Mapping):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [_plain(v) for v in value]
    if isinstance(value, Path):
        return str(value)
    if hasattr(value, "item"):
        value = value.item()
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


__all__ = ["Column", "Summary", "formatted", "scores_frame", "summarise"]
