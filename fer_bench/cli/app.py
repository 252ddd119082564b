"""The command tree."""

from __future__ import annotations

from typing import Annotated

import typer

from fer_bench.cli import (
    check,
    data,
    evaluate,
    listing,
    mi,
    power,
    protocol,
    realism,
    report,
    search,
    sharing,
    store,
    sweep,
)

app = typer.Typer(
    name="fer-bench",
    help="Compare methods that separate facial expression from identity.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)

app.command("run")(sweep.run)
app.command("work", hidden=True)(sweep.work)
app.command("search")(search.search)
app.command("evaluate")(evaluate.evaluate)
app.command("plan")(power.plan)
app.command("score")(sweep.score)
app.command("transfer")(sweep.transfer)
app.command("report")(report.report)
app.command("table")(report.table)
app.command("figures")(report.figures)
app.command("export")(report.export)
app.command("verify")(sharing.verify)
app.command("pack")(sharing.pack)
app.command("board")(sharing.board)
app.command("check-protocol")(protocol.check_protocol)
app.add_typer(mi.app, name="mi")
app.add_typer(data.app, name="data")
app.add_typer(realism.app, name="realism")
app.command("list")(listing.list_names)
app.command("status")(store.status)
app.command("check")(store.check)
app.command("check-method")(check.check_method)
app.command("doctor")(check.doctor)


def _version(value: bool) -> None:
    if value:
        from fer_bench import __version__

        typer.echo(f"fer-bench {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    """Compare methods that separate facial expression from identity."""
