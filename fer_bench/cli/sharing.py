"""`fer-bench verify`, `pack`, `board`, `cite` and `checklist`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from fer_bench.cli.help import Folder


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


def pack(
    folder: Folder,
    out: Annotated[
        Path | None, typer.Option(help="File to write; <folder>.json here if not given.")
    ] = None,
    embeddings: Annotated[
        bool, typer.Option("--embeddings", help="Also embeddings and labels, as a ZIP archive.")
    ] = False,
    permitted: Annotated[
        bool, typer.Option("--permitted", help="The owners of restricted data agreed to that.")
    ] = False,
) -> None:
    """Write one file to share: scores, specs, hashes, verification; no faces, no names."""
    from fer_bench.reports.pack import contents_of, pack

    path = pack(folder, out, embeddings=embeddings, permitted=permitted)
    for line in contents_of(path):
        typer.echo(f"contains: {line}", err=True)
    typer.echo(f"{path.resolve()} ({path.stat().st_size / 1e6:.1f} MB)")


def board(
    folder: Annotated[Path, typer.Argument(help="Folder of result files.", show_default=False)],
    out: Annotated[
        Path | None, typer.Option(help="Page to write; <folder>/index.html if not given.")
    ] = None,
    check: Annotated[
        bool, typer.Option("--check", help="Only check the files; for continuous integration.")
    ] = False,
) -> None:
    """Build a static page of many result files: one table a protocol."""
    from fer_bench.reports.board import check_file, write_board

    if not check:
        typer.echo(f"page: {write_board(folder, out).resolve()}")
        return
    files = sorted(folder.glob("*.json"))
    bad = {path: problems for path in files if (problems := check_file(path))}
    for path, problems in bad.items():
        for problem in problems:
            typer.echo(f"{path}: {problem}", err=True)
    typer.echo(f"{len(files) - len(bad)} of {len(files)} result files are sound")
    if bad:
        raise typer.Exit(1)


def cite(
    folder: Folder,
    out: Annotated[Path | None, typer.Option(help="File to write; printed if not given.")] = None,
) -> None:
    """Write the BibTeX of the suite and of every method, data set and estimator used."""
    from fer_bench.sharing.citations import bibliography

    _write(bibliography(folder), out)


def checklist(
    folder: Folder,
    out: Annotated[Path | None, typer.Option(help="File to write; printed if not given.")] = None,
) -> None:
    """Draft the NeurIPS paper checklist, with links to the evidence in a result folder."""
    from fer_bench.sharing.checklist import checklist

    _write(checklist(folder, beside=out.parent if out else Path()), out)


def _write(text: str, out: Path | None) -> None:
    from fer_bench.atomic import write_text

    if out is None:
        typer.echo(text, nl=False)
        return
    write_text(out, text)
    typer.echo(str(out.resolve()))
