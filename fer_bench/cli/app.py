"""The command tree."""

from __future__ import annotations

from typing import Annotated

import typer

from fer_bench import terminal
from fer_bench.cli import (
    check,
    data,
    evaluate,
    init,
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
from fer_bench.cli.help import Command, group

app = group("fer-bench", "Compare methods that separate facial expression from identity.")

app.command("init", cls=Command)(init.init)
app.command("run", cls=Command)(sweep.run)
app.command("work", cls=Command, hidden=True)(sweep.work)
app.command("search", cls=Command)(search.search)
app.command("evaluate", cls=Command)(evaluate.evaluate)
app.command("plan", cls=Command)(power.plan)
app.command("score", cls=Command)(sweep.score)
app.command("transfer", cls=Command)(sweep.transfer)
app.command("report", cls=Command)(report.report)
app.command("table", cls=Command)(report.table)
app.command("figures", cls=Command)(report.figures)
app.command("traverse", cls=Command)(report.traverse)
app.command("export", cls=Command)(report.export)
app.command("verify", cls=Command)(sharing.verify)
app.command("pack", cls=Command)(sharing.pack)
app.command("board", cls=Command)(sharing.board)
app.command("cite", cls=Command)(sharing.cite)
app.command("checklist", cls=Command)(sharing.checklist)
app.command("check-protocol", cls=Command)(protocol.check_protocol)
app.add_typer(mi.app, name="mi")
app.add_typer(data.app, name="data")
app.add_typer(realism.app, name="realism")
app.command("list", cls=Command)(listing.list_names)
app.command("status", cls=Command)(store.status)
app.command("check", cls=Command)(store.check)
app.command("check-method", cls=Command)(check.check_method)
app.command("doctor", cls=Command)(check.doctor)


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
    verbose: Annotated[
        bool, typer.Option("--verbose", help="Show the traceback of a failure, for a bug report.")
    ] = False,
) -> None:
    """Compare methods that separate facial expression from identity."""
    terminal.show_tracebacks = verbose
