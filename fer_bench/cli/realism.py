"""`fer-bench realism`: have generated pictures rated, and the table of the ratings."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from fer_bench.cli.help import group

app = group("realism", "Have generated pictures rated by people, and tabulate their ratings.")


@app.command()
def page(
    folder: Annotated[Path, typer.Argument(help="<method>/[<group>/]<picture>.png below it.")],
    out: Annotated[Path, typer.Option("--out", help="The page to write.")] = Path("realism.html"),
) -> None:
    """Write a page that shows the pictures blind and takes ratings 1 to 4 by keyboard."""
    from fer_bench.realism import rating_page

    key = rating_page(folder, out)
    typer.echo(f"{out}: give this page to raters\n{key}: keep this one, it says whose pictures are")


@app.command()
def table(
    files: Annotated[list[Path], typer.Argument(help="What raters saved.")],
    key: Annotated[Path, typer.Option("--key", help="The key beside the page.")] = Path(
        "realism.html.key.json"
    ),
    out: Annotated[Path | None, typer.Option("--out", help="Also write it as .csv.")] = None,
    seed: Annotated[int, typer.Option("--seed", help="Of the bootstrap.")] = 0,
) -> None:
    """Print how often each rating was given, and the share of 3 and 4 with intervals."""
    from fer_bench.realism import as_markdown, rating_table, read_ratings

    ratings = rating_table(read_ratings(files, key), seed=seed)
    typer.echo(as_markdown(ratings), nl=False)
    if out is not None:
        ratings.to_csv(out, index=False, lineterminator="\n")
