"""`fer-bench mi`: estimate mutual information, and test the estimators."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Optional

import typer

from fer_bench.cautions import Caution
from fer_bench.cli.help import Command, group

app = group("mi", "Mutual information: estimate, bench, check.")


@app.command(cls=Command)
def estimate(
    x: Annotated[Path, typer.Argument(help="Array [n, d] or [n], a .npy file.")],
    y: Annotated[Path, typer.Argument(help="The other side, row by row.")],
    estimator: Annotated[str, typer.Option(help="See `fer-bench list estimators`.")] = "auto",
    groups: Annotated[Optional[Path], typer.Option(help="Subject of each row, .npy.")] = None,  # noqa: UP045
    given: Annotated[Optional[Path], typer.Option(help="Condition on this: I(X; Y | Z).")] = None,  # noqa: UP045
    discrete_x: Annotated[
        Optional[bool],  # noqa: UP045
        typer.Option("--discrete-x/--measured-x", help="Read X as labels, or as measurements."),
    ] = None,
    discrete_y: Annotated[
        Optional[bool],  # noqa: UP045
        typer.Option("--discrete-y/--measured-y", help="Read Y as labels, or as measurements."),
    ] = None,
    discrete_z: Annotated[
        Optional[bool],  # noqa: UP045
        typer.Option("--discrete-z/--measured-z", help="Read the condition so."),
    ] = None,
    null: Annotated[
        Optional[int],  # noqa: UP045
        typer.Option(help="Permuted copies; each estimator has its number.", min=0),
    ] = None,
    calibrated: Annotated[
        Optional[int],  # noqa: UP045
        typer.Option(help="Planted tasks the interval rests on; 0 for none.", min=0),
    ] = None,
    unit: Annotated[str, typer.Option(help="nats or bits.")] = "nats",
    seed: Annotated[int, typer.Option(min=0)] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="Print all of it as JSON.")] = False,
) -> None:
    """Estimate I(X; Y) of two arrays, with interval, null and warnings."""
    import json

    from fer_bench.information import estimate_mi
    from fer_bench.information.inputs import ReadingError

    try:
        score = estimate_mi(
            _load(x), _load(y), estimator=estimator, seed=seed, unit=unit,  # type: ignore[arg-type]
            groups=None if groups is None else _load(groups),
            z=None if given is None else _load(given), discrete_x=discrete_x,
            discrete_y=discrete_y, discrete_z=discrete_z, null=null, calibrated=calibrated,
        )  # fmt: skip
    except ReadingError as error:
        raise ReadingError(error.before, OPTIONS[error.option], error.after) from None
    if as_json:
        typer.echo(json.dumps(score.to_json(), indent=2))
        return
    chosen = score.details.get("chosen")
    name = score.details["estimator"] + (f" (chose {chosen})" if chosen else "")
    typer.echo(f"I = {score} {score.unit}   estimator {name}, n = {score.n}")
    if score.null is not None:
        p = " (a p-value takes --null 19)" if score.p is None else f", p = {score.p:.3g}"
        typer.echo(f"null (permuted) {score.null:.3f}{p}")
    if "because" in score.details:
        typer.echo(f"because {score.details['because']}")
    for caution in score.cautions:
        typer.echo(f"warning: {_in_options(caution)}")


# Arguments of `estimate_mi` that a caution or an error advises, as options of the command line.
OPTIONS = {
    f"discrete_{side}={value}": f"--{reading}-{side}"
    for side in "xyz"
    for value, reading in ((True, "discrete"), (False, "measured"))
}


def _in_options(caution: Caution) -> Caution:
    """A caution whose advice is an option of the command line."""
    option = caution.values.get("option")
    if option is None:
        return caution
    return Caution(caution.code, **{**caution.values, "option": OPTIONS[str(option)]})


@app.command(cls=Command)
def bench(
    out: Annotated[Path, typer.Option(help="Folder for results.jsonl and index.html.")] = Path(
        "mi-bench"
    ),
    estimator: Annotated[list[str], typer.Option(help="Repeat for several.")] = ["auto"],  # noqa: B006
    suite: Annotated[
        Optional[list[str]],  # noqa: UP045
        typer.Option(help="bmi (without --task), bmi2, labels, embeddings, images, ..."),
    ] = None,
    task: Annotated[Optional[list[str]], typer.Option(help="Single tasks by name.")] = None,  # noqa: UP045
    n: Annotated[list[int], typer.Option(help="Rows; repeat for several.", min=10)] = [10_000],  # noqa: B006
    seeds: Annotated[int, typer.Option(help="How many seeds.", min=1)] = 3,
    calibrated: Annotated[
        int, typer.Option(help="Planted tasks each interval rests on; 0 for none.", min=0)
    ] = 0,
    null: Annotated[
        int, typer.Option(help="Permuted copies estimated beside each; 0 for none.", min=0)
    ] = 0,
    save_reference: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(help="Also store what `check` compares with."),
    ] = None,
) -> None:
    """Run estimators on tasks of known truth; the same command goes on after a stop."""
    from fer_bench.errors import DataError
    from fer_bench.information import tasks
    from fer_bench.information.bench import by_estimator, check_names, jobs, read
    from fer_bench.information.page import write_page

    suites = suite or ([] if task else ["bmi"])
    names = [*(name for s in suites for name in tasks.names(s)), *(task or [])]
    settings = list(jobs(estimator, names, n, range(seeds), calibrated=calibrated, null=null))
    check_names(settings)
    _make_folder(out, "--out")
    if (out / "index.html").is_dir():
        raise DataError(f"--out: {out / 'index.html'} is a folder: name another place.")
    if save_reference is not None:
        _make_folder(save_reference.parent, "--save-reference")
        if save_reference.is_dir():
            raise DataError(f"--save-reference {save_reference} is a folder: name a file in it.")
    results = _run(settings, out / "results.jsonl")
    write_page(read(out / "results.jsonl"), out / "index.html")
    typer.echo(by_estimator(results).round(3).to_string(index=False))
    typer.echo(f"page: {out / 'index.html'}")
    if save_reference is not None:
        _save_reference(results, save_reference)


@app.command(cls=Command)
def check(
    against: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(help="Reference file of `bench --save-reference`."),
    ] = None,
    estimator: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option(help="Run the consistency checks on this estimator."),
    ] = None,
) -> None:
    """Exit 1 where accuracy or speed left the stored tolerance, or an estimator is inconsistent."""
    if against is None and estimator is None:
        raise typer.BadParameter(
            "give --against FILE, or --estimator NAME for the consistency checks."
        )
    wrong = 0
    if against is not None:
        wrong += _check_reference(against)
    if estimator is not None:
        wrong += _check_consistency(estimator)
    if wrong:
        raise typer.Exit(1)


def _check_reference(path: Path) -> int:
    import tempfile

    from fer_bench.information.bench import check_names, compare, read_reference

    stored = read_reference(path)
    check_names(stored.settings)
    with tempfile.TemporaryDirectory() as folder:
        results = _run(stored.settings, Path(folder) / "results.jsonl")
    table = compare(stored, results)
    bad = table[table["verdict"] != ""]
    typer.echo((table if bad.empty else bad).round(4).to_string(index=False))
    tolerance = f"{stored.tolerance.nats:g} nats, {stored.tolerance.slower:g} times slower"
    typer.echo(f"{len(bad)} of {len(table)} outside the tolerance ({tolerance})")
    return len(bad)


def _check_consistency(estimator: str) -> int:
    from fer_bench.information.consistency import check_estimator

    checks = check_estimator(estimator)
    for c in checks:
        typer.echo(f"{'ok  ' if c.passed else 'FAIL'} {c.name:26s} {c.measured}  {c.why}")
    return sum(not c.passed for c in checks)


def _run(settings: list[dict[str, Any]], path: Path) -> Any:
    """Run settings with a progress bar (plain lines without a terminal); say what failed."""
    from fer_bench.data.progress import progress_bar
    from fer_bench.information.bench import KEY, failures, read
    from fer_bench.information.bench import bench as run_bench

    with progress_bar("estimating", len(settings)) as advance:
        for _ in run_bench(settings, path):
            advance(1)
    wanted = {tuple(job[k] for k in KEY) for job in settings}
    results = read(path)
    keep = [tuple(row) in wanted for row in results[KEY].itertuples(index=False)]
    results = results[keep]
    for sentence in failures(results):
        typer.echo(sentence, err=True)
    return results


def _save_reference(results: Any, path: Path) -> None:
    from fer_bench.atomic import write_text
    from fer_bench.information.bench import reference

    write_text(path, reference(results).model_dump_json(indent=1, exclude_unset=True))
    typer.echo(f"reference: {path}")


def _make_folder(folder: Path, option: str) -> None:
    """Make the folder that an option names, before the work whose results go there."""
    import os

    from fer_bench.errors import DataError

    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DataError(
            f"{option}: {folder} cannot be a folder ({error.strerror}): name another place."
        ) from None
    if not os.access(folder, os.W_OK):
        raise DataError(f"{option}: {folder} cannot be written to: name another place.")


def _load(path: Path) -> Any:
    """Read one .npy array; pickled objects, archives and records are refused."""
    from tokenize import TokenError
    from zipfile import BadZipFile

    import numpy as np

    from fer_bench.errors import DataError

    fix = "write one plain array of numbers or strings with numpy.save"
    try:
        array = np.load(path, allow_pickle=False)
    except OSError as error:
        raise DataError(f"{path} cannot be read ({error.strerror}).") from None
    except (ValueError, EOFError, BadZipFile, MemoryError, SyntaxError, TokenError):
        # numpy's own words advise to unpickle it
        raise DataError(f"{path} is no .npy file of plain values (no objects): {fix}.") from None
    if not isinstance(array, np.ndarray):
        raise DataError(f"{path} is an archive (such as .npz or .pt), not a .npy file: {fix}.")
    if array.dtype.names:
        raise DataError(f"{path} has named fields {', '.join(array.dtype.names)}: {fix}.")
    return array
