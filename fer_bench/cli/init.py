"""`fer-bench init`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def init(
    folder: Annotated[
        Path,
        typer.Argument(
            help="Folder of images, or the file of a manifest (CSV, Parquet).", show_default=False
        ),
    ],
    out: Annotated[
        Path | None, typer.Option(help="File to write; if not given, here, named after the folder.")
    ] = None,
    label: Annotated[
        list[str] | None,
        typer.Option(
            "--label",
            metavar="WORD=EXPRESSION",
            help="What a word of yours means, such as smile=happiness; repeat for several.",
        ),
    ] = None,
) -> None:
    """Look at a folder of faces and write an experiment file for it, with comments.

    Folders of expressions, with or without folders of people inside (or above), tables and
    published data sets as they are unpacked are recognised. Nothing is decoded or trained.
    """
    from fer_bench.data.layouts import recognise
    from fer_bench.errors import DataError
    from fer_bench.starter import describe, experiment_name, starter

    layout = recognise(folder, labels=_labels(label or []))
    place = folder.resolve()
    name = place.stem if place.is_file() else place.name
    file = out or Path(experiment_name(Path(f"{name}.toml")) + ".toml")
    for line in describe(layout):
        typer.echo(line)
    text = starter(layout, file)
    try:
        with file.open("x", encoding="utf-8") as stream:
            stream.write(text)
    except FileExistsError:
        raise DataError(f"{file} is there already: name another file with --out.") from None
    if layout.side is not None and layout.side > 300:
        typer.echo(
            f"These look like photographs: `fer-bench data prepare {folder} FACES` finds, aligns "
            "and cuts the faces; then init FACES."
        )
    typer.echo(f"wrote {file}")
    typer.echo(f"next: fer-bench run {file} --dry-run")


def _labels(pairs: list[str]) -> dict[str, str]:
    from fer_bench.errors import DataError

    for pair in pairs:
        if "=" not in pair:
            raise DataError(f"--label {pair!r} has no '=': write smile=happiness.")
    return dict(pair.split("=", 1) for pair in pairs)
