"""`fer-bench list`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from enum import StrEnum
from typing import Annotated, Any

import typer


class Kind(StrEnum):
    """What can be listed."""

    methods = "methods"
    datasets = "datasets"
    metrics = "metrics"
    estimators = "estimators"
    protocols = "protocols"


def list_names(
    kind: Annotated[Kind, typer.Argument(help="What to list.", show_default=False)],
) -> None:
    """List what is installed, ours and others', with the facts that matter for choosing."""
    from rich.table import Table

    from fer_bench.terminal import make_console

    columns, rows = TABLES[kind]()
    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_column(style="bold", no_wrap=True)
    table.add_column()
    for name, *facts, last in rows:
        table.add_row(name, "\n".join(_paragraphs(columns[1:-1], facts, last)))
    make_console(highlight=False, markup=False).print(table)


def _paragraphs(titles: Sequence[str], facts: Sequence[str], last: str) -> Iterator[str]:
    """The facts of a row that say anything, on one line, and the sentence that ends it."""
    told = [(title, fact) for title, fact in zip(titles, facts, strict=True) if fact.strip("-")]
    if told:
        yield "; ".join(title if fact == "yes" else f"{title}: {fact}" for title, fact in told)
    if last:
        yield last


def _load_all(registry: Any) -> Iterator[tuple[str, Any, str]]:
    """(name, object or None, trouble) of every entry; a broken plug-in is listed as such."""
    from fer_bench.errors import FerBenchError

    for name in registry.names():
        try:
            yield name, registry.get(name), ""
        except FerBenchError as error:
            yield name, None, str(error)


Listing = tuple[Sequence[str], Sequence[Sequence[str]]]


def _yes(flag: bool) -> str:
    return "yes" if flag else "-"


def _methods() -> Listing:
    from fer_bench import registry

    rows = []
    for name, method, trouble in _load_all(registry.methods):
        if method is None:
            rows.append((name, "", "", "", trouble))
            continue
        info = method.info
        needs = ", ".join(sorted(info.needs)) or "-"
        dated = info.year is None or str(info.year) in info.paper
        source = info.paper if dated else f"{info.paper} ({info.year})"
        rows.append((name, info.role, needs, _yes(info.produces_identity), source))
    return ("method", "role", "needs", "identity embedding", "source"), rows


def _datasets() -> Listing:
    from fer_bench import registry

    rows = []
    for name, reader, trouble in _load_all(registry.datasets):
        if reader is None:
            rows.append((name, "", "", "", trouble))
            continue
        info = reader.info
        attributes = ", ".join(info.attributes) or "-"
        rows.append((name, info.subjects, _yes(info.valence_arousal), attributes, info.terms))
    return ("data set", "subjects", "valence-arousal", "attributes", "terms"), rows


def _metrics() -> Listing:
    from fer_bench import registry

    rows = []
    for name, metric, trouble in _load_all(registry.metrics):
        if metric is None:
            rows.append((name, "", "", "", trouble))
            continue
        needs = ", ".join(sorted(metric.needs)) or "-"
        columns = ", ".join(s.title for s in getattr(metric, "scores", ()) if s.column) or "-"
        rows.append((name, _yes(metric.default), needs, columns, _first_line(metric)))
    return ("metric", "default", "needs", "columns", "what it is"), rows


def _estimators() -> Listing:
    from fer_bench import registry

    rows = []
    for name, estimator, trouble in _load_all(registry.estimators):
        rows.append((name, trouble if estimator is None else _first_line(estimator)))
    return ("estimator", "what it is"), rows


def _protocols() -> Listing:
    from fer_bench.sharing.protocols import cards

    rows = []
    for card in cards():
        folds = "its own split" if card.split.official else f"{len(card.split.indices)} of "
        folds += "" if card.split.official else f"{card.split.folds} folds over people"
        about = (", ".join(card.metrics), card.attackers, card.nulls, card.hash)
        rows.append((f"{card.name} {card.version}", folds, *about, card.title))
    return ("protocol", "folds", "metrics", "attackers", "nulls", "hash", "data"), rows


def _first_line(thing: Any) -> str:
    text = thing.__doc__ or ("" if isinstance(thing, type) else type(thing).__doc__) or ""
    return text.strip().splitlines()[0] if text.strip() else ""


TABLES = {
    Kind.methods: _methods,
    Kind.datasets: _datasets,
    Kind.metrics: _metrics,
    Kind.estimators: _estimators,
    Kind.protocols: _protocols,
}
