"""`fer-bench run` and `fer-bench score`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fer_bench.cli.help import Folder

if TYPE_CHECKING:
    from fer_bench.experiment import Experiment
    from fer_bench.sweep.executors import Options
    from fer_bench.sweep.sweep import Sweep


def run(
    experiment: Annotated[
        Path | None,
        typer.Argument(
            help="Experiment file (TOML); without one, the embedded quickstart on generated faces.",
            show_default=False,
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(help="Result folder; the same folder again goes on where it was."),
    ] = None,
    set_: Annotated[
        list[str] | None,
        typer.Option(
            "--set", metavar="KEY=VALUE", help="Override a key, such as --set training.epochs=5."
        ),
    ] = None,
    method: Annotated[
        list[str] | None,
        typer.Option(
            metavar="LABEL",
            help="Only the rows of this label or method; give it again for several. An erased row "
            "brings along the one that it erases.",
        ),
    ] = None,
    executor: Annotated[
        str,
        typer.Option(
            help="serial: one run at a time; pool: several; ray: on a Ray cluster; slurm: as "
            "tasks of a job array."
        ),
    ] = "pool",
    workers: Annotated[int | None, typer.Option(min=1, help="Runs at once.")] = None,
    threads: Annotated[
        int,
        typer.Option(min=1, help="Threads of every run; the number changes the last bits."),
    ] = 1,
    time_limit: Annotated[
        str | None, typer.Option(help="Longest time for one run, such as 90s, 30m or 2h.")
    ] = None,
    memory_limit: Annotated[
        float | None,
        typer.Option(help="GiB for one run; its share of the machine if not given."),
    ] = None,
    retry: Annotated[int, typer.Option(min=0, help="How often a failed run is started again.")] = 0,
    address: Annotated[
        str | None,
        typer.Option(help="Ray cluster that is there; without it, ray starts one here."),
    ] = None,
    gpus: Annotated[
        float, typer.Option(min=0, help="GPUs that Ray gives to a run, such as 0.25.")
    ] = 0.0,
    sbatch: Annotated[
        list[str] | None,
        typer.Option(metavar="OPTION", help="For slurm, such as --sbatch=--partition=gpu."),
    ] = None,
    report: Annotated[bool, typer.Option(help="Write the HTML report at the end.")] = True,
    dry_run: Annotated[
        bool, typer.Option(help="Say what would run, take and fail, and stop.")
    ] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress.")] = False,
) -> None:
    """Train and score methods, then write one HTML report.

    Runs that the result folder already has are kept, so a killed command is simply given again.
    """
    from fer_bench.experiment import load_experiment
    from fer_bench.sweep import processes

    early = processes.start_early if executor in ("serial", "pool") else lambda: None
    parsed = load_experiment(experiment, overrides=set_ or (), before_imports=early)
    folder = out or Path("fer-bench-results") / parsed.name
    from fer_bench.sweep.executors import Options
    from fer_bench.sweep.plan import foreign_code

    options = Options.of(
        executor,
        workers,
        threads=threads,
        time_limit=_seconds(time_limit),
        memory_limit=int(memory_limit * 2**30) if memory_limit else None,
        retry=retry,
        address=address,
        gpus=gpus,
        sbatch=tuple(sbatch or ()),
    )
    if dry_run:
        with naming(experiment):
            _say_plan(parsed, folder, options, method or ())
        return
    if not quiet:
        typer.echo(f"{parsed.name}: results go to {folder}", err=True)
        for line in foreign_code(parsed):
            typer.echo(line, err=True)
    from fer_bench.sweep.sweep import run_experiment

    with naming(experiment):
        sweep = run_experiment(
            parsed,
            folder,
            options=options,
            methods=method or (),
            rehearse=options.is_local,
            quiet=quiet,
        )
    _say_outcome(sweep)
    if report and (sweep.failed or sweep.skipped or sweep.records()):
        from fer_bench.reports.page import write_report
        from fer_bench.terminal import steps_shown

        with steps_shown("report", quiet=quiet) as progress:
            page = write_report(folder, maps="tsne", progress=progress)
        typer.echo(f"report: {page.resolve()}")
    if sweep.failed:
        raise typer.Exit(1)


@contextmanager
def naming(experiment: Path | None) -> Iterator[None]:
    """What is wrong with the data that an experiment asks for is told with its file."""
    from fer_bench.errors import DataError

    try:
        yield
    except DataError as error:
        raise DataError(f"{experiment}: {error}" if experiment else str(error)) from None


def _seconds(written: str | None) -> float | None:
    """The seconds of a written time: 90, 90s, 30m, 2h.

    >>> _seconds("1.5h")
    5400.0
    """
    from fer_bench.errors import ExperimentError

    if written is None:
        return None
    number, unit = written.rstrip("smh"), written[len(written.rstrip("smh")) :]
    try:
        seconds = float(number) * {"": 1, "s": 1, "m": 60, "h": 3600}[unit]
    except (ValueError, KeyError):
        seconds = 0.0
    if not seconds > 0:
        raise ExperimentError(f"--time-limit {written!r} is no time: write 90s, 30m or 2h.")
    return seconds


def _say_outcome(sweep: Sweep) -> None:
    """Say what was skipped, what failed and why, and how many runs there are."""
    from fer_bench.terminal import counted

    for reason in sorted(set(sweep.skipped.values())):
        typer.echo(f"skipped: {reason}", err=True)
    for reason in dict.fromkeys(sweep.failed.values()):
        first, *others = (run_id for run_id, why in sweep.failed.items() if why == reason)
        more = f" and {len(others)} more" if others else ""
        typer.echo(f"failed: {first}{more}: {reason}", err=True)
    skipped = f", {len(sweep.skipped)} skipped" if sweep.skipped else ""
    busy = f", {sweep.busy} left to another command that is at them" if sweep.busy else ""
    done, failed = counted(sweep.done, "run"), len(sweep.failed)
    typer.echo(f"{done} trained, {sweep.kept} kept, {failed} failed{skipped}{busy}", err=True)


def _say_plan(
    experiment: Experiment, folder: Path, options: Options, methods: Sequence[str]
) -> None:
    """Say what would run, what it would take, and what would fail."""
    from fer_bench.cautions import Caution, merged
    from fer_bench.runs.store import RunStore
    from fer_bench.sweep.forecast import forecast
    from fer_bench.sweep.plan import foreign_code, plan, planned_steps
    from fer_bench.sweep.sweep import outlook
    from fer_bench.terminal import counted, duration
    from fer_bench.training.outcome import FEW_STEPS

    planned, store, few = plan(experiment).only(methods), RunStore(folder), []
    for line in foreign_code(experiment):
        typer.echo(line)
    for spec in planned.runs:
        state = "kept" if store.is_done(spec.id) else "to run"
        steps = planned_steps(planned, spec)
        typer.echo(f"{state:7}{spec.label}  {spec.place}  {spec.id}  {steps:,} steps")
        if steps < FEW_STEPS:
            few.append(Caution("few-steps-planned", steps=steps, least=FEW_STEPS))
    if few:
        typer.echo(f"caution: {merged(few)}")
    for spec, reason in planned.skipped:
        typer.echo(f"skipped {spec.label}: {reason}")
    todo = [spec for spec in planned.runs if not store.is_done(spec.id)]
    if options.executor == "slurm":
        from fer_bench.sweep.slurm import script

        root = folder.absolute()
        workers = min(options.workers, max(1, len(todo)))
        typer.echo(script(root / "slurm" / "tasks-1.json", workers, root, options))
    if not options.is_local:  # what another machine takes is not tried out on this one
        return
    forecasts = []
    for one in forecast(todo, options):
        forecasts.append(one)
        if one.problem is None:
            took = f"at least {duration(one.seconds)}, {one.size / 2**20:.1f} MiB"
            typer.echo(f"{one.label}: {counted(one.runs, 'run')} of {took}")
        else:
            typer.echo(f"{one.label}: all {one.runs} runs would fail: {one.problem}")
    if forecasts:
        typer.echo(outlook(forecasts, store, options))
    if any(one.problem is not None for one in forecasts):
        raise typer.Exit(1)


def work(
    tasks: Annotated[Path, typer.Argument(help="List that a sweep on Slurm has written.")],
    index: Annotated[int, typer.Argument(help="Number of the task.")],
) -> None:
    """Be one task of a sweep on Slurm: what its job array calls."""
    from fer_bench.sweep.slurm import work as work_on

    raise typer.Exit(work_on(tasks, index))


class Attackers(StrEnum):
    """Who attacks the embeddings of finished runs."""

    default = "default"
    all = "all"


def score(
    folder: Folder,
    metrics: Annotated[
        str | None, typer.Option(help="Names with commas between; all default ones otherwise.")
    ] = None,
    attackers: Annotated[
        Attackers,
        typer.Option(help="all: also a trained attacker, and how small a leak would be found."),
    ] = Attackers.default,
    again: Annotated[
        bool, typer.Option(help="Compute all anew, not only what is missing.")
    ] = False,
    seed: Annotated[int, typer.Option(help="Of bootstrap, permutations and probes.")] = 0,
    workers: Annotated[
        int | None,
        typer.Option(min=1, help="Runs scored at once; by default one a core, four at most."),
    ] = None,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress.")] = False,
) -> None:
    """Score finished runs again from their saved arrays: only what is missing or outdated."""
    from fer_bench.sweep import processes

    processes.start_early()
    from fer_bench.metrics.metric import metric_names
    from fer_bench.runs.store import RunStore
    from fer_bench.sweep.sweep import score_store
    from fer_bench.terminal import counted

    named = [name.strip() for name in metrics.split(",")] if metrics else None
    names = metric_names(named, attackers=attackers.value)
    records = score_store(
        RunStore(folder), metrics=names, seed=seed, again=again, workers=workers, quiet=quiet
    )
    failed = {
        f"{record.spec.id}: {name}: {outcome.failed}"
        for record in records
        for name, outcome in record.outcomes().items()
        if outcome.failed
    }
    for line in sorted(failed):
        typer.echo(f"failed: {line}", err=True)
    typer.echo(f"{counted(len(records), 'run')} scored in {folder}")
    if failed:
        raise typer.Exit(1)


def transfer(
    folders: Annotated[
        list[Path], typer.Argument(help="Result folders, one a data set.", show_default=False)
    ],
    measure: Annotated[
        str, typer.Option(help="accuracy, balanced_accuracy or macro_f1.")
    ] = "accuracy",
    out: Annotated[
        Path | None, typer.Option(help="Also write the matrix as CSV, with intervals.")
    ] = None,
    page: Annotated[
        Path | None, typer.Option(help="Also write one HTML page with a heat map a method.")
    ] = None,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress.")] = False,
) -> None:
    """Train on A, test on B: the runs of every folder on the faces of the others."""
    from fer_bench.atomic import atomic_path
    from fer_bench.sweep.transfer import to_text, transfer_matrix

    matrix = transfer_matrix(folders, measure=measure, quiet=quiet)
    typer.echo(to_text(matrix), nl=False)
    if out is not None:
        with atomic_path(out) as aside:
            matrix.to_csv(aside, index=False)
    if page is not None:
        from fer_bench.reports.transfer import write_transfer_page

        typer.echo(f"page: {write_transfer_page(matrix, page, measure=measure).resolve()}")
