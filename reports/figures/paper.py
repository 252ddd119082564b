"""Every figure of a result folder in the widths of a paper, as PDF and SVG."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure
from numpy.typing import NDArray

from fer_bench.arrays import PartArrays
from fer_bench.reports.confounding import confounding
from fer_bench.reports.decoded import OWN, drawn_again
from fer_bench.reports.figures.affect import affect_figure
from fer_bench.reports.figures.confounding import confounding_figure
from fer_bench.reports.figures.drawings import drawings_figure
from fer_bench.reports.figures.embeddings import static_maps
from fer_bench.reports.figures.heat import confusion_figure, transfer_heat
from fer_bench.reports.figures.overview import overview, training_recalls
from fer_bench.reports.figures.per_class import per_class_figure
from fer_bench.reports.figures.probes import probe_curves
from fer_bench.reports.figures.ranks import rank_diagram
from fer_bench.reports.figures.style import drawing
from fer_bench.reports.figures.traces import trace_figure
from fer_bench.reports.figures.trade_off import trade_off
from fer_bench.reports.figures.training import term_curves, training_curves
from fer_bench.reports.figures.traversals import failures_figure, traversal_figure
from fer_bench.reports.figures.two_people import attribute_maps, people_affect, people_map
from fer_bench.reports.maps import KINDS, Which, maps_of
from fer_bench.reports.summary import Row, Summary, summarise
from fer_bench.reports.text import file_names
from fer_bench.reports.traversals import traversals_of
from fer_bench.runs.store import RunStore


def write_figures(
    root: str | Path,
    *,
    out: str | Path | None = None,
    maps: Which = "tsne",
    progress: Callable[[str], None] = lambda step: None,
) -> list[Path]:
    """Write every figure as PDF and SVG in a paper's column widths, fonts embedded.

    Args:
        root: result folder.
        out: folder for the files; `<root>/figures` by default.
        maps: which maps to draw.
        progress: told what is done next.

    Returns:
        The files written.
    """
    store = RunStore(root)
    progress("reading the results")
    summary = summarise(store)
    folder = Path(out) if out is not None else store.root / "figures"
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    with drawing(paper=True):
        for name, figure in paper_figures(store, summary, maps):
            progress(name)
            for ending in ("pdf", "svg"):
                path = folder / f"{name}.{ending}"
                metadata = {"CreationDate": None} if ending == "pdf" else {"Date": None}
                figure.savefig(path, bbox_inches="tight", metadata=metadata)
                written.append(path)
    return written


def paper_figures(store: RunStore, summary: Summary, maps: Which) -> Iterator[tuple[str, Figure]]:
    """(name of the file, figure) of all there is to draw."""
    tied = confounding(store, [row.label for row in summary.rows])
    yield from _there(
        {
            "trade-off": trade_off(summary, paper=True),
            "confounding": None if tied is None else confounding_figure(tied, paper=True),
            "transfer": transfer_heat(summary, paper=True),
            "affect-people": _affect_of_people(store, summary),
        }
    )
    yield from _reconstructions(store, summary)
    for verdict in summary.verdicts:
        name = file_names([verdict.title])[verdict.title]
        yield from _there({f"ranks-{name}": rank_diagram(verdict, paper=True)})
    names = file_names(row.label for row in summary.rows)
    for row in summary.rows:
        for what, figure in _of_row(store, summary, row, maps):
            yield f"{names[row.label]}-{what}", figure


def _of_row(
    store: RunStore, summary: Summary, row: Row, maps: Which
) -> Iterator[tuple[str, Figure]]:
    record = store.record(row.representative)
    test = record.arrays.test
    # Files of a paper are published: faces stand in them only where the set allows it.
    faces = record.arrays.faces if summary.data.get("publish_faces") else None
    for part, matrix in row.confusion.items():
        yield f"confusion-{part}", confusion_figure(matrix, summary.classes)
    yield from _there(
        {
            "per-class": per_class_figure(row),
            "overview": overview(row),
            "per-class-train": training_recalls(row.confusion.get("train", []), summary.classes),
            "training": training_curves([store.record(run) for run in row.runs], paper=True),
            "terms": term_curves([store.record(run) for run in row.runs], paper=True),
            "probes": probe_curves(row, paper=True),
        }
    )
    if test.valence_arousal is not None:
        pair = test.valence_arousal, test.target
        yield from _there(
            {
                "affect": affect_figure(*pair, paper=True),
                "traces": trace_figure(test.labels, *pair, paper=True),
            }
        )
    if faces is not None:
        walks = traversals_of(record)
        named = file_names(f"{walk.space} {walk.direction}" for walk in walks)
        for walk, name in zip(walks, named.values(), strict=True):
            yield from _there({f"traversal-{name}": traversal_figure(walk, paper=True)})
        yield from _there({"failures": failures_figure(walks, paper=True)})
    for kind in KINDS[maps]:
        points = maps_of(record, kinds=KINDS[maps])
        drawn = static_maps(points, test.labels, summary.classes, kind=kind, paper=True)
        yield from _there({kind: drawn})
        for space in test.spaces:
            yield from _there(
                {
                    f"{kind}-people-{space}": people_map(
                        points, test.labels, summary.classes, space=space, kind=kind, faces=faces,
                        paper=True,
                    ),
                    f"{kind}-attributes-{space}": attribute_maps(
                        points, test.labels, test.attribute_names(), space=space, kind=kind,
                        paper=True,
                    ),
                }
            )  # fmt: skip


def _reconstructions(store: RunStore, summary: Summary) -> Iterator[tuple[str, Figure]]:
    """A figure for each who drew the same test faces of several methods."""
    again = drawn_again(summary, store)
    faces = store.thumbnails(summary.data["fingerprint"])
    if again is None or faces is None or not summary.data.get("publish_faces"):
        return
    columns = [summary.classes[c] for c in again.expression]
    for by, lines in again.lines.items():
        name = "reconstructions-own" if by == OWN else "reconstructions-probe"
        yield name, drawings_figure({"test faces": faces[again.rows]} | lines, columns, paper=True)


def _affect_of_people(store: RunStore, summary: Summary) -> Figure | None:
    """The methods that predict valence and arousal of the same test faces, two at most."""
    first: PartArrays | None = None
    predictions: dict[str, NDArray[Any]] = {}
    for row in summary.of_role("method"):
        test = store.record(row.representative).arrays.test
        if test.valence_arousal is None or len(predictions) == 2:
            continue
        first = test if first is None else first
        if test.labels["row"].equals(first.labels["row"]):
            predictions[row.label] = test.valence_arousal
    if first is None:
        return None
    return people_affect(predictions, first.target, first.labels, paper=True)


def _there(figures: dict[str, Figure | None]) -> Iterator[tuple[str, Figure]]:
    yield from ((name, figure) for name, figure in figures.items() if figure is not None)
