"""The documentation: its Python runs, its commands exist, its links lead somewhere."""

from __future__ import annotations

import importlib.util
import re
import shlex
import sys
import tomllib
from pathlib import Path

import pytest
from typer.main import get_command

from fer_bench.cli.app import app
from fer_bench.cli.help import EXAMPLES

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
PAGES = sorted(p for p in DOCS.rglob("*.md") if not {"generated", "_build"} & set(p.parts))
GALLERY = sorted((DOCS.parent / "examples" / "gallery").glob("plot_*.py"))


def blocks(page: Path, language: str) -> list[str]:
    text = page.read_text(encoding="utf-8")
    matches = re.findall(rf"^( *)```{language}\n(.*?)^\1```", text, re.M | re.S)
    return [re.sub(rf"^{indent}", "", code, flags=re.M) for indent, code in matches]


def commands() -> list[tuple[str, str]]:
    examples = [("--help", line) for lines in EXAMPLES.values() for line in lines]
    lines = examples + [
        (page.name, line.strip().removeprefix("$ "))
        for page in PAGES
        for block in blocks(page, "console")
        for line in block.replace("\\\n", " ").splitlines()
        if line.strip().startswith("$ fer-bench")
    ]
    return [pytest.param(name, line, id=f"{name}: {line}") for name, line in lines]


@pytest.mark.parametrize("page", [p for p in PAGES if blocks(p, "python")], ids=lambda p: p.stem)
def test_the_python_of_a_page_runs(page, capsys) -> None:
    names: dict[str, object] = {}
    for code in blocks(page, "python"):
        exec(compile(code, page.name, "exec"), names)
    assert "False" not in capsys.readouterr().out


@pytest.mark.parametrize(("page", "line"), commands())
def test_a_command_of_a_page_is_one_of_ours(page, line) -> None:
    """Its name and options are parsed as the terminal would; nothing is run."""
    command, arguments = get_command(app), shlex.split(line)[1:]
    context = command.make_context("fer-bench", ["list", "methods"], resilient_parsing=True)
    while hasattr(command, "commands"):
        name = arguments.pop(0)
        assert name in command.commands, f"{page}: there is no command {name!r}"
        command = command.commands[name]
    command.make_context(line, arguments, parent=context)


def test_every_command_with_examples_is_one_of_ours() -> None:
    for name in EXAMPLES:
        command = get_command(app)
        for word in name.split():
            command = command.commands[word]


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.stem)
def test_files_of_the_repository_that_a_page_shows_are_there(page) -> None:
    text = page.read_text(encoding="utf-8")
    for name in re.findall(r"\{literalinclude\} (\S+)", text):
        assert (page.parent / name).is_file(), name
    for name in re.findall(r"\]\((?!https?:|#)([^)]+)\)", text):
        built = "gallery/images/sphx_glr_"
        script = re.fullmatch(rf"{built}(\w+)_\d+\.png", name)
        shown = DOCS.parent / "examples" / "gallery" / f"{script[1]}.py" if script else None
        assert (shown or page.parent / name).is_file(), name


def test_links_of_the_readme_lead_somewhere() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    links = re.findall(r"\]\((?!https?:)([^)#]+)", text)
    assert len(links) > 10
    for name in links:
        assert (ROOT / name).exists(), name


def test_numbers_stand_where_their_list_says() -> None:
    """Each with a command (or the word that none was kept), commit, machine and date."""
    content = tomllib.loads((DOCS / "numbers.toml").read_text(encoding="utf-8"))
    for number in content["number"]:
        page = (DOCS / number["page"]).read_text(encoding="utf-8")
        assert number["states"] in re.sub(r"\s+", " ", page), number
        assert {*number} == {"page", "states", "command", "commit", "date", "machine", "minutes"}


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.stem)
def test_links_lead_to_pages(page) -> None:
    for target in re.findall(r"\{doc\}`([^`]+)`|:link: (\S+)", page.read_text(encoding="utf-8")):
        name = next(filter(None, target))
        name = re.sub(r"^.*<(.+)>$", r"\1", name)
        built = name.startswith(("generated/", "gallery/"))
        assert built or (page.parent / f"{name}.md").exists(), f"{page.name}: {name}"


@pytest.mark.parametrize("script", GALLERY, ids=lambda p: p.stem)
def test_an_example_of_the_gallery_runs(script, monkeypatch) -> None:
    import matplotlib.pyplot as plt

    monkeypatch.setattr(plt, "show", lambda: None)
    try:
        exec(compile(script.read_text(encoding="utf-8"), script.name, "exec"), {})
        assert plt.get_fignums()
    finally:
        plt.close("all")


@pytest.fixture(scope="module")
def reference():
    spec = importlib.util.spec_from_file_location("reference", DOCS / "_ext" / "reference.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["reference"] = module
    spec.loader.exec_module(module)
    return module


def test_every_key_of_an_experiment_file_is_explained(reference) -> None:
    for title, model in reference.SECTIONS:
        meanings = reference.attributes_of(model)
        for key in model.model_fields:
            assert meanings.get(key), f"{title}: the docstring of {model.__name__} lacks {key!r}"


def test_the_help_of_every_command_is_printed(reference) -> None:
    text = reference._commands()
    for name in ("run", "report", "data audit", "mi bench", "plan"):
        assert f"## `fer-bench {name}`" in text
