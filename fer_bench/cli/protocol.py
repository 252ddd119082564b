"""`fer-bench check-protocol`."""

from __future__ import annotations

from typing import Annotated

import typer


def check_protocol(
    seed: Annotated[int, typer.Option(help="Of noise, splits and probes.")] = 0,
) -> None:
    """Try the evaluation protocol on runs whose answer is known: oracles, noise, planted leaks.

    Takes about a minute. Exit status 1 if any check fails.
    """
    from fer_bench.metrics.sanity import check_protocol as checks

    failed = 0
    count = 0
    for check in checks(seed=seed):
        typer.echo(str(check))
        count += 1
        failed += not check.passed
    typer.echo(f"{count - failed} of {count} checks passed.")
    if failed:
        raise typer.Exit(1)
