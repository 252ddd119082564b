import os
import subprocess
import sys

import pytest
from typer.testing import CliRunner

from fer_bench import registry
from fer_bench.cli import check
from fer_bench.cli.app import app

SMALL = [
    "--set",
    "data={name='generated', subjects=8, images_per_subject=7, size=32}",
    "--set",
    "methods=[{name='oracle-label'}]",
    "--set",
    "seeds=[0]",
    "--set",
    "split={folds=2, use=[0], validation=0.5}",
]


def test_help_names_every_command():
    result = CliRunner().invoke(app, ["--help"])
    assert result.exit_code == 0
    for command in (
        "run",
        "report",
        "table",
        "score",
        "list",
        "check-method",
        "mi",
        "data",
        "doctor",
    ):
        assert command in result.output


def test_help_imports_nothing_heavy():
    code = (
        "import sys; sys.argv = ['fer-bench', '--help']\n"
        "from fer_bench.cli import main\n"
        "try: main()\nexcept SystemExit: pass\n"
        "heavy = {'torch', 'numpy', 'pandas', 'scipy', 'sklearn', 'pydantic'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)


def test_estimating_information_of_two_arrays_needs_no_torch(tmp_path):
    code = (
        "import sys, numpy as np, fer_bench\n"
        "x = np.random.default_rng(0).normal(size=(60, 1))\n"
        "fer_bench.estimate_mi(x, x + x[::-1], estimator='ksg')\n"
        "heavy = {'torch', 'numba', 'sklearn', 'matplotlib'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)


@pytest.mark.parametrize("kind", ["methods", "datasets", "metrics", "estimators"])
def test_list(invoke, monkeypatch, kind):
    monkeypatch.setenv("COLUMNS", "80")
    status, out, _ = invoke("list", kind)
    assert status == 0
    registries = {"methods": registry.methods, "datasets": registry.datasets,
                  "metrics": registry.metrics, "estimators": registry.estimators}  # fmt: skip
    lines = out.splitlines()
    assert max(map(len, lines)) <= 80
    begun = {line.split("  ")[0] for line in lines if not line.startswith(" ")}
    assert begun == {*registries[kind].names()}, "every name stands unbroken on a line"


def test_help_is_not_cut_and_has_examples(invoke):
    for command in ((), ("run",), ("init",), ("mi",), ("mi", "check")):
        _, out, _ = invoke(*command, "--help")
        assert "..." not in out.replace("[OPTIONS] COMMAND [ARGS]...", "").replace("}...", "")
        assert "\nExamples:\n  fer-bench " in out


def test_verbose_shows_the_traceback_of_a_sentence(invoke, tmp_path):
    _, _, short = invoke("init", tmp_path / "absent")
    status, _, long = invoke("--verbose", "init", tmp_path / "absent")
    assert status == 2
    assert "Traceback" not in short
    assert "Traceback" in long
    assert long.endswith(short)


def test_doctor_ends_with_2_where_a_package_is_missing(invoke, monkeypatch):
    monkeypatch.setattr(check, "_version", lambda package: None if package == "numpy" else "1")
    status, _, err = invoke("doctor")
    assert status == 2
    assert err == "problem: the package numpy is missing: pip install numpy\n"


def test_expected_failures_are_one_sentence_and_status_2(invoke, tmp_path):
    status, out, err = invoke("run", tmp_path / "absent.toml")
    assert (status, out) == (2, "")
    assert err.startswith("fer-bench: cannot read the experiment file")
    assert err.count("\n") == 1
    status, _, err = invoke("check-method", "dice-fre")
    assert status == 2
    assert "did you mean 'dice-fer'" in err
    status, _, err = invoke("score", tmp_path)
    assert status == 2
    assert "no finished run" in err


@pytest.mark.parametrize("dry", [["--dry-run"], []])
def test_wrong_options_of_the_data_are_told_with_the_file(invoke, tmp_path, dry):
    file = tmp_path / "mine.toml"
    file.write_text("[data]\nsubjects = 'x'\n[[methods]]\nname = 'erm'\n")
    code, _, err = invoke("run", str(file), "--out", str(tmp_path / "out"), "--quiet", *dry)
    assert code == 2
    assert err == f"fer-bench: {file}: subjects = 'x': give a whole number of at least 1.\n"


@pytest.mark.parametrize(("steps", "few"), [(7, True), (200, False)])
def test_a_dry_run_counts_steps_warns_of_few_and_leaves_no_folder(invoke, tmp_path, steps, few):
    budget = ("--set", f"training.steps={steps}")
    status, out, _ = invoke("run", "--dry-run", "--out", tmp_path / "x", *SMALL, *budget)
    assert status == 0
    assert "to run" in out
    assert not (tmp_path / "x").exists()
    assert f"  {steps} steps\n" in out
    assert (f"caution: a budget of {steps} optimiser steps" in out) == few


def test_run_then_score(invoke, tmp_path):
    out = tmp_path / "x"
    arguments = ["run", "--out", out, "--executor", "serial", "--no-report", *SMALL]
    status, _, err = invoke(*arguments, "--set", "scores.metrics=['classification']")
    assert status == 0, err
    assert "1 run trained, 0 kept, 0 failed" in err
    status, stdout, _ = invoke("score", out, "--metrics", "classification", "--again")
    assert status == 0
    assert "1 run scored" in stdout


def test_the_module_is_the_command():
    for arguments, wanted in ((["--version"], "fer-bench "), (["--help"], "check-method")):
        done = subprocess.run(
            [sys.executable, "-m", "fer_bench", *arguments],
            env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
            capture_output=True,
            text=True,
            check=True,
        )
        assert wanted in done.stdout


@pytest.mark.parametrize(
    ("typed", "offered"), [("fer-bench che", "check-method"), ("fer-bench list me", "methods")]
)
def test_the_shell_completes_commands_and_choices(typed, offered):
    code = "import sys; sys.argv = ['fer-bench']; from fer_bench.cli import main; main()"
    words = {"COMP_WORDS": typed, "COMP_CWORD": str(typed.count(" "))}
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ
        | {"PYTHONPATH": os.pathsep.join(sys.path), "_FER_BENCH_COMPLETE": "complete_bash"}
        | words,
        capture_output=True,
        text=True,
        check=False,
    )
    assert offered in done.stdout.split(), done.stderr


def test_doctor_and_version(invoke):
    status, out, _ = invoke("doctor")
    assert status == 0
    assert "torch" in out
    status, out, _ = invoke("--version")
    assert out.startswith("fer-bench ")


def test_check_method_prints_each_finding_when_it_is_made(invoke, monkeypatch):
    from fer_bench import conformance

    def checks(adapter):
        print("between")
        yield conformance.Finding("shape", True, "first")
        print("between")
        yield conformance.Finding("sign", False, "second")

    monkeypatch.setattr(conformance, "checking", checks)
    status, out, err = invoke("check-method", "erm")
    assert status == 1
    assert [line.split()[0] for line in out.splitlines()] == ["between", "ok", "between", "FAIL"]
    assert "Checking erm" in err
