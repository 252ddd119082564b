"""What the tests of commands share."""

from __future__ import annotations

import sys

import pytest

from fer_bench import cli


@pytest.fixture
def invoke(monkeypatch, capsys):
    """Call `fer-bench ...` as the shell does; returns (status, stdout, stderr)."""

    def call(*arguments):
        monkeypatch.setattr(sys, "argv", ["fer-bench", *map(str, arguments)])
        with pytest.raises(SystemExit) as stop:
            cli.main()
        captured = capsys.readouterr()
        return stop.value.code or 0, captured.out, captured.err

    return call
