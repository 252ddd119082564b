"""Pages made from the code: keys of experiment files, and what is registered.

Written before every build, so that no page can say what the code does not.
"""

from __future__ import annotations

import inspect
import json
import re
import shutil
import types
import typing
from collections.abc import Iterator, Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any

from pydantic import BaseModel
from pydantic_core import PydanticUndefined
from rerun import numbers
from typer.main import get_command

from fer_bench import experiment, registry
from fer_bench.cli.app import app
from fer_bench.cli.listing import TITLES, Kind, rows_of
from fer_bench.reports.board import write_board

SECTIONS: tuple[tuple[str, type[BaseModel]], ...] = (
    ("(top level)", experiment.Experiment),
    ("[data]", experiment.DataSpec),
    ("[split]", experiment.SplitSpec),
    ("[training]", experiment.TrainingSpec),
    ("[training.decay]", experiment.DecaySpec),
    ("[[methods]]", experiment.MethodSpec),
    ("[confound]", experiment.ConfoundSpec),
    ("[scores]", experiment.ScoresSpec),
    ("[report]", experiment.ReportSpec),
)


def setup(app: Any) -> dict[str, bool]:
    """Write the generated pages when a build begins."""
    app.connect("builder-inited", _write)
    app.connect("build-finished", _write_board)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def _write(app: Any) -> None:
    folder = Path(app.srcdir) / "generated"
    folder.mkdir(exist_ok=True)
    pages = {"experiment": _experiment(), "methods": _methods(), "commands": _commands()}
    pages |= {str(kind): _listing(kind) for kind in (Kind.datasets, Kind.metrics, Kind.estimators)}
    pages |= {"data-cards": _data_cards(), "numbers": _numbers(), **_method_cards(folder)}
    for path in Path(app.srcdir).glob("benchmarks/*.json"):
        pages[f"benchmark-{path.stem}"] = benchmark(json.loads(path.read_text("utf-8")))
    for name, text in pages.items():
        path = folder / f"{name}.md"
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8")


def _write_board(app: Any, error: Exception | None) -> None:
    """The leaderboard with its files, beside the pages that link to it."""
    if error is None and app.builder.format == "html":
        board = Path(app.outdir) / "board"
        shutil.copytree(
            Path(app.srcdir).parent / "baselines" / "results", board, dirs_exist_ok=True
        )
        write_board(board)


def _experiment() -> str:
    lines = [
        "# Keys of an experiment file",
        "",
        "A TOML file. A wrong key is named with its line and the nearest valid one before anything "
        "runs. Every key can be given on the command line: `--set training.epochs=40`.",
        "",
    ]
    for title, model in SECTIONS:
        lines += [f"## `{title}`", "", _first_sentence(model), ""]
        lines += ["| key | type | default | what it is |", "|---|---|---|---|"]
        meanings = attributes_of(model)
        for name, field in model.model_fields.items():
            default = field.get_default(call_default_factory=True)
            shown = "required" if default is PydanticUndefined else _shown(default)
            meaning = meanings.get(name, "")
            lines.append(f"| `{name}` | {_type(field.annotation)} | {shown} | {_cell(meaning)} |")
        lines.append("")
    return "\n".join(lines)


def attributes_of(model: type) -> dict[str, str]:
    """The sentences of the section "Attributes:" of a docstring, by name.

    "a, b: text" tells of both.
    """
    text = inspect.getdoc(model) or ""
    section = re.search(r"^Attributes:\n(.*?)(?=^\S|\Z)", text, re.M | re.S)
    out: dict[str, str] = {}
    for names, meaning in _entries(section.group(1) if section else ""):
        out |= {name.strip(): meaning for name in names.split(",")}
    return out


def _entries(block: str) -> Iterator[tuple[str, str]]:
    for entry in re.split(r"\n(?=    \w)", "\n" + block):
        names, _, meaning = entry.strip().partition(":")
        if names:
            yield names, " ".join(meaning.split())


def _first_sentence(model: type) -> str:
    return (inspect.getdoc(model) or "").split("\n\n")[0].replace("\n", " ")


def _shown(value: Any) -> str:
    if isinstance(value, BaseModel):
        return "see below"
    if value is None:
        return "none"
    return f"`{value!r}`" if value not in ({}, ()) else "empty"


def _type(annotation: Any) -> str:
    origin = typing.get_origin(annotation)
    if origin is typing.Annotated:
        return _type(typing.get_args(annotation)[0])
    if origin is typing.Literal:
        return " or ".join(f"`{value}`" for value in typing.get_args(annotation))
    if origin in (typing.Union, types.UnionType):
        parts = [a for a in typing.get_args(annotation) if a is not type(None)]
        return " or ".join(map(_type, parts))
    if origin is tuple:
        return f"list of {_type(typing.get_args(annotation)[0])}"
    if origin is dict:
        return "table"
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return "table"
    names = {int: "whole number", float: "number", bool: "true or false", str: "text"}
    return names.get(annotation, "any")


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def _listing(kind: Kind) -> str:
    columns, rows = TITLES[kind], rows_of(kind)
    titles = {
        Kind.datasets: "Data sets",
        Kind.metrics: "Metrics",
        Kind.estimators: "Estimators of mutual information",
    }
    lines = [f"# {titles[kind]}", "", f"As `fer-bench list {kind}` prints them.", ""]
    lines += [f"| {' | '.join(columns)} |", "|" + "---|" * len(columns)]
    for row in rows:
        first, *rest = map(_cell, row)
        lines.append(f"| `{first}` | {' | '.join(rest)} |")
    if kind is Kind.metrics:
        lines += ["", *_scores()]
    return "\n".join(lines) + "\n"


def _scores() -> Iterator[str]:
    yield "## Columns of the leaderboard\n"
    yield "| score | title | better | what it says |"
    yield "|---|---|---|---|"
    for name in registry.metrics.names():
        for spec in getattr(registry.metrics.get(name), "scores", ()):
            if spec.column:
                yield f"| `{name}/{spec.key}` | {spec.title} | {spec.better} | {spec.meaning} |"


def _methods() -> str:
    columns, rows = TITLES[Kind.methods], rows_of(Kind.methods)
    lines = ["# Methods", "", "As `fer-bench list methods` prints them.", ""]
    lines += [f"| {' | '.join(columns)} |", "|" + "---|" * len(columns)]
    lines += [f"| `{row[0]}` | {' | '.join(map(_cell, row[1:]))} |" for row in rows]
    lines += ["", "## Parameters", ""]
    for name in registry.methods.names():
        config = getattr(registry.methods.get(name), "Config", None)
        if config is None or not config.model_fields:
            continue
        meanings = attributes_of(config)
        lines += [f"### `{name}`", "", "| parameter | type | default | what it is |"]
        lines.append("|---|---|---|---|")
        for key, field in config.model_fields.items():
            default = field.get_default(call_default_factory=True)
            shown = "required" if default is PydanticUndefined else _shown(default)
            meaning = _cell(meanings.get(key, ""))
            lines.append(f"| `{key}` | {_type(field.annotation)} | {shown} | {meaning} |")
        lines.append("")
    return "\n".join(lines) + "\n"


CARDS = Path(str(files("fer_bench.baselines")))


def _method_cards(folder: Path) -> dict[str, str]:
    """The card of every method, as it stands beside its code, with its diagram."""
    pages = {}
    for card in sorted(CARDS.glob("*/README.md")):
        if card.parent.name == "results":
            continue
        text = card.read_text(encoding="utf-8")
        diagram = card.with_name("diagram.svg")
        if diagram.is_file():
            name = f"{card.parent.name}.svg"
            (folder / name).write_text(_light(diagram.read_text("utf-8")), encoding="utf-8")
            text = text.replace("(diagram.svg)", f"({name})")
        pages[f"card-{card.parent.name}"] = text
    toc = "\n".join(pages)
    head = "What each method is, its equations, every deviation from its paper, and its diagram."
    pages["cards"] = f"# Method cards\n\n{head}\n\n```{{toctree}}\n:maxdepth: 1\n\n{toc}\n```\n"
    return pages


def _light(svg: str) -> str:
    """The picture without its dark colours: the theme puts a light ground under pictures."""
    return re.sub(r"@media \(prefers-color-scheme: dark\) \{.*\} \}", "", svg, flags=re.S)


def _data_cards() -> str:
    """What is known of every data set before it is read."""
    lines = ["# Data cards", "", "Every report shows the card of the faces it is about.", ""]
    for name in registry.datasets.names():
        info = registry.datasets.get(name).info
        facts = {
            "terms": info.terms,
            "people": info.subjects,
            "labels": ", ".join(_labels(info)),
            "protocol": info.protocol,
            "published counts": ", ".join(f"{key} {n:,}" for key, n in info.expected.items()),
            "faces in reports": "yes" if info.publish_faces else "no",
            "cite": info.citation,
        }
        lines += [f"## {info.title or name}", "", f"`{name}`", ""]
        lines += [f"- **{title}**: {_cell(fact)}" for title, fact in facts.items() if fact]
        lines.append("")
    return "\n".join(lines)


def _labels(info: Any) -> Iterator[str]:
    if info.expressions:
        yield "expression"
    if info.valence_arousal:
        yield "valence and arousal"
    yield from info.attributes


def _numbers() -> str:
    """Where the numbers of the pages come from."""
    stamp = ("commit", "date", "machine")
    lines = [f"| number | command | {' | '.join(stamp)} | CPU-minutes |", "|---" * 6 + "|"]
    for number in numbers()["number"]:
        page = number["page"].removesuffix(".md")
        where = f"{{doc}}`{number['states']} </{page}>`"
        cost = number.get("cpu_minutes", f"about {number.get('estimated_minutes')}, an estimate")
        cells = (where, f"`{number['command']}`", *(number[key] for key in stamp), str(cost))
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def benchmark(kept: Mapping[str, Any]) -> str:
    """The rows of a benchmark as a table, what all of them have in common, and the stamp."""
    rows = kept["rows"]
    columns = {title: [_value(row.get(title)) for row in rows] for row in rows for title in row}
    equal = {title: cells[0] for title, cells in columns.items() if len({*cells}) == 1 < len(rows)}
    shown = {title: cells for title, cells in columns.items() if title not in equal}
    lines = [f"| {' | '.join(shown)} |", "|---" * len(shown) + "|"]
    lines += [f"| {' | '.join(map(_cell, cells))} |" for cells in zip(*shown.values(), strict=True)]
    if equal:
        lines += ["", f"In every row: {', '.join(f'{t} {cell}' for t, cell in equal.items())}."]
    cost = f"{kept['cpu_minutes']} CPU-minutes" if kept["cpu_minutes"] else "cost not kept"
    stamp = [f"commit {kept['commit']}", kept["date"], kept["machine"], cost]
    if "note" in kept:
        stamp.append(kept["note"])
    return "\n".join([*lines, "", f"`{kept['command']}`: {', '.join(stamp)}."]) + "\n"


def _value(value: Any) -> str:
    """A number, or [value, low, high] with its 95 % interval on one line."""
    if value is None:
        return ""
    if isinstance(value, list):
        digits = 3 if abs(value[0]) < 1 else 2
        middle, *ends = ("" if v is None else f"{v:.{digits}f}" for v in value)
        return f"{middle} [" + ",\u00a0".join(ends) + "]" if all(ends) else middle
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def _commands() -> str:
    """The help of every command, as the terminal prints it at 80 columns."""
    root = get_command(app)
    lines = ["# Commands", ""]
    for names, command in _walk(root, ("fer-bench",)):
        context = command.make_context(
            " ".join(names), [], resilient_parsing=True, max_content_width=80
        )
        lines += [f"## `{' '.join(names)}`", "", "```text", command.get_help(context), "```", ""]
    return "\n".join(lines)


def _walk(command: Any, names: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], Any]]:
    yield names, command
    for name, child in sorted(getattr(command, "commands", {}).items()):
        yield from _walk(child, (*names, name))
