"""The methods one by one, all folded."""

from __future__ import annotations

from base64 import b64encode
from collections import defaultdict
from collections.abc import Mapping, Sequence
from functools import partial
from statistics import fmean
from typing import Any

from fer_bench.diagram import plan_svg
from fer_bench.reports.aggregate import Estimate
from fer_bench.reports.columns import entries
from fer_bench.reports.decoded import decoded
from fer_bench.reports.figures.affect import affect_figure
from fer_bench.reports.figures.embeddings import static_maps
from fer_bench.reports.figures.probes import probe_curves
from fer_bench.reports.figures.traces import trace_figure
from fer_bench.reports.figures.training import term_curves, training_curves
from fer_bench.reports.maps import TITLES
from fer_bench.reports.material import Material
from fer_bench.reports.nearest import face_facts
from fer_bench.reports.sections.board import cells, deciding_columns
from fer_bench.reports.sections.section import Section
from fer_bench.reports.summary import Row
from fer_bench.reports.text import formatted
from fer_bench.runs.store import RunRecord


def content(page: Material) -> Mapping[str, Any]:
    """Everything there is about each row."""
    columns = deciding_columns(page.summary)
    return {
        "columns": columns,
        "cells": cells(page.summary, columns),
        "methods": [_method(page, i, row) for i, row in enumerate(page.summary.rows, 1)],
    }


def _method(page: Material, i: int, row: Row) -> dict[str, Any]:
    page.progress(f"methods, {i} of {len(page.summary.rows)}")
    record = page.store.record(row.representative)
    records = [page.store.record(run) for run in row.runs]
    arrays = record.metric_arrays("decoder")
    return {
        "row": row,
        "figures": _figures(page, row, records),
        "bounds": bounds(records),
        "diagram": _diagram(record, row),
        "maps": _maps(page, row),
        "probes": probe_matrix(row),
        "terms": information(row, _details(record)),
        "nearest": _nearest(page, row),
        "decoded": decoded(row, arrays, page.thumbnails, page.summary.classes, mode=page.faces),
        "scores": all_scores(row),
    }


def _figures(page: Material, row: Row, records: Sequence[RunRecord]) -> dict[str, Any]:
    """The static figures of one row, None where there is nothing to draw."""
    histories = [record.checksums["history.csv"] for record in records]
    part, label, kept = page.parts[row.label], row.label, page.figures
    faces = _test_files(page, row)
    affect = traces = None
    if (predicted := part.valence_arousal) is not None:
        affect = kept.svg(
            lambda: affect_figure(predicted, part.target),
            f"Valence and arousal of {label}, true and predicted",
            shows=("affect", faces),
        )
        traces = kept.svg(
            lambda: trace_figure(part.labels, predicted, part.target),
            f"Valence and arousal of {label} along sequences",
            shows=("traces", faces),
        )
    return {
        "curves": kept.svg(
            lambda: training_curves(records),
            f"Loss and validation figures of {label} over epochs",
            shows=("curves", histories),
        ),
        "terms": kept.svg(
            lambda: term_curves(records),
            f"Loss terms of {label} over epochs",
            shows=("terms", histories),
        ),
        "probes": kept.svg(
            lambda: probe_curves(row),
            f"What probes of rising capacity read from {label}",
            shows=("probes", entries(row.scores, "capacity")),
        ),
        "affect": affect,
        "traces": traces,
    }


def _test_files(page: Material, row: Row) -> list[str]:
    """Checksums of the test part that stands for a row."""
    sums = page.store.record(row.representative).checksums
    return [sums[f"parts/test.{kind}"] for kind in ("parquet", "safetensors")]


def _diagram(record: RunRecord, row: Row) -> str | None:
    """How the method was trained, as the address of a picture; earlier results have none."""
    plan = record.environment.get("plan")
    if plan is None:
        return None
    history = record.history
    trained = history[(history["split"] == "train") & (history["term"] != "total")]
    known = trained[["stage", "player", "term"]].drop_duplicates().astype(str)
    terms: dict[tuple[str, str], list[str]] = {}
    for stage, player, term in known.itertuples(index=False):
        terms.setdefault((stage, player), []).append(term)
    picture = plan_svg(plan, row.title, terms)
    return f"data:image/svg+xml;base64,{b64encode(picture.encode('utf-8', 'replace')).decode()}"


def _maps(page: Material, row: Row) -> list[dict[str, Any]]:
    """Maps that need no script, with how far they can be trusted."""
    out = []
    for kind in page.kinds if row.label in page.maps else ():
        maps = page.maps[row.label]
        labels = page.parts[row.label].labels
        alt = f"{TITLES[kind]} maps of {row.label}, coloured by expression and by subject"
        trust = {
            key.rpartition(".")[0]: value
            for key, value in maps.trust.items()
            if key.endswith(f".{kind}") and value == value
        }
        drawn = page.figures.svg(
            partial(static_maps, maps, labels, page.summary.classes, kind=kind),
            alt,
            shows=(kind, maps.digest, page.summary.classes, _test_files(page, row)),
        )
        if drawn is not None:
            out.append({"title": TITLES[kind], "svg": drawn, "trust": trust})
    return out


def _nearest(page: Material, row: Row) -> dict[str, list[dict[str, Any]]]:
    """Space -> queries with their nearest faces, as the template draws them."""
    part = page.parts[row.label]
    return {
        space: [
            {
                "query": face_facts(part, query),
                "hits": [face_facts(part, hit, query) for hit in hits],
            }
            for query, hits in grid
        ]
        for space, grid in page.nearest[row.label].items()
    }


def _details(record: RunRecord) -> dict[str, Mapping[str, Any]]:
    """What a score rests on (estimator, bounds, calibration), from one run."""
    return {
        f"{metric}/{key}": score.details
        for metric, outcome in record.outcomes().items()
        for key, score in outcome.scores.items()
    }


def bounds(records: Sequence[RunRecord]) -> list[dict[str, Any]]:
    """Bounds of training at the kept epochs beside their ceilings, means over the runs."""
    known: dict[tuple[str, str], list[Mapping[str, float | None]]] = defaultdict(list)
    for record in records:
        for stage in record.environment.get("stages", ()):
            for term, bound in stage.get("bounds", {}).items():
                known[stage["name"], term].append(bound)
    out = []
    for (stage, term), of_runs in known.items():
        line: dict[str, Any] = {"stage": stage, "term": term.replace("_", " ")}
        for part in ("train", "validation", "ceiling"):
            values = [value for bound in of_runs if (value := bound[part]) is not None]
            line[part] = fmean(values) if values else None
        out.append(line)
    return out


def probe_matrix(row: Row) -> list[dict[str, Any]]:
    """{E, I} x {identity, expression}: each attacker with chance beside it."""
    out: dict[tuple[str, str], dict[str, Any]] = {}
    for table in ("probes", "verification"):
        for entry in entries(row.scores, table):
            # A key without placeholders speaks of E and the identity alone.
            place = entry.words.get("space", "E"), entry.words.get("target", "identity")
            cell = out.setdefault(
                place, {"space": place[0], "target": place[1], "probes": [], "verification": []}
            )
            cell[table].append((entry.column, entry.value))
    order = [(space, target) for space in ("E", "I") for target in ("identity", "expression")]
    return [out[place] for place in order if place in out]


def information(row: Row, details: Mapping[str, Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Mutual information terms with null, ceiling, estimator and sample size."""
    out = []
    for entry in entries(row.scores, "information"):
        value, known = entry.value, details.get(entry.key, {})
        out.append(
            {
                "column": entry.column,
                "value": value,
                "ceiling": known.get("entropy", known.get("bound")),
                "estimator": str(known.get("chosen", known.get("estimator", ""))),
                "calibration": _calibration(known.get("calibration")),
                "n": value.n // max(1, value.n_runs),
            }
        )
    return out


def _calibration(known: Any) -> str:
    """Bias and spread measured on problems of known information near the estimate."""
    if not isinstance(known, Mapping) or "fault" not in known:
        return ""
    text = f"bias {formatted(known['bias'], 'nats', signed=True)}"
    text += f" ± {formatted(known['spread'], 'nats')}"
    text += f", {formatted(known['low'], 'nats')} to {formatted(known['high'], 'nats')}"
    return f"⚠ {known['fault']}: {text}" if known["fault"] else text


def all_scores(row: Row) -> dict[str, list[tuple[str, Estimate]]]:
    """Every score of a row by metric, so that nothing measured is hidden."""
    out: dict[str, list[tuple[str, Estimate]]] = {}
    for key, value in sorted(row.scores.items()):
        metric, _, name = key.partition("/")
        out.setdefault(metric, []).append((name, value))
    return out


SECTION = Section("methods", "Methods one by one", 80, content, "Methods", "onscreen")
