"""`fer-bench list`."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
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

    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_column(style="bold", no_wrap=True)
    table.add_column()
    for name, *facts, last in rows_of(kind):
        table.add_row(name, "\n".join(_paragraphs(TITLES[kind][1:-1], facts, last)))
    make_console(highlight=False, markup=False).print(table)


def _paragraphs(titles: Sequence[str], facts: Sequence[str], last: str) -> Iterator[str]:
    """The facts of a row that say anything, on one line, and the sentence that ends it."""
    told = [(title, fact) for title, fact in zip(titles, facts, strict=True) if fact.strip("-")]
    if told:
        yield "; ".join(title if fact == "yes" else f"{title}: {fact}" for title, fact in told)
    if last:
        yield last


def rows_of(kind: Kind) -> Iterator[Sequence[str]]:
    """The name of everything of a kind, its facts, and a sentence; of what is broken, why."""
    from fer_bench import registry
    from fer_bench.errors import FerBenchError

    if kind is Kind.protocols:
        yield from _protocols()
        return
    known, facts_of = getattr(registry, kind), FACTS[kind]
    for name in known.names():
        try:
            thing = known.get(name)
        except FerBenchError as error:
            yield name, *([""] * (len(TITLES[kind]) - 2)), str(error)
        else:
            yield name, *facts_of(thing)


def _yes(flag: bool) -> str:
    return "yes" if flag else "-"


def _method(method: Any) -> Sequence[str]:
    info = method.info
    needs = ", ".join(sorted(info.needs)) or "-"
    dated = info.year is None or str(info.year) in info.paper
    source = info.paper if dated else f"{info.paper} ({info.year})"
    return info.role, needs, _yes(info.produces_identity), source


def _dataset(reader: Any) -> Sequence[str]:
    info = reader.info
    attributes = ", ".join(info.attributes) or "-"
    return info.subjects, _yes(info.valence_arousal), attributes, info.terms


def _metric(metric: Any) -> Sequence[str]:
    needs = ", ".join(sorted(metric.needs)) or "-"
    columns = ", ".join(s.title for s in getattr(metric, "scores", ()) if s.column) or "-"
    return _yes(metric.default), needs, columns, _first_line(metric)


def _protocols() -> Iterator[Sequence[str]]:
    from fer_bench.sharing.protocols import cards

    for card in cards():
        folds = "its own split" if card.split.official else f"{len(card.split.indices)} of "
        folds += "" if card.split.official else f"{card.split.folds} folds over people"
        about = (", ".join(card.metrics), card.attackers, card.nulls, card.hash)
        yield f"{card.name} {card.version}", folds, *about, card.title


def _first_line(thing: Any) -> str:
    text = thing.__doc__ or ("" if isinstance(thing, type) else type(thing).__doc__) or ""
    return text.strip().splitlines()[0] if text.strip() else ""


TITLES: dict[Kind, Sequence[str]] = {
    Kind.methods: ("method", "role", "needs", "identity embedding", "source"),
    Kind.datasets: ("data set", "subjects", "valence-arousal", "attributes", "terms"),
    Kind.metrics: ("metric", "default", "needs", "columns", "what it is"),
    Kind.estimators: ("estimator", "what it is"),
    Kind.protocols: ("protocol", "folds", "metrics", "attackers", "nulls", "hash", "data"),
}
FACTS: dict[Kind, Callable[[Any], Sequence[str]]] = {
    Kind.methods: _method,
    Kind.datasets: _dataset,
    Kind.metrics: _metric,
    Kind.estimators: lambda estimator: (_first_line(estimator),),
}
