"""`fer-bench check-protocol`."""

from __future__ import annotations

from typing import Annotated

import typer


def check_protocol(
    seed: Annotated[int, typer.Option(help="Of noise, splits and probes; not of --measures.")] = 0,
    measures: Annotated[
        bool,
        typer.Option(
            "--measures",
            help="Instead, how far every measure can be trusted, on runs of known quality: rank "
            "correlation, runs told apart, noise of reseeding. About five minutes.",
        ),
    ] = False,
) -> None:
    """Try the evaluation protocol on runs whose answer is known: oracles, noise, planted leaks.

    Takes about a minute. Exit status 1 if any check fails.
    """
    if measures:
        from fer_bench.terminal import steps_shown

        with steps_shown("scoring runs of known quality"):
            from fer_bench.metrics.audit import audit

            measured = audit()
        for measure in sorted(measured, key=lambda each: (each.rank, each.apart)):
            typer.echo(str(measure))
        return
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
