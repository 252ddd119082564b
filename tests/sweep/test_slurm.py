"""Sweeps by job arrays, against programs that stand for Slurm's."""

import os
import shutil
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest

import fer_bench
from fer_bench.errors import ExperimentError, RunError
from fer_bench.experiment import parse_experiment
from fer_bench.runs.store import RunStore
from fer_bench.sweep import slurm
from fer_bench.sweep.executors import Options, Request
from fer_bench.sweep.plan import plan
from fer_bench.sweep.slurm import Tasks, script, work

# Tasks are processes of this machine, their numbers kept in a folder; a task is queued while it
# lives. Only what our scripts and our driver ask for is there.
SBATCH = """\
#!/bin/bash
file="${@: -1}"
job=$((100 + $(ls -d "$STUB"/job-* 2>/dev/null | wc -l)))
mkdir -p "$STUB/job-$job"
cp "$file" "$STUB/job-$job/script"
last=$(sed -n 's/^#SBATCH --array=0-//p' "$file")
output=$(sed -n 's/^#SBATCH --output=//p' "$file")
for i in $(seq 0 "$last"); do
    log="${output//%A/$job}"
    SLURM_ARRAY_JOB_ID=$job SLURM_ARRAY_TASK_ID=$i \\
        setsid bash "$file" >>"${log//%a/$i}" 2>&1 </dev/null &
    echo $! >"$STUB/job-$job/$i"
done
echo "$job;cluster"
"""
SQUEUE = """\
#!/bin/bash
job="${@: -1}"; job="${job#--jobs=}"
if [ ! -d "$STUB/job-$job" ]; then
    echo "slurm_load_jobs error: Invalid job id specified" >&2
    exit 1
fi
for task in "$STUB/job-$job"/[0-9]*; do
    if kill -0 "$(cat "$task")" 2>/dev/null; then echo "${job}_$(basename "$task")"; fi
done
"""
SCANCEL = """\
#!/bin/bash
echo "$@" >>"$STUB/cancelled"
for task in "$STUB/job-$1"/[0-9]*; do kill -9 -- "-$(cat "$task")" 2>/dev/null; done
exit 0
"""
SCONTROL = """\
#!/bin/bash
echo "$@" >>"$STUB/control"
"""
PYTHON = """\
#!/bin/bash
trap 'echo stopped >>"$STUB/python"; exit 143' TERM
echo "$@" >>"$STUB/python"
while [ -e "$STUB/wait" ]; do sleep 0.05; done
"""


@pytest.fixture
def stub(tmp_path, monkeypatch):
    """Slurm's programs on the path; the folder they keep their notes in."""
    programs, notes = tmp_path / "bin", tmp_path / "notes"
    programs.mkdir()
    notes.mkdir()
    contents = {"sbatch": SBATCH, "squeue": SQUEUE, "scancel": SCANCEL, "scontrol": SCONTROL}
    for name, content in (contents | {"python": PYTHON}).items():
        (programs / name).write_text(content)
        (programs / name).chmod(stat.S_IRWXU)
    monkeypatch.setenv("PATH", f"{programs}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("STUB", str(notes))
    monkeypatch.setattr(slurm, "_POLL_S", 0.05)
    return notes


def experiment(methods=("oracle-label", "random-encoder"), **changes):
    return {
        "data": {"name": "generated", "subjects": 9, "images_per_subject": 7, "size": 16},
        "split": {"folds": 3, "use": [0, 1], "validation": 0.4},
        "training": {"epochs": 1, "batch_size": 16},
        "methods": [{"name": name} for name in methods],
        "scores": {"metrics": ["classification"]},
    } | changes


def in_this_process(monkeypatch, *, until=10**9):
    """Let `sbatch` do the tasks before it returns, up to some number of jobs."""
    calls = []

    def call(*command):
        calls.append(command)
        if command[0] == "sbatch":
            jobs = sum(one[0] == "sbatch" for one in calls)
            path = Path(command[-1]).with_suffix(".json")
            if jobs <= until:
                for index in range(Tasks.load(path).workers):
                    work(path, index)
            return f"{jobs}\n"
        if command[0] == "squeue":
            raise RunError("slurm_load_jobs error: Invalid job id specified")
        return ""

    monkeypatch.setattr(slurm, "_call", call)
    return calls


def specs_of(content):
    return plan(parse_experiment(content)).runs


def test_a_sweep_by_real_processes(tmp_path, stub):
    """The script, the worker command and the store, as on a cluster."""
    content = experiment(["oracle-label"])
    sweep = fer_bench.run(content, tmp_path / "out", executor="slurm", workers=1, quiet=True)
    assert (sweep.done, sweep.failed) == (2, {})
    assert all(record.verify() == [] for record in sweep.records())
    log = (tmp_path / "out" / "logs" / "slurm" / "100_0.txt").read_text()
    assert "oracle: label seed 0 fold 0: accuracy 1.000" in log
    assert not (stub / "cancelled").exists()


def answers():
    """Whether a controller of Slurm is there."""
    if shutil.which("sinfo") is None:
        return False
    asked = subprocess.run(["sinfo", "--noheader"], capture_output=True, check=False)
    return asked.returncode == 0 and bool(asked.stdout.strip())


@pytest.mark.slow
@pytest.mark.skipif(not answers(), reason="no Slurm that answers")
def test_a_sweep_by_a_real_controller(tmp_path):
    content = experiment(["oracle-label"])
    serial = fer_bench.run(content, tmp_path / "serial", quiet=True)
    sweep = fer_bench.run(content, tmp_path / "out", executor="slurm", workers=2, quiet=True)
    assert (sweep.done, sweep.failed) == (2, {})
    for a, b in zip(serial.records(), sweep.records(), strict=True):
        sums = [{k: v for k, v in r.checksums.items() if k != "environment.json"} for r in (a, b)]
        assert sums[0] == sums[1]


def test_the_same_bytes_and_failures_as_serial(tmp_path, stub, monkeypatch):
    calls = in_this_process(monkeypatch)
    content = experiment()
    serial = fer_bench.run(content, tmp_path / "serial", quiet=True)
    on_slurm = fer_bench.run(content, tmp_path / "slurm", executor="slurm", workers=3, quiet=True)
    assert on_slurm.done == serial.done == 4
    for a, b in zip(serial.records(), on_slurm.records(), strict=True):
        sums = [{k: v for k, v in r.checksums.items() if k != "environment.json"} for r in (a, b)]
        assert sums[0] == sums[1]
    assert [one[0] for one in calls].count("sbatch") == 1
    again = fer_bench.run(content, tmp_path / "slurm", executor="slurm", quiet=True)
    assert (again.done, again.kept) == (0, 4)
    assert [one[0] for one in calls].count("sbatch") == 1, "nothing was left to hand in"


def test_tasks_that_end_early_are_handed_in_again_and_given_up(tmp_path, stub, monkeypatch):
    monkeypatch.setattr(slurm, "_GRACE_S", 0.0)
    calls = in_this_process(monkeypatch, until=0)
    content = experiment(["oracle-label"])
    sweep = fer_bench.run(content, tmp_path / "out", executor="slurm", quiet=True)
    assert [one[0] for one in calls].count("sbatch") == 3
    assert len(sweep.failed) == 2
    assert all("in 3 jobs" in reason for reason in sweep.failed.values())
    assert fer_bench.run(content, tmp_path / "out", quiet=True).done == 2


def test_a_run_that_another_driver_is_at_is_waited_for(tmp_path, stub, monkeypatch):
    """Its claim is respected by the tasks; once it is done, it is one of this sweep's runs."""
    in_this_process(monkeypatch)
    content = experiment(["oracle-label"])
    store, spec = RunStore(tmp_path), specs_of(content)[0]
    looks = []
    honest = Tasks.result

    def result(self, store, one):
        if one.id == spec.id:
            looks.append(one)
            if len(looks) == 5:
                claim.__exit__(None, None, None)
                work(tmp_path / "slurm" / "tasks-1.json", 0)
        return honest(self, store, one)

    monkeypatch.setattr(Tasks, "result", result)
    claim = store.claim(spec)
    claim.__enter__()
    sweep = fer_bench.run(content, tmp_path, executor="slurm", workers=1, quiet=True)
    assert (sweep.done, sweep.busy, sweep.failed) == (2, 0, {})


def test_the_script_asks_for_another_turn_before_the_time_limit(tmp_path, stub, monkeypatch):
    monkeypatch.setattr(sys, "executable", str(tmp_path / "bin" / "python"))
    (stub / "wait").touch()
    file = tmp_path / "task.sh"
    file.write_text(script(tmp_path / "tasks-1.json", 2, tmp_path, Options("slurm", 2)))
    environment = {**os.environ, "SLURM_ARRAY_JOB_ID": "7", "SLURM_ARRAY_TASK_ID": "1"}
    process = subprocess.Popen(["bash", str(file)], env=environment)
    while not (stub / "python").exists():
        time.sleep(0.01)
    process.send_signal(signal.SIGUSR1)
    assert process.wait(20) == 0
    assert (stub / "control").read_text() == "requeue 7_1\n"
    called, stopped = (stub / "python").read_text().splitlines()
    assert called == f"-m fer_bench work {tmp_path / 'tasks-1.json'} 1"
    assert stopped == "stopped"


def test_stopping_the_driver_cancels_the_job(tmp_path, stub, monkeypatch):
    monkeypatch.setattr(sys, "executable", str(tmp_path / "bin" / "python"))
    (stub / "wait").touch()

    def interrupt(seconds):
        raise KeyboardInterrupt

    monkeypatch.setattr(slurm.time, "sleep", interrupt)
    with pytest.raises(KeyboardInterrupt):
        fer_bench.run(experiment(), tmp_path / "out", executor="slurm", workers=2, quiet=True)
    assert (stub / "cancelled").read_text() == "100\n"


def test_what_the_user_asks_of_sbatch_is_in_the_script():
    options = Options.of("slurm", 8, threads=4, sbatch=("--partition=gpu", "--gres=gpu:1"))
    lines = script(Path("/x/tasks-1.json"), 8, Path("/x"), options).splitlines()
    for wanted in ("--array=0-7", "--cpus-per-task=4", "--partition=gpu", "--gres=gpu:1"):
        assert f"#SBATCH {wanted}" in lines


def test_wrong_tasks_are_one_sentence(tmp_path, monkeypatch):
    path = tmp_path / "tasks-1.json"
    for content in ("", "[]", "{}", '{"specs": [{}]}'):
        path.write_text(content)
        with pytest.raises(RunError, match="is no list of tasks"):
            work(path, 0)
    Tasks(specs_of(experiment()), Request(str(tmp_path), None, 0, Options("slurm", 2))).save(path)
    with pytest.raises(RunError, match="has 2 tasks, and none is number 2"):
        work(path, 2)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ExperimentError, match="this machine has none"):
        fer_bench.run(experiment(), tmp_path / "out", executor="slurm", quiet=True)
