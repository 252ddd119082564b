"""`fer-bench plan`: how many people, seeds and faces would decide."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from fer_bench.statistics.power import Design, Spread

SEEDS = (2, 3, 5, 10)


def plan(
    experiment: Annotated[
        Path | None,
        typer.Argument(
            help="Experiment file (TOML); without one, the size of the pilot.", show_default=False
        ),
    ] = None,
    pilot: Annotated[
        Path | None,
        typer.Option(
            help="Result folder whose spreads over people and seeds are used.", show_default=False
        ),
    ] = None,
    difference: Annotated[
        float, typer.Option(help="True difference to find, in the unit of the score.")
    ] = 0.05,
    chance: Annotated[
        float, typer.Option(min=0.1, max=0.999, help="Wanted probability of finding it.")
    ] = 0.8,
    score: Annotated[
        str, typer.Option(help="Which score of the pilot.")
    ] = "classification/test.accuracy",
    sd_people: Annotated[
        float | None,
        typer.Option(
            help="Without a pilot: standard deviation of a paired difference over people.",
            show_default=False,
        ),
    ] = None,
    sd_seeds: Annotated[
        float | None,
        typer.Option(
            help="Without a pilot: standard deviation of a run over seeds.", show_default=False
        ),
    ] = None,
    mig: Annotated[
        bool,
        typer.Option(
            "--mig",
            help="Instead: how many test faces the calibration of the modified MIG takes, tried "
            "on parts of the pilot's test people.",
        ),
    ] = False,
) -> None:
    """Say how many test people and seeds would tell two methods apart.

    The spreads come from a pilot (any result folder with two seeds or more), or are stated.
    """
    from fer_bench.errors import FerBenchError
    from fer_bench.statistics.power import power

    if pilot is not None and not pilot.is_dir():
        raise FerBenchError(f"there is no folder {str(pilot)!r}: --pilot takes a result folder.")
    if mig:
        if experiment is not None or pilot is None:
            raise FerBenchError("--mig takes the results of a pilot alone: --pilot FOLDER --mig.")
        _say_sizes(pilot)
        return
    if experiment is None and pilot is None:
        raise FerBenchError(
            "there is nothing to plan: give an experiment file, or a result folder with --pilot."
        )
    if experiment is not None and experiment.is_dir():
        raise FerBenchError(
            f"{str(experiment)!r} is a folder: give the results of a pilot as --pilot {experiment}."
        )
    if pilot is not None:
        spread, own, source = _measured(pilot, score)
    else:
        (spread, source), own = _stated(sd_people, sd_seeds), None
    design = own if experiment is None else _design(experiment)
    assert design is not None
    typer.echo(
        f"design: {design.methods} trained methods, {design.seeds} seeds, {design.folds} folds, "
        f"{design.people} test people in all"
    )
    typer.echo(
        f"spread: {spread.people:.3f} over people (of a paired difference), "
        f"{spread.seeds:.3f} over seeds (of a run); {source}"
    )
    probability = power(spread, design, difference)
    typer.echo(f"a true difference of {difference:g} would be found {probability:.0%} of the time")
    _say_needed(spread, design, difference, chance)


def _say_sizes(pilot: Path) -> None:
    """In how many runs of a pilot the MIG passes its calibration, by the number of test faces."""
    from fer_bench.errors import RunError
    from fer_bench.terminal import steps_shown

    with steps_shown("calibration of the MIG") as say:
        from fer_bench.metrics.mig_sizes import TERMS, calibration_by_size, faces_needed
        from fer_bench.runs.store import RunStore

        parts = [
            record.arrays.test
            for record in RunStore(pilot).records()
            if record.environment["method"]["role"] == "method"
        ]
        parts = [part for part in parts if part.identity is not None and part.has_subjects]
        if not parts:
            raise RunError(
                f"{str(pilot)!r} has no run of a method with an identity embedding and people: "
                "there is no MIG to plan for."
            )
        sizes = calibration_by_size(parts, say=say)
    typer.echo("runs in which a term of the MIG passes its calibration, by test faces:\n")
    width = max(map(len, TERMS.values()))
    typer.echo("test faces  " + "  ".join(f"{title:>{width}}" for title in TERMS.values()))
    for size in sizes:
        passed = (f"{size.terms[key]} of {size.runs}" for key in TERMS)
        typer.echo(f"{size.faces:10d}  " + "  ".join(f"{text:>{width}}" for text in passed))
    for key, title in TERMS.items():
        need = faces_needed(sizes, key)
        failed = f"{sizes[-1].faces} test faces were not enough"
        typer.echo(f"{title}: {failed if need is None else f'{need} test faces were enough'}")


def _say_needed(spread: Spread, design: Design, difference: float, chance: float) -> None:
    from fer_bench.statistics.power import people_needed

    typer.echo(f"\nto find it {chance:.0%} of the time:\n\nseeds  test people")
    for seeds in SEEDS:
        people = people_needed(
            spread,
            difference,
            seeds=seeds,
            folds=design.folds,
            methods=design.methods,
            chance=chance,
        )
        needed = "no number is enough: seeds vary too much" if people is None else f"{people}"
        typer.echo(f"{seeds:5d}  {needed}")


def _stated(people: float | None, seeds: float | None) -> tuple[Spread, str]:
    from fer_bench.errors import FerBenchError
    from fer_bench.statistics.power import Spread

    if people is None or seeds is None:
        raise FerBenchError(
            "without --pilot, give both --sd-people (such as 0.2) and --sd-seeds (such as 0.03)."
        )
    return Spread(people, seeds), "as stated"


def _measured(folder: Path, key: str) -> tuple[Spread, Design, str]:
    """Median spreads over the pairs of trained methods of a result folder, and its size."""
    import numpy as np

    from fer_bench.errors import RunError
    from fer_bench.runs.paired import run_scores
    from fer_bench.runs.store import RunStore
    from fer_bench.statistics import compare_crossed
    from fer_bench.statistics.power import Spread

    records = [r for r in RunStore(folder).records() if r.environment["method"]["role"] == "method"]
    runs = [run for run in run_scores(records, key) if run.people.size]
    seeds = len({run.seed for run in runs})
    methods = len({run.method for run in runs})
    if seeds < 2 or methods < 2:
        raise RunError(
            f"{str(folder)!r} has {methods} scored methods with {seeds} seeds for {key!r}: a pilot "
            "needs two of each, scored by this version (`fer-bench score` renews the scores)."
        )
    comparison = compare_crossed(runs)
    spreads = [Spread.of(comparison, pair, comparison.size.people) for pair in comparison.pairs]
    spread = Spread(
        people=float(np.median([s.people for s in spreads])),
        seeds=float(np.sqrt(np.mean(list(comparison.seed_variance.values())))),
    )
    return spread, comparison.size, f"median of {len(spreads)} pairs of methods in {folder}"


def _design(path: Path) -> Design:
    """The size of an experiment: its data are loaded, nothing is trained."""
    from fer_bench.errors import FerBenchError
    from fer_bench.experiment import load_experiment, resolve_method
    from fer_bench.statistics.power import Design
    from fer_bench.sweep.plan import folds_of, load_faces

    experiment = load_experiment(path)
    data = load_faces(experiment.data)
    tests = {name: load_faces(spec) for name, spec in experiment.tests.items()}
    folds = folds_of(data, experiment.split, tests)
    subjects = data.table["subject"]
    rows = [row for index in experiment.split.indices for row in folds[index].test]
    people = subjects.iloc[rows].nunique()
    if people < 2:
        raise FerBenchError(
            f"{str(path)!r}: its test part names {people} people: a plan needs subject labels."
        )
    entries = [resolve_method(m, i)[0] for i, m in enumerate(experiment.methods)]
    trained = sum(method.info.role == "method" for method in entries)
    return Design(people, len(experiment.seeds), len(experiment.split.indices), max(trained, 2))
