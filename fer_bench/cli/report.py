"""`fer-bench report`, `table`, `figures`, `traverse` and `export`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from fer_bench.cli.help import Folder

Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="No progress.")]
Maps = Annotated[
    str, typer.Option(help="Maps of the embeddings: both, tsne, umap or none.", metavar="WHICH")
]


def report(
    folder: Folder,
    against: Annotated[
        Path | None,
        typer.Option(help="Another result folder: the page opens with what changed since."),
    ] = None,
    faces: Annotated[
        str | None,
        typer.Option(help="show, blur or none; by default what the terms of the data allow."),
    ] = None,
    maps: Maps = "both",
    answers: Annotated[
        str | None,
        typer.Option(help="Also what a model says of test faces, in per cent: clip or tiny-clip."),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="File to write; in the folder if not given.")
    ] = None,
    open_: Annotated[bool, typer.Option("--open", help="Open it in the browser.")] = False,
    quiet: Quiet = False,
) -> None:
    """Write one self-contained HTML file about a result folder."""
    from fer_bench.reports.page import write_report
    from fer_bench.terminal import steps_shown

    with steps_shown("report", quiet=quiet) as progress:
        page = write_report(
            folder,
            out=out,
            faces=faces,  # type: ignore[arg-type]
            against=against,
            maps=maps,  # type: ignore[arg-type]
            answers=answers,
            progress=progress,
        )
    typer.echo(f"report: {page.resolve()} ({page.stat().st_size / 1e6:.1f} MB)")
    if open_:
        import webbrowser

        webbrowser.open(page.resolve().as_uri())


def table(
    folder: Folder,
    format_: Annotated[
        str, typer.Option("--format", help="latex, markdown, csv or html.")
    ] = "markdown",
    layout: Annotated[
        str,
        typer.Option(help="overall, full, per-class, va, mig, leakage, ablation or published."),
    ] = "overall",
    method: Annotated[
        str | None, typer.Option(help="The row a per-class table is about; the best if not given.")
    ] = None,
    columns: Annotated[
        str | None,
        typer.Option(
            help="Instead of a layout: score keys with commas between, such as "
            "classification/test.accuracy,mig/normalised."
        ),
    ] = None,
    out: Annotated[Path | None, typer.Option(help="File to write, besides printing.")] = None,
    quiet: Quiet = False,
) -> None:
    """Print a table that a paper can include."""
    from fer_bench.reports.tables import write_table
    from fer_bench.terminal import steps_shown

    with steps_shown("table", quiet=quiet) as progress:
        progress("reading the results")
        text = write_table(
            folder,
            format=format_,  # type: ignore[arg-type]
            layout=layout,
            method=method,
            columns=[key.strip() for key in columns.split(",")] if columns else None,
            out=out,
        )
    typer.echo(text, nl=False)


def figures(
    folder: Folder,
    out: Annotated[
        Path | None, typer.Option(help="Folder for the files; <folder>/figures if not given.")
    ] = None,
    maps: Maps = "tsne",
    quiet: Quiet = False,
) -> None:
    """Write every figure as PDF and SVG in a paper's column widths."""
    from fer_bench.reports.figures.paper import write_figures
    from fer_bench.terminal import counted, steps_shown

    with steps_shown("figures", quiet=quiet) as progress:
        written = write_figures(folder, out=out, maps=maps, progress=progress)  # type: ignore[arg-type]
    typer.echo(
        f"{counted(len(written), 'file')} in {written[0].parent.resolve()}"
        if written
        else "no figures"
    )


def traverse(
    folder: Folder,
    space: Annotated[
        list[str] | None,
        typer.Option(help="Embedding that moves: E (default), I, z_exp; repeatable."),
    ] = None,
    method: Annotated[
        list[str] | None, typer.Option(help="A row of the leaderboard; all methods if not given.")
    ] = None,
    generator: Annotated[
        str | None,
        typer.Option(
            help="TorchScript file or module:function that draws (it runs as code), or own: each "
            "method's own decoder."
        ),
    ] = None,
    recognition: Annotated[
        Path | None, typer.Option(help="Weights of MobileFaceNet, to compare people by.")
    ] = None,
    pictures: Annotated[
        Path | None, typer.Option(help="Folder for every drawing, as `realism page` takes them.")
    ] = None,
    quiet: Quiet = False,
) -> None:
    """Draw faces while an embedding moves: does the expression change, does the person stay?"""
    from fer_bench.reports.text import with_unit
    from fer_bench.reports.traversals import traverse_folder
    from fer_bench.terminal import steps_shown

    with steps_shown("traverse", quiet=quiet) as progress:
        walks = traverse_folder(
            folder, spaces=space or ("E",), labels=method or (), generator=generator,
            weights=recognition, pictures=pictures, progress=progress,
        )  # fmt: skip
    for label, known in walks.items():
        for walk in known:
            expression, identity, error = (
                with_unit(share, "percent")
                for share in (walk.expression_change, walk.identity_shift, walk.error)
            )
            typer.echo(
                f"{label}: {walk.space}, {walk.direction}: another expression is read in "
                f"{expression} of {len(walk.rows)} faces, another person in {identity} "
                f"(error {error}, by {walk.judged_by})"
            )
    typer.echo("kept with the runs: report and figures show them")


def export(
    folder: Folder,
    out: Annotated[
        Path | None, typer.Option(help="Folder for the files; <folder>/export if not given.")
    ] = None,
    mlflow: Annotated[
        str | None, typer.Option(help="Also log every run to this MLflow server or store.")
    ] = None,
) -> None:
    """Write all scores as Parquet, and the embeddings for the TensorBoard projector."""
    from fer_bench.reports.export import write_exports

    for path in write_exports(folder, out=out):
        typer.echo(str(path))
    if mlflow is not None:
        from fer_bench.reports.mlflow import log_to_mlflow

        typer.echo(f"{log_to_mlflow(folder, tracking_uri=mlflow)} runs added to {mlflow}")
