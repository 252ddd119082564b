"""The page: one self-contained HTML file, rendered from the summary.

Everything is inside the file (style, script, figures, faces), every string from the data is
escaped by Jinja, and the page's own content security policy lets nothing run but the scripts
that are listed in it by their hash.
"""

from __future__ import annotations

import base64
import hashlib
import json
import unicodedata
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from numpy.typing import NDArray

from fer_bench.arrays import Part
from fer_bench.errors import FerBenchError
from fer_bench.reports import figures
from fer_bench.reports.aggregate import Difference, Estimate
from fer_bench.reports.columns import Column, formatted, leaderboard_columns, main_columns
from fer_bench.reports.confounding import confounding, confounding_figure
from fer_bench.reports.decoded import decoded
from fer_bench.reports.explorer import bokeh_item, data_rows, explorer_data
from fer_bench.reports.faces import Faces, Sprite, sprite_of
from fer_bench.reports.maps import KINDS, TITLES, Maps, Which, maps_of
from fer_bench.reports.published import published_rows
from fer_bench.reports.style import drawing
from fer_bench.reports.summary import Remark, Row, Summary, Verdict, summarise
from fer_bench.reports.traces import trace_figure
from fer_bench.runs.store import RunRecord, RunStore, atomic_path
from fer_bench.score import Style

RETRIEVED = 6
CARDS = (
    "classification/test.accuracy",
    "leakage/E.identity.normalised",
    "mig/mig",
    "affect/test.ccc.mean",
    "classification/test.macro_f1",
)
_ROLE_TITLES = {"method": "Methods", "reference": "Reference rows", "oracle": "Oracles"}
_ROLE_NOTES = {
    "reference": "nothing is claimed for them: they show what comes for free",
    "oracle": "they are shown the labels, to pin the ends of every scale",
}


def write_report(
    root: str | Path,
    *,
    out: str | Path | None = None,
    faces: Faces | None = None,
    against: str | Path | None = None,
    maps: Which = "both",
    max_points: int = 2500,
) -> Path:
    """Write the HTML report of a result folder.

    Args:
        root: result folder.
        out: the file to write; `<root>/report.html` by default.
        faces: "show", "blur" or "none"; by default what the experiment says, else "show" where
            the terms of the data allow publication and "none" where not.
        against: another result folder; then the page opens with what changed since.
        maps: "both", "tsne", "umap" or "none". Maps are computed once and kept with the runs.
        max_points: points drawn in a map, at most.

    Returns:
        The path of the page.

    Raises:
        FerBenchError: there is no finished run, or an option is unknown.
    """
    if maps not in KINDS:
        raise FerBenchError(f"maps is {maps!r}: use 'both', 'tsne', 'umap' or 'none'.")
    if faces not in (None, "show", "blur", "none"):
        raise FerBenchError(f"faces is {faces!r}: use 'show', 'blur' or 'none'.")
    store = RunStore(root)
    summary = summarise(store)
    context = _context(store, summary, faces=faces, maps=maps, max_points=max_points)
    context["change"] = _change(summary, against)
    html = _environment().get_template("report.html.j2").render(context)
    target = Path(out) if out is not None else store.root / "report.html"
    with atomic_path(target) as aside:
        aside.write_text(html, encoding="utf-8")
    return target


def _change(summary: Summary, against: str | Path | None) -> Any:
    if against is None:
        return None
    from fer_bench.reports.compare import compare_summaries

    return compare_summaries(summarise(RunStore(against)), summary)


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("fer_bench.reports"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.policies["json.dumps_kwargs"] = {}  # Bokeh reads its references in order
    environment.filters |= {"number": formatted, "seconds": _seconds, "plain": _plain_text}
    return environment


def _context(
    store: RunStore, summary: Summary, *, faces: Faces | None, maps: Which, max_points: int
) -> dict[str, Any]:
    card = summary.data
    mode = _face_mode(summary, faces)
    shown = _Shown(store, summary, maps=maps, max_points=max_points)
    thumbnails = store.thumbnails(card["fingerprint"]) if mode != "none" else None
    sprite = sprite_of(thumbnails, shown.rows(), mode=mode)
    columns = [leaderboard_columns()[key] for key in main_columns() if key in summary.columns]
    more = [leaderboard_columns()[key] for key in summary.columns if key not in main_columns()]
    scripts = _scripts(with_maps=bool(shown.maps))
    tied = confounding(store, [row.label for row in summary.rows])
    with drawing(paper=False):
        trade_off = figures.trade_off(summary)
        tied_figure = confounding_figure(tied) if tied else None
        elsewhere = figures.transfer_heat(summary)
        rank_figures = [(v, figures.rank_diagram(v)) for v in summary.verdicts]
        drawn = {row.label: _drawn(store, summary, row, shown, maps) for row in summary.rows}
    details = {row.label: _details(store.record(row.representative)) for row in summary.rows}
    return {
        "s": summary,
        "columns": columns,
        "more_columns": more,
        "groups": [
            {
                "role": role,
                "title": _ROLE_TITLES[role],
                "note": _ROLE_NOTES.get(role, ""),
                "rows": summary.of_role(role),
            }
            for role in _ROLE_TITLES
            if summary.of_role(role)
        ],
        "cell": _Cells(summary),
        "cards": _cards(summary),
        "cautions": list(enumerate(summary.cautions)),
        "grave": [c for c in summary.cautions if c.level != "note"],
        "aside": [
            i
            for i, c in enumerate(summary.cautions)
            if c.rows and not {r.label for r in summary.of_role("method")} & set(c.rows)
        ],
        "card": card,
        "faces": mode,
        "sprite": sprite,
        "samples": _samples(shown, summary, sprite),
        "ranks": {v.key: _svg(d, _ranks_alt(v), cropped=True) for v, d in rank_figures},
        "trade_off": _svg(
            trade_off, "Usefulness against identity leak, one point a method", cropped=True
        ),
        "confounding": tied,
        "confounding_figure": _svg(
            tied_figure, "Accuracy and identity leak against the strength of the tie"
        ),
        "drawn": drawn,
        "details": details,
        "decoded": {
            row.label: decoded(
                row,
                store.record(row.representative).metric_arrays("decoder"),
                thumbnails,
                summary.classes,
                mode=mode,
            )
            for row in summary.rows
        },
        "retrieval": {row.label: shown.retrieval(row) for row in summary.rows},
        "map_kinds": [(kind, TITLES[kind]) for kind in KINDS[maps]] if shown.maps else [],
        "trust": {label: m.trust for label, m in shown.maps.items()},
        "explorer": explorer_data(summary, shown.parts, shown.maps, sprite, KINDS[maps])
        if shown.maps
        else None,
        "bokeh_item": bokeh_item() if shown.maps else None,
        "scripts": scripts,
        "policy": _policy(scripts.values()),
        "style": Markup(_template("style.css")),
        "published": published_rows(summary),
        "slug": _slugs(summary),
        "heat": _heat,
        "leak_matrix": _leak_matrix,
        "information": _information,
        "all_scores": _all_scores,
        "by_group": _by_group(summary, "groups"),
        "transfer": _by_group(summary, "transfer"),
        "transfer_heat": _svg(elsewhere, "Accuracy of every method on other data", cropped=True),
        "pairwise": _pairwise(summary),
        "to_json": to_json_text,
        "p_text": _p_text,
        "total_s": sum(
            float(run["wall_s"] or 0) for row in summary.rows for run in row.runs.values()
        ),
        "n_runs": sum(len(row.runs) for row in summary.rows),
    }


def _details(record: RunRecord) -> dict[str, Mapping[str, Any]]:
    """What a score rests on (estimator, bounds, calibration), from one run."""
    return {
        f"{metric}/{key}": score.details
        for metric, outcome in record.outcomes().items()
        for key, score in outcome.scores.items()
    }


def _face_mode(summary: Summary, faces: Faces | None) -> Faces:
    """What was asked for; else what the experiment says; else what the terms allow."""
    asked = faces or (summary.experiment.get("report") or {}).get("faces")
    return asked or ("show" if summary.data.get("publish_faces") else "none")


class _Shown:
    """The arrays behind the pictures: one run a row, read once."""

    def __init__(self, store: RunStore, summary: Summary, *, maps: Which, max_points: int) -> None:
        self.parts: dict[str, Part] = {}
        self.maps: dict[str, Maps] = {}
        for row in summary.rows:
            record = store.record(row.representative)
            self.parts[row.label] = record.arrays.test
            if KINDS[maps]:
                self.maps[row.label] = maps_of(record, kinds=KINDS[maps], max_points=max_points)
        self._retrieval = {
            label: _retrieve(part, with_identity=part.identity is not None)
            for label, part in self.parts.items()
        }

    def rows(self) -> NDArray[np.int64]:
        """Rows of the data set whose faces the page shows."""
        wanted = [np.zeros(0, dtype=np.int64)]
        for label, part in self.parts.items():
            known = data_rows(part)
            wanted.append(known[_sample_positions(part)])
            if label in self.maps:
                wanted.append(known[self.maps[label].rows])
            for grid in self._retrieval[label].values():
                for query, hits in grid:
                    wanted.append(known[[query, *hits]])
        return np.concatenate(wanted)

    def retrieval(self, row: Row) -> dict[str, list[dict[str, Any]]]:
        """Space -> queries with their nearest faces, as the template draws them."""
        part = self.parts[row.label]
        return {
            space: [
                {"query": _face(part, query), "hits": [_face(part, hit, query) for hit in hits]}
                for query, hits in grid
            ]
            for space, grid in self._retrieval[row.label].items()
        }


def _face(part: Part, at: int, query: int | None = None) -> dict[str, Any]:
    """A face with its labels and, as an answer, whether it agrees with the query."""
    labels = part.labels.iloc[at]
    out = {
        "row": int(data_rows(part)[at]),
        "expression": _known(labels["expression"]),
        "subject": _known(labels["subject"]),
    }
    if query is not None:
        out["same_expression"] = bool(part.y[at] == part.y[query] and part.y[at] >= 0)
        out["same_subject"] = bool(part.s[at] == part.s[query] and part.s[at] >= 0)
    return out


def _known(value: Any) -> str:
    return "unknown" if pd.isna(value) else str(value)


def _retrieve(part: Part, *, with_identity: bool) -> dict[str, list[tuple[int, list[int]]]]:
    """The six nearest by cosine, for one face of every expression.

    The queries are the same for all methods of a sweep: of each expression the first face,
    of another subject than the queries before it where there is one.
    """
    queries: list[int] = []
    for c in range(len(part.classes)):
        here = np.flatnonzero(part.y == c)
        fresh = here[~np.isin(part.s[here], part.s[queries])]
        queries += [int(i) for i in (*fresh, *here)][:1]
    out = {}
    for space in ("E", "I")[: 2 if with_identity else 1]:
        vectors = part.expression if space == "E" else part.identity
        assert vectors is not None
        x = np.nan_to_num(np.asarray(vectors, dtype=np.float64))
        norm = np.linalg.norm(x, axis=1, keepdims=True)
        x = x / np.where(norm > 0, norm, 1)
        grid = []
        for query in queries:
            similar = x @ x[query]
            similar[query] = -np.inf
            grid.append((query, [int(i) for i in np.argsort(-similar, kind="stable")[:RETRIEVED]]))
        out[space] = grid
    return out


def _sample_positions(part: Part, *, per_class: int = 4) -> NDArray[np.int64]:
    """A few faces of every expression, of different subjects where possible."""
    picked: list[int] = []
    for c in range(len(part.classes)):
        here = np.flatnonzero(part.y == c)
        _, first = np.unique(part.s[here], return_index=True)
        order = [*here[np.sort(first)], *here]
        picked += list(dict.fromkeys(int(i) for i in order))[:per_class]
    return np.asarray(picked, dtype=np.int64)


def _samples(shown: _Shown, summary: Summary, sprite: Sprite) -> list[dict[str, Any]]:
    part = shown.parts[summary.rows[0].label]
    picked = [_face(part, int(i)) for i in _sample_positions(part)]
    return [
        {"expression": name, "faces": [f for f in picked if f["expression"] == name]}
        for name in part.classes
        if sprite.uri and any(f["expression"] == name for f in picked)
    ]


def _drawn(
    store: RunStore, summary: Summary, row: Row, shown: _Shown, maps: Which
) -> dict[str, Any]:
    """The static figures of one row."""
    records = [store.record(run) for run in row.runs]
    part = shown.parts[row.label]
    out: dict[str, Any] = {
        "curves": _svg(
            figures.training_curves(records),
            f"Loss and validation figures of {row.label} over epochs",
        ),
        "probes": _svg(
            figures.probe_curves(row), f"What probes of rising capacity read from {row.label}"
        ),
        "affect": None,
        "traces": None,
        "maps": [],
    }
    if part.valence_arousal is not None:
        figure = figures.affect_figure(part.valence_arousal, part.target)
        out["affect"] = _svg(figure, f"Valence and arousal of {row.label}, true and predicted")
        traces = trace_figure(part.labels, part.valence_arousal, part.target)
        out["traces"] = _svg(traces, f"Valence and arousal of {row.label} along sequences")
    for kind in KINDS[maps]:
        figure = figures.static_maps(shown.maps[row.label], part.labels, summary.classes, kind=kind)
        alt = f"{TITLES[kind]} maps of {row.label}, coloured by expression and by subject"
        svg = _svg(figure, alt)
        if svg is not None:
            out["maps"].append((kind, TITLES[kind], svg))
    return out


def _svg(figure: Any, alt: str, *, cropped: bool = False) -> Markup | None:
    if figure is None:
        return None
    return Markup(figures.inline_svg(figure, alt=alt, cropped=cropped))


class _Cells:
    """How one number of the leaderboard is shown."""

    def __init__(self, summary: Summary) -> None:
        self.summary = summary
        self.remark_of = {remark.kind: i for i, remark in enumerate(summary.cautions)}
        self.range = {key: self._range(key) for key in summary.columns}

    def __call__(self, row: Row, column: Column) -> dict[str, Any]:
        """Texts, the interval's place on the column's scale, rank and warnings of a cell."""
        found = row.scores.get(column.key)
        if found is None:
            return {"found": None, "why": self._why(row, column)}
        verdict = self.summary.verdict(column.key) if row.role == "method" else None
        rank = ""
        if verdict is not None and verdict.comparable > 1:
            if verdict.best == row.label:
                rank = "best"
            elif row.label in verdict.tied:
                rank = "likely" if _leans(verdict.against[row.label]) else "tied"
        return {
            "found": found,
            "value": formatted(found.mean, column.style),
            "low": formatted(found.low, column.style),
            "high": formatted(found.high, column.style),
            "null": f"{column.null} {formatted(found.null, column.style)}"
            if column.null and found.null is not None
            else "",
            "terms": self._terms(row, column),
            "rank": rank,
            "glyph": self._glyph(found, column),
            "cautions": sorted(
                {
                    self.remark_of[caution.kind]
                    for caution in found.cautions
                    if caution.kind in self.remark_of
                }
            ),
        }

    def _terms(self, row: Row, column: Column) -> str:
        """Both terms of a difference of informations, which alone says too little."""
        if column.key != "mig/mig":
            return ""
        terms = [row.scores.get(f"mig/{name}") for name in ("shared", "leaked")]
        return " less ".join(formatted(t.mean, column.style) for t in terms if t is not None)

    def _why(self, row: Row, column: Column) -> str:
        metric = column.key.partition("/")[0]
        why = row.failed.get(metric) or row.skipped.get(metric) or "not measured"
        return why.removeprefix("the method has ").removeprefix("the method predicts ")

    def _range(self, key: str) -> tuple[float, float]:
        found = [row.scores[key] for row in self.summary.rows if key in row.scores]
        low = min(f.mean if f.low is None else f.low for f in found)
        high = max(f.mean if f.high is None else f.high for f in found)
        if leaderboard_columns()[key].style == "percent":
            low, high = (
                max(low, min(0.0, min(f.mean for f in found))),
                min(high, max(1.0, max(f.mean for f in found))),
            )
        return low, high

    def _glyph(self, found: Estimate, column: Column) -> dict[str, float] | None:
        low, high = self.range[column.key]
        if high <= low:
            return None

        def place(x: float) -> float:
            return round(min(1.0, max(0.0, (x - low) / (high - low))) * 92 + 4, 1)

        out = {"at": place(found.mean)}
        if found.low is not None and found.high is not None:
            out |= {"from": place(found.low), "to": place(found.high)}
        if found.null is not None and low <= found.null <= high:
            out["null"] = place(found.null)
        return out


def _cards(summary: Summary) -> list[dict[str, Any]]:
    """Which method is best on what, and whether that is certain."""
    cards: list[dict[str, Any]] = []
    found = [v for v in summary.verdicts if v.headline]
    for verdict in sorted(found, key=lambda v: CARDS.index(v.key))[:4]:
        column = leaderboard_columns()[verdict.key]
        pairs = [d.n_pairs for d in verdict.against.values()]
        cards.append(
            {
                "headline": f"has the {'highest' if column.better == 'high' else 'lowest'} "
                f"{column.title}"
                if _at_null(verdict.value, column)
                else verdict.headline,
                "best": verdict.best,
                "title": column.title,
                "meaning": column.meaning,
                "weak": _at_null(verdict.value, column),
                "value": formatted(verdict.value.mean, column.style),
                "low": formatted(verdict.value.low, column.style),
                "high": formatted(verdict.value.high, column.style),
                "unit": {"percent": "%", "nats": "nats"}.get(column.style, ""),
                "null": formatted(verdict.value.null, column.style)
                if verdict.value.null is not None and (column.null or verdict.comparable == 1)
                else "",
                "null_word": column.null or "null",
                "unclear": [t for t in verdict.tied if not _leans(verdict.against[t])],
                "likely": [t for t in verdict.tied if _leans(verdict.against[t])],
                "others": verdict.comparable - 1,
                "n_pairs": min(pairs) if pairs else 0,
                "n_runs": verdict.value.n_runs,
            }
        )
    return cards


def _at_null(found: Estimate, column: Column) -> bool:
    """Whether the best value is not shown to be better than the one without any effect."""
    if not column.null or found.null is None or found.low is None or found.high is None:
        return False
    return found.low <= found.null if column.better == "high" else found.high >= found.null


_SHOWN_LAST = ("worst", "worst_cell", "gap", "accuracy", "macro_f1", "drop")
_NOT_SHOWN = ("confusion", "nll", "ece", "balanced_accuracy")


def _by_group(summary: Summary, metric: str) -> list[dict[str, Any]]:
    """Accuracy by the values of each attribute, or on each further test set, method by method."""
    methods = [row for row in summary.rows if row.role == "method"]
    names: dict[str, dict[str, None]] = {}
    for row in methods:
        for key in row.scores:
            if key.startswith(f"{metric}/") and "." in key:
                group, _, level = key.removeprefix(f"{metric}/").partition(".")
                if level not in _NOT_SHOWN:
                    names.setdefault(group, {})[level] = None
    out = []
    for group, levels in names.items():
        able = [r for r in methods if any(f"{metric}/{group}.{v}" in r.scores for v in levels)]
        ordered = sorted(levels, key=lambda v: (v in _SHOWN_LAST, v))
        lines = [
            {
                "level": level,
                "cells": (cells := [row.scores.get(f"{metric}/{group}.{level}") for row in able]),
                "n": next((f.n // f.n_runs for f in cells if f is not None), 0),
            }
            for level in ordered
        ]
        out.append({"group": group, "labels": [r.label for r in able], "lines": lines})
    return out


def _leans(difference: Difference) -> bool:
    """The t-test tells them apart, and only the rank test has too few pairs to agree."""
    return difference.p is not None and difference.p < 0.05


def _pairwise(summary: Summary) -> list[dict[str, Any]]:
    """Differences to the best method, column by column, with intervals."""
    out = []
    for verdict in summary.verdicts:
        if verdict.key in main_columns() and verdict.against:
            column = leaderboard_columns()[verdict.key]
            lines = [
                {
                    "label": label,
                    "difference": formatted(d.mean, column.style, signed=True),
                    "low": formatted(d.low, column.style, signed=True),
                    "high": formatted(d.high, column.style, signed=True),
                    "p": _p_text(d.p),
                    "p_wilcoxon": _p_text(d.p_wilcoxon),
                    "n": d.n_pairs,
                    "separated": d.separated,
                    "verdict": d.verdict,
                }
                for label, d in verdict.against.items()
            ]
            unit = {"percent": "percentage points", "nats": "nats"}.get(column.style, "")
            out.append(
                {
                    "column": column,
                    "best": verdict.best,
                    "lines": lines,
                    "unit": unit,
                    "ranking": verdict.ranking,
                }
            )
    return out


def _ranks_alt(verdict: Verdict) -> str:
    ranks = sorted(verdict.ranking.ranks.items(), key=lambda item: item[1])
    words = ", ".join(f"{label} {rank:.2f}" for label, rank in ranks)
    return f"Critical-difference diagram of {verdict.title}; average ranks: {words}"


def _p_text(p: float | None) -> str:
    return "–" if p is None else "< .001" if p < 0.001 else f"{p:.3f}".lstrip("0")


def _heat(share: float) -> str:
    """A background for a share in [0, 1], as an opacity the style sheet turns into a colour."""
    return f"{min(1.0, max(0.0, share)):.3f}"


def _leak_matrix(row: Row) -> list[dict[str, Any]]:
    """{E, I} x {identity, expression}: each probe with chance beside it."""
    out = []
    for space in ("E", "I"):
        for target in ("identity", "expression"):
            prefix = f"leakage/{space}.{target}."
            found = {
                k.removeprefix(prefix): v for k, v in row.scores.items() if k.startswith(prefix)
            }
            if not found:
                continue
            probes = [
                {
                    "name": name,
                    "value": formatted(found[name].mean, "percent"),
                    "low": formatted(found[name].low, "percent"),
                    "high": formatted(found[name].high, "percent"),
                    "null": formatted(found[name].null, "percent"),
                    "share": found[name].mean,
                    "at_null": found[name].null,
                }
                for name in ("linear", "mlp", "knn", "centred", "heldout", "strongest", "floor")
                if name in found
            ]
            extra = [
                {
                    "name": name,
                    "value": formatted(found[name].mean, "ratio"),
                    "low": formatted(found[name].low, "ratio"),
                    "high": formatted(found[name].high, "ratio"),
                }
                for name in ("auc", "auc_centred", "eer", "map", "excess")
                if name in found
            ]
            out.append({"space": space, "target": target, "probes": probes, "extra": extra})
    return out


def _all_scores(row: Row) -> dict[str, list[dict[str, Any]]]:
    """Every score of a row by metric, so that nothing measured is hidden."""
    out: dict[str, list[dict[str, Any]]] = {}
    for key, found in sorted(row.scores.items()):
        metric, _, name = key.partition("/")
        out.setdefault(metric, []).append(
            {
                "name": name,
                "value": f"{found.mean:.4g}",
                "interval": ""
                if found.low is None or found.high is None
                else f"[{found.low:.4g}, {found.high:.4g}]",
                "null": "" if found.null is None else f"{found.null:.4g}",
                "spread": f"{found.spread:.2g}",
                "unit": found.unit,
                "n": found.n,
            }
        )
    return out


_INFORMATION = {
    "mi/E.expression": ("I(E; expression)", "what E should hold"),
    "mi/E.identity": ("I(E; identity)", "what E should not hold"),
    "mi/I.identity": ("I(I; identity)", "what I should hold"),
    "mi/E.identity.given_expression": (
        "I(E; identity | expression)",
        "the same beyond what expressions tell of people",
    ),
    "mi/I.expression": ("I(I; expression)", "what I should not hold"),
    "mig/shared": ("I(E_M; E_N)", "two people, one expression: the shared part"),
    "mig/leaked": ("I(E_M; I_M)", "one face, both embeddings: the leak between them"),
    "mig/mig": ("MIG", "the first less the second"),
    "mig/normalised": ("MIG, normalised", "on a bounded scale, in [-1, 1]"),
    "mig-estimators/leaked.given_expression": (
        "I(E; I | expression)",
        "what both hold beyond expression",
    ),
} | {
    f"{estimator}.{key}": (f"{name}, {title}", "the same, by another estimator")
    for estimator, title in (
        ("mig/mine", "MINE"),
        ("mig-estimators/infonce", "InfoNCE"),
        ("mig-estimators/copula", "Gaussian copula"),
    )
    for key, name in (("shared", "I(E_M; E_N)"), ("leaked", "I(E_M; I_M)"), ("mig", "MIG"))
}


def _information(row: Row, details: Mapping[str, Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Mutual information terms with null, ceiling, estimator and sample size."""
    out = []
    for key, (name, meaning) in _INFORMATION.items():
        found = row.scores.get(key)
        if found is None:
            continue
        known = details.get(key, {})
        style: Style = "nats" if found.unit == "nats" else "ratio"
        ceiling = known.get("entropy", known.get("bound"))
        calibration = known.get("calibration")
        out.append(
            {
                "name": name,
                "meaning": meaning,
                "value": formatted(found.mean, style),
                "low": formatted(found.low, style),
                "high": formatted(found.high, style),
                "null": formatted(found.null, style),
                "ceiling": formatted(ceiling, style),
                "estimator": str(known.get("chosen", known.get("estimator", ""))),
                "calibration": _calibration(calibration),
                "n": found.n // max(1, found.n_runs),
            }
        )
    return out


def _calibration(found: Any) -> str:
    """Bias and spread measured on problems of known information near the estimate."""
    if not isinstance(found, Mapping) or "fault" not in found:
        return ""
    text = f"bias {formatted(found['bias'], 'nats', signed=True)}"
    text += f" ± {formatted(found['spread'], 'nats')}"
    text += f", {formatted(found['low'], 'nats')} to {formatted(found['high'], 'nats')}"
    return f"⚠ {found['fault']}: {text}" if found["fault"] else text


def _scripts(*, with_maps: bool) -> dict[str, Markup]:
    """The page's scripts by name, each a text that goes between script tags unchanged."""
    out = {"page": _template("page.js")}
    if with_maps:
        from bokeh.resources import Resources

        resources = Resources(mode="inline", components=["bokeh"])
        out["bokeh"] = "\n".join(resources.js_raw)
        out["maps"] = _template("maps.js")
    # A closing tag inside a library's string literal would end the script element.
    return {name: Markup(text.replace("</script", "<\\/script")) for name, text in out.items()}


def _policy(scripts: Any) -> str:
    hashes = " ".join(
        "'sha256-" + base64.b64encode(hashlib.sha256(str(s).encode()).digest()).decode() + "'"
        for s in scripts
    )
    return (
        f"default-src 'none'; script-src {hashes}; style-src 'unsafe-inline'; "
        "img-src data: blob:; font-src data:; base-uri 'none'; form-action 'none'"
    )


def _template(name: str) -> str:
    return files("fer_bench.reports").joinpath("templates", name).read_text(encoding="utf-8")


def _slugs(summary: Summary) -> Mapping[str, str]:
    """Labels as fragment names that no string from the data can break."""
    return {row.label: f"row-{i}" for i, row in enumerate(summary.rows)}


def _seconds(seconds: float | None) -> str:
    """12 s, 3.4 min, 1.2 h."""
    if seconds is None:
        return "–"
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.1f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def _plain_text(text: Any, longest: int = 200) -> str:
    """One line without control and direction characters, cut to a readable length."""
    return figures.shortened(str(text), longest)


def to_json_text(value: Any) -> str:
    """Indented JSON for the provenance section; invisible characters as their escapes."""
    text = json.dumps(value, indent=1, ensure_ascii=False, sort_keys=True)
    return "".join(
        c if c == "\n" or unicodedata.category(c)[0] != "C" else f"\\u{ord(c):04x}" for c in text
    )


__all__ = ["Remark", "RunRecord", "write_report"]
