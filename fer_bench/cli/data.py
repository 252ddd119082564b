"""`fer-bench data`: look at, prepare, audit and record faces."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated, Any

import typer

from fer_bench.cli.help import group

app = group("data", "Look at, prepare, audit and record faces.")

Name = Annotated[
    str, typer.Argument(help="A data set (see `fer-bench list datasets`), or a folder of your own.")
]
Root = Annotated[
    Path | None, typer.Option("--root", help="Its folder; default: under $FER_BENCH_DATA.")
]
Options = Annotated[
    list[str] | None,
    typer.Option("--set", help="An option of the data set, as KEY=VALUE (TOML values)."),
]
Size = Annotated[int, typer.Option("--size", help="Side of a face in pixels.")]


@app.command()
def show(
    name: Name,
    what: Annotated[
        list[str] | None,
        typer.Option(
            "--what", help="classes, subjects, pairs, augmentation, or an attribute; repeatable."
        ),
    ] = None,
    root: Root = None,
    out: Annotated[Path, typer.Option("--out", help="A .html or .png file.")] = Path("faces.html"),
    size: Size = 64,
    augment: Annotated[
        str, typer.Option("--augment", help="none, flip, rotations or affine.")
    ] = "rotations",
    seed: Annotated[int, typer.Option("--seed", help="Of the choice of faces.")] = 0,
    answers: Annotated[
        str | None,
        typer.Option("--answers", help="Also what a model says of each face: clip or tiny-clip."),
    ] = None,
    options: Options = None,
) -> None:
    """Draw contact sheets, pairs, what the augmentation does, and a model's answers."""
    from fer_bench.data import show as drawing
    from fer_bench.data.answers import agreement
    from fer_bench.registry import attribute_readers

    reader = attribute_readers.get(answers) if answers is not None else None
    data = _load(name, root, size, options)
    drawn = drawing.sheets(data, what or drawing.WHAT, mode=augment, seed=seed)
    if reader is not None:
        said = reader(data)
        drawn[f"Answers of {answers}, in per cent; red contradicts the data"] = (
            drawing.answer_sheet(data, said, seed=seed)
        )
        agreed = agreement(data, said)
        for line in map(str, agreed):
            typer.echo(line)
        if not agreed:
            typer.echo("no column of the data holds what was answered")
    typer.echo(f"{data!r}\n{drawing.save(out, data, drawn)}")


@app.command()
def prepare(
    raw: Annotated[Path, typer.Argument(help="The folder of photographs.")],
    out: Annotated[Path, typer.Argument(help="The folder to write.")],
    reader: Annotated[
        str,
        typer.Option("--reader", help="Whose layout RAW has: auto, none, or a data set's name."),
    ] = "auto",
    size: Annotated[int, typer.Option("--size", help="Side of a face in pixels.")] = 112,
    gray: Annotated[bool, typer.Option("--gray", help="Write gray faces.")] = False,
    several: Annotated[
        str, typer.Option("--several", help="Several faces: reject, or take the largest.")
    ] = "reject",
    min_eyes: Annotated[
        float, typer.Option("--min-eyes", help="Smallest distance of the eyes in pixels.")
    ] = 12.0,
    min_sharpness: Annotated[
        float, typer.Option("--min-sharpness", help="Below this a face counts as blurred.")
    ] = 0.015,
    max_distortion: Annotated[
        float,
        typer.Option("--max-distortion", help="Above this factor a face is too wide or too high."),
    ] = 1.4,
    crop: Annotated[
        str,
        typer.Option(
            "--crop",
            help="loose: with hair and forehead; tight: brows to chin; recognition: as "
            "face-recognition networks expect faces.",
        ),
    ] = "loose",
    without_eyes: Annotated[
        str, typer.Option("--without-eyes", help="No eyes: reject, or take the whole-image.")
    ] = "reject",
    decisions: Annotated[
        Path | None, typer.Option("--decisions", help="Decisions of an audit, to be followed.")
    ] = None,
    options: Options = None,
) -> None:
    """Find, align by the eyes, cut and check faces; goes on where it was stopped."""
    from fer_bench.data import prepare as preparing
    from fer_bench.errors import DataError, did_you_mean

    if crop not in preparing.CROPS:
        raise DataError(f"--crop {crop!r}: {did_you_mean(crop, preparing.CROPS)}")
    settings = preparing.Settings(
        size=size,
        color=not gray,
        several=several,  # type: ignore[arg-type]
        min_eyes=min_eyes,
        min_sharpness=min_sharpness,
        max_distortion=max_distortion,
        without_eyes=without_eyes,  # type: ignore[arg-type]
        **preparing.CROPS[crop],
    )
    done = preparing.prepare(
        raw, out, reader=reader, options=_values(options), settings=settings, decisions=decisions
    )
    typer.echo(f"{done.kept} faces in {done.folder}, {done.rejected} rejected, "
               f"{done.reused} done before")  # fmt: skip
    for reason, count in done.reasons.items():
        typer.echo(f"  {count:6}  {reason}")
    if done.rejected:
        typer.echo(f"Reasons: {done.folder / 'rejects.csv'}")
    if done.whole_images:
        typer.echo(f"{done.whole_images} are whole images, in which no eyes were located "
                   "(column 'alignment' of manifest.csv)")  # fmt: skip
    if done.padded:
        typer.echo(f"{done.padded} reach beyond their photograph and are padded with black "
                   "(column 'padded' of preparation.csv)")  # fmt: skip
    if done.kept:
        typer.echo(f"Next: fer-bench data audit {shlex.quote(str(done.folder))}")


@app.command()
def audit(
    name: Name,
    root: Root = None,
    out: Annotated[Path, typer.Option("--out", help="The folder to write.")] = Path("audit"),
    size: Size = 64,
    labels: Annotated[
        bool, typer.Option("--labels/--no-labels", help="Look for wrong labels.")
    ] = True,
    seed: Annotated[int, typer.Option("--seed", help="Of the cross-validation.")] = 0,
    options: Options = None,
) -> None:
    """Find duplicates, bad pictures, likely wrong labels and hidden dependences."""
    from fer_bench.terminal import steps_shown

    with steps_shown("audit") as progress:
        from fer_bench.data import audit as auditing

        data = _load(name, root, size, ["bad_images=set-aside", *(options or [])])
        result = auditing.audit(data, labels=labels, seed=seed, progress=progress)
        progress("writing the page")
        page = auditing.save(result, data, out)
    typer.echo(repr(data))
    for line in result.problems or ["Nothing was found."]:
        typer.echo(f"- {line}")
    if result.framing:
        typer.echo("What the framing alone tells (AUC, 0.50 by chance):")
        for line in auditing.framing_lines(result):
            typer.echo(f"  {line}")
    typer.echo(f"{page}\nDecisions: {out / 'decisions.csv'}")


@app.command()
def capture(
    out: Annotated[Path, typer.Argument(help="The folder to write or continue.")],
    camera: Annotated[
        str, typer.Option("--camera", help="A camera's number, or a video file.")
    ] = "0",
    subject: Annotated[
        str | None, typer.Option("--subject", help="Who is recorded; asked for by default.")
    ] = None,
    crop: Annotated[int, typer.Option("--crop", help="Side of the central square.")] = 250,
    consent: Annotated[
        bool,
        typer.Option("--consent", help="The person has read the text and agreed already."),
    ] = False,
    mirror: Annotated[
        bool, typer.Option("--mirror/--no-mirror", help="Show a mirror image.")
    ] = True,
    keys: Annotated[
        str | None,
        typer.Option("--keys", help="Other keys, such as n=neutral,h=happiness,c=contempt."),
    ] = None,
) -> None:
    """Record labelled faces: n h s p f d a store an expression, z takes back, q stops."""
    from fer_bench.data import capture as capturing

    chosen = capturing.KEYS if keys is None else capturing.parsed_keys(keys)
    text = capturing.CONSENT.format(folder=out.resolve())
    typer.echo(text)
    name = subject or typer.prompt("\nName or code of the person")
    recorder = capturing.Recorder(out, name, side=crop)
    if not (consent or typer.confirm("Do you agree?")):
        typer.echo("Nothing was recorded.")
        return
    window = capturing.Window()
    try:
        frames = capturing.camera_frames(camera)
        recorder.consent(text)
        counts = capturing.record(recorder, frames, window, keys=chosen, mirror=mirror)
    finally:
        window.close()
    for expression, count in counts.items():
        typer.echo(f"  {count:5}  {expression}")
    typer.echo(f"{len(recorder.saved)} pictures stored in {out} by this recording.")


def _load(name: str, root: Path | None, size: int, options: list[str] | None) -> Any:
    from fer_bench.data import load_dataset
    from fer_bench.data.reader import layout
    from fer_bench.registry import datasets

    folder = Path(name).expanduser()
    if root is None and name not in datasets.names() and folder.exists():
        name, root = layout(folder), folder
    return load_dataset(name, root, **{"size": size, **_values(options)})


def _values(options: list[str] | None) -> dict[str, Any]:
    """KEY=VALUE words; values are TOML where they can be, else text."""
    from fer_bench.errors import DataError
    from fer_bench.experiment import written_value

    values: dict[str, Any] = {}
    for option in options or []:
        key, equals, raw = option.partition("=")
        if not equals or not key.strip():
            raise DataError(f"--set {option!r}: write it as KEY=VALUE, such as version=raw_256.")
        values[key.strip()] = written_value(raw)
    return values
