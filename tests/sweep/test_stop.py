"""Ctrl-C and SIGTERM end a sweep with one sentence, its processes gone and its runs kept."""

import os
import signal
import subprocess
import sys
import time

import psutil
import pytest

from fer_bench.cli import app, main
from fer_bench.runs.store import RunStore

SLOW = (
    'methods = [{ name = "oracle-label" }, { name = "erm", training.devices = 2 }]\n'
    '[data]\nname = "generated"\nsubjects = 9\nimages_per_subject = 7\nsize = 16\n'
    "[split]\nfolds = 3\nuse = [0]\n[training]\nepochs = 100000\nbatch_size = 16\n"
    '[scores]\nmetrics = ["classification"]\n'
)
SENTENCE = "fer-bench: stopped; finished runs are kept, the same command goes on.\n"


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_either_signal_is_one_sentence_and_a_status(monkeypatch, capsys, number, status):
    statuses = []
    monkeypatch.setattr(app, "app", lambda **options: signal.raise_signal(number))
    monkeypatch.setattr(os, "_exit", statuses.append)
    main()
    assert statuses == [status]
    assert capsys.readouterr().err == SENTENCE


@pytest.mark.slow
def test_a_stopped_sweep(tmp_path):
    file, out = tmp_path / "sweep.toml", tmp_path / "out"
    file.write_text(SLOW)
    command = [sys.executable, "-c", "from fer_bench.cli import main; main()", "run", str(file)]
    command += ["--out", str(out), "--quiet", "--workers", "2"]
    process = subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 200
    while process.poll() is None and time.monotonic() < deadline:
        logs = [path.read_text() for path in out.glob("logs/erm*.jsonl")]
        if list(out.glob("runs/oracle*/done.json")) and any('"epoch"' in text for text in logs):
            break
        time.sleep(0.1)
    started = psutil.Process(process.pid).children(recursive=True)
    process.terminate()
    _, said = process.communicate(timeout=60)
    assert process.returncode == 143
    assert said == SENTENCE
    assert len(started) >= 5  # the server, two runs, and two ranks of one of them
    assert not psutil.wait_procs(started, timeout=10)[1]
    assert [r.verify() for r in RunStore(out).records()] == [[]]
