"""The documentation: its Python and what it prints, its commands, links and numbers."""

from __future__ import annotations

import doctest
import importlib
import json
import re
import shlex
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from typer.main import get_command

from fer_bench.cli.app import app
from fer_bench.cli.help import EXAMPLES
from fer_bench.data.synthetic.factors import EXPRESSIONS
from fer_bench.reports.sections.claims import Line, Place

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
PAGES = sorted(p for p in DOCS.rglob("*.md") if not {"generated", "_build"} & set(p.parts))
GALLERY = sorted((DOCS.parent / "examples" / "gallery").glob("plot_*.py"))


@pytest.fixture
def rerun(monkeypatch):
    monkeypatch.syspath_prepend(DOCS / "_ext")
    return importlib.import_module("rerun")


@pytest.fixture
def reference(rerun):
    return importlib.import_module("reference")


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


def same(printed: str, shown: str) -> bool:
    """As a doctest compares: "..." stands for any text, and line breaks are spaces."""
    flags = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
    return doctest.OutputChecker().check_output(shown, printed, flags)


@pytest.mark.parametrize("page", [p for p in PAGES if blocks(p, "python")], ids=lambda p: p.stem)
def test_the_python_of_a_page_prints_what_stands_below(page, capsys) -> None:
    text, names = page.read_text(encoding="utf-8"), {}
    both = re.compile(r"^```python\n(.*?)^```(?:\n+```text\n(.*?)^```)?", re.M | re.S)
    for code, shown in both.findall(text):
        exec(compile(code, page.name, "exec"), names)
        printed = capsys.readouterr().out
        assert same(printed, shown), f"{code}\nprints\n{printed}"


def transcripts() -> list[tuple[str, str, str]]:
    """(page, command, what a page says it prints)."""
    return [
        pytest.param(page.name, command, shown, id=f"{page.name}: {command}")
        for page in PAGES
        for block in blocks(page, "console")
        for command, shown in re.findall(r"^\$ (.*)\n((?:(?!\$ ).*\n)+)", block, re.M)
        if shown.strip() and not command.endswith("\\")
    ]


@pytest.fixture
def inputs(tmp_path, monkeypatch) -> None:
    """The files that transcripts of the pages are about."""
    monkeypatch.chdir(tmp_path)
    picture = Image.new("RGB", (128, 128))
    for word in ("happiness", "neutral", "surprise"):
        for k in range(80):
            path = tmp_path / "my-faces" / word / f"p{k % 20}" / f"{k}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            picture.save(path)
    person, names = np.arange(2400) // 40, np.array(EXPRESSIONS)
    ids = np.array([f"{s:03d}/{k}.png" for k, s in enumerate(person)])
    emotion = names[np.arange(2400) % 7]
    columns = {"path": ids, "emotion": emotion, "person": [f"s{s:03d}" for s in person]}
    pd.DataFrame(columns).to_csv("labels.csv", index=False)
    rng = np.random.default_rng(0)
    logits = rng.normal(size=(2400, 7)) + 3 * np.eye(7)[np.arange(2400) % 7]
    embedding = rng.normal(size=(2400, 512)).astype(np.float32)
    np.savez("ours.npz", embedding=embedding, logits=logits, ids=ids, classes=names)


@pytest.mark.parametrize(("page", "command", "shown"), transcripts())
def test_a_command_prints_what_a_page_shows(page, command, shown, inputs, invoke) -> None:
    status, out, err = invoke(*shlex.split(command)[1:])
    assert status == 0
    assert same(out + err, shown), out + err


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


def test_numbers_stand_where_their_list_says(rerun) -> None:
    """Each with a command, commit, machine and date."""
    stamp = {"command", "commit", "date", "machine"}
    for number in rerun.numbers()["number"]:
        page = (DOCS / number["page"]).read_text(encoding="utf-8")
        assert number["states"] in re.sub(r"\s+", " ", page), number
        assert {*number} - {"cpu_minutes", "estimated_minutes"} == {"page", "states", *stamp}
        assert number["command"]


def test_every_benchmark_is_kept_and_shown(rerun, reference) -> None:
    pages = "".join(page.read_text(encoding="utf-8") for page in DOCS.glob("benchmarks/*.md"))
    names = {entry["name"] for entry in rerun.numbers()["benchmark"]}
    assert names == {path.stem for path in DOCS.glob("benchmarks/*.json")}
    for entry in rerun.numbers()["benchmark"]:
        kept = json.loads((rerun.KEPT / f"{entry['name']}.json").read_text(encoding="utf-8"))
        assert kept["command"] == entry["command"]
        assert f"{{include}} ../generated/benchmark-{entry['name']}.md" in pages
        assert reference.benchmark(kept).count("\n| ") == len(kept["rows"]) > 0


def test_rows_of_a_benchmark_are_kept_and_rendered(rerun, reference, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(rerun, "KEPT", tmp_path)
    rows = [{"a": [0.51234, 0.4, 0.6], "n": 7}, {"a": [0.25, None, None], "n": 7, "b": "x"}]
    command = f"echo {shlex.quote(json.dumps(rows))}"
    assert rerun._made({"name": "toy", "command": command})
    kept = json.loads((tmp_path / "toy.json").read_text(encoding="utf-8"))
    assert kept["rows"] == rows
    assert {*kept} == {"command", "commit", "machine", "date", "cpu_minutes", "rows"}
    table = reference.benchmark(kept).splitlines()
    assert table[:4] == [
        "| a | b |",
        "|---|---|",
        "| 0.512 [0.400,\u00a00.600] |  |",
        "| 0.250 | x |",
    ]
    assert "In every row: n 7." in table


def test_rows_come_from_the_file_of_pytest_benchmark(rerun, tmp_path) -> None:
    timed = {"name": "test_x[a]", "param": "a", "extra_info": {"CPU-seconds": 1.5}}
    (tmp_path / "out").write_text(json.dumps({"benchmarks": [timed]}), encoding="utf-8")
    assert rerun.rows_of(tmp_path / "out", "") == [{"case": "a", "CPU-seconds": 1.5}]


def test_places_and_verdicts_are_kept_with_claims(rerun) -> None:
    places = (Place(2, 1, 3), Place(1, 1, 1))
    line = Line(None, (), (), places, SimpleNamespace(state="below"), {})
    assert rerun._standing(line) == {"place": "2 (1 to 3) → 1", "ERM + eraser": "below"}
    assert set(rerun._standing(Line(None, (), (), None, None, {})).values()) == {None}


def test_a_command_that_fails_keeps_nothing(rerun, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(rerun, "KEPT", tmp_path)
    assert not rerun._made({"name": "toy", "command": "exit 3"})
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.stem)
def test_links_lead_to_pages(page) -> None:
    for target in re.findall(r"\{doc\}`([^`]+)`|:link: (\S+)", page.read_text(encoding="utf-8")):
        name = next(filter(None, target))
        name = re.sub(r"^.*<(.+)>$", r"\1", name)
        built = name.startswith(("generated/", "gallery/"))
        assert built or (page.parent / f"{name}.md").exists(), f"{page.name}: {name}"


def test_no_name_in_a_docstring_runs_into_a_letter() -> None:
    """A plural behind a closing backquote is a warning of the site."""
    for path in sorted((ROOT / "fer_bench").rglob("*.py")):
        assert not re.findall(r"(?<!`)`[\w.]+`\w+", path.read_text(encoding="utf-8")), path


@pytest.mark.parametrize("script", GALLERY, ids=lambda p: p.stem)
def test_an_example_of_the_gallery_runs(script, monkeypatch) -> None:
    import matplotlib.pyplot as plt

    monkeypatch.setattr(plt, "show", lambda: None)
    try:
        exec(compile(script.read_text(encoding="utf-8"), script.name, "exec"), {})
        assert plt.get_fignums()
    finally:
        plt.close("all")


def test_every_key_of_an_experiment_file_is_explained(reference) -> None:
    for title, model in reference.SECTIONS:
        meanings = reference.attributes_of(model)
        for key in model.model_fields:
            assert meanings.get(key), f"{title}: the docstring of {model.__name__} lacks {key!r}"


def test_the_help_of_every_command_is_printed(reference) -> None:
    text = reference._commands()
    for name in ("run", "report", "data audit", "mi bench", "plan"):
        assert f"## `fer-bench {name}`" in text
