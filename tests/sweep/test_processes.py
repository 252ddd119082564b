"""Jobs in processes of their own: from a server with one thread, or as a fresh interpreter."""

import json
import os
import signal
import socket
import subprocess
import sys

import psutil
import pytest
import torch

from fer_bench.errors import RunError
from fer_bench.sweep import processes
from fer_bench.sweep.job import Job
from fer_bench.sweep.processes import Limits, Processes, resident_size
from fer_bench.threads import cores


def ends(jobs, workers=1, limits=Limits()):  # noqa: B008
    with Processes(workers, limits) as pool:
        for key, job in jobs.items():
            pool.submit(key, job)
        return dict(pool.ends())


def test_the_server_has_one_thread_when_it_forks(monkeypatch):
    """It has imported torch, pyarrow, numba and all methods by then."""
    heard = []
    honest = processes._Server.hear

    def hear(self):
        heard.append(honest(self))
        return heard[-1]

    monkeypatch.setattr(processes._Server, "hear", hear)
    assert ends({1: Job(os.getpid, {}, threads=1), 2: Job(os.getpid, {}, threads=1)})[2].value
    assert [message["threads"] for message in heard if "pid" in message] == [1, 1]


def test_the_command_forks_its_server_and_plans_without_what_training_needs(tmp_path):
    """Libraries are imported once, and the driver needs neither the compiler nor scikit-learn."""
    code = """
import os, sys, psutil
from fer_bench.cli import main
from fer_bench.sweep import processes
sys.argv[1:] = ["run", "--dry-run", "--out", "x", "--set", "seeds=[0]",
    "--set", 'methods=[{name="erm"}, {name="erased", of="erm"}]', "--set", "training.epochs=1",
    "--set", "data.size=16"]
try:
    main()
except SystemExit as end:
    assert not end.code
heavy = {"torch._dynamo", "lightning_fabric", "scipy.stats", "sklearn", "timm", "umap", "numba",
    "seaborn", "matplotlib", "open_clip"} & set(sys.modules)
assert not heavy, heavy
(server,) = processes._Server.idle
child = psutil.Process(server.process.pid)
assert child.cmdline() == psutil.Process().cmdline()  # a copy, no new interpreter
assert os.getsid(child.pid) == child.pid
print(server.process.pid)
"""
    run = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stderr
    assert not psutil.pid_exists(int(run.stdout.splitlines()[-1]))


def test_a_child_of_a_busy_parent_does_not_hang():
    """A copy of this process would wait for a thread that it does not have."""
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    torch.ones(1000, 1000) @ torch.ones(1000, 1000)
    try:
        job = Job(torch.nn.functional.relu, {"input": torch.ones(3)}, threads=2)
        (end,) = ends({1: job}, limits=Limits(seconds=60)).values()
    finally:
        torch.set_num_threads(before)
    assert "not JSON serializable" in end.error


@pytest.mark.parametrize("fresh", [False, True])
@pytest.mark.parametrize("threads", [1, 2])
def test_a_job_has_its_threads(fresh, threads):
    (end,) = ends({1: Job(torch.get_num_threads, {}, threads=threads, fresh=fresh)}).values()
    assert end.value == threads


def test_what_a_job_waits_for_another_does_not_count(monkeypatch):
    clock = [0.0]
    monkeypatch.setattr(processes.time, "monotonic", lambda: clock[0])
    running = processes._Running("key", Job(os.getpid, {}, threads=1), print, "token")
    running.answers, theirs = socket.socketpair()
    running.answers.setblocking(False)
    limited, seconds = Processes(1, Limits(seconds=10)), []
    with running.answers, theirs:
        running.pid = os.getpid()
        for now, waiting in ((4, True), (30, False), (35, True), (90, False)):
            clock[0] = now
            theirs.sendall(f'token{{"waiting": {json.dumps(waiting)}}}\n'.encode())
            processes._read(running)
            seconds.append(running.worked(now + 1))
        assert seconds == [4, 5, 9, 10]
        assert limited._excess(running, 91) is None
        assert limited._excess(running, 91.5)[0] == "time"


def test_several_at_once_and_in_folders_of_their_own(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FER_BENCH_TEST", "here")
    jobs = {i: Job(os.getpid, {}, threads=1) for i in range(4)}
    jobs |= {"cwd": Job(os.getcwd, {}, threads=1)}
    jobs |= {"env": Job(os.getenv, {"key": "FER_BENCH_TEST"}, threads=1)}
    result = ends(jobs, workers=2)
    assert len({result[i].value for i in range(4)} | {os.getpid()}) == 5
    assert result["cwd"].value == str(tmp_path)
    assert result["env"].value == "here"


def test_what_exists_in_this_process_only_is_done_here():
    assert ends({1: Job(lambda: os.getpid(), {}, threads=1)})[1].value == os.getpid()
    assert "ZeroDivisionError" in ends({1: Job(lambda: 1 / 0, {}, threads=1)})[1].error


def test_a_killed_server_costs_no_job(monkeypatch):
    with Processes(1) as pool:
        pool.submit(1, Job(os.getpid, {}, threads=1))
        os.kill(pool._server.process.pid, signal.SIGKILL)
        assert [end.error for _, end in pool.ends()] == [None]
    monkeypatch.setattr(
        processes.server, "command", lambda fd, path: ["/bin/false"]
    )  # it dies at once, whatever happens
    monkeypatch.setattr(processes._Server, "idle", [])
    with pytest.raises(RunError, match="killed again and again"), Processes(1) as pool:
        pool.submit(1, Job(os.getpid, {}, threads=1))
        list(pool.ends())


def test_leaving_early_ends_the_processes():
    with pytest.raises(KeyboardInterrupt), Processes(1) as pool:
        pool.submit(1, Job(os.getpid, {}, threads=1))
        pool.submit(2, Job(signal.pause, {}, threads=1))
        server = pool._server.process
        for key, _ in pool.ends():
            assert key == 1
            raise KeyboardInterrupt
    assert server.poll() is not None or server.wait(10) is not None


def test_memory_is_that_of_the_process_and_its_children():
    assert resident_size(os.getpid()) > 50_000_000
    assert resident_size(2**22 + 1) == 0


def test_options_of_an_executor():
    from fer_bench.sweep.executors import Options

    assert Options.of("serial").workers == 1
    assert Options.of("pool").workers == min(4, cores())
    assert Options.of("pool", 3).workers == 3
    share = [Options.of("pool", n).limits.memory for n in (1, 2)]
    assert share[0] == pytest.approx(2 * share[1], rel=1e-6)
    assert Options(time_limit=5.0, memory_limit=7).limits == Limits(5.0, 7)
