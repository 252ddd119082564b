"""The commands: one line of success, one sentence of failure."""

from __future__ import annotations

import pytest
from typer.testing import CliRunner

from fer_bench.cli import report as commands
from fer_bench.errors import FerBenchError


@pytest.fixture(scope="module")
def call():
    import typer

    app = typer.Typer()
    for name in ("report", "table", "figures", "export"):
        app.command(name)(getattr(commands, name))
    return lambda *args: CliRunner().invoke(app, [str(a) for a in args])


def test_report_names_its_page(call, small_results, tmp_path):
    done = call("report", small_results, "--maps", "none", "--out", tmp_path / "page.html")
    assert done.exit_code == 0
    assert str(tmp_path / "page.html") in done.output.replace("\n", "")
    assert (tmp_path / "page.html").stat().st_size > 100_000


def test_table_prints_and_writes_the_same(call, results, tmp_path):
    done = call("table", results, "--format", "csv", "--layout", "mig", "--out", tmp_path / "t.csv")
    assert done.stdout == (tmp_path / "t.csv").read_text("utf-8")


def test_wrong_layout_is_a_sentence(call, results):
    done = call("table", results, "--layout", "overal")
    assert isinstance(done.exception, FerBenchError)
    assert "did you mean 'overall'" in str(done.exception)


def test_export_lists_its_files(call, small_results, tmp_path):
    done = call("export", small_results, "--out", tmp_path)
    assert done.exit_code == 0
    assert "scores.parquet" in done.output
