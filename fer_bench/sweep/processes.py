"""Jobs in processes of their own: started, watched, and ended, whatever they do.

What a job changes (data types, threads, modes, memory) ends with its process. One that hangs, eats
the memory or dies is one result among others.
"""

from __future__ import annotations

import atexit
import importlib
import json
import os
import pickle
import secrets
import select
import signal
import socket
import subprocess
import sys
import time
from collections import Counter, deque
from collections.abc import Callable, Hashable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from multiprocessing.connection import Connection
from multiprocessing.reduction import send_handle
from pathlib import Path
from typing import Any, Literal, Self

import psutil

from fer_bench.errors import RunError
from fer_bench.sweep import server
from fer_bench.sweep.gpus import Gpus, runs_on_one
from fer_bench.sweep.job import Job, Surroundings, Unpicklable, by_reference, failure
from fer_bench.terminal import duration
from fer_bench.threads import limited_threads, starting_no_threads

_POLL_S = 0.2
_MEASURE_S = 0.5
_DUMP_S = 0.5  # for a process to write where it is, before it is ended
_GONE_S = 2.0
_SERVERS = 3  # that may be killed before a sweep is given up

Reason = Literal["time", "memory", "died", "server"]


@dataclass(frozen=True)
class Limits:
    """What one job may use.

    Attributes:
        seconds: it may take; None for any time. What a job waits for another one (it says so with
            `tell(waiting=True)` and `tell(waiting=False)`) does not count.
        memory: bytes that its processes may hold (resident size); None for any.
    """

    seconds: float | None = None
    memory: int | None = None

    def within(self, seconds: float) -> Limits:
        """The same, and no longer than this."""
        return Limits(min(seconds, self.seconds or seconds), self.memory)


@dataclass(frozen=True)
class End:
    """How a job ended.

    Attributes:
        value: what its function returned, as JSON.
        error: one sentence, if it returned nothing.
        traceback: where that happened, if it is known.
        disk_full: whether there was no space to write to.
        reason: why its process ended before the function did; None if it did not.
        seconds: from start to end.
    """

    value: Any = None
    error: str | None = None
    traceback: str | None = None
    disk_full: bool = False
    reason: Reason | None = None
    seconds: float = 0.0


@dataclass
class _Running:
    key: Hashable
    job: Job
    on_message: Callable[[dict[str, Any]], None]
    token: str  # begins every line it sends: whatever else comes through is not its answer
    answers: socket.socket = field(init=False)
    pid: int | None = None
    started: float = 0.0
    waiting_since: float | None = None
    waited: float = 0.0  # seconds, for other jobs
    stopped: tuple[Reason, str] | None = None  # why it is being ended, and a sentence
    kill_at: float | None = None
    measured: float = 0.0  # when its memory was last looked at
    unread: bytes = b""
    silent: bool = False  # it has closed its end
    last: dict[str, Any] = field(default_factory=dict)

    def note_wait(self, begins: bool) -> None:
        now = time.monotonic()
        if begins:
            self.waiting_since = now
        elif self.waiting_since is not None:
            self.waited += now - self.waiting_since
            self.waiting_since = None

    def worked(self, now: float) -> float:
        """Seconds since it started in which it did not wait for another job."""
        return (self.waiting_since or now) - self.started - self.waited


class Processes:
    """Does jobs, some at once, each in a process of its own.

    Args:
        workers: jobs at once.
        limits: of every job.
        gpus: names of the devices that jobs with `fresh` are spread over, as CUDA knows them; each
            sees its own alone. Where several share one, each may use its part of the memory.

    Use it in a `with` block: leaving it early ends all processes.
    """

    def __init__(self, workers: int, limits: Limits = Limits(), gpus: Sequence[str] = ()) -> None:
        self.workers = workers
        self.limits = limits
        self.gpus = gpus
        self._waiting: deque[tuple[Hashable, Job, Callable[[dict[str, Any]], None]]] = deque()
        self._running: dict[int, _Running] = {}
        self._number = 0
        self._most_devices = 1  # of a job
        self._servers = 0
        self._server: _Server | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *ended: object) -> None:
        if self._server is None:  # nothing was submitted
            return
        if ended[0] is None and not self._running:
            self._server.give_back()
        else:
            self.cancel()

    def cancel(self) -> None:
        """End all jobs, for good: `ends` yields no more."""
        self._waiting.clear()
        for running in self._running.values():
            running.answers.close()
        self._running.clear()
        if self._server is not None:
            self._server.close()

    def submit(
        self,
        key: Hashable,
        job: Job,
        on_message: Callable[[dict[str, Any]], None] = lambda message: None,
    ) -> None:
        """Add a job; `ends` yields `key` with its end. `on_message` takes what it sends before."""
        if self._server is None:  # it may import while this process goes on
            self._server = _Server.borrow()
        self._waiting.append((key, job, on_message))
        self._most_devices = max(self._most_devices, job.devices)

    def ends(self) -> Iterator[tuple[Any, End]]:
        """How each job ended, in any order; more may be submitted meanwhile.

        A job that exists in this process only (a method defined in a notebook or in the main
        script) is done in this process, after a message {"here": why}.
        """
        while self._waiting or self._running:
            while self._waiting and len(self._running) < self.workers:
                key, job, on_message = self._waiting.popleft()
                if job.fresh and self.gpus:
                    job = replace(job, gpus=self._free_gpus(job.devices))
                try:
                    token = secrets.token_hex(8)
                    content = pickle.dumps((token, Surroundings.here(), by_reference(job)))
                except Unpicklable as why:
                    on_message({"here": str(why)})
                    yield key, _done_here(job, on_message)
                    continue
                self._start(_Running(key, job, on_message, token), content)
            yield from self._watch()

    def _start(self, running: _Running, content: bytes) -> None:
        assert self._server is not None
        self._number += 1
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        with theirs, suppress(OSError):  # a dead server shows in `_watch`
            self._server.start(self._number, theirs, content, fresh=running.job.fresh)
        running.answers = ours
        self._running[self._number] = running

    def _free_gpus(self, count: int) -> Gpus:
        """The devices that the fewest jobs are on."""
        jobs = [running.job for running in self._running.values()]
        taken = Counter(name for job in jobs if job.gpus for name in job.gpus.names)
        names = sorted(self.gpus, key=lambda gpu: taken[gpu])[:count]
        sharers = runs_on_one(self.workers, self.gpus, self._most_devices)
        return Gpus(tuple(names), 1 / sharers)

    def _watch(self) -> Iterator[tuple[Any, End]]:
        assert self._server is not None
        control = self._server.control.fileno()
        answers = [r.answers.fileno() for r in self._running.values() if not r.silent]
        ready, _, _ = select.select([control, *answers], [], [], _POLL_S)
        for running in self._running.values():
            _read(running)
        if control in ready:
            try:
                message = self._server.hear()
            except (EOFError, OSError):
                self._replace_server()
                return
            running = self._running[message["job"]]
            if "pid" in message:
                running.pid, running.started = message["pid"], time.monotonic()
            else:
                del self._running[message["job"]]
                yield running.key, _ended(running, message["status"])
        for number, running in self._running.items():
            self._enforce(number, running)

    def _enforce(self, number: int, running: _Running) -> None:
        """End a job that is over a limit, once it has written where it is."""
        assert self._server is not None
        now = time.monotonic()
        if running.pid is None:  # the server is still importing
            return
        if running.kill_at is not None:
            if now > running.kill_at:
                running.kill_at = now + _DUMP_S
                self._server.signal(number, signal.SIGKILL)
            return
        running.stopped = self._excess(running, now)
        if running.stopped is not None:
            running.kill_at = now + _DUMP_S
            self._server.signal(number, signal.SIGUSR1)

    def _excess(self, running: _Running, now: float) -> tuple[Reason, str] | None:
        seconds, memory = self.limits.seconds, self.limits.memory
        if seconds is not None and running.worked(now) > seconds:
            return "time", f"it took longer than the time limit of {duration(seconds)}."
        if memory is not None and now - running.measured > _MEASURE_S:
            assert running.pid is not None
            running.measured = now
            held = resident_size(running.pid)
            if held > memory:
                return "memory", (
                    f"it held {held / 2**30:.1f} GiB of memory, more than the limit of "
                    f"{memory / 2**30:.1f} GiB."
                )
        return None

    def _replace_server(self) -> None:
        """The server was killed, and with it its children: no fault of theirs, so they go again."""
        assert self._server is not None
        self._servers += 1
        self._server.close()
        for running in self._running.values():
            if running.pid is not None:
                _end_process(running.pid)
        lost, self._running = list(self._running.values()), {}
        if self._servers > _SERVERS:
            raise RunError(
                "the process that starts the runs was killed again and again (out of memory?): "
                "finished runs are kept; give the same command again to go on."
            )
        self._server = _Server.borrow()
        for running in lost:
            running.answers.close()
            self._waiting.appendleft((running.key, running.job, running.on_message))


def _end_process(pid: int) -> None:
    """End a process that is not a child of this one, and wait until it has let go of its files."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, signal.SIGKILL)
    with suppress(psutil.Error):
        psutil.Process(pid).wait(_GONE_S)


def _done_here(job: Job, on_message: Callable[[dict[str, Any]], None]) -> End:
    started = time.monotonic()
    extra = {"tell": lambda **message: on_message(message)} if job.wants_tell else {}
    try:
        with limited_threads(job.threads):
            value = json.loads(json.dumps(job.function(**job.arguments, **extra)))
        return End(value, seconds=time.monotonic() - started)
    except Exception as error:
        return End(**failure(error), seconds=time.monotonic() - started)


def _read(running: _Running) -> None:
    """Take what a job has sent."""
    with suppress(BlockingIOError, ConnectionResetError):
        while content := running.answers.recv(1 << 16):
            running.unread += content
        running.silent = True
    *lines, running.unread = running.unread.split(b"\n")
    start = running.token.encode()
    for line in lines:
        _, mark, content = line.partition(start)
        if not mark:
            continue
        running.last = json.loads(content)
        if "waiting" in running.last:
            running.note_wait(running.last["waiting"])
        elif not {"value", "error"} & running.last.keys():
            running.on_message(running.last)


def _ended(running: _Running, status: int) -> End:
    _read(running)
    running.answers.close()
    seconds, last = time.monotonic() - running.started, running.last
    if "value" in last:
        return End(last["value"], seconds=seconds)
    if "error" in last:
        return End(**last, seconds=seconds)
    reason, sentence = running.stopped or ("died", _last_words(status))
    return End(error=sentence, traceback=_tail(running.job.output), reason=reason, seconds=seconds)


def _last_words(status: int) -> str:
    if status >= 0:
        return f"its process ended without a result (exit status {status})."
    name = signal.Signals(-status).name
    guess = " (out of memory?)" if name == "SIGKILL" else ""
    return f"its process was ended by {name}{guess}."


def _tail(path: Path | None, size: int = 20_000) -> str | None:
    """The end of what a process printed."""
    if path is None:
        return None
    with suppress(OSError), path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - size))
        return file.read().decode("utf-8", "replace") or None
    return None


def resident_size(pid: int) -> int:
    """Bytes of memory that a process and its descendants hold; 0 if it has ended."""
    total = 0
    with suppress(psutil.Error):
        process = psutil.Process(pid)
        for one in (process, *process.children(recursive=True)):
            with suppress(psutil.Error):
                total += one.memory_info().rss
    return total


def memory_of_machine() -> int:
    """Bytes of memory that this process and all it starts may use."""
    total = psutil.virtual_memory().total
    with suppress(OSError, ValueError):  # of a container: "max" where there is no limit
        total = min(total, int(Path("/sys/fs/cgroup/memory.max").read_text()))
    return total


def start_early() -> None:
    """Import what a sweep needs and fork its server from this process, so that it is done once.

    While this process plans, the server goes on to what training needs. It does nothing where
    libraries may have started threads: the sweep then starts a server of its own.
    """
    if "numpy" in sys.modules:
        return
    with starting_no_threads(server.QUIET):
        with server.importing():
            importlib.import_module(server.SWEEP)
        if server.thread_count() == 1:
            _Server.idle.append(_Server.forked())


class _Server:
    """A server process (`fer_bench.sweep.server`); idle ones are used again."""

    idle: list[_Server] = []

    def __init__(self, process: psutil.Process, control: socket.socket) -> None:
        self.owner = os.getpid()
        self.process = process
        self.control = Connection(control.detach())
        self.used = False

    @classmethod
    def started(cls) -> _Server:
        """A new one, which has to import all."""
        ours, theirs = socket.socketpair()
        path = [entry or os.getcwd() for entry in sys.path]
        with theirs:
            process = psutil.Popen(
                server.command(theirs.fileno(), path),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                env={**os.environ, **server.QUIET},
                pass_fds=[theirs.fileno()],
                start_new_session=True,
            )
        return cls(process, ours)

    @classmethod
    def forked(cls) -> _Server:
        """A copy of this process, which has one thread."""
        ours, theirs = socket.socketpair()
        with theirs:
            return cls(psutil.Process(server.fork(theirs, ours)), ours)

    @classmethod
    def borrow(cls) -> _Server:
        """An idle server, or a new one."""
        while cls.idle:
            one = cls.idle.pop()
            if one.owner == os.getpid() and one.is_alive():
                return one
        return cls.started()

    def is_alive(self) -> bool:
        return self.process.is_running() and self.process.status() != psutil.STATUS_ZOMBIE

    def give_back(self) -> None:
        """Let the next sweep of this process use it."""
        self.idle.append(self)

    def start(self, number: int, answers: socket.socket, content: bytes, *, fresh: bool) -> None:
        self.used = True
        self.control.send_bytes(json.dumps({"job": number, "fresh": fresh}).encode())
        send_handle(self.control, answers.fileno(), self.process.pid)
        self.control.send_bytes(content)

    def signal(self, number: int, which: int) -> None:
        with suppress(OSError):
            self.control.send_bytes(json.dumps({"job": number, "signal": which}).encode())

    def hear(self) -> dict[str, Any]:
        return json.loads(self.control.recv_bytes())

    def close(self) -> None:
        """End it and all its children."""
        self.control.close()
        if not self.used:  # it may still import, and would not hear of it
            self.process.kill()
        try:
            self.process.wait(_GONE_S)
        except psutil.TimeoutExpired:
            self.process.kill()
            self.process.wait()


@atexit.register
def _close_idle() -> None:
    for one in _Server.idle:
        if one.owner == os.getpid():
            one.close()
