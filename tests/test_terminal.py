"""Whatever stands in a name, the terminal shows it and obeys none of it."""

from __future__ import annotations

import io
import re
import subprocess
import sys
import time

import pytest
import typer
from hypothesis import given
from hypothesis import strategies as st
from rich.table import Table

from fer_bench import terminal
from fer_bench.terminal import encodable, make_console, printable, protected_streams, steps_shown

ENCODINGS = ["ascii", "cp1252", "latin-1", "cp437", "utf-8", "utf-16"]
CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
ANY = st.text(st.characters(codec=None) | st.sampled_from("\x1b\x07\x9b\r\u202e\udcff↑ö"))


def written(encoding, errors, write):
    """What `write` puts on streams of an encoding, as bytes."""
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding=encoding, errors=errors, newline="\n")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "stdout", stream)
        patch.setattr(sys, "stderr", stream)
        with protected_streams():
            write()
        assert sys.stdout is stream
    stream.flush()
    return raw.getvalue()


@given(ANY)
def test_no_control_character_is_left(text):
    shown = printable(text)
    assert not CONTROL.search(shown)
    assert printable(shown) == shown


@given(ANY, st.sampled_from(ENCODINGS))
def test_every_text_can_be_encoded_and_what_can_stays(text, encoding):
    encodable(text, encoding).encode(encoding)
    kept = text.encode(encoding, "ignore").decode(encoding)
    assert encodable(kept, encoding) == kept


@given(ANY, st.sampled_from(ENCODINGS), st.sampled_from(["print", "echo", "error", "console"]))
def test_streams_take_any_text(text, encoding, way):
    def write():
        if way == "print":
            print(text)
        elif way == "console":
            table = Table(text)
            table.add_row(text)
            make_console(highlight=False, markup=False, stderr=True).print(table)
        else:
            typer.echo(text, err=way == "error")

    shown = written(encoding, "strict", write).decode(encoding)
    assert not CONTROL.search(shown)


def test_the_title_of_a_window_is_not_set_and_the_name_is_readable():
    shown = written("utf-8", "strict", lambda: print("anna\x1b]0;owned\x07")).decode()
    assert shown == "anna\\x1b]0;owned\\x07\n"


def test_a_console_keeps_its_own_colours_and_spells_out_those_of_a_name():
    def write():
        console = make_console(force_terminal=True, color_system="standard", _environ={})
        console.print("name\x1b[31m", style="bold", highlight=False, markup=False)

    assert written("utf-8", "strict", write) == b"\x1b[1mname\\x1b[31m\x1b[0m\n"


@pytest.mark.parametrize("encoding", ["ascii", "cp1252", "latin-1"])
def test_commands_end_well_in_every_encoding(encoding):
    code = "import sys; sys.argv[1:] = ['list', 'datasets']; from fer_bench.cli import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={"PYTHONIOENCODING": encoding, "PYTHONPATH": ":".join(sys.path)},
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert b"folder" in done.stdout
    done.stdout.decode(encoding)


def test_a_step_that_takes_long_is_said_again(capsys, monkeypatch):
    monkeypatch.setattr(terminal, "SILENT_S", 0.02)
    with steps_shown("report") as progress:
        progress("maps [1 of 2]")
        said, end = "", time.monotonic() + 20
        while "maps [1 of 2], " not in said and time.monotonic() < end:
            said += capsys.readouterr().err
    lines = [line for line in said.splitlines() if not line.startswith("report, ")]
    assert lines[:2] == ["report ...", "report: maps [1 of 2] ..."]
    assert lines[2].startswith("report: maps [1 of 2], ")


def test_nothing_is_said_when_asked(capsys, monkeypatch):
    monkeypatch.setattr(terminal, "SILENT_S", 0.01)
    with steps_shown("report", quiet=True) as progress:
        progress("maps")
        time.sleep(0.05)
    assert capsys.readouterr().err == ""
