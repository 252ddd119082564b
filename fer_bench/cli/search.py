"""`fer-bench search`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from fer_bench.cli.sweep import naming


def search(
    experiment: Annotated[
        Path | None,
        typer.Argument(
            help="Experiment file (TOML); without one, the embedded quickstart.",
            show_default=False,
        ),
    ] = None,
    trials: Annotated[
        int, typer.Option(min=1, help="Trials for every method and fold, its own setting included.")
    ] = 20,
    out: Annotated[
        Path | None,
        typer.Option(help="Folder of the trials; the same folder again goes on where it was."),
    ] = None,
    set_: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Override a key of the experiment."),
    ] = None,
    seed: Annotated[int, typer.Option(help="Of what is proposed.")] = 0,
    executor: Annotated[
        str, typer.Option(help="serial: one trial at a time; pool: several.")
    ] = "pool",
    workers: Annotated[int | None, typer.Option(min=1, help="Processes of the pool.")] = None,
    dry_run: Annotated[bool, typer.Option(help="Say what would be searched, and stop.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress.")] = False,
) -> None:
    """Choose the parameters of every method on validation people, with equal budgets.

    Writes an experiment file with them, for `fer-bench run`. No test label is read.
    """
    from fer_bench.experiment import load_experiment

    parsed = load_experiment(experiment, overrides=set_ or ())
    if dry_run:
        _say_spaces(parsed)
        return
    from fer_bench.sweep.executors import Options
    from fer_bench.sweep.search import search_experiment

    folder = out or Path("fer-bench-results") / f"{parsed.name}-search"
    options = Options.of(executor, workers)
    with naming(experiment):
        result = search_experiment(
            parsed, folder, trials=trials, seed=seed, options=options, quiet=quiet
        )
    for study in result.studies:
        own, best = study.trials[0].score, study.best
        name = f"{study.spec.label}, fold {study.spec.fold}"
        if best is None:
            typer.echo(f"{name}: every trial failed, the last because {study.trials[-1].text}")
            continue
        values = ", ".join(f"{key} = {value}" for key, value in best.values.items())
        before = "failed" if own is None else f"{own:.3f}"
        typer.echo(f"{name}: validation {before} -> {best.score:.3f} with {values}")
    typer.echo(f"now: fer-bench run {result.file}")
    if any(study.best is None for study in result.studies):
        raise typer.Exit(1)


def _say_spaces(experiment: Any) -> None:
    from fer_bench.sweep.search import space_of

    for entry in experiment.methods:
        space = space_of(entry)
        typer.echo(f"{entry.label or entry.name}{'' if space else ': nothing'}")
        for key, mark in space.items():
            typer.echo(f"  {key}: {mark}")
