"""`fer-bench verify`, `fer-bench pack` and `fer-bench board`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def verify(
    source: Annotated[
        Path, typer.Argument(help="Result folder, or a ZIP archive of one.", show_default=False)
    ],
    cells: Annotated[
        int, typer.Option(min=0, help="Runs, drawn at random, that are trained again.")
    ] = 1,
    by: Annotated[str, typer.Option(help="Who verifies, for the record.")] = "",
    seed: Annotated[
        int | None, typer.Option(help="Of the scores; by default the one the folder names.")
    ] = None,
    workers: Annotated[
        int | None, typer.Option(min=1, help="Runs computed again at once; by default one a core.")
    ] = None,
) -> None:
    """Check that the scores follow from the arrays, and that a run trains again."""
    from fer_bench.sharing.verify import verify, write_verification

    result = verify(source, cells=cells, seed=seed, by=by, workers=workers)
    page = write_verification(result, source)
    for caution in result.contradictions:
        typer.echo(f"contradiction: {caution}", err=True)
    for caution in result.not_checked:
        typer.echo(f"not checked: {caution}", err=True)
    for cell in result.cells:
        if cell.reason:
            typer.echo(f"not trained again: {cell.run}: {cell.reason}", err=True)
    for line in result.verdict:
        typer.echo(line)
    typer.echo(f"page: {page.resolve()}")
    if not result.passed:
        raise typer.Exit(1)
