"""`fer-bench status` and `fer-bench check`."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from fer_bench.cli.help import Folder


def status(
    folder: Folder,
    json_: Annotated[bool, typer.Option("--json", help="As one JSON object.")] = False,
) -> None:
    """Say how far a result folder is: done, running, failed, left, and for how long."""
    from fer_bench.runs.status import status_of
    from fer_bench.runs.store import RunStore
    from fer_bench.terminal import duration

    now = status_of(RunStore(folder))
    if json_:
        typer.echo(json.dumps(now.to_json(), indent=1, ensure_ascii=False))
        return
    when = "" if now.seconds_left is None else f", about {duration(now.seconds_left)} to go"
    typer.echo(
        f"{now.done} done, {len(now.running)} running, {len(now.failed)} failed, "
        f"{len(now.skipped)} skipped, {now.left} left of {now.planned} planned{when}"
    )
    for run in now.running:
        epoch = "" if run.epoch is None else f", epoch {run.epoch}/{run.epochs}"
        typer.echo(f"running  {run.name}{epoch}, since {run.since or 'now'}")
    for name, reasons in (("failed ", now.failed), ("skipped", now.skipped)):
        for run_id, reason in reasons.items():
            typer.echo(f"{name}  {run_id}: {reason}")


def check(
    folder: Folder,
    set_aside: Annotated[
        bool,
        typer.Option(
            "--set-aside",
            help="Move damaged runs to <folder>/damaged; `fer-bench run` then trains them again.",
        ),
    ] = False,
) -> None:
    """Compare every file of a result folder with the checksum it was written with.

    Exit status 1 if anything is damaged.
    """
    from fer_bench.errors import RunError
    from fer_bench.runs.check import check_store
    from fer_bench.runs.store import RunStore

    store = RunStore(folder)
    if not store.root.is_dir():
        raise RunError(f"{str(folder)!r} is no result folder.")
    damages = list(check_store(store))
    for damage in damages:
        typer.echo(f"damaged: {damage.run + ': ' if damage.run else ''}{damage.sentence}")
        if set_aside and damage.lost and damage.run:
            typer.echo(f"set aside: {store.set_aside(damage.run, damage.sentence)}")
    lost = sum(damage.lost for damage in damages)
    typer.echo(f"{len(store.run_ids())} runs, {lost} of them damaged; {len(damages)} damages")
    if damages:
        raise typer.Exit(1)
