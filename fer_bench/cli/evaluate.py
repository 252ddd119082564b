"""`fer-bench evaluate`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def evaluate(
    files: Annotated[
        list[str],
        typer.Argument(
            help="Embeddings: .npz, .npy with a table beside it, .safetensors, .parquet or .csv; "
            "NAME=FILE names a model, and files of one name are its seeds.",
            show_default=False,
        ),
    ],
    labels: Annotated[
        Path | None,
        typer.Option(help="One table for all files: id, expression, subject, split, ..."),
    ] = None,
    map_: Annotated[
        list[str] | None,
        typer.Option(
            "--map",
            metavar="OURS=THEIRS",
            help="What a column or array is, such as expression=emo or E=feat; split= leaves it "
            "out.",
        ),
    ] = None,
    classes: Annotated[
        str | None,
        typer.Option(help="Expressions in the order of codes and class scores, with commas."),
    ] = None,
    trained_on: Annotated[
        str | None,
        typer.Option(
            help="People the encoder was trained on: a file with a name per line, or none.",
            show_default=False,
        ),
    ] = None,
    images: Annotated[
        Path | None, typer.Option(help="Folder of the pictures that the ids name.")
    ] = None,
    by_position: Annotated[
        bool, typer.Option(help="Rows without ids are those of the labels, in their order.")
    ] = False,
    frames: Annotated[int, typer.Option(min=0, help="Kept of a video at most; 0: all.")] = 16,
    folds: Annotated[
        int, typer.Option(min=1, help="1 tests half of the people; more test everybody once.")
    ] = 1,
    reference: Annotated[
        list[str] | None,
        typer.Option(help="A model that shows how much faces tell of a person: 100 % of the leak."),
    ] = None,
    metrics: Annotated[
        str | None, typer.Option(help="Names with commas between; all default ones otherwise.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Of everything random.")] = 0,
    out: Annotated[Path | None, typer.Option(help="Result folder.", show_default=False)] = None,
    report: Annotated[bool, typer.Option(help="Write the HTML report at the end.")] = True,
    dry_run: Annotated[bool, typer.Option(help="Say what was understood, and stop.")] = False,
    workers: Annotated[
        int | None, typer.Option(min=1, help="Models scored at once; by default one a core.")
    ] = None,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress.")] = False,
) -> None:
    """Score anybody's embeddings: the same page as for trained methods, without training."""
    from fer_bench.evaluation.front import Options, plan_files, score_planned
    from fer_bench.terminal import steps_shown

    options = Options(
        classes=classes.split(",") if classes else None,
        trained_on=trained_on,
        frames=frames,
        folds=folds,
        by_position=by_position,
        images=images,
        seed=seed,
        map=map_ or (),
        references=reference or (),
    )
    names = [name.strip() for name in metrics.split(",")] if metrics else None
    if names:
        from fer_bench.metrics.metric import load_metrics

        load_metrics(names)  # a wrong name is told before anything is read
    planned = plan_files(files, labels, options)
    for line in planned.describe():
        typer.echo(line, err=True)
    if dry_run:
        return
    folder = out or Path("fer-bench-results") / planned.data.info.name
    result = score_planned(planned, out=folder, metrics=names, workers=workers, quiet=quiet)
    typer.echo(result.table(), nl=False)
    if report:
        shown = "show" if images is not None or planned.gathered.faces is not None else None
        with steps_shown("report", quiet=quiet) as progress:
            from fer_bench.reports.page import write_report

            page = write_report(folder, faces=shown, progress=progress)  # type: ignore[arg-type]
        typer.echo(f"report: {page.resolve()}")
